// The admin door: who gets in, how often, and for how long a guesser stays out. Per address: a rate
// for all requests, and a lock-out after too many wrong keys. Thread-safe; memory is bounded.
#pragma once
#include <functional>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "http/http.h"
#include "identity/identity.h"

namespace kvcs {

struct AdminDoorLimits {
  int failures_max = 10;
  int lockout_s = 300;
  // Seconds until `remote_ip` may ask again; 0 = now. App passes ops' rate limiter.
  std::function<int64_t(std::string_view remote_ip)> rate = [](std::string_view) { return 0; };
};

class AdminDoor final {
 public:
  AdminDoor(const Authenticator& auth, const Clock& clock, AdminDoorLimits limits);
  ~AdminDoor();
  // RateLimited (with Retry-After) when the address asks too often or is locked out; else as
  // admin().
  http::Guard guard(AdminRole at_least) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
