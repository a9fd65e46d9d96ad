// Goal: what is deleted is gone with all that belonged to it, whatever it is and whoever asks in
// the meantime; a name that is free again brings nothing along. Method: owners with everything that
// one can have, made over HTTP; then each store is searched for their ids, names and hashes,
// whatever the tables of owners say.
#include <nlohmann/json.hpp>

#include <atomic>

#include "app/owner_walk.h"
#include "artifacts/schema.h"
#include "base/crypto.h"
#include "base/thread.h"
#include "db/db.h"
#include "gateway/call/response_cache.h"
#include "kv/keyspace.h"
#include "ledger/schema.h"
#include "support/fault_house.h"
#include "support/owner_house.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// No text of the owner is left, but for those in `but`.
void check_gone(OwnerHouse& house, const Owned& owned, const std::set<std::string>& but = {}) {
  std::set<std::string> texts;
  for (const std::string& text : owned.texts) {
    if (but.count(text) == 0) texts.insert(text);
  }
  const std::vector<std::string> left = house.left_of(texts);
  INFO(joined(left));
  CHECK(left.empty());
}

// The job is asked for each time, since the store may have failed when it ran.
void wait_until_ended(OwnerHouse& house) {
  wait_until(
      [&] {
        (void)house.admin("POST", "/admin/jobs/owner-deletion/run");
        return house.admin("GET", "/admin/kv?prefix=deletion:").body.find("\"keys\":[]") !=
               std::string::npos;
      },
      "no deletion is under way");
}

void check_no_key_works(const OwnerHouse& house, const Owned& owned) {
  CHECK(house.app.as(owned.user_key, "GET", "/v1/models").status == 401);
  CHECK(house.app.as(owned.old_user_key, "GET", "/v1/models").status == 401);
  CHECK(house.app.as(owned.project_key, "GET", "/api/v1/artifacts").status == 401);
  CHECK(house.app.as(owned.organization_key, "GET", "/api/v1/artifacts").status == 401);
  CHECK(house.call(owned.tenant_token, owned.name).status == 401);
  CHECK(house.call(owned.imported_token, owned.name).status == 401);
}

}  // namespace

TEST_CASE("ownership: every table says whose its rows are", "[unit][app]") {
  OwnerHouse house;
  const auto check = [](DbReaders& readers, std::span<const TableOwner> owners) {
    std::set<std::string> declared, there;
    for (const TableOwner& owner : owners) declared.insert(std::string(owner.table));
    const Status read = readers.run([&](Database& db) -> Status {
      auto names = KVCS_TRY(db.prepare(
          "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"));
      while (KVCS_TRY(names.step())) there.insert(names.text(0));
      return ok();
    });
    REQUIRE(read.ok());
    there.erase("store_mark");  // Of the data directory itself (app/store_marks.h).
    CHECK(declared == there);
  };
  check(*house.app.parts().portal_readers, portal_table_owners());
  check(*house.app.parts().ledger_readers, ledger_table_owners());
}

TEST_CASE("ownership: an organization goes with all that it has, and nothing of others",
          "[e2e][app]") {
  OwnerHouse house;
  const Owned acme = house.make("acme"), other = house.make("other-company");
  const std::string path = "/admin/organizations/" + acme.organization_id;
  // It says what it holds, and does nothing.
  const Json dry = house.made("DELETE", path + "?dry_run=true", nullptr, 200);
  CHECK(dry["users"] == 1);
  CHECK(dry["projects"] == 1);
  CHECK(dry["artifacts"] == 1);
  CHECK(dry["tokens"] == 2);
  CHECK(dry["accounts"] == 2);
  CHECK(dry["schedules"] == 1);
  CHECK(dry["api_keys"] == 4);  // The rotated-out one counts too.
  const RawResponse refused = house.admin("DELETE", path);
  CHECK(refused.status == 409);
  CHECK(refused.body.find("org_not_empty") != std::string::npos);
  CHECK(refused.body.find("1 user and 1 project with 1 artifact.") != std::string::npos);
  CHECK(house.call(acme.tenant_token, "acme").status == 200);

  CHECK(house.admin("DELETE", path + "?force=true").status == 204);
  check_no_key_works(house, acme);
  check_gone(house, acme);
  CHECK_FALSE(house.has_blob(acme.sha256));
  CHECK(house.app.call("GET", "/v1/artifacts/" + acme.artifact_id).status == 403);
  CHECK(house.admin("GET", path).status == 404);
  CHECK(house.admin("DELETE", path).status == 404);
  // It is written down who did it.
  const std::string audit =
      house.admin("GET", "/admin/audit?key=org:" + acme.organization_id + ":config").body;
  CHECK(audit.find("\"delete\"") != std::string::npos);
  // The others have all of theirs.
  CHECK(house.call(other.tenant_token, "other-company").status == 200);
  CHECK(house.app.as(other.user_key, "GET", "/v1/models").status == 200);
  CHECK(house.app.call("GET", "/v1/artifacts/" + other.artifact_id).status == 200);
  CHECK(house.has_blob(other.sha256));
  // A restart finds the stores in order, and nothing comes back.
  house.app.restart();
  check_gone(house, acme);
  check_no_key_works(house, acme);
}

TEST_CASE("ownership: a tenant goes with tokens, accounts and schedule; its organization stays",
          "[e2e][app]") {
  OwnerHouse house;
  const Owned acme = house.make("acme");
  CHECK(house.admin("DELETE", "/admin/tenants/acme").status == 204);
  CHECK(house.call(acme.tenant_token, "acme").status == 401);
  CHECK(house.call(acme.imported_token, "acme").status == 401);
  CHECK(house.app.parts().gateway.cache->entries() == 0);
  const std::vector<std::string> left =
      house.left_of({sha256_hex(acme.tenant_token), sha256_hex(acme.imported_token)});
  INFO(joined(left));
  CHECK(left.empty());
  for (const char* prefix :
       {"tokens:acme", "refresh:acme", "refresh_due:", "agent_job_schedule:acme",
        "agent_state:acme", "last_used:acme", "oauth_state:", "tenant_config:acme"}) {
    const std::string keys = house.admin("GET", "/admin/kv?prefix=" + std::string(prefix)).body;
    INFO(keys);
    CHECK(keys.find("\"keys\":[]") != std::string::npos);
  }
  CHECK(house.admin("GET", "/admin/organizations/" + acme.organization_id).status == 200);
  CHECK(house.app.as(acme.user_key, "GET", "/v1/models").status == 200);
  CHECK(house.app.as(acme.project_key, "GET", "/api/v1/artifacts").status == 200);
}

TEST_CASE("ownership: who has a name next gets nothing of who had it before", "[e2e][app]") {
  OwnerHouse house;
  const Owned first = house.make("acme");
  SECTION("the tenant is deleted, then the organization") {
    CHECK(house.admin("DELETE", "/admin/tenants/acme").status == 204);
    CHECK(house.admin("DELETE", "/admin/organizations/" + first.organization_id + "?force=true")
              .status == 204);
  }
  SECTION("the tenant alone") {
    CHECK(house.admin("DELETE", "/admin/tenants/acme").status == 204);
  }
  SECTION("the organization alone") {
    CHECK(house.admin("DELETE", "/admin/organizations/" + first.organization_id + "?force=true")
              .status == 204);
  }
  house.made("PUT", "/admin/tenants/acme", Json::object(), 200);
  const Json token = house.made("POST", "/admin/tenants/acme/tokens", {{"name", "n"}}, 201);
  const std::string bearer = token["token"].get<std::string>();
  const RawResponse called = house.call(bearer, "acme");
  INFO(called.body);
  CHECK(called.status == 404);
  CHECK(house.call(first.imported_token, "acme").status == 401);
  CHECK(house.call(first.tenant_token, "acme").status == 401);
  CHECK(house.admin("GET", "/admin/agent-schedules/acme").body == "[]");
  CHECK(house.admin("GET", "/admin/tenants/acme/accounts").body.find("main") == std::string::npos);
  CHECK(house.made("GET", "/admin/tenants/acme/tokens", nullptr, 200)["tokens"].size() == 1);
}

// Names that an import may bring and no form of ours lets in.
TEST_CASE("ownership: a tenant of an import goes, whatever its name", "[e2e][app]") {
  const std::string name = GENERATE("Acme", "_low", ".x", "a..B");
  OwnerHouse house;
  const std::string bearer = "bearer-of-" + name;
  Json pairs = Json::array();
  const auto add = [&](const std::string& key, const Json& value) {
    pairs.push_back({{"key", key}, {"value", dump_json(value)}});
  };
  add("tenant_config:" + name, {{"tenant_id", name}, {"status", "active"}});
  add("tokens:" + name + ":local:main", {{"type", "bearer"}, {"access_token", "OLD-SECRET"}});
  add("tenant_auth:" + sha256_hex(bearer), {{"tenant_id", name}, {"status", "active"}});
  REQUIRE(house.admin("PUT", "/admin/kv/bulk", dump_json(pairs)).status == 200);
  CHECK(house.admin("DELETE", "/admin/tenants/" + name).status == 204);
  CHECK(house.call(bearer, name).status == 401);
  CHECK(house.admin("GET", "/admin/tenants/" + name).status == 404);
  for (const std::string prefix : {"deletion:", "tokens:", "tenant_config:", "tenant_auth:"}) {
    const std::string keys = house.admin("GET", "/admin/kv?prefix=" + prefix).body;
    INFO(keys);
    CHECK(keys.find("\"keys\":[]") != std::string::npos);
  }
}

TEST_CASE("ownership: an organization takes no tenant over that is there under its name",
          "[e2e][app]") {
  OwnerHouse house;
  const Json record{{"tenant_id", "widget"}, {"name", "Widget"}, {"status", "active"}};
  const Json pairs = Json::array({{{"key", "tenant_config:widget"}, {"value", dump_json(record)}}});
  REQUIRE(house.admin("PUT", "/admin/kv/bulk", dump_json(pairs)).status == 200);
  const RawResponse taken =
      house.admin("POST", "/admin/organizations", R"({"name":"Other","slug":"widget"})");
  CHECK(taken.status == 409);
  CHECK(taken.body.find("slug_exists") != std::string::npos);
  // A slug that is made from the name gets a tail.
  const Json made = house.made("POST", "/admin/organizations", {{"name", "Widget"}}, 201);
  CHECK(made["slug"].get<std::string>().starts_with("widget-"));
  // The tenant's own way to its organization stays open.
  house.made("PUT", "/admin/tenants/widget", {{"name", "Widget"}}, 200);
  house.made("POST", "/admin/tenants/widget/tokens", {{"name", "n"}}, 201);
}

// The record's own mark: who writes it back changes it not, and who has the name next has another.
TEST_CASE("ownership: a tenant that is made anew under a name is another one", "[e2e][app]") {
  OwnerHouse house;
  const Json first = house.made("PUT", "/admin/tenants/acme", {{"name", "Acme"}}, 200);
  const std::string mark = first["incarnation"].get<std::string>();
  CHECK(mark.size() == 16);
  Json changed = first;
  changed["name"] = "Acme 2";
  changed["incarnation"] = "mine";
  CHECK(house.made("PUT", "/admin/tenants/acme", changed, 200)["incarnation"] == mark);
  house.made("POST", "/admin/tenants/acme/suspend", nullptr, 200);
  CHECK(house.made("GET", "/admin/tenants/acme", nullptr, 200)["incarnation"] == mark);
  REQUIRE(house.admin("DELETE", "/admin/tenants/acme").status == 204);
  CHECK(house.made("PUT", "/admin/tenants/acme", {{"name", "Acme"}}, 200)["incarnation"] != mark);
}

TEST_CASE("ownership: a project whose artifacts can be restored goes with a word alone",
          "[e2e][app]") {
  OwnerHouse house;
  const Owned acme = house.make("acme");
  const std::string artifact = "/api/v1/artifacts/" + acme.artifact_id;
  REQUIRE(house.app.as(acme.project_key, "DELETE", artifact).status == 204);
  const std::string organization = "/admin/organizations/" + acme.organization_id;
  const std::string project = organization + "/projects/" + acme.project_id;
  const Json dry = house.made("DELETE", project + "?dry_run=true", nullptr, 200);
  CHECK(dry["artifacts"] == 0);
  CHECK(dry["restorable"] == 1);
  const RawResponse refused = house.admin("DELETE", project);
  CHECK(refused.status == 409);
  CHECK(refused.body.find("project_not_empty") != std::string::npos);
  CHECK(refused.body.find("1 deleted that can be restored") != std::string::npos);
  const RawResponse whole = house.admin("DELETE", organization);
  CHECK(whole.status == 409);
  CHECK(whole.body.find("1 deleted that can be restored") != std::string::npos);
  CHECK(house.app.as(acme.project_key, "POST", artifact + "/restore").status == 200);
  REQUIRE(house.app.as(acme.project_key, "DELETE", artifact).status == 204);
  CHECK(house.admin("DELETE", project + "?force=true").status == 204);
  CHECK_FALSE(house.has_blob(acme.sha256));
}

TEST_CASE("ownership: a user and a project go with their keys; artifacts need a word",
          "[e2e][app]") {
  OwnerHouse house;
  const Owned acme = house.make("acme");
  CHECK(house.admin("DELETE", "/admin/users/" + acme.user_id).status == 204);
  CHECK(house.app.as(acme.user_key, "GET", "/v1/models").status == 401);
  CHECK(house.app.as(acme.old_user_key, "GET", "/v1/models").status == 401);
  const std::string project =
      "/admin/organizations/" + acme.organization_id + "/projects/" + acme.project_id;
  const RawResponse refused = house.admin("DELETE", project);
  CHECK(refused.status == 409);
  CHECK(refused.body.find("project_not_empty") != std::string::npos);
  CHECK(house.admin("DELETE", project + "?force=yes").status == 400);
  CHECK(house.admin("DELETE", project + "?force=true").status == 204);
  CHECK(house.app.as(acme.project_key, "GET", "/api/v1/artifacts").status == 401);
  CHECK(house.app.call("GET", "/v1/artifacts/" + acme.artifact_id).status == 403);
  CHECK_FALSE(house.has_blob(acme.sha256));
  // What the organization and its tenant are known by, and their keys, is still there, and nothing
  // else.
  std::set<std::string> kept = {"acme", acme.organization_id, sha256_hex(acme.tenant_token),
                                sha256_hex(acme.imported_token), sha256_hex(acme.organization_key)};
  const Json tokens = house.made("GET", "/admin/tenants/acme/tokens", nullptr, 200);
  for (const Json& token : tokens["tokens"]) kept.insert(token["token_id"].get<std::string>());
  const Json keys =
      house.made("GET", "/admin/organizations/" + acme.organization_id + "/api-keys", nullptr, 200);
  for (const Json& key : keys["api_keys"]) kept.insert(key["key_id"].get<std::string>());
  check_gone(house, acme, kept);
  // Nothing is used any more.
  const std::vector<std::string> usage = house.left_of({acme.artifact_id});
  CHECK(usage.empty());
}

TEST_CASE("ownership: a deletion that the store interrupts goes on, and holds the name until then",
          "[e2e][fault][app]") {
  std::atomic<bool> broken = false;
  AppOptions options;
  // The walk comes no further than its first batch, whose first key is one of these.
  options.kv_faults = [&](std::string_view op, std::string_view key) -> Status {
    if (!broken || op != "write") return ok();
    for (const char* prefix : {"quota:key:", "idempotency:", "last_used:", "org:", "user:"}) {
      if (key.starts_with(prefix)) return unavailable("The disk is full.");
    }
    return ok();
  };
  OwnerHouse house(options);
  const Owned acme = house.make("acme");
  const std::string path = "/admin/organizations/" + acme.organization_id;
  broken = true;
  const RawResponse begun = house.admin("DELETE", path + "?force=true");
  INFO(begun.body);
  CHECK(begun.status == 202);
  CHECK(begun.body.find("owner-deletion") != std::string::npos);
  // Nothing that is half gone answers, before and after a restart.
  for (int life = 1; life <= 2; life++) {
    INFO("life " << life);
    check_no_key_works(house, acme);
    CHECK(house.app.call("GET", "/v1/artifacts/" + acme.artifact_id).status == 403);
    CHECK(house.admin("GET", path).status == 404);
    CHECK(house.admin("GET", "/admin/tenants/acme").status == 404);
    const std::string bearer = "tenant_auth:" + sha256_hex("a-bearer-of-acme-1");
    for (const RawResponse& taken :
         {house.admin("PUT", "/admin/tenants/acme", "{}"),
          house.admin("POST", "/admin/organizations", R"({"name":"Acme","slug":"acme"})"),
          house.admin("PUT", "/admin/kv/auto/values/" + bearer,
                      R"({"tenant_id":"acme","status":"active"})")}) {
      INFO(taken.body);
      CHECK(taken.status == 409);
      CHECK(taken.body.find("name_in_deletion") != std::string::npos);
    }
    CHECK(house
              .admin("PUT", "/admin/tenants/acme/providers/mock/accounts/new",
                     R"({"access_token":"a"})")
              .status == 404);
    CHECK(house.admin("DELETE", path).status == 202);
    // A look at what would go brings nothing on, nor does it begin again.
    CHECK(house.admin("DELETE", path + "?dry_run=true").status == 200);
    if (life == 1) house.app.restart();
  }
  broken = false;
  wait_until_ended(house);
  check_gone(house, acme);
  CHECK_FALSE(house.has_blob(acme.sha256));
  CHECK(house.admin("PUT", "/admin/tenants/acme", "{}").status == 200);
}

TEST_CASE("ownership: whoever creates while an owner goes leaves nothing behind",
          "[e2e][slow][app]") {
  OwnerHouse house;
  for (int round = 0; round < 6; round++) {
    const std::string name = "acme" + std::to_string(round);
    const Owned acme = house.make(name);
    const std::string org = "/admin/organizations/" + acme.organization_id;
    const std::string tenant = "/admin/tenants/" + name;
    const std::string project = org + "/projects/" + acme.project_id;
    const std::string user = "/admin/users/" + acme.user_id;
    // Which one is deleted takes turns; others create and use what hangs on it.
    const std::string victims[] = {org + "?force=true", project + "?force=true", user};
    const std::string& victim = victims[round % 3];
    std::atomic<bool> over = false;
    std::atomic<int> crashes = 0, asked = 0;
    const std::string admin_key = house.app.credential("admin_key");
    const auto ask = [&](const char* method, const std::string& path, const std::string& body) {
      return house.app.as(admin_key, method, path, body);
    };
    const auto hammer = [&](int number) {
      for (int i = 0; !over; i++) {
        const std::string tail = std::to_string(number) + "-" + std::to_string(i);
        RawResponse got;
        switch (number % 8) {
          case 0:
            got =
                ask("PUT", tenant + "/providers/mock/accounts/a" + tail, R"({"access_token":"a"})");
            break;
          case 1:
            got = ask("POST", tenant + "/tokens", R"({"name":"n"})");
            break;
          case 2:
            got = ask("POST", project + "/api-keys", R"({"name":"n"})");
            break;
          case 3:
            got = ask("POST", user + "/api-keys", R"({"name":"n"})");
            break;
          case 4:
            got = ask("POST", org + "/projects", R"({"name":"p)" + tail + "\"}");
            break;
          case 5:
            got = ask("POST", "/admin/users",
                      dump_json(Json{{"email", "u" + tail + "@x.example"},
                                     {"org_id", acme.organization_id}}));
            break;
          case 6:
            got = house.app.as(acme.project_key, "POST", "/api/v1/artifacts/upload-url",
                               R"({"model_name":"m","dtype":"F16"})");
            break;
          default:
            got = house.call(acme.tenant_token, name);
        }
        crashes += got.status >= 500 ? 1 : 0;
        asked++;
      }
    };
    RawResponse deleted;
    {
      std::vector<std::unique_ptr<Thread>> threads;
      for (int i = 0; i < 32; i++) {
        threads.push_back(std::make_unique<Thread>("hammer", [&, i] { hammer(i); }));
      }
      // A condition that fails must not leave the threads running.
      (void)comes_true([&] { return asked >= 64; });
      deleted = house.admin("DELETE", victim);
      over = true;
    }
    INFO("round " << round << ": " << deleted.body);
    CHECK((deleted.status == 204 || deleted.status == 202));
    CHECK(crashes == 0);
    wait_until_ended(house);
    // Whatever was deleted is in no key, no value and no row any more.
    const std::string ids[] = {acme.organization_id, acme.project_id, acme.user_id};
    const std::vector<std::string> left = house.left_of({ids[round % 3]});
    INFO(joined(left));
    CHECK(left.empty());
    if (round % 3 == 0) check_gone(house, acme);
  }
}

TEST_CASE("ownership: a walk that is cut off has removed whole batches, and is gone on with",
          "[e2e][app]") {
  OwnerHouse house;
  const Owned acme = house.make("acme");
  const OwnerRef owner{keyspace::Owner::kUser, acme.user_id, acme.organization_id, ""};
  const AuditContext who{"test", "test", ""};
  OwnerWalk cut(house.app.parts(), owner, who, [] { return true; });
  CHECK(cut.remove().status().reason() == "deletion_goes_on");
  OwnerWalk whole(house.app.parts(), owner, who, [] { return false; });
  REQUIRE(whole.remove().ok());
  const Result<OwnerHoldings> left = whole.remove();
  REQUIRE(left.ok());
  CHECK(left.value().nothing());
}

TEST_CASE("ownership: a deletion that is killed goes on in the next life", "[e2e][slow][app]") {
  FaultHouse house("/none/", "admin:\n  requests_per_minute: 1000000\n");
  const std::string org = json_text(
      house.admin("POST", "/admin/organizations", R"({"name":"Acme","slug":"acme"})").body,
      "org_id");
  REQUIRE_FALSE(org.empty());
  // So many records that the walk takes some dozen batches.
  constexpr int kUsers = 10'000;
  Json bulk = Json::array();
  for (int i = 0; i < kUsers; i++) {
    const std::string id = "user-" + std::to_string(i), email = id + "@acme.example";
    const Json user{{"user_id", id}, {"org_id", org}, {"email", email}, {"status", "active"}};
    bulk.push_back({{"key", keyspace::user_config(id)}, {"value", dump_json(user)}});
    bulk.push_back({{"key", keyspace::user_email(org, email)}, {"value", id}});
  }
  REQUIRE(house.admin("PUT", "/admin/kv/bulk", dump_json(bulk)).status == 200);
  const auto is_empty = [&](const std::string& prefix) {
    return house.admin("GET", "/admin/kv?limit=1&prefix=" + prefix).body.find("\"keys\":[]") !=
           std::string::npos;
  };
  {
    const std::string key = house.admin_key();
    const int port = house.port();
    const Thread deletion("deletion", [=] {
      (void)fetch(port, "DELETE", "/admin/organizations/" + org + "?force=true",
                  {{"Authorization", "Bearer " + key}});
    });
    wait_until([&] { return !is_empty("deletion:"); }, "the deletion has begun");
    house.kill();
  }
  house.start();
  CHECK(house.admin("GET", "/admin/organizations/" + org).status == 404);
  wait_until([&] { return is_empty("deletion:"); }, "the deletion has ended");
  wait_until([&] { return house.daemon().log().find("\"deletion.ended\"") != std::string::npos; },
             "this life has told of it");
  CHECK(is_empty("user_email:" + org));
  CHECK(is_empty("user:user-"));
  CHECK(is_empty("org:" + org));
  CHECK(house.admin("POST", "/admin/organizations", R"({"name":"Acme","slug":"acme"})").status ==
        201);
}
