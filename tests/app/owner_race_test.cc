// Goal: a deletion that may be refused for what its owner holds loses nothing that came while it
// was looked at. Method: the deletion's own look is met with everything that could come; uploads
// and deletions at once, many times; and a look that a crash has cut off.
#include <nlohmann/json.hpp>

#include <atomic>
#include <thread>

#include "app/owner_deletion.h"
#include "base/thread.h"
#include "identity/projects.h"
#include "kv/keyspace.h"
#include "support/owner_house.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("ownership: what comes between the look and the deletion is not lost with it",
          "[e2e][app]") {
  OwnerHouse house;
  const Owned acme = house.make("acme");
  const std::string org = "/admin/organizations/" + acme.organization_id;
  const std::string made = house.made(
      "POST", org + "/projects", Json{{"name", "Empty"}, {"slug", "empty"}}, 201)["project_id"];
  const std::string key = house.made("POST", org + "/projects/" + made + "/api-keys",
                                     Json{{"name", "k"}}, 201)["api_key"];
  const auto upload = [&] {
    return house.app
        .as(key, "POST", "/api/v1/artifacts/upload-url", R"({"model_name":"m","dtype":"F16"})")
        .status;
  };
  const OwnerRef project{keyspace::Owner::kProject, made, acme.organization_id, ""};
  const OwnerRef organization{keyspace::Owner::kOrganization, acme.organization_id,
                              acme.organization_id, "acme"};
  const AuditContext who{"test", "test", ""};
  OwnerDeletions& deletions = *house.app.parts().deletions;
  // While what an owner has is counted, nothing can come to it.
  const Status refused = deletions.begin(project, who, [&](const OwnerHoldings& holdings) {
    CHECK(holdings.artifacts == 0);
    CHECK(upload() >= 400);
    CHECK(house.admin("DELETE", org + "/projects/" + made + "?force=true").status >= 400);
    return invalid("no");
  });
  CHECK(refused.message() == "no");
  CHECK(upload() < 300);
  CHECK(house.admin("DELETE", org + "/projects/" + made).status == 409);
  const Status also = deletions.begin(organization, who, [&](const OwnerHoldings& holdings) {
    CHECK(holdings.projects == 2);
    CHECK(house.admin("POST", org + "/projects", R"({"name":"Another"})").status == 409);
    const Json user{{"email", "x@x.example"}, {"org_id", acme.organization_id}};
    CHECK(house.admin("POST", "/admin/users", dump_json(user)).status == 409);
    return invalid("no");
  });
  CHECK(also.message() == "no");
  CHECK(house.admin("POST", org + "/projects", R"({"name":"Another"})").status == 201);
  CHECK(house.call(acme.tenant_token, "acme").status == 200);
  CHECK(house.admin("GET", "/admin/kv?prefix=deletion:").body.find("\"keys\":[]") !=
        std::string::npos);
}

TEST_CASE("ownership: an upload that meets an unforced deletion is refused, or the deletion is",
          "[e2e][app]") {
  OwnerHouse house;
  const Owned acme = house.make("acme");
  const std::string org = "/admin/organizations/" + acme.organization_id;
  for (int round = 0; round < 25; round++) {
    const std::string slug = "race" + std::to_string(round);
    const std::string id = house.made("POST", org + "/projects",
                                      Json{{"name", slug}, {"slug", slug}}, 201)["project_id"];
    const std::string key = house.made("POST", org + "/projects/" + id + "/api-keys",
                                       Json{{"name", "k"}}, 201)["api_key"];
    std::atomic<int> begun = 0, ready = 0;
    RawResponse deleted;
    {
      std::vector<std::unique_ptr<Thread>> threads;
      const auto at_once = [&] {
        ready++;
        (void)comes_true([&] { return ready >= 3; });
      };
      for (int i = 0; i < 2; i++) {
        threads.push_back(std::make_unique<Thread>("upload", [&] {
          at_once();
          const RawResponse got = house.app.as(key, "POST", "/api/v1/artifacts/upload-url",
                                               R"({"model_name":"m","dtype":"F16"})");
          if (got.status < 300) begun++;
        }));
      }
      threads.push_back(std::make_unique<Thread>("delete", [&] {
        at_once();
        deleted = house.admin("DELETE", org + "/projects/" + id);
      }));
    }
    INFO("round " << round << ": " << deleted.status << " " << deleted.body);
    if (begun > 0) {
      CHECK(deleted.status == 409);
      CHECK(house.app.as(key, "GET", "/api/v1/artifacts").status == 200);
      CHECK(house.admin("GET", org + "/projects").body.find(id) != std::string::npos);
    } else {
      CHECK((deleted.status == 204 || deleted.status == 202));
    }
  }
}

TEST_CASE("ownership: a deletion that was only asked for is withdrawn in the next life",
          "[e2e][app]") {
  OwnerHouse house;
  const Owned acme = house.make("acme");
  const std::string key = keyspace::deletion(keyspace::Owner::kProject, acme.project_id);
  KvBatch batch;
  batch.put(KvFamily::kSystem, key,
            dump_json(Json{{"kind", "project"},
                           {"id", acme.project_id},
                           {"org_id", acme.organization_id},
                           {"asked", true}}));
  REQUIRE(house.app.parts().kv->write(batch, KvDurability::kSynced).ok());
  REQUIRE(house.app.parts().projects->begin_removal(acme.organization_id, acme.project_id).ok());
  house.app.restart();
  CHECK(house.app.parts().kv->get(KvFamily::kSystem, key).code() == Code::kNotFound);
  CHECK(house.app.as(acme.project_key, "GET", "/v1/artifacts/" + acme.artifact_id).status == 200);
}
