// The guard of the admin API: which keys it lets in, how often, and for how long a guesser stays
// out. The key is looked at first: a right one is never locked out, whatever others sent from its
// address, and has a rate of its own. Requests without one share the rate of their address block
// (base/address_block.h), and too many wrong keys lock the block out of trying more. Thread-safe;
// memory is bounded.
#pragma once
#include <functional>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "http/http.h"
#include "http/route_rows.h"
#include "identity/identity.h"

namespace kvcs {

struct AdminGuardLimits {
  int requests_per_minute = 600;  // Of one key; of those without a right one, of one address.
  int failures_max = 10;          // Wrong keys from one address before it is locked out.
  int lockout_s = 300;
};

class AdminGuard final {
 public:
  // Counts one request of a key or an address block against a rate; the seconds until it may ask
  // again, 0 = now. App passes the rate limiter of ops.
  using TakeRate = std::function<int64_t(std::string_view whose, int requests_per_minute)>;
  // Told of every wrong key that was sent, before it is refused. May be empty.
  using Failed = std::function<void(const http::Request& request)>;
  AdminGuard(const Authenticator& auth, const Clock& clock, const AdminGuardLimits& limits,
             TakeRate take_rate, Failed failed = {});
  ~AdminGuard();
  // As admin(); RateLimited (with Retry-After) when the key asks too often, or when there is no
  // right key and the address asks too often or is locked out.
  http::Guard guard(const http::Need& need) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
