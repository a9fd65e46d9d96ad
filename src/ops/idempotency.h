// Idempotency-Key: the first answer is kept for a while, sealed (it may show a new key), and a
// repeat with the same header and body gets it again instead of a second effect or a second charge.
// Failures are not kept, so that a repeat may succeed; nor are streams, which a repeat begins anew,
// but for a person's: browsers repeat by themselves what was asked once. A marker is in the store
// before the effect begins: when the process dies, the store fails before the answer is kept, or
// the connection to another server breaks once the request may be with it, a repeat is told that
// the outcome is unknown, and nothing is done twice. Thread-safe.
#pragma once
#include <functional>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/crypto.h"
#include "http/http.h"
#include "kv/kv.h"

namespace kvcs {

// True of what became of an exchange with another server when nobody here knows whether that one
// has acted: no answer within the time, or a broken one, or one that was not waited for, since the
// client left or we stop, or its own proxy's 502 or 504. False when http::surely_not_sent(), and of
// every other answer, failures too.
bool may_have_acted(const Result<http::Response>& result);

// A header of answers of a good status that report a failure all the same: as a failure, such an
// answer is not kept, so that a repeat may succeed.
inline constexpr std::string_view kFailedAnswerHeader = "x-gateway-failed";

struct IdempotencyRule {
  int64_t kept_s = 86'400;
  // Longer than any request runs; the marker stands for this time or kept_s, the longer of both.
  int64_t running_s = 600;
  // A larger answer is not kept: a repeat is then a Conflict that says so, never a second effect.
  size_t answer_max_bytes = 1u << 20;
  // After an answer that is streamed a repeat is a Conflict, too; else it may be asked for again.
  bool streams_count = false;
  // Asked of a failure: true leaves the key taken, with the outcome unknown.
  std::function<bool(const Result<http::Response>&)> outcome_unknown = may_have_acted;
};

// A request whose effect is wanted once. The views must hold until once() returns.
struct OnceRequest {
  std::string_view name;          // What the key is called where the caller gave it.
  std::string_view key;           // 1 to 255 visible characters.
  std::string_view owner;         // A key id; the same key of another owner is another one.
  std::string_view organization;  // "" = none; it has a share of what is kept.
  std::string_view target;        // The same key elsewhere is another one.
  std::string_view body;
  std::string_view request_id;
};

class Idempotency final {
 public:
  // `kept_max_bytes`: of all records that have not expired, those of earlier processes too, which
  // are counted here. A key has a quarter of it and an organization half; what is beyond is not
  // kept, and a repeat is told so. `kv`, `sealer` and `clock` outlive it.
  Idempotency(KvStore& kv, const Sealer& sealer, const Clock& clock,
              size_t kept_max_bytes = 256u << 20);
  ~Idempotency();
  // Runs `effect`, or gives its first answer again, with idempotent-replay: true. Invalid: not 1 to
  // 255 visible characters. Conflict: the first request is still under way (Retry-After), had
  // another body, its answer was too large, streamed or had no room to be kept in, or what became
  // of it is not known. Unavailable: the store does not answer, so the promise cannot be kept.
  // These have reasons that begin with "idempotency_".
  Result<http::Response> once(const OnceRequest& request, const IdempotencyRule& rule,
                              const std::function<Result<http::Response>()>& effect) const;
  // once() for POST requests with the header, of callers who have shown who they are; others pass.
  http::Handler wrap(http::Handler handler, IdempotencyRule rule = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
