// Authentication: all four families, every reason to refuse, and a store that is down.
// Method: identity's parts over an in-memory store that fails on demand; time by hand.
#include <catch2/catch.hpp>

#include "base/thread.h"
#include "identity/identity_rig.h"
#include "kv/keyspace.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("auth: a key of each family gives its principal", "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const User u = rig.user(o);
  for (const PrincipalKind kind : kFamilies) {
    const CreatedKey key = rig.key(rig.owner(kind, o, u));
    const Result<Principal> principal = rig.authenticate(key);
    REQUIRE(principal.ok());
    CHECK(principal.value().kind == kind);
    CHECK(principal.value().key_id == key.record.id);
    if (kind != PrincipalKind::kAdminKey) {
      CHECK(principal.value().organization_id == o.id);
      CHECK(principal.value().organization == "acme");
    }
  }
  const CreatedKey user_key = rig.key(rig.owner(PrincipalKind::kUserKey, o, u));
  CHECK(user_key.key.reveal().size() == std::string("gw_live_").size() + 48);
  CHECK(user_key.record.key_prefix.find(user_key.key.reveal().substr(0, 12)) == 0);
  CHECK(rig.authenticate(user_key).value().user_id == u.id);
}

TEST_CASE("auth: unknown, malformed, revoked and expired keys are refused in the same words",
          "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const User u = rig.user(o);
  std::string words;
  const auto refused = [&](const Result<Principal>& result) {
    CHECK(result.code() == Code::kUnauthenticated);
    if (words.empty()) words = result.status().message();
    CHECK(result.status().message() == words);
  };
  refused(rig.auth.authenticate("kv_" + std::string(64, '0')));
  refused(rig.auth.authenticate(""));
  refused(rig.auth.authenticate("short"));
  refused(rig.auth.authenticate(std::string(513, 'a')));
  refused(rig.auth.authenticate("kv_has spaces and such"));
  for (const PrincipalKind kind : kFamilies) {
    const KeyOwner owner = rig.owner(kind, o, u);
    const CreatedKey revoked = rig.key(owner);
    CHECK(rig.authenticate(revoked).ok());
    CHECK(rig.keys.revoke(owner, revoked.record.id, rig.who).ok());
    refused(rig.authenticate(revoked));  // On the very next request.

    const CreatedKey expiring = rig.key(owner);
    CHECK(rig.authenticate(expiring).ok());
    CHECK(rig.keys.set_expiry(owner, expiring.record.id, rig.clock.unix_ms() + 1000, rig.who).ok());
    CHECK(rig.authenticate(expiring).ok());
    rig.clock.advance_ms(1000);
    refused(rig.authenticate(expiring));
  }
}

TEST_CASE("auth: a suspended user or organization is refused at once, and taken back",
          "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const User u = rig.user(o);
  const CreatedKey user_key = rig.key(rig.owner(PrincipalKind::kUserKey, o, u));
  const CreatedKey project = rig.key(rig.owner(PrincipalKind::kProjectKey, o));
  const CreatedKey tenant = rig.key(rig.owner(PrincipalKind::kTenantToken, o));
  CHECK(rig.authenticate(user_key).ok());
  const auto set_user = [&](bool active) {
    CHECK(rig.users
              .update(
                  u.id,
                  [&](User& user) {
                    user.active = active;
                    return ok();
                  },
                  rig.who)
              .ok());
  };
  const auto set_organization = [&](bool active) {
    CHECK(rig.organizations
              .update(
                  o.id,
                  [&](Organization& organization) {
                    organization.active = active;
                    return ok();
                  },
                  rig.who)
              .ok());
  };
  set_user(false);
  CHECK(rig.authenticate(user_key).code() == Code::kForbidden);
  CHECK(rig.authenticate(user_key).status().reason() == "user_suspended");
  CHECK(rig.authenticate(project).ok());
  set_user(true);
  set_organization(false);
  CHECK(rig.authenticate(user_key).status().reason() == "org_suspended");
  CHECK(rig.authenticate(project).status().reason() == "org_suspended");
  CHECK(rig.authenticate(tenant).status().reason() == "TENANT_SUSPENDED");
  set_organization(true);
  CHECK(rig.authenticate(user_key).ok());
  CHECK(rig.authenticate(tenant).ok());
}

TEST_CASE("auth: keys of a deleted user are refused as unknown", "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const User u = rig.user(o);
  const CreatedKey key = rig.key(rig.owner(PrincipalKind::kUserKey, o, u));
  CHECK(rig.authenticate(key).ok());
  rig.take_away(u);
  CHECK(rig.authenticate(key).code() == Code::kUnauthenticated);
}

TEST_CASE("auth: a store that is down is Unavailable, never Unauthenticated", "[fault][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const User u = rig.user(o);
  for (const PrincipalKind kind : kFamilies) {
    const CreatedKey known = rig.key(rig.owner(kind, o, u));
    const CreatedKey fresh = rig.key(rig.owner(kind, o, u));
    CHECK(rig.authenticate(known).ok());
    rig.down = true;
    // What was read before is still what was last written.
    CHECK(rig.authenticate(known).ok());
    const Result<Principal> unread = rig.authenticate(fresh);
    CHECK(unread.code() == Code::kUnavailable);
    CHECK(unread.status().reason() == "auth_unavailable");
    CHECK(unread.status().retry_after_s() > 0);
    rig.down = false;
    CHECK(rig.authenticate(fresh).ok());
  }
}

TEST_CASE("auth: records of other systems are understood, damaged ones are not a default",
          "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const User u = rig.user(o);
  const std::string bearer = "gw_live_0123456789abcdef0123456789abcdef";
  const auto put = [&](const std::string& json) {
    KvBatch batch;
    batch.put(KvFamily::kAuth, keyspace::api_key(sha256_hex(bearer)), json);
    REQUIRE(rig.kv->write(batch, KvDurability::kSynced).ok());
  };
  put(R"({"user_id":")" + u.id + R"(","key_id":"k","name":"n","status":"active"})");
  CHECK(rig.auth.authenticate(bearer).value().organization_id == o.id);
  put(R"({"user_id":")" + u.id + R"(","key_id":"k","name":"n","status":"odd"})");
  CHECK(rig.auth.authenticate(bearer).code() == Code::kUnauthenticated);
  put("{not json");
  const Status damaged = rig.auth.authenticate(bearer).status();
  CHECK(damaged.code() == Code::kInternal);
  CHECK(damaged.reason() == "auth_unreadable");
  CHECK(damaged.retry_after_s() == 0);
  CHECK(damaged.message().find("trying again does not help") != std::string::npos);
  CHECK(damaged.message().find("kvcs repair") != std::string::npos);
}

TEST_CASE("auth: a damaged owner of a key is told as such, and not as a store that is away",
          "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const User u = rig.user(o);
  const CreatedKey key = rig.key(rig.owner(PrincipalKind::kUserKey, o, u));
  for (const std::string& record : {keyspace::user_config(u.id), keyspace::org_config(o.id)}) {
    INFO(record);
    const std::string whole = rig.kv->get(KvFamily::kConfig, record)->value;
    const auto put = [&](const std::string& json) {
      KvBatch batch;
      batch.put(KvFamily::kConfig, record, json);
      REQUIRE(rig.kv->write(batch, KvDurability::kSynced).ok());
    };
    put("{not json");
    CHECK(rig.authenticate(key).status().reason() == "auth_unreadable");
    put(whole);
    CHECK(rig.authenticate(key).ok());
  }
}

TEST_CASE("auth: static admin keys carry their role", "[unit][identity]") {
  IdentityRig rig;
  const Result<Principal> principal = rig.auth.authenticate("static-viewer-key-1");
  REQUIRE(principal.ok());
  CHECK(principal.value().kind == PrincipalKind::kAdminKey);
  CHECK(principal.value().role == AdminRole::kViewer);

  const auto keys = parse_static_admin_keys(
      "admin_key_0123456789, viewer:another_key_01234\n# a comment, with commas\n"
      "owner:third_key_0123456789\n");
  REQUIRE(keys.ok());
  REQUIRE(keys.value().size() == 3);
  CHECK(keys.value()[0].role == AdminRole::kOwner);
  CHECK(keys.value()[1].role == AdminRole::kViewer);
  CHECK(parse_static_admin_keys("short").code() == Code::kInvalid);
  CHECK(parse_static_admin_keys("root:0123456789abcdef0").code() == Code::kInvalid);
}

TEST_CASE("auth: last use is written at the flush, once per key", "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const KeyOwner owner = rig.owner(PrincipalKind::kProjectKey, o);
  const CreatedKey key = rig.key(owner);
  CHECK(rig.keys.find(owner, key.record.id).value().last_used_ms == 0);
  for (int i = 0; i < 100; i++) CHECK(rig.authenticate(key).ok());
  CHECK(rig.auth.flush_last_used().ok());
  CHECK(rig.keys.find(owner, key.record.id).value().last_used_ms == rig.clock.unix_ms());
}

TEST_CASE("auth: no request after a revocation's return gets in", "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const KeyOwner owner = rig.owner(PrincipalKind::kProjectKey, o);
  for (int round = 0; round < 50; round++) {
    const CreatedKey key = rig.key(owner);
    std::atomic<bool> revoked{false}, stop{false};
    std::atomic<int> late{0};
    {
      const auto reader = [&] {
        while (!stop) {
          const bool after = revoked;
          if (rig.authenticate(key).ok() && after) late++;
        }
      };
      Thread a("reader-a", reader), b("reader-b", reader);
      CHECK(rig.keys.revoke(owner, key.record.id, rig.who).ok());
      revoked = true;
      for (int i = 0; i < 50; i++) CHECK_FALSE(rig.authenticate(key).ok());
      stop = true;
    }
    CHECK(late == 0);
  }
}
