// Organizations, users and keys: shapes, uniqueness, rotation, and audit of every write.
#include <catch2/catch.hpp>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "base/id.h"
#include "base/thread.h"
#include "identity/identity_rig.h"
#include "kv/keyspace.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("directory: a slug that nobody had is found once somebody has it, and lost again",
          "[unit][identity]") {
  IdentityRig rig;
  CHECK(rig.directory.organization_by_slug("late").code() == Code::kNotFound);
  CHECK(rig.directory.organization_by_slug("late").code() == Code::kNotFound);
  CHECK((*rig.directory.organization("slug:late"))->id.empty());
  Organization wanted;
  wanted.name = "Late";
  wanted.slug = "late";
  const std::string id = rig.organizations.create(wanted, rig.who).value().id;
  CHECK((*rig.directory.organization_by_slug("late"))->id == id);
  CHECK((*rig.directory.organization("slug:late"))->id == id);
  rig.take_away(rig.organizations.find(id).value());
  CHECK(rig.directory.organization_by_slug("late").code() == Code::kNotFound);
}

TEST_CASE("orgs: the slug comes from the name and is unique", "[unit][identity]") {
  IdentityRig rig;
  CHECK(slug_from_name("My Company, Inc.") == "my-company-inc");
  CHECK(slug_from_name("***").empty());
  const Organization first = rig.organization("My Company");
  const Organization second = rig.organization("My Company");
  CHECK(first.slug == "my-company");
  CHECK(second.slug.find("my-company-") == 0);
  Organization wanted;
  wanted.name = "x";
  wanted.slug = "my-company";
  CHECK(rig.organizations.create(wanted, rig.who).status().reason() == "slug_exists");
  CHECK(rig.organizations.find_by_slug("my-company").value().id == first.id);
  for (const char* bad : {"admin", "a/b", "a:b", "UPPER", "-x", "."}) {
    INFO(bad);
    wanted.slug = bad;
    CHECK(rig.organizations.create(wanted, rig.who).code() == Code::kInvalid);
  }
  wanted.slug = "ok";
  wanted.name = std::string(201, 'n');
  CHECK(rig.organizations.create(wanted, rig.who).code() == Code::kInvalid);
}

TEST_CASE("orgs: a change keeps identity and raises the version; listing pages",
          "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  rig.clock.advance_ms(10);
  const Organization changed = rig.organizations
                                   .update(
                                       o.id,
                                       [](Organization& edited) {
                                         edited.id = "forged";
                                         edited.slug = "forged";
                                         edited.fail_open = true;
                                         return ok();
                                       },
                                       rig.who)
                                   .value();
  CHECK(changed.id == o.id);
  CHECK(changed.slug == o.slug);
  CHECK(changed.fail_open);
  CHECK(changed.version == 2);
  CHECK(changed.updated_ms == o.updated_ms + 10);
  CHECK(rig.organizations.find("00000000-0000-4000-8000-000000000000").status().reason() ==
        "org_not_found");
  for (int i = 0; i < 5; i++) rig.organization("n" + std::to_string(i));
  std::vector<std::string> seen;
  std::string cursor;
  do {
    const OrganizationPage page = rig.organizations.list({cursor, 2}).value();
    for (const Organization& item : page.organizations) seen.push_back(item.slug);
    cursor = page.cursor;
  } while (!cursor.empty());
  CHECK(seen == std::vector<std::string>{"acme", "n0", "n1", "n2", "n3", "n4"});
}

TEST_CASE("orgs: no key of one whose deletion has begun opens a door", "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const User u = rig.user(o);
  const CreatedKey user = rig.key(rig.owner(PrincipalKind::kUserKey, o, u));
  const CreatedKey tenant = rig.key(rig.owner(PrincipalKind::kTenantToken, o));
  const CreatedKey project = rig.key(rig.owner(PrincipalKind::kProjectKey, o));
  rig.take_away(o);
  CHECK(rig.authenticate(user).code() == Code::kUnauthenticated);
  CHECK(rig.authenticate(tenant).code() == Code::kUnauthenticated);
  CHECK(rig.authenticate(project).code() == Code::kUnauthenticated);
  CHECK(rig.organizations.find_by_slug(o.slug).code() == Code::kNotFound);
}

TEST_CASE("users: email is checked, normalised and unique in its organization",
          "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization(), other = rig.organization("Other");
  const User u = rig.user(o, " Ann@Example.ORG ");
  CHECK(u.email == "ann@example.org");
  User again;
  again.email = "ANN@example.org";
  again.organization_id = o.id;
  CHECK(rig.users.create(again, rig.who).status().reason() == "email_exists");
  again.organization_id = other.id;
  CHECK(rig.users.create(again, rig.who).ok());
  again.organization_id = make_uuid_v4(*rig.entropy);
  CHECK(rig.users.create(again, rig.who).status().reason() == "org_not_found");
  for (const char* bad :
       {"", "a", "@x.org", "a@", "a@@b", "a b@c", "a@.x", "a@x.", "a:b@c", "a@b..c", "a/b@c"}) {
    INFO(bad);
    CHECK(normal_email(bad).code() == Code::kInvalid);
  }
  CHECK(rig.users.list(o.id, {.limit = 10}).value().users.size() == 1);
}

TEST_CASE("users: an organization has ten thousand at most", "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization(), other = rig.organization("Other");
  for (int i = 1; i < 10'000; i += 1000) {
    KvBatch batch;
    for (int j = i; j < i + 1000 && j < 10'000; ++j) {
      batch.put(KvFamily::kConfig, keyspace::user_email(o.id, std::to_string(j) + "@x.org"), "u");
    }
    REQUIRE(rig.kv->write(batch, KvDurability::kBuffered).ok());
  }
  User next;
  next.organization_id = o.id;
  next.email = "last@x.org";
  CHECK(rig.users.create(next, rig.who).ok());
  next.email = "beyond@x.org";
  const Status refused = rig.users.create(next, rig.who).status();
  CHECK(refused.code() == Code::kConflict);
  CHECK(refused.reason() == "too_many_users");
  CHECK(refused.message().find("10000 users") != std::string::npos);
  next.organization_id = other.id;
  CHECK(rig.users.create(next, rig.who).ok());
}

TEST_CASE("users: a thousand racing creations of one email make one user", "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  std::atomic<int> created{0};
  {
    const auto racer = [&] {
      for (int i = 0; i < 250; i++) {
        User wanted;
        wanted.email = "one@x.org";
        wanted.organization_id = o.id;
        if (rig.users.create(wanted, rig.who).ok()) created++;
      }
    };
    Thread a("a", racer), b("b", racer), c("c", racer), d("d", racer);
  }
  CHECK(created == 1);
}

TEST_CASE("keys: rotation replaces the key, with or without overlap", "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const User u = rig.user(o);
  for (const PrincipalKind kind : kFamilies) {
    const KeyOwner owner = rig.owner(kind, o, u);
    const CreatedKey first = rig.key(owner);
    CHECK(rig.authenticate(first).ok());
    const CreatedKey second = rig.keys.rotate(owner, first.record.id, 0, rig.who).value();
    CHECK(second.record.id == first.record.id);
    CHECK(rig.authenticate(first).code() == Code::kUnauthenticated);
    CHECK(rig.authenticate(second).ok());

    const CreatedKey third = rig.keys.rotate(owner, first.record.id, 60, rig.who).value();
    CHECK(rig.authenticate(second).ok());
    CHECK(rig.authenticate(third).ok());
    rig.clock.advance_ms(60'000);
    CHECK(rig.authenticate(second).code() == Code::kUnauthenticated);
    CHECK(rig.authenticate(third).ok());

    // Revoking ends the overlap of the old key as well.
    const CreatedKey fourth = rig.keys.rotate(owner, first.record.id, 600, rig.who).value();
    CHECK(rig.keys.revoke(owner, first.record.id, rig.who).ok());
    CHECK(rig.authenticate(third).code() == Code::kUnauthenticated);
    CHECK(rig.authenticate(fourth).code() == Code::kUnauthenticated);
    CHECK(rig.keys.rotate(owner, first.record.id, 0, rig.who).status().reason() == "key_revoked");
    CHECK(rig.keys.set_expiry(owner, first.record.id, 1, rig.who).status().reason() ==
          "key_revoked");
    CHECK(rig.keys.revoke(owner, first.record.id, rig.who).ok());
  }
}

TEST_CASE("keys: a change reaches the key that a rotation replaced", "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const User u = rig.user(o);
  for (const PrincipalKind kind : kFamilies) {
    const KeyOwner owner = rig.owner(kind, o, u);
    const CreatedKey old = rig.key(owner);
    const std::string id = old.record.id;
    const CreatedKey key = rig.keys.rotate(owner, id, 86'400, rig.who).value();
    // It ends with the new one …
    REQUIRE(rig.keys.set_expiry(owner, id, rig.clock.unix_ms() + 1500, rig.who).ok());
    CHECK(rig.authenticate(old).ok());
    rig.clock.advance_ms(1500);
    CHECK(rig.authenticate(key).code() == Code::kUnauthenticated);
    CHECK(rig.authenticate(old).code() == Code::kUnauthenticated);
    // … and never gets more time than it had.
    rig.clock.advance_ms(1000);
    REQUIRE(rig.keys.set_expiry(owner, id, 0, rig.who).ok());
    CHECK(rig.authenticate(key).ok());
    CHECK(rig.authenticate(old).code() == Code::kUnauthenticated);
    CHECK(rig.keys.find(owner, id).value().previous_key_hash.empty());

    const CreatedKey next = rig.keys.rotate(owner, id, 60, rig.who).value();
    REQUIRE(rig.keys.set_expiry(owner, id, rig.clock.unix_ms() + 3'600'000, rig.who).ok());
    CHECK(rig.authenticate(key).ok());
    rig.clock.advance_ms(60'000);
    CHECK(rig.authenticate(key).code() == Code::kUnauthenticated);
    CHECK(rig.authenticate(next).ok());
  }
}

TEST_CASE("keys: a project sees and changes its own keys only", "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  KeyOwner first = rig.owner(PrincipalKind::kProjectKey, o);
  KeyOwner second = first;
  second.project_id = "p2";
  const CreatedKey key = rig.key(first);
  rig.key(second);
  CHECK(rig.keys.list(first, {.limit = 100}).value().keys.size() == 1);
  CHECK(rig.keys.find(second, key.record.id).status().reason() == "key_not_found");
  CHECK(rig.keys.revoke(second, key.record.id, rig.who).code() == Code::kNotFound);
  CHECK(rig.keys.revoke(first, "../../x", rig.who).code() == Code::kNotFound);
  CHECK(rig.authenticate(key).ok());
}

TEST_CASE("keys: a tenant brings its own bearer once", "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const KeyOwner owner = rig.owner(PrincipalKind::kTenantToken, o);
  NewKey wanted;
  wanted.name = "agent";
  const Secret bearer("my-agents-own-bearer-token");
  CHECK(rig.keys.import_tenant_token(owner, wanted, bearer, rig.who).ok());
  CHECK(rig.auth.authenticate(bearer.reveal()).value().organization == "acme");
  CHECK(rig.keys.import_tenant_token(owner, wanted, bearer, rig.who).status().reason() ==
        "token_exists");
  for (const char* bad :
       {"short", "ka_0123456789abcdef0", "gw_live_0123456789abcdef", "kv_0123456789abcdef0",
        "ks_0123456789abcdef0", "with spaces in between"}) {
    INFO(bad);
    CHECK(rig.keys.import_tenant_token(owner, wanted, Secret(bad), rig.who).code() ==
          Code::kInvalid);
  }
}

TEST_CASE("keys: no key text is ever in the store, and every write is audited",
          "[unit][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const User u = rig.user(o);
  size_t written = 0;
  for (const PrincipalKind kind : kFamilies) {
    const CreatedKey key = rig.key(rig.owner(kind, o, u));
    for (size_t family = 0; family < kKvFamilyCount; family++) {
      CHECK(kv_for_each(*rig.kv, static_cast<KvFamily>(family), "", [&](const KvItem& item) {
              CHECK(item.entry.value.find(key.key.reveal()) == std::string::npos);
              CHECK(item.key.find(key.key.reveal()) == std::string::npos);
              return ok();
            }).ok());
    }
    written += 2;  // Under the hash, and in the owner's list.
  }
  size_t audits = 0;
  CHECK(kv_for_each(*rig.kv, KvFamily::kOutbox, "", [&](const KvItem&) {
          audits++;
          return ok();
        }).ok());
  CHECK(audits >= written + 4);  // Organization and user with their unique names.
}

TEST_CASE("services: a store that is down leaves nothing half done", "[fault][identity]") {
  IdentityRig rig;
  const Organization o = rig.organization();
  const User u = rig.user(o);
  const KeyOwner owner = rig.owner(PrincipalKind::kUserKey, o, u);
  const CreatedKey key = rig.key(owner);
  rig.down = true;
  CHECK(rig.keys.create(owner, NewKey{.name = "n"}, rig.who).code() == Code::kUnavailable);
  CHECK(rig.keys.revoke(owner, key.record.id, rig.who).code() == Code::kUnavailable);
  CHECK(rig.organizations.find(o.id).code() == Code::kUnavailable);
  rig.down = false;
  CHECK(rig.keys.list(owner, {.limit = 10}).value().keys.size() == 1);
  CHECK(rig.authenticate(key).ok());
}

TEST_CASE("records: what is stored reads back the same", "[unit][identity]") {
  Organization o;
  o.id = "x";
  o.slug = "s";
  o.name = "N \"quoted\"";
  o.monthly_budget_nano_usd = 1;
  o.fail_open = true;
  o.allowed_models = {"gpt-4o*", "claude"};
  o.unknown_input_pico_usd = 150'000;
  o.unknown_output_pico_usd = 600'000;
  o.requests_per_minute = 0;
  o.created_ms = 1'767'225'600'123;
  const Organization back = parse_organization(organization_to_json(o)).value();
  CHECK(organization_to_json(back) == organization_to_json(o));
  CHECK(back.requests_per_minute == 0);
  CHECK(back.tokens_per_minute == kNoLimit);
  CHECK(model_allowed(back.allowed_models, "gpt-4o-mini"));
  CHECK_FALSE(model_allowed(back.allowed_models, "gpt-3"));
  CHECK(parse_organization("{}").code() == Code::kInternal);
  CHECK(parse_organization(R"({"org_id":"a","monthly_budget_usd":-1})").code() == Code::kInternal);
  CHECK(parse_organization(R"({"org_id":"a","failure_mode":"fail-open"})").value().fail_open);
  CHECK(parse_user(R"({"user_id":"u"})").code() == Code::kInternal);
}

TEST_CASE("organizations: of renames at once no more slugs are kept than may be",
          "[unit][identity]") {
  IdentityRig rig;
  const std::string id = rig.organization().id;
  for (size_t i = 1; i < kMoreSlugsMax; i++) {
    REQUIRE(rig.organizations.rename(id, "kept-" + std::to_string(i), rig.who).ok());
  }
  constexpr int kAtOnce = 8;
  std::latch begin(kAtOnce);
  std::atomic<int> full{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kAtOnce; i++) {
    threads.emplace_back([&, i] {
      begin.arrive_and_wait();
      const auto renamed = rig.organizations.rename(id, "last-" + std::to_string(i), rig.who);
      full += renamed.status().reason() == "slugs_full";
    });
  }
  for (std::thread& one : threads) one.join();
  CHECK(full == kAtOnce - 1);
  CHECK(rig.organizations.find(id)->more_slugs.size() == kMoreSlugsMax);
  // What was refused is free for others.
  CHECK(rig.kv->scan(KvFamily::kConfig, keyspace::org_slug(""), "", 100)->items.size() ==
        kMoreSlugsMax + 1);
}
