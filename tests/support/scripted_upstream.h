// An HttpUpstream that answers from a script and remembers what it was asked. As strict as the
// real one about URLs, headers, truncation and clients that leave, after_client_left_ms counted on
// the clock that it has, or by real time. Thread-safe.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "http/client/upstream.h"

namespace kvcs::test {

struct ScriptedAnswer {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  // Lower-case names.
  std::vector<std::string> chunks;  // Each is at most one read(); more reads when `out` is small.
  Status open_failure;              // Not ok: open() returns it.
  // After the chunks: a clean end, a broken transfer, or silence until the client leaves, the
  // deadline passes on the clock, or release_hanging() (a clean end then).
  enum class End { kClean, kTruncated, kHang } end = End::kClean;
  bool hang_before_head = false;  // open() waits in the same way.
  int64_t latency_ms = 0;         // The ManualClock moves by so much before the head …
  int64_t chunk_latency_ms = 0;   // … and before each chunk.
};

struct SeenRequest {
  std::string method, url, body;
  std::vector<std::pair<std::string, std::string>> headers;
  int deadline_ms = 0;
  bool allow_private_addresses = false;
  int after_client_left_ms = 0;
  std::string header(std::string_view name) const;  // Any case; "" when absent.
};

class ScriptedUpstream final : public http::HttpUpstream {
 public:
  using Handler = std::function<ScriptedAnswer(const SeenRequest&)>;
  // Without a clock latencies mean nothing and hanging ends only by client or release.
  explicit ScriptedUpstream(ManualClock* clock = nullptr) : clock_(clock) {}

  void push(ScriptedAnswer answer);  // Answers in order; used before the handler.
  void push_json(int status, std::string json);
  void push_sse(const std::vector<std::string>& events, ScriptedAnswer::End end = {});
  void set_handler(Handler handler);  // For what the queue does not answer.
  void release_hanging();

  Result<std::unique_ptr<http::UpstreamResponse>> open(
      const http::UpstreamRequest& request) override;

  std::vector<SeenRequest> seen() const;
  SeenRequest last_seen() const;  // Empty when nothing was asked.
  size_t seen_count() const;
  // Responses that were destroyed before their end, or never got past their head.
  size_t cancelled_count() const;
  size_t open_count() const;  // Responses alive.

 private:
  friend class ScriptedResponse;
  Status hang(const http::UpstreamRequest& request, int64_t started_us);
  void closed(bool finished);

  ManualClock* const clock_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<ScriptedAnswer> queue_ KVCS_GUARDED_BY(mutex_);
  Handler handler_ KVCS_GUARDED_BY(mutex_);
  std::vector<SeenRequest> seen_ KVCS_GUARDED_BY(mutex_);
  uint64_t releases_ KVCS_GUARDED_BY(mutex_) = 0;
  size_t cancelled_ KVCS_GUARDED_BY(mutex_) = 0;
  size_t open_ KVCS_GUARDED_BY(mutex_) = 0;
};

}  // namespace kvcs::test
