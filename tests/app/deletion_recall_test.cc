// Goal: a key-value store that was repaired, and lost its last writes, goes on with the deletions
// of which the audit or portal.db knows that they began; nobody gets what the last holder of a name
// has left, and no project stays hidden. Method: stores in memory of two moments and the ledger of
// both; daemons whose stores are changed as a loss would leave them; and a daemon that is killed.
#include "app/deletion_recall.h"

#include <nlohmann/json.hpp>

#include <filesystem>

#include "app/deletion_record.h"
#include "app/kv_rescue.h"
#include "base/thread.h"
#include "db/db.h"
#include "identity/projects.h"
#include "kv/outbox.h"
#include "ledger/audit.h"
#include "ledger/schema.h"
#include "support/fault_house.h"
#include "support/owner_house.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;
using keyspace::Owner;

namespace {

const std::string kOrg = "11111111-1111-4111-8111-111111111111";
const std::string kNext = "22222222-2222-4222-8222-222222222222";

// A store, a copy of it as it was before, and the ledger of all of it.
struct TwoMoments {
  const ManualClock clock{1'760'000'000'000};
  const std::unique_ptr<Entropy> entropy = make_system_entropy();
  const std::unique_ptr<KvStore> kv = make_memory_kv(clock), old = make_memory_kv(clock);
  const std::unique_ptr<Database> ledger = open_sqlite(":memory:").value();
  AuditedKv audited{*kv, clock, *entropy};
  const AuditContext who{"adminkey:1", "admin-api", "request-1"};
  std::vector<std::string> told;

  TwoMoments() {
    REQUIRE(migrate(*ledger, ledger_migrations()).ok());
    KvBatch batch;
    add_organization(batch, kOrg, "acme");
    batch.put(KvFamily::kConfig, keyspace::tenant_config("acme"), "{}");
    batch.put(KvFamily::kTokens, keyspace::token("acme", "mock", "main"), "{}");
    User user;
    user.id = "u1";
    user.organization_id = kOrg;
    user.email = "a@x";
    batch.put(KvFamily::kConfig, keyspace::user_config("u1"), user_to_json(user));
    batch.put(KvFamily::kConfig, keyspace::user_email(kOrg, "a@x"), "u1");
    REQUIRE(audited.write(batch, who).ok());
  }
  static void add_organization(KvBatch& batch, const std::string& id, const std::string& slug) {
    Organization organization;
    organization.id = id;
    organization.slug = organization.name = slug;
    batch.put(KvFamily::kConfig, keyspace::org_config(id), organization_to_json(organization));
    batch.put(KvFamily::kConfig, keyspace::org_slug(slug), id);
  }
  // What is written from here on is what the old store lacks.
  void part() const {
    for (size_t i = 0; i < kKvFamilyCount; i++) {
      const auto family = static_cast<KvFamily>(i);
      REQUIRE(kv_for_each(*kv, family, "", [&](const KvItem& item) {
                KvBatch batch;
                batch.put(family, item.key, item.entry);
                return old->write(batch, KvDurability::kSynced);
              }).ok());
    }
  }
  void begin(const OwnerRef& owner, const std::optional<User>& user = {}) {
    DeletionRecord record;
    record.owner = owner;
    record.who = who;
    REQUIRE(audited.write(deletion_begin(record, user).batch, who).ok());
  }
  void catch_up_old() {
    REQUIRE(for_each_in_outbox(*kv, [&](const OutboxRecord& record) {
              return record.kind == "audit" ? audit_sink(*ledger, record) : ok();
            }).ok());
    REQUIRE(catch_up(*old, nullptr, ledger.get(), clock, *entropy, told).ok());
  }
  std::optional<DeletionRecord> record(Owner kind, const std::string& id) const {
    const auto entry = old->get(KvFamily::kSystem, keyspace::deletion(kind, id));
    if (!entry.ok()) return {};
    return DeletionRecord::parse(entry->value).value();
  }
  bool has_config(const std::string& key) const { return old->get(KvFamily::kConfig, key).ok(); }
  bool tells(const std::string& part) const {
    for (const std::string& line : told) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
};

}  // namespace

TEST_CASE("recall: an organization's deletion goes on, and holds its name", "[unit][app]") {
  TwoMoments two;
  two.part();
  two.begin({Owner::kOrganization, kOrg, kOrg, "acme"});
  SECTION("when it was lost while it was under way") {}
  SECTION("when all of it was lost that the audit has, its end too") {
    KvBatch end;
    end.remove(KvFamily::kSystem, keyspace::deletion(Owner::kOrganization, kOrg));
    end.remove(KvFamily::kSystem, keyspace::deletion(Owner::kTenant, "acme"));
    REQUIRE(two.audited.write(end, two.who).ok());
  }
  two.catch_up_old();
  const auto record = two.record(Owner::kOrganization, kOrg);
  REQUIRE(record);
  CHECK(record->owner.slug == "acme");
  CHECK(record->owner.organization_id == kOrg);
  CHECK(record->who.actor == "adminkey:1");
  REQUIRE(two.record(Owner::kTenant, "acme"));
  CHECK(two.record(Owner::kTenant, "acme")->part_of == kOrg);
  CHECK_FALSE(two.has_config(keyspace::org_config(kOrg)));
  CHECK_FALSE(two.has_config(keyspace::org_slug("acme")));
  CHECK_FALSE(two.has_config(keyspace::tenant_config("acme")));
  // What is the owner's is the walk's.
  CHECK(two.old->get(KvFamily::kTokens, keyspace::token("acme", "mock", "main")).ok());
  CHECK(two.tells("The deletion of the organization acme, which adminkey:1 began"));
  CHECK_FALSE(two.record(Owner::kUser, "u1"));
}

TEST_CASE("recall: a deletion that was asked for and not begun takes nothing away", "[unit][app]") {
  TwoMoments two;
  two.part();
  DeletionRecord record;
  record.owner = {Owner::kOrganization, kOrg, kOrg, "acme"};
  record.who = two.who;
  record.asked = true;
  AuditContext asking = two.who;
  asking.source = kDeletionAsked;
  REQUIRE(two.audited.write(tombstones(record).batch, asking).ok());
  two.catch_up_old();
  CHECK(two.has_config(keyspace::org_config(kOrg)));
  CHECK(two.has_config(keyspace::org_slug("acme")));
  CHECK_FALSE(two.record(Owner::kOrganization, kOrg));
  CHECK_FALSE(two.record(Owner::kTenant, "acme"));
}

TEST_CASE("recall: what of a deletion has reached the tables does not matter", "[unit][app]") {
  TwoMoments two;
  two.part();
  KvBatch gone;
  gone.remove(KvFamily::kConfig, keyspace::org_config(kOrg));
  gone.remove(KvFamily::kConfig, keyspace::org_slug("acme"));
  two.begin({Owner::kOrganization, kOrg, kOrg, "acme"});
  REQUIRE(two.old->write(gone, KvDurability::kSynced).ok());
  two.catch_up_old();
  REQUIRE(two.record(Owner::kOrganization, kOrg));
  CHECK(two.record(Owner::kOrganization, kOrg)->owner.slug == "acme");
  CHECK(two.record(Owner::kTenant, "acme"));
}

TEST_CASE("recall: a name that another has by now is left to it", "[unit][app]") {
  TwoMoments two;
  two.begin({Owner::kOrganization, kOrg, kOrg, "acme"});
  two.part();
  // The store has lost that the deletion is open, and the audit that it ended.
  KvBatch later;
  later.remove(KvFamily::kSystem, keyspace::deletion(Owner::kOrganization, kOrg));
  later.remove(KvFamily::kSystem, keyspace::deletion(Owner::kTenant, "acme"));
  TwoMoments::add_organization(later, kNext, "acme");
  REQUIRE(two.old->write(later, KvDurability::kSynced).ok());
  two.catch_up_old();
  CHECK(two.has_config(keyspace::org_config(kNext)));
  CHECK_FALSE(two.record(Owner::kTenant, "acme"));
  REQUIRE(two.record(Owner::kOrganization, kOrg));
  CHECK(two.record(Owner::kOrganization, kOrg)->owner.slug.empty());
}

TEST_CASE("recall: users, tenants and projects are owners too", "[unit][app]") {
  TwoMoments two;
  two.part();
  User user;
  user.id = "u1";
  user.organization_id = kOrg;
  user.email = "a@x";
  two.begin({Owner::kUser, "u1", kOrg, ""}, user);
  two.begin({Owner::kTenant, "acme", kOrg, ""});
  two.begin({Owner::kProject, "p1", kOrg, ""});
  two.catch_up_old();
  REQUIRE(two.record(Owner::kUser, "u1"));
  CHECK(two.record(Owner::kUser, "u1")->owner.organization_id == kOrg);
  REQUIRE(two.record(Owner::kTenant, "acme"));
  CHECK(two.record(Owner::kTenant, "acme")->owner.organization_id == kOrg);
  CHECK(two.record(Owner::kTenant, "acme")->part_of.empty());
  CHECK(two.record(Owner::kProject, "p1"));
  CHECK(two.has_config(keyspace::org_config(kOrg)));
  CHECK_FALSE(two.has_config(keyspace::user_config("u1")));
  CHECK_FALSE(two.has_config(keyspace::user_email(kOrg, "a@x")));
}

TEST_CASE("recall: a deletion that ended, and a name that was taken anew, are left alone",
          "[unit][app]") {
  TwoMoments two;
  two.begin({Owner::kOrganization, kOrg, kOrg, "acme"});
  KvBatch end;
  end.remove(KvFamily::kSystem, keyspace::deletion(Owner::kOrganization, kOrg));
  end.remove(KvFamily::kSystem, keyspace::deletion(Owner::kTenant, "acme"));
  TwoMoments::add_organization(end, kNext, "acme");
  REQUIRE(two.audited.write(end, two.who).ok());
  two.part();
  two.catch_up_old();
  CHECK_FALSE(two.record(Owner::kOrganization, kOrg));
  CHECK_FALSE(two.record(Owner::kTenant, "acme"));
  CHECK(two.has_config(keyspace::org_slug("acme")));
  CHECK_FALSE(two.tells("The deletion of"));
}

namespace {

void wait_for_the_end(const OwnerHouse& house) {
  wait_until(
      [&] {
        return house.admin("GET", "/admin/kv?prefix=deletion:").body.find("\"keys\":[]") !=
               std::string::npos;
      },
      "no deletion is under way");
}

}  // namespace

TEST_CASE("recall: a project that is marked though no deletion is known is there again",
          "[e2e][app]") {
  OwnerHouse house;
  const Owned acme = house.make("acme");
  const auto is_listed = [&] {
    const std::string path = "/admin/organizations/" + acme.organization_id + "/projects";
    return house.admin("GET", path).body.find(acme.project_id) != std::string::npos;
  };
  REQUIRE(is_listed());
  REQUIRE(house.app.parts().projects->begin_removal(acme.organization_id, "").ok());
  CHECK_FALSE(is_listed());
  house.app.restart();
  CHECK(is_listed());
  CHECK(house.app.call("GET", "/v1/artifacts/" + acme.artifact_id).status == 200);
  wait_until(
      [&] {
        return house.admin("GET", "/admin/alerts").body.find("deletion.taken_back") !=
               std::string::npos;
      },
      "it is told");
}

TEST_CASE("recall: a marked project of an organization that is gone goes as well", "[e2e][app]") {
  OwnerHouse house;
  const Owned acme = house.make("acme");
  REQUIRE(house.app.parts().projects->begin_removal(acme.organization_id, "").ok());
  KvBatch gone;
  gone.remove(KvFamily::kConfig, keyspace::org_config(acme.organization_id));
  REQUIRE(house.app.parts().kv->write(gone, KvDurability::kSynced).ok());
  house.app.restart();
  wait_for_the_end(house);
  CHECK(house.app.parts().projects->organization_of(acme.project_id).value().empty());
  CHECK_FALSE(house.has_blob(acme.sha256));
  CHECK(house.app.as(acme.project_key, "GET", "/api/v1/artifacts").status == 401);
}

TEST_CASE("recall: a project's deletion that lacks its organization finds it", "[e2e][app]") {
  OwnerHouse house;
  const Owned acme = house.make("acme");
  DeletionRecord record;
  record.owner = {Owner::kProject, acme.project_id, "", ""};
  KvBatch recalled;
  recalled.put(KvFamily::kSystem, record.key(), record.to_json());
  REQUIRE(house.app.parts().kv->write(recalled, KvDurability::kSynced).ok());
  house.app.restart();
  wait_for_the_end(house);
  CHECK(house.app.parts().projects->organization_of(acme.project_id).value().empty());
  CHECK_FALSE(house.has_blob(acme.sha256));
  CHECK(house.app.as(acme.project_key, "GET", "/api/v1/artifacts").status == 401);
}

TEST_CASE("recall: a deletion that is killed, and whose store loses its log, ends after a repair",
          "[e2e][slow][app]") {
  FaultHouse house("/none/", "admin:\n  requests_per_minute: 1000000\n");
  const std::string org = json_text(
      house.admin("POST", "/admin/organizations", R"({"name":"Acme","slug":"acme"})").body,
      "org_id");
  REQUIRE_FALSE(org.empty());
  constexpr int kUsers = 10'000;
  Json bulk = Json::array();
  for (int i = 0; i < kUsers; i++) {
    const std::string id = "user-" + std::to_string(i), email = id + "@acme.example";
    const Json user{{"user_id", id}, {"org_id", org}, {"email", email}, {"status", "active"}};
    bulk.push_back({{"key", keyspace::user_config(id)}, {"value", dump_json(user)}});
  }
  REQUIRE(house.admin("PUT", "/admin/kv/bulk", dump_json(bulk)).status == 200);
  REQUIRE(house.admin("PUT", "/admin/tenants/acme", "{}").status < 300);
  REQUIRE(house
              .admin("PUT", "/admin/providers/demo",
                     R"({"base_url":"http://127.0.0.1:9","auth_type":"bearer",)"
                     R"("allow_private_addresses":true})")
              .status < 300);
  REQUIRE(house
              .admin("PUT", "/admin/tenants/acme/providers/demo/accounts/main",
                     R"({"access_token":"A-SECRET"})")
              .status < 300);
  // Two starts bring all of it into tables.
  house.stop();
  house.start();
  house.stop();
  house.start();
  {
    const std::string key = house.admin_key();
    const int port = house.port();
    const Thread deletion("deletion", [=] {
      (void)fetch(port, "DELETE", "/admin/organizations/" + org + "?force=true",
                  {{"Authorization", "Bearer " + key}});
    });
    // The audit of its beginning is in SQL, whatever becomes of the store.
    wait_until(
        [&] {
          return house.admin("GET", "/admin/audit?key=deletion:organization:" + org)
                     .body.find("\"put\"") != std::string::npos;
        },
        "the deletion is in the audit");
    house.kill();
  }
  for (const auto& entry : std::filesystem::directory_iterator(house.data_dir() + "/kv")) {
    if (entry.path().extension() == ".log") std::filesystem::resize_file(entry.path(), 0);
  }
  for (const char* accept : {"kv-log", "generation"}) {
    (void)std::system((kvcs_binary() + " repair --data-dir " + house.data_dir() + " --accept " +
                       accept + " --yes > /dev/null 2>&1")
                          .c_str());
  }
  house.start();
  CHECK(house.admin("GET", "/admin/organizations/" + org).status == 404);
  const auto is_empty = [&](const std::string& prefix) {
    return house.admin("GET", "/admin/kv?limit=1&prefix=" + prefix).body.find("\"keys\":[]") !=
           std::string::npos;
  };
  wait_until([&] { return is_empty("deletion:"); }, "the deletion has ended");
  for (const char* left : {"user:user-", "tokens:acme", "org_slug:acme"}) {
    INFO(left);
    CHECK(is_empty(left));
  }
  CHECK(is_empty("org:" + org));
  CHECK(house.admin("POST", "/admin/organizations", R"({"name":"Acme","slug":"acme"})").status ==
        201);
}
