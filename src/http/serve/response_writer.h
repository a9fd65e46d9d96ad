// A Response becomes bytes on a connection: head formatting, full writes with a deadline, files by
// sendfile, streams chunked. One thread.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "http/http.h"
#include "http/serve/connection.h"
#include "http/serve/pace.h"
#include "http/serve/shares.h"

namespace kvcs::http {

std::string_view reason_phrase(int status);

// The Date header's text, made once a second.
class DateText final {
 public:
  std::string_view at(int64_t unix_s);

 private:
  int64_t unix_s_ = -1;
  std::array<char, 32> text_{};
  size_t size_ = 0;
};

// Per connection and request, what the head says besides the handler's own headers.
struct HeadFacts {
  bool http_1_1 = true;
  bool keep_alive = true;
  bool head_only = false;  // HEAD
  std::string_view request_id, date;
};

// How the body is delimited.
enum class Delimiter : uint8_t { kNone, kLength, kChunked, kClose };
struct HeadPlan {
  Delimiter delimiter = Delimiter::kNone;
  uint64_t size_bytes = 0;
};
HeadPlan plan_body(const Response& response, const HeadFacts& facts);

// Headers that would split the head (CR, LF, NUL) and those that are ours to decide (framing) are
// left out. Security headers are added unless the handler set its own.
void format_head(const Response& response, const HeadFacts& facts, const HeadPlan& plan,
                 std::string& out);

class ResponseWriter final {
 public:
  // `size_bytes`: of the body, when it is known. What the client is slow to take counts in
  // `memory`.
  ResponseWriter(Connection& connection, int write_timeout_ms, std::optional<uint64_t> size_bytes,
                 Shares::Memory& memory)
      : connection_(connection), pace_(write_timeout_ms, size_bytes), memory_(memory) {}
  // Sends everything. Unavailable or RateLimited: the client left, takes nothing for too long, or
  // there is no memory to wait for it; the connection is then of no more use.
  Status write(Response& response, std::string& head, const HeadFacts& facts, const HeadPlan& plan);
  uint64_t sent_bytes() const { return sent_bytes_; }

 private:
  friend class StreamWriter;
  // `held`: the bytes take memory until they are sent.
  Status send_all(std::string_view a, std::string_view b, bool more, bool held = true);
  Status send_file(const FileBody& file);
  Status send_stream(Response& response, const HeadPlan& plan);
  Status wait();

  Connection& connection_;
  Pace pace_;
  Shares::Memory& memory_;
  uint64_t sent_bytes_ = 0;
};

}  // namespace kvcs::http
