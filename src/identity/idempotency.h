// Idempotency-Key: the first answer is kept for a while, sealed (it may show a new key), and a
// repeat with the same header and body gets it again instead of a second effect or a second charge.
// Failures are not kept, so that a repeat may succeed; nor are streams. Thread-safe.
#pragma once
#include <memory>

#include "base/clock.h"
#include "base/crypto.h"
#include "http/http.h"
#include "kv/kv.h"

namespace kvcs {

struct IdempotencyRule {
  int64_t kept_s = 86'400;
  // Longer than any request runs. A marker of a process that died is free at once.
  int64_t running_s = 600;
  // A larger answer is not kept: a repeat is then a Conflict that says so, never a second effect.
  size_t answer_max_bytes = 1u << 20;
};

class Idempotency final {
 public:
  // `kept_max_bytes`: of all answers that this process has kept and that have not expired; beyond,
  // they count as too large.
  Idempotency(KvStore& kv, const Sealer& sealer, const Clock& clock,
              size_t kept_max_bytes = 256u << 20);
  ~Idempotency();
  // Acts on POST requests with the header; others pass. Invalid: not 1 to 255 visible characters.
  // Conflict: the first request is still under way (Retry-After), had another body, or its answer
  // was too large to keep. Unavailable: the store does not answer, so the promise cannot be kept.
  http::Handler wrap(http::Handler handler, IdempotencyRule rule = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
