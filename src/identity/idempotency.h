// Idempotency-Key for admin writes: the first answer is kept for a day, sealed (it may show a new
// key), and a repeat with the same header and body gets it again instead of a second effect.
// Failures are not kept, so that a repeat may succeed. Thread-safe.
#pragma once
#include "base/clock.h"
#include "base/crypto.h"
#include "http/http.h"
#include "kv/kv.h"

namespace kvcs {

class Idempotency final {
 public:
  Idempotency(KvStore& kv, const Sealer& sealer, const Clock& clock);
  // Acts on POST requests with the header; others pass. Invalid: not 1 to 255 visible characters.
  // Conflict: the first request is still under way (Retry-After), or had another body.
  http::Handler wrap(http::Handler handler) const;

 private:
  Result<http::Response> run(http::Request& request, const http::Handler& handler,
                             std::string_view header) const;
  Result<http::Response> replay(const std::string& key, std::string_view body_hash) const;

  KvStore& kv_;
  const Sealer& sealer_;
  const Clock& clock_;
};

}  // namespace kvcs
