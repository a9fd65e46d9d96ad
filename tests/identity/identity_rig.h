// Identity's parts over an in-memory store, a manual clock and seeded randomness; the store can be
// made to fail.
#pragma once
#include <catch2/catch.hpp>

#include <atomic>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "identity/directory.h"
#include "identity/identity.h"
#include "identity/keys.h"
#include "identity/orgs.h"
#include "identity/users.h"
#include "kv/audited_kv.h"
#include "kv/keyspace.h"
#include "kv/kv.h"

namespace kvcs::test {

struct IdentityRig {
  ManualClock clock;
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(7);
  std::atomic<bool> down{false};
  KvFaultPlan fault;  // Where one is set, and the store is not down.
  std::unique_ptr<KvStore> memory = make_memory_kv(clock);
  std::unique_ptr<KvStore> faulty =
      make_faulty_kv(*memory, [this](std::string_view op, std::string_view key) -> Status {
        if (down) return unavailable("The store is down.");
        return fault ? fault(op, key) : ok();
      });
  std::unique_ptr<WatchedKv> kv = make_watched_kv(*faulty);
  AuditedKv audited{*kv, clock, *entropy};
  Directory directory{*kv, *kv};
  const std::vector<std::string> origins = {"http://127.0.0.1:8080"};
  Authenticator auth{directory, *kv,
                     clock,     {{AdminRole::kViewer, sha256_hex("static-viewer-key-1")}},
                     {},        {[this] { return &origins; }}};
  KeyService keys{*kv, audited, clock, *entropy};
  OrganizationService organizations{*kv, audited, clock, *entropy,
                                    [](std::string_view s) { return s == "admin"; }};
  UserService users{*kv, audited, clock, *entropy};
  AuditContext who{"adminkey:test", "test", "r1"};

  Organization organization(const std::string& name = "Acme") {
    Organization wanted;
    wanted.name = name;
    wanted.monthly_budget_nano_usd = 5'000'000'000;
    return organizations.create(wanted, who).value();
  }
  User user(const Organization& organization, const std::string& email = "a@x.org") {
    User wanted;
    wanted.email = email;
    wanted.organization_id = organization.id;
    wanted.monthly_limit_nano_usd = 1'000'000'000;
    return users.create(wanted, who).value();
  }
  // As their deletion begins.
  void take_away(const Organization& o) {
    KvBatch batch;
    batch.remove(KvFamily::kConfig, keyspace::org_config(o.id));
    batch.remove(KvFamily::kConfig, keyspace::org_slug(o.slug));
    REQUIRE(audited.write(batch, who).ok());
  }
  void take_away(const User& u) {
    KvBatch batch;
    batch.remove(KvFamily::kConfig, keyspace::user_config(u.id));
    batch.remove(KvFamily::kConfig, keyspace::user_email(u.organization_id, u.email));
    REQUIRE(audited.write(batch, who).ok());
  }
  KeyOwner owner(PrincipalKind kind, const Organization& o, const User& u = {}) {
    KeyOwner made{kind, "", "", ""};
    if (kind != PrincipalKind::kAdminKey) made.organization_id = o.id;
    if (kind == PrincipalKind::kProjectKey) made.project_id = "p1";
    if (kind == PrincipalKind::kUserKey) made.user_id = u.id;
    return made;
  }
  CreatedKey key(const KeyOwner& key_owner) {
    NewKey wanted;
    wanted.name = "k";
    if (key_owner.kind == PrincipalKind::kAdminKey) wanted.role = AdminRole::kAdmin;
    return keys.create(key_owner, wanted, who).value();
  }
  Result<Principal> authenticate(const CreatedKey& key) const {
    return auth.authenticate(key.key.reveal());
  }
};

inline constexpr PrincipalKind kFamilies[] = {PrincipalKind::kProjectKey, PrincipalKind::kUserKey,
                                              PrincipalKind::kTenantToken,
                                              PrincipalKind::kAdminKey};

}  // namespace kvcs::test
