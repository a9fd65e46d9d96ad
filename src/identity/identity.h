// Who may do what: keys of all four families, organizations, users, admin roles (DESIGN: one
// identity, one key service). Records live in KV (kv/keyspace.h), projects in portal.db.
//
//   kv_<64 hex>       project key   artifacts          apikey:{sha256}
//   gw_live_<48 hex>  user key      ai                 apikey:{sha256}
//   kt_<64 hex>       tenant token  tool gateway       tenant_auth:{sha256}; any imported bearer
//   too ka_<64 hex>       admin key     /admin             adminkey:{sha256}
//
// Authenticator is the hot part: sha256(bearer) → one cached KV read → Principal. Thread-safe. It
// never answers Unauthenticated because the store is down: that is Unavailable.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/principal.h"
#include "base/status.h"
#include "http/http.h"
#include "kv/kv.h"

namespace kvcs {

class Authenticator final {
 public:
  // `extra_admin_keys`: static owner keys from KVCS_ADMIN_KEYS, compared by hash in constant time.
  Authenticator(KvStore& kv, WatchedKv& changes, const Clock& clock,
                std::vector<std::string> extra_admin_key_hashes);
  ~Authenticator();

  // Any family. Unauthenticated: unknown, revoked, expired (the same words for all three).
  // Forbidden with reason user_suspended / org_suspended / TENANT_SUSPENDED. Unavailable with
  // reason auth_unavailable: the store did not answer.
  Result<Principal> authenticate(std::string_view bearer) const;
  // Writes last_used:{key_id} at most once a minute per key; called by a cron job.
  Status flush_last_used();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Guards for the route table. Each also refuses other families with Forbidden.
http::Guard project_key(const Authenticator& auth);  // Authorization: Bearer kv_…
http::Guard user_key(const Authenticator& auth);     // Bearer, x-api-key or api-key
http::Guard tenant_token(
    const Authenticator& auth);  // and {tenant} in the path must be the caller's
http::Guard admin(const Authenticator& auth, AdminRole at_least);

}  // namespace kvcs
