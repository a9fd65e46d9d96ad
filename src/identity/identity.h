// Who may do what: keys of all families, organizations, users, people, admin roles (one identity,
// one key service). Records live in KV (kv/keyspace.h), projects in portal.db.
//
//   kv_<64 hex>       project key   artifacts     apikey:{sha256}; organization keys too
//   gw_live_<48 hex>  user key      ai            apikey:{sha256}
//   kt_<64 hex>       tenant token  tool gateway  tenant_auth:{sha256}; any imported bearer too
//   ka_<64 hex>       admin key     /admin        adminkey:{sha256}
//   ks_<64 hex>       session       any of them   session:{sha256}; in a cookie or as a bearer
//   eyJ….….…         of an issuer  any of them   signed; App passes who verifies it
//
// The other parts: access.h (who may, and whose), records.h (values), directory.h (cached reads),
// orgs.h, users.h, keys.h, projects.h (services), guards.h (the guard of the admin API), *_api.h
// (handlers).
//
// Authenticator is the hot part: sha256(bearer) → cached records → Principal. Thread-safe. It never
// answers Unauthenticated because the store is down: that is Unavailable.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/principal.h"
#include "base/status.h"
#include "http/http.h"
#include "http/route_rows.h"
#include "identity/browser_session.h"
#include "identity/sessions.h"
#include "kv/kv.h"

namespace kvcs {

class Directory;

// An admin key from the configuration instead of the store.
struct StaticAdminKey {
  AdminRole role = AdminRole::kOwner;
  std::string sha256_hex;
};
// Words separated by commas or line breaks, each KEY or ROLE:KEY; "#" begins a comment line.
// Invalid: an unknown role, a key under 16 or over 512 characters.
Result<std::vector<StaticAdminKey>> parse_static_admin_keys(std::string_view text);

class Authenticator final {
 public:
  // The id of the person for whom a signed token stands (RFC 7519); `sha256_hex` is the token's.
  // What it fails with is the caller's answer.
  using VouchedPerson =
      std::function<Result<std::string>(std::string_view token, std::string_view sha256_hex)>;

  Authenticator(const Directory& directory, KvStore& kv, const Clock& clock,
                std::vector<StaticAdminKey> static_admin_keys, const SessionLimits& sessions,
                BrowserRules browser);
  ~Authenticator();

  // From now on bearers that are no key of ours and look like a JWS are asked about there. Before
  // the server starts.
  void set_vouched_person(VouchedPerson find);

  // The caller whose key the request carries, or whose session its cookie names. As find_bearer()
  // and authenticate().
  Result<Principal> authenticate(const http::Request& request) const;

  // Any family. Unauthenticated: unknown, revoked, expired, or its user or organization is gone
  // (the same words for all). Forbidden with reason user_suspended, org_suspended or
  // TENANT_SUSPENDED. Unavailable with reason auth_unavailable: the store did not answer. Internal
  // with reason auth_unreadable: a record is damaged. Of signed tokens also the failures of
  // VouchedPerson.
  Result<Principal> authenticate(std::string_view bearer) const;
  // Makes of a person, who acts in the active organization, one who acts in another. NotFound with
  // reason org_not_found when the person is no member. Forbidden with reason org_suspended.
  // `even_leaving`: one that is suspended as its deletion is planned is entered all the same.
  Status enter_organization(std::string_view organization_id, Principal& person,
                            bool even_leaving = false) const;
  // Makes of a person one who acts in the organization that a request is about: that of the path's
  // {org_id}, {tenant} or {user_id}, or else of the query's org_id, or else the active one.
  // NotFound for one that is not there or that the person is no member of, with the reason of the
  // thing that was named. Forbidden with reason org_suspended.
  Status enter_place(const http::Request& request, Principal& person) const;
  // Makes of a person one who calls as a key of this family would that acts for the user. NotFound
  // with reason user_not_found: there is none, or not in an organization of the person's. Forbidden
  // with reason insufficient_role (members and above may), org_suspended or user_suspended.
  Status act_for(std::string_view user_id, PrincipalKind family, Principal& person) const;
  // As authenticate(), of a caller that was let in before: its key is looked up again.
  Status still_admits(const Principal& principal) const;
  // The same of a caller whose request goes on only now. Forbidden with reason rights_changed where
  // the caller may do less than before.
  Status look_up_again(const Principal& caller) const;
  // Whether who made a link (maker.h) might still make it; yes for "". Fails as authenticate() when
  // the store cannot tell.
  Result<bool> may_still(std::string_view maker) const;
  // Writes last_used:{key_id} for keys used since the last call; a cron job calls it each minute.
  Status flush_last_used();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Whether this key in the store is the record of an organization, a user or a tenant, whose
// suspension or removal ends what is under way for it. The key that a caller holds does not count:
// once revoked it is refused from the next request on, and what it has begun comes to its end.
bool is_owner_record(KvFamily family, std::string_view key);
// Whether that record is of whom the caller acts for.
bool depends_on(const Principal& principal, std::string_view key);

// Guards for the route table: each finds the key in the request and asks access::may(). Forbidden
// for other families, and for too small a role or scope.
http::Guard artifact_key(const Authenticator& auth, Scope at_least);  // kv_…, or a session
// Bearer, x-api-key or api-key; or a session, with the user whom it acts for in X-Kvcs-User.
http::Guard user_key(const Authenticator& auth);
// Bearer, or a session as above; {tenant} in the path, when the route has it, must be the caller's.
http::Guard tenant_token(const Authenticator& auth);
// A session. {org_id} in the path, when the route has it, must be an organization of the person's,
// in which the role is at least this.
http::Guard person(const Authenticator& auth, OrgRole at_least);
// The same for rows by which people look at an organization whose deletion is planned, and take
// that back.
http::Guard person_of_leaving(const Authenticator& auth, OrgRole at_least);
// An admin key or an operator's session; where `need` has a role in an organization, also whoever
// has it in the one that the request is about: access::is_operator() tells the two apart. Without
// the rate and the lock-out of AdminGuard (guards.h).
http::Guard admin(const Authenticator& auth, const http::Need& need);
inline http::Guard admin(const Authenticator& auth, AdminRole at_least) {
  return admin(auth, {.family = PrincipalKind::kAdminKey, .role = at_least});
}

}  // namespace kvcs
