// Goal: the keys of the artifact doors as their holders make and use them: organization keys that
// an admin makes, and keys of a project that its own administrators make. Method: a whole daemon
// over HTTP.
#include <nlohmann/json.hpp>

#include "support/access_house.h"
#include "support/json_answer.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string announce_body(const std::string& project) {
  return R"({"name":"n","dtype":"F16","project_id":")" + project + "\"}";
}

}  // namespace

TEST_CASE("organization keys: made, listed, expired, rotated and revoked as project keys are",
          "[contract][app]") {
  TestApp app;
  const std::string org = app.credential("organization_id"), project = app.credential("project_id");
  const std::string keys = "/admin/organizations/" + org + "/api-keys";
  const RawResponse made = app.as_owner("POST", keys, R"({"name":"all","scopes":["read"]})");
  REQUIRE(made.status == 201);
  const std::string key = json_text(made.body, "api_key"), id = json_text(made.body, "key_id");
  CHECK(key.starts_with("kv_"));
  CHECK(json_of(made)["scopes"] == Json{"read"});
  const Json me = json_of(app.as(key, "GET", "/api/v1/me"));
  CHECK(me["kind"] == "organization");
  CHECK(me["permissions"] == Json{"read"});
  CHECK_FALSE(me.contains("project_id"));
  CHECK(json_of(app.as(app.credential("api_key"), "GET", "/api/v1/me"))["kind"] == "project");
  CHECK(json_of(app.as_owner("GET", "/admin/me"))["kind"] == "admin");
  const Json verified = json_of(app.as(key, "POST", "/api/v1/api-keys/verify"));
  CHECK_FALSE(verified.contains("project_id"));
  CHECK(verified["organization_id"] == org);

  // Each list has its own keys.
  const Json listed = json_of(app.as_owner("GET", keys));
  REQUIRE(listed["api_keys"].size() == 1);
  CHECK(listed["api_keys"][0]["key_id"] == id);
  CHECK(listed["api_keys"][0].contains("last_used_at"));
  const std::string of_project = "/admin/organizations/" + org + "/projects/" + project;
  CHECK(app.as_owner("GET", of_project + "/api-keys").body.find(id) == std::string::npos);
  CHECK(app.as_owner("DELETE", of_project + "/api-keys/" + id).status == 404);
  CHECK(app.as_owner("DELETE", "/admin/organizations/" + org + "/tokens/" + id).status == 404);

  const RawResponse rotated = app.as_owner("POST", keys + "/" + id + "/rotate");
  REQUIRE(rotated.status == 200);
  const std::string fresh = json_text(rotated.body, "api_key");
  CHECK(app.as(key, "GET", "/api/v1/me").status == 401);
  CHECK(json_of(app.as(fresh, "GET", "/api/v1/me"))["kind"] == "organization");
  const std::string past = R"({"expires_at":"2020-01-01T00:00:00Z"})";
  CHECK(app.as_owner("PATCH", keys + "/" + id, past).status == 200);
  CHECK(app.as(fresh, "GET", "/api/v1/me").status == 401);
  CHECK(app.as_owner("PATCH", keys + "/" + id, R"({"expires_at":null})").status == 200);
  CHECK(app.as(fresh, "GET", "/api/v1/me").status == 200);
  CHECK(app.as_owner("PATCH", keys + "/" + id, "{}").status == 400);
  CHECK(app.as_owner("DELETE", keys + "/" + id).status == 200);
  CHECK(app.as(fresh, "GET", "/api/v1/me").status == 401);
}

TEST_CASE("keys: scopes that are not known are refused when a key is made", "[contract][app]") {
  TestApp app;
  const std::string org = "/admin/organizations/" + app.credential("organization_id");
  for (const std::string& keys :
       {org + "/api-keys", org + "/projects/" + app.credential("project_id") + "/api-keys"}) {
    for (const char* scopes : {R"(["owner"])", R"(["read","Write"])", "[]", "[1]", R"("read")"}) {
      INFO(keys << " " << scopes);
      const std::string body = R"({"name":"k","scopes":)" + std::string(scopes) + "}";
      const RawResponse refused = app.as_owner("POST", keys, body);
      CHECK(refused.status == 400);
      CHECK(refused.body.find("scopes") != std::string::npos);
    }
    // The word that all keys had so far.
    CHECK(json_of(app.as_owner("POST", keys, R"({"name":"k"})"))["scopes"] == Json{"write"});
  }
}

TEST_CASE("organization keys: they reach every project of their organization and no other",
          "[contract][app]") {
  AccessHouse house;
  const std::string key = house.bearer("org_write");
  const std::string projects = "/admin/organizations/" + house.org + "/projects";
  const std::string second = house.made(projects, R"({"name":"Second"})", "project_id");
  const std::string upload = "/api/v1/artifacts/upload-url";
  const auto pending = [&] {
    const Json page = json_of(house.app.as(key, "GET", "/api/v1/artifacts?status=pending"));
    return page["total"].get<int>();
  };
  const int before = pending();
  CHECK(house.app.as(key, "POST", upload, announce_body(second)).status == 200);
  CHECK(house.app.as(key, "POST", upload, announce_body(house.project)).status == 200);
  CHECK(house.app.as(key, "POST", upload, R"({"name":"n","dtype":"F16"})").status == 400);
  CHECK(house.app.as(house.bearer("other_org"), "POST", upload, announce_body(second)).status ==
        404);
  CHECK(house.app.as(house.bearer("project_write"), "POST", upload, announce_body(second)).status ==
        404);
  CHECK(pending() == before + 2);
}

TEST_CASE("own keys: a project's administrator makes, lists and revokes its keys",
          "[contract][app]") {
  AccessHouse house;
  const std::string admin_key = house.bearer("project_admin"), path = "/api/v1/api-keys";
  const RawResponse made =
      house.app.as(admin_key, "POST", path, R"({"name":"ci","scopes":["read"]})");
  REQUIRE(made.status == 201);
  CHECK(made.header("cache-control") == "private, no-store");
  const std::string key = json_text(made.body, "api_key"), id = json_text(made.body, "id");
  const Json me = json_of(house.app.as(key, "GET", "/api/v1/me"));
  CHECK(me["project_id"] == house.project);
  CHECK(me["permissions"] == Json{"read"});
  const std::string listed = house.app.as(admin_key, "GET", path).body;
  CHECK(listed.find(id) != std::string::npos);
  CHECK(listed.find(key) == std::string::npos);
  const Json keys = json_of(house.app.as(admin_key, "GET", path))["keys"];
  for (const Json& item : keys) {
    CHECK(item["project_id"] == house.project);
  }
  // What is made here is in the audit under the key that asked.
  REQUIRE(house.app.parts().ledger->drain().ok());
  const std::string who =
      "projectkey:" + json_text(house.app.as(admin_key, "GET", "/api/v1/me").body, "key_id");
  CHECK(house.admin("GET", "/admin/audit?limit=10").body.find(who) != std::string::npos);
  CHECK(house.app.as(admin_key, "DELETE", path + "/" + id).status == 204);
  CHECK(house.app.as(key, "GET", "/api/v1/me").status == 401);
  CHECK(house.app.as(admin_key, "GET", path).body.find(id) == std::string::npos);
  // An organization's administrator names the project, one of its own.
  const std::string whole = house.bearer("org_admin");
  const auto named = [&](const std::string& project) {
    return R"({"name":"k","project_id":")" + project + "\"}";
  };
  CHECK(house.app.as(whole, "POST", path, R"({"name":"k"})").status == 400);
  CHECK(house.app.as(whole, "POST", path, named(house.project)).status == 201);
  CHECK(house.app.as(whole, "GET", path + "?project_id=" + house.project).status == 200);
  CHECK(house.app.as(house.bearer("other_org"), "POST", path, named(house.project)).status == 404);
  CHECK(house.app.as(house.bearer("other_project"), "POST", path, named(house.project)).status ==
        404);
  // Keys of the organization itself are not a project's to see or revoke.
  const std::string org_key = json_text(
      house.admin("POST", "/admin/organizations/" + house.org + "/api-keys", R"({"name":"o"})")
          .body,
      "key_id");
  CHECK(house.app.as(admin_key, "DELETE", path + "/" + org_key).status == 404);
  CHECK(
      house.app.as(whole, "DELETE", path + "/" + org_key + "?project_id=" + house.project).status ==
      404);
}
