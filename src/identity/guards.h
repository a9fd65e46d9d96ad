// The guard of the admin API: which keys it lets in, how often, and for how long a guesser stays
// out. Per address: a rate for all requests, and a lock-out after too many wrong keys. Thread-safe;
// memory is bounded.
#pragma once
#include <functional>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "http/http.h"
#include "identity/identity.h"

namespace kvcs {

struct AdminGuardLimits {
  int requests_per_minute = 600;  // Of one address.
  int failures_max = 10;          // Wrong keys from one address before it is locked out.
  int lockout_s = 300;
};

class AdminGuard final {
 public:
  // Counts one request of an address against a rate; the seconds until it may ask again, 0 = now.
  // App passes the rate limiter of ops.
  using TakeRate = std::function<int64_t(std::string_view remote_ip, int requests_per_minute)>;
  AdminGuard(const Authenticator& auth, const Clock& clock, const AdminGuardLimits& limits,
             TakeRate take_rate);
  ~AdminGuard();
  // RateLimited (with Retry-After) when the address asks too often or is locked out; else as
  // admin().
  http::Guard guard(AdminRole at_least) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
