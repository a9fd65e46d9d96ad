// The hot path of every request with a key: hash the bearer, look the record up, decide. It runs on
// the workers of the HTTP server and reads memory or KV, never SQL.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/damage.h"
#include "base/id.h"
#include "identity/access.h"
#include "identity/directory.h"
#include "identity/identity.h"
#include "identity/maker.h"
#include "kv/keyspace.h"
#include "kv/last_used.h"

namespace kvcs {
namespace {

// The least and the longest bearer that any family has or that a tenant may import. What is outside
// is refused before it is hashed.
constexpr size_t kBearerMinBytes = 16, kBearerMaxBytes = 512;
constexpr size_t kSignedBearerMaxBytes = 16u << 10;  // An issuer's token carries claims.

// One text for every reason, so that a guesser learns nothing.
Status refused() {
  return unauthenticated("The key is unknown, revoked or expired.").with_reason("invalid_api_key");
}

// Turns a failed read into the answer for the caller: a missing record refuses, one that is damaged
// stays so, and a store that does not answer may later.
Status read_failure(const Status& status) {
  if (status.code() == Code::kNotFound) return refused();
  if (status.code() == Code::kInternal) {
    return unreadable("The record of this key or session, or of whose it is,", status.to_string())
        .with_reason("auth_unreadable");
  }
  return unavailable("Keys cannot be checked at the moment; try again.", status.to_string())
      .with_reason("auth_unavailable")
      .with_retry_after_s(kKvRetryAfterS);
}

Status session_ended() {
  return unauthenticated("The session has ended. Sign in again.").with_reason("session_ended");
}

Status session_failure(const Status& status) {
  return status.code() == Code::kNotFound ? session_ended() : read_failure(status);
}

// Control characters and other scripts cannot be part of a bearer (RFC 6750 §2.1 allows less
// still); a key that holds them was damaged on its way.
bool is_visible_ascii(std::string_view text) {
  for (const char c : text) {
    if (c < 0x21 || c > 0x7e) return false;
  }
  return true;
}

// Three parts, of which the first is the base64url of what begins with '{"' (RFC 7515 §3.1).
bool is_signed_token(std::string_view bearer) {
  return bearer.starts_with("eyJ") && std::count(bearer.begin(), bearer.end(), '.') == 2;
}

std::string static_key_id(std::string_view sha256_hex) {
  return "static-" + std::string(sha256_hex.substr(0, 8));
}

}  // namespace

// The keys of the configuration never change while the daemon runs; `used` has its own lock.
struct Authenticator::Impl {
  const Directory& directory;
  const Clock& clock;
  const std::vector<StaticAdminKey> static_admin_keys;
  const SessionLimits session_limits;
  const BrowserRules browser;
  LastUsed used;
  VouchedPerson vouched_person = {};

  // Compares against every key, whichever matches, so that time tells nothing.
  const StaticAdminKey* find_static(std::string_view sha256_hex) const {
    const StaticAdminKey* found = nullptr;
    for (const StaticAdminKey& key : static_admin_keys) {
      if (constant_time_equal(key.sha256_hex, sha256_hex)) found = &key;
    }
    return found;
  }

  // Fills in the caller whose key has this hash; a read of memory, or of the store.
  Status look_up(PrincipalKind family, const std::string& sha256_hex, Principal& principal) const {
    if (family == PrincipalKind::kPerson) return admit_session(sha256_hex, principal);
    const auto key = directory.key(family, sha256_hex);
    if (!key.ok()) return read_failure(key.status());
    principal.key_sha256 = sha256_hex;
    return admit(*key.value(), principal);
  }

  // Fills in the organization's slug. A suspended organization is refused in the words of the door
  // that the key is for, since clients of the tool gateway tell refusals apart by the reason.
  Status check_organization(const KeyRecord& key, Principal& principal) const {
    const auto organization = directory.organization(principal.organization_id);
    if (!organization.ok()) return read_failure(organization.status());
    principal.organization = organization.value()->slug;
    if (organization.value()->active) return ok();
    if (key.kind == PrincipalKind::kTenantToken) {
      return forbidden("The tenant is suspended.").with_reason("TENANT_SUSPENDED");
    }
    return forbidden("The organization is suspended.").with_reason("org_suspended");
  }

  // Fills in `principal`. The order of the checks is part of the interface: a key that is revoked
  // or expired is refused as unknown, whatever its owner's state, so that its holder learns nothing
  // about the owner.
  Status admit(const KeyRecord& key, Principal& principal) const {
    if (key.status == KeyStatus::kRevoked) return refused();
    if (key.expires_ms != 0 && key.expires_ms <= clock.unix_ms()) return refused();
    if (key.status == KeyStatus::kSuspended) {
      if (key.kind != PrincipalKind::kTenantToken) return refused();
      return forbidden("The tenant is suspended.").with_reason("TENANT_SUSPENDED");
    }
    principal.kind = key.kind;
    principal.role = key.role;
    principal.key_id = key.id;
    principal.organization_id = key.organization_id;
    principal.project_id = key.project_id;
    principal.user_id = key.user_id;
    principal.scope = access::scope_of(key.scopes);
    principal.key_limits = key.limits;
    if (key.kind == PrincipalKind::kAdminKey) return ok();
    bool user_active = true;
    if (key.kind == PrincipalKind::kUserKey) {
      const auto user = directory.user(key.user_id);
      if (!user.ok()) return read_failure(user.status());
      // The user's record names the organization that pays; a key or a caller does not.
      principal.organization_id = user.value()->organization_id;
      user_active = user.value()->active;
    }
    KVCS_TRY(check_organization(key, principal));
    if (!user_active) {
      return forbidden("The user is suspended.").with_reason("user_suspended");
    }
    return ok();
  }

  // A session whose organization is gone, or has the person no longer, goes on without one.
  Status admit_session(const std::string& sha256_hex, Principal& principal) const {
    const auto session = directory.session(sha256_hex);
    if (!session.ok()) return session_failure(session.status());
    const int64_t now_ms = clock.unix_ms();
    if (session.value()->has_ended(now_ms, session_limits)) return session_ended();
    KVCS_TRY(admit_person(session.value()->person_id, principal));
    session.value()->used_ms->store(now_ms);
    principal.session_id = session.value()->id;
    principal.key_sha256 = sha256_hex;
    return enter_active(session.value()->organization_id, session.value()->project_id, principal);
  }

  // A person for whom an issuer vouches: as in a session, in the place that the person has chosen
  // for all such bearers.
  Status admit_vouched(std::string_view person_id, Principal& principal) const {
    KVCS_TRY(admit_person(person_id, principal));
    const auto place = directory.active_place(person_id);
    if (!place.ok()) return read_failure(place.status());
    return enter_active(place.value()->organization_id, place.value()->project_id, principal);
  }

  Status admit_person(std::string_view id, Principal& principal) const {
    const auto person = directory.person(id);
    if (!person.ok()) return session_failure(person.status());
    if (!person.value()->active) return person_suspended();
    principal.kind = PrincipalKind::kPerson;
    principal.person_id = person.value()->id;
    principal.role = person.value()->operator_role();
    principal.key_id = principal.person_id;
    return ok();
  }

  Status enter_active(const std::string& organization_id, const std::string& project_id,
                      Principal& principal) const {
    if (organization_id.empty()) return ok();
    const Status entered = enter(organization_id, principal);
    if (entered.ok()) principal.project_id = project_id;
    const bool goes_on = entered.code() == Code::kNotFound || entered.code() == Code::kForbidden;
    return goes_on ? ok() : entered;
  }

  Status enter(std::string_view organization_id, Principal& principal,
               bool even_leaving = false) const {
    principal.organization_id = principal.organization = principal.project_id = "";
    principal.org_role = OrgRole::kNone;
    principal.scope = Scope::kNone;
    const auto none = [&] {
      return not_found("No organization '" + printable(organization_id, kShownName) + "'.")
          .with_reason("org_not_found");
    };
    const auto roster = directory.roster(organization_id);
    if (!roster.ok()) return read_failure(roster.status());
    const OrgRole role = roster.value()->role_of(principal.person_id);
    if (role == OrgRole::kNone) return none();
    const auto organization = directory.organization(organization_id);
    if (organization.code() == Code::kNotFound) return none();
    if (!organization.ok()) return read_failure(organization.status());
    const bool is_leaving = organization.value()->deletion_ms != 0;
    if (!organization.value()->active && !(even_leaving && is_leaving)) {
      return forbidden(is_leaving
                           ? "The organization is about to be deleted; an owner can restore it."
                           : "The organization is suspended.")
          .with_reason("org_suspended");
    }
    principal.organization_id = organization_id;
    principal.organization = organization.value()->slug;
    principal.org_role = role;
    principal.scope = access::scope_of_role(role);
    return ok();
  }

  Status enter_tenant(std::string_view slug, Principal& principal) const {
    const auto none = [&] {
      return not_found("No tenant '" + printable(slug, kShownName) + "'.")
          .with_reason("TENANT_NOT_FOUND");
    };
    const auto organization = directory.organization_by_slug(slug);
    if (organization.code() == Code::kNotFound) return none();
    if (!organization.ok()) return read_failure(organization.status());
    Status entered = enter(organization.value()->id, principal);
    return entered.code() == Code::kNotFound ? none() : entered;
  }

  // Leaves the user in `found`.
  Status enter_organization_of_user(std::string_view id, Principal& principal,
                                    std::shared_ptr<const User>& found) const {
    const auto none = [&] {
      return not_found("No user '" + printable(id, kShownName) + "' in an organization of yours.")
          .with_reason("user_not_found");
    };
    if (!is_slug(id) && !is_uuid(id)) return none();
    const auto user = directory.user(id);
    if (user.code() == Code::kNotFound) return none();
    if (!user.ok()) return read_failure(user.status());
    found = user.value();
    // Most act where their session is, which this request has entered already.
    const bool is_there =
        principal.org_role != OrgRole::kNone && found->organization_id == principal.organization_id;
    if (is_there) {
      principal.project_id.clear();
      return ok();
    }
    Status entered = enter(found->organization_id, principal);
    return entered.code() == Code::kNotFound ? none() : entered;
  }

  // The organization is the user's, and what the person may do besides is left behind.
  Status act_for(std::string_view user_id, PrincipalKind family, Principal& principal) const {
    std::shared_ptr<const User> user;
    KVCS_TRY(enter_organization_of_user(user_id, principal, user));
    KVCS_TRY(access::may(principal, {.family = family, .org_role = OrgRole::kMember}));
    if (!user->active) return forbidden("The user is suspended.").with_reason("user_suspended");
    principal.kind = family;
    principal.role = AdminRole::kNone;
    principal.scope = Scope::kNone;
    principal.user_id = user->id;
    return ok();
  }

  // The caller as it would be let in now. A person acts in one organization at a time, whose end
  // does not end the session, and perhaps for a user there.
  Status look_up_caller(const Principal& caller, Principal& now) const {
    if (caller.person_id.empty()) return look_up(caller.kind, caller.key_sha256, now);
    const bool is_vouched = caller.session_id.empty();
    KVCS_TRY(is_vouched ? admit_vouched(caller.person_id, now)
                        : look_up(PrincipalKind::kPerson, caller.key_sha256, now));
    if (!caller.user_id.empty()) return act_for(caller.user_id, caller.kind, now);
    const bool is_there =
        caller.organization_id.empty() || now.organization_id == caller.organization_id;
    return is_there ? ok() : enter(caller.organization_id, now);
  }
};

Authenticator::Authenticator(const Directory& directory, KvStore& kv, const Clock& clock,
                             std::vector<StaticAdminKey> static_admin_keys,
                             const SessionLimits& sessions, BrowserRules browser)
    : impl_(new Impl{directory,
                     clock,
                     std::move(static_admin_keys),
                     sessions,
                     std::move(browser),
                     {kv, clock}}) {}
Authenticator::~Authenticator() = default;

void Authenticator::set_vouched_person(VouchedPerson find) {
  impl_->vouched_person = std::move(find);
}

Result<Principal> Authenticator::authenticate(std::string_view bearer) const {
  const bool may_be_vouched = impl_->vouched_person && is_signed_token(bearer);
  const size_t max_bytes = may_be_vouched ? kSignedBearerMaxBytes : kBearerMaxBytes;
  if (bearer.size() < kBearerMinBytes || bearer.size() > max_bytes || !is_visible_ascii(bearer)) {
    return refused();
  }
  const Sha256Digest digest = sha256(bearer);
  const std::string hash = to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
  const PrincipalKind family = family_of_bearer(bearer);
  // Keys of the configuration may have any shape, so they are looked for under both families whose
  // bearers may be ours or anybody's. They come before the store, so that they work while it is
  // down or has lost its admin keys.
  if (family == PrincipalKind::kAdminKey || family == PrincipalKind::kTenantToken) {
    if (const StaticAdminKey* key = impl_->find_static(hash)) {
      Principal principal;
      principal.kind = PrincipalKind::kAdminKey;
      principal.role = key->role;
      principal.key_id = static_key_id(hash);
      return principal;  // Without key_sha256: no write in the store changes it.
    }
  }
  Principal principal;
  Status found =
      bearer.size() > kBearerMaxBytes ? refused() : impl_->look_up(family, hash, principal);
  if (!found.ok() && found.code() == Code::kUnauthenticated && may_be_vouched) {
    principal = {};
    const std::string person_id = KVCS_TRY(impl_->vouched_person(bearer, hash));
    KVCS_TRY(impl_->admit_vouched(person_id, principal));
    principal.key_sha256 = hash;
    return principal;
  }
  KVCS_TRY(std::move(found));
  // Kept in memory; flush_last_used() writes it. A request must not wait for a write.
  impl_->used.note(family == PrincipalKind::kPerson ? principal.session_id : principal.key_id);
  return principal;
}

Result<Principal> Authenticator::authenticate(const http::Request& request) const {
  return authenticate(KVCS_TRY(find_bearer(request, impl_->browser)));
}

Status Authenticator::enter_organization(std::string_view organization_id, Principal& person,
                                         bool even_leaving) const {
  if (person.organization_id == organization_id) return ok();
  return impl_->enter(organization_id, person, even_leaving);
}

Status Authenticator::enter_place(const http::Request& request, Principal& person) const {
  std::shared_ptr<const User> user;
  for (const auto& [name, value] : request.params) {
    if (name == "org_id") return impl_->enter(value, person);
    if (name == "tenant") return impl_->enter_tenant(value, person);
    if (name == "user_id") return impl_->enter_organization_of_user(value, person, user);
  }
  const std::string asked = request.query_value("org_id").value_or("");
  return asked.empty() ? ok() : enter_organization(asked, person);
}

Status Authenticator::act_for(std::string_view user_id, PrincipalKind family,
                              Principal& person) const {
  return impl_->act_for(user_id, family, person);
}

Status Authenticator::still_admits(const Principal& principal) const {
  if (principal.key_sha256.empty()) return ok();
  Principal now;
  return impl_->look_up_caller(principal, now);
}

// What the guard left out, such as an operator's role of somebody who acts for the own organization
// alone, stays out: rights may only be fewer than they were.
Status Authenticator::look_up_again(const Principal& caller) const {
  if (caller.key_sha256.empty()) return ok();
  Principal now;
  const Status found = impl_->look_up_caller(caller, now);
  // A place that has the person no longer leaves no role there.
  const bool is_outside = found.code() == Code::kNotFound && caller.user_id.empty();
  if (!found.ok() && !is_outside) return found;
  if (now.role < caller.role || now.org_role < caller.org_role || now.scope < caller.scope) {
    return forbidden("Rights of the caller were taken away while this request was on its way.")
        .with_reason("rights_changed");
  }
  return ok();
}

// A person is looked up as one who is vouched for: by which session the link was made, and whether
// that goes on, is nothing to it.
Result<bool> Authenticator::may_still(std::string_view text) const {
  if (text.empty()) return true;
  const Principal maker = KVCS_TRY(parse_maker(text));
  Principal now;
  if (maker.person_id.empty() && maker.key_sha256.empty()) {
    for (const StaticAdminKey& key : impl_->static_admin_keys) {
      if (static_key_id(key.sha256_hex) == maker.key_id) now.role = key.role;
    }
    return now.role >= maker.role;
  }
  const Status found = impl_->look_up_caller(maker, now);
  if (found.ok()) return now.role >= maker.role && now.org_role >= maker.org_role;
  const bool is_told = found.code() == Code::kUnauthenticated || found.code() == Code::kForbidden ||
                       found.code() == Code::kNotFound;
  return is_told ? Result<bool>(false) : Result<bool>(found);
}

bool is_owner_record(KvFamily family, std::string_view key) {
  return family == KvFamily::kConfig &&
         (keyspace::parse_org_config(key) || keyspace::parse_user_config(key) ||
          keyspace::parse_person_profile(key) || keyspace::parse_org_members(key) ||
          key.starts_with(keyspace::kTenantConfigPrefix));
}

bool depends_on(const Principal& principal, std::string_view key) {
  if (principal.key_sha256.empty()) return false;
  if (const auto person = keyspace::parse_person_profile(key)) {
    return *person == principal.person_id;
  }
  if (const auto organization = keyspace::parse_org_members(key)) {
    return !principal.person_id.empty() && *organization == principal.organization_id;
  }
  if (const auto organization = keyspace::parse_org_config(key)) {
    return *organization == principal.organization_id;
  }
  if (const auto user = keyspace::parse_user_config(key)) return *user == principal.user_id;
  return principal.kind == PrincipalKind::kTenantToken &&
         key == keyspace::tenant_config(principal.organization);
}

Status Authenticator::flush_last_used() {
  return impl_->used.flush();
}

Result<std::vector<StaticAdminKey>> parse_static_admin_keys(std::string_view text) {
  std::vector<StaticAdminKey> keys;
  for (const std::string_view line : split(text, '\n')) {
    if (trim(line).starts_with('#')) continue;
    for (const std::string_view piece : split(line, ',')) {
      std::string_view word = trim(piece);
      if (word.empty()) continue;
      StaticAdminKey key;
      if (const size_t colon = word.find(':'); colon != word.npos) {
        key.role = KVCS_TRY(parse_admin_role(word.substr(0, colon)));
        word = word.substr(colon + 1);
      }
      if (word.size() < kBearerMinBytes || word.size() > kBearerMaxBytes ||
          !is_visible_ascii(word)) {
        return invalid("A static admin key must have 16 to 512 visible ASCII characters.");
      }
      key.sha256_hex = sha256_hex(word);
      keys.push_back(std::move(key));
    }
  }
  return keys;
}

}  // namespace kvcs
