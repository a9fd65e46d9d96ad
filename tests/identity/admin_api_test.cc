// The admin API over a running daemon: documented shapes, exact money, idempotency, refusals.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <set>

#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string create_user(const TestApp& app, const std::string& email,
                        const std::string& limit = "100.00") {
  const RawResponse response =
      app.as_owner("POST", "/admin/users",
                   R"({"email":")" + email + R"(","monthly_limit_usd":)" + limit +
                       R"(,"org_id":")" + app.credential("organization_id") + R"("})");
  INFO(response.body);
  CHECK(response.status == 201);
  return json_text(response.body, "user_id");
}

}  // namespace

TEST_CASE("admin: a user's life has the documented shapes", "[unit][identity][app]") {
  TestApp app;
  const RawResponse created =
      app.as_owner("POST", "/admin/users",
                   R"({"email":"user@company.com","monthly_limit_usd":100.00,"org_id":")" +
                       app.credential("organization_id") + R"("})");
  CHECK(created.status == 201);
  const std::string id = json_text(created.body, "user_id");
  CHECK(created.body == R"({"user_id":")" + id +
                            R"(","email":"user@company.com","monthly_limit_usd":100.00,)"
                            R"("status":"active","created_at":")" +
                            json_text(created.body, "created_at") + R"("})");
  const std::string path = "/admin/users/" + id;
  const RawResponse got = app.as_owner("GET", path);
  CHECK(got.status == 200);
  for (const char* part :
       {R"("monthly_limit_usd":100.00)", R"("current_usage_usd":0.00)", R"("status":"active")"}) {
    CHECK(got.body.find(part) != std::string::npos);
  }
  const RawResponse patched =
      app.as_owner("PATCH", path, R"({"monthly_limit_usd":150.123456,"status":"suspended"})");
  CHECK(patched.status == 200);
  for (const char* part : {R"("previous_limit":100.00)", R"("new_limit":150.123456)",
                           R"("status":"suspended")", R"("updated_at":")"}) {
    INFO(part);
    CHECK(patched.body.find(part) != std::string::npos);
  }
  const RawResponse key = app.as_owner("POST", path + "/api-keys", R"({"name":"Dev"})");
  CHECK(key.status == 201);
  const std::string key_id = json_text(key.body, "key_id");
  CHECK(json_text(key.body, "api_key").starts_with("gw_live_"));
  const RawResponse keys = app.as_owner("GET", path + "/api-keys");
  CHECK(keys.body.find(key_id) != std::string::npos);
  CHECK(keys.body.find(json_text(key.body, "api_key")) == std::string::npos);
  CHECK(keys.body.find("key_hash") == std::string::npos);
  const RawResponse revoked = app.as_owner("DELETE", path + "/api-keys/" + key_id);
  CHECK(revoked.status == 200);
  CHECK(json_text(revoked.body, "status") == "revoked");
  CHECK(json_text(revoked.body, "key_id") == key_id);
  CHECK_FALSE(json_text(revoked.body, "revoked_at").empty());
  CHECK(app.as_owner("DELETE", path).status == 204);
  CHECK(app.as_owner("GET", path).status == 404);
}

TEST_CASE("admin: bad users are refused, each by its name", "[unit][identity][app]") {
  TestApp app;
  const std::string org = app.credential("organization_id");
  create_user(app, "taken@x.org");
  const TestApp::Headers owner = {{"Authorization", "Bearer " + app.credential("admin_key")}};
  const auto post = [&](const std::string& body, int status, const std::string& contains) {
    Scenario{contains, "POST", "/admin/users", owner, body, status, {contains}}.run(app);
  };
  const auto with = [&](const std::string& members) {
    return R"({"email":"a@x.org","org_id":")" + org + R"(",)" + members + "}";
  };
  post("{", 400, "malformed");
  post("[]", 400, "must be a JSON object");
  post(R"({"org_id":")" + org + R"("})", 400, "email: required.");
  post(R"({"email":"a@x.org"})", 400, "org_id: required.");
  post(R"({"email":"nope","org_id":")" + org + R"("})", 400, "is not an email address");
  post(R"({"email":"taken@x.org","org_id":")" + org + R"("})", 409, "email_exists");
  post(R"({"email":"a@x.org","org_id":"00000000-0000-4000-8000-000000000000"})", 404,
       "org_not_found");
  post(with(R"("user_id":"forged")"), 400, "user_id: unknown member; known are: email, ");
  post(with(R"("status":"root")"), 400, "is not one of: active, suspended");
  post(with(R"("monthly_limit_usd":-1)"), 400, "monthly_limit_usd");
  post(with(R"("monthly_limit_usd":10000000.01)"), 400, "over 10000000 USD");
  post(with(R"("monthly_limit_usd":0.0000001)"), 400, "more than 6 decimals");
  post(with(R"("monthly_limit_usd":true)"), 400, "must be a number");
  post(with(R"("requests_per_minute":-5)"), 400, "requests_per_minute");
  post(with(R"("allowed_models":[1])"), 400, "allowed_models");
  const std::string id = create_user(app, "zero@x.org", "0");
  CHECK(app.as_owner("GET", "/admin/users/" + id).body.find(R"("monthly_limit_usd":0.00)") !=
        std::string::npos);
  CHECK(app.as_owner("PATCH", "/admin/users/" + id, R"({"created_at":"x"})").status == 400);
  CHECK(app.as_owner("POST", "/admin/users/nobody/api-keys", R"({"name":"k"})").status == 404);
}

TEST_CASE("admin: users of all organizations are listed, page by page", "[unit][identity][app]") {
  TestApp app;
  const std::string other =
      json_text(app.as_owner("POST", "/admin/organizations", R"({"name":"Other"})").body, "org_id");
  std::set<std::string> made, listed;
  for (int i = 0; i < 5; i++) made.insert(create_user(app, "u" + std::to_string(i) + "@x.org"));
  const std::string of_other = json_text(
      app.as_owner("POST", "/admin/users", R"({"email":"u1@x.org","org_id":")" + other + "\"}")
          .body,
      "user_id");
  made.insert(of_other);
  std::string cursor;
  int pages = 0;
  do {
    const std::string page =
        app.as_owner("GET", "/admin/users?limit=2" + (cursor.empty() ? "" : "&cursor=" + cursor))
            .body;
    for (size_t at = 0; (at = page.find("\"user_id\":\"", at)) != page.npos; at++) {
      listed.insert(page.substr(at + 11, 36));
    }
    cursor = json_text(page, "cursor");
    pages++;
  } while (!cursor.empty());
  CHECK(listed == made);
  CHECK(pages == 3);
  const std::string one = app.as_owner("GET", "/admin/users?org_id=" + other).body;
  CHECK(one.find(of_other) != one.npos);
  CHECK(one.find("u0@x.org") == one.npos);
  CHECK(app.as_owner("GET", "/admin/users?cursor=%25").status == 400);
}

TEST_CASE("admin: an organization's life", "[unit][identity][app]") {
  TestApp app;
  const RawResponse created = app.as_owner(
      "POST", "/admin/organizations",
      R"({"name":"Acme Corporation","monthly_budget_usd":10000.00,"failure_mode":"fail-open"})");
  CHECK(created.status == 201);
  const std::string id = json_text(created.body, "org_id");
  for (const char* part : {R"("name":"Acme Corporation")", R"("monthly_budget_usd":10000.00)",
                           R"("failure_mode":"fail_open")", R"("fallback_daily_limit":10.00)",
                           R"("slug":"acme-corporation")"}) {
    INFO(part);
    CHECK(created.body.find(part) != std::string::npos);
  }
  const std::string path = "/admin/organizations/" + id;
  CHECK(app.as_owner("PATCH", path, R"({"monthly_budget_usd":0,"requests_per_minute":60})")
            .body.find(R"("monthly_budget_usd":0.00)") != std::string::npos);
  CHECK(app.as_owner("PATCH", path, R"({"requests_per_minute":null})")
            .body.find(R"("requests_per_minute":null)") != std::string::npos);
  const RawResponse token = app.as_owner("POST", path + "/tokens", R"({"name":"agent"})");
  CHECK(token.status == 201);
  CHECK(json_text(token.body, "token").starts_with("kt_"));
  CHECK(json_text(app.as_owner("POST", path + "/suspend").body, "status") == "suspended");
  CHECK(json_text(app.as_owner("POST", path + "/resume").body, "status") == "active");
  const RawResponse project = app.as_owner("POST", path + "/projects", R"({"name":"Main"})");
  CHECK(project.status == 201);
  const std::string project_path = path + "/projects/" + json_text(project.body, "project_id");
  CHECK(app.as_owner("POST", path + "/projects", R"({"name":"Main"})").status == 409);
  const RawResponse key = app.as_owner("POST", project_path + "/api-keys", R"({"name":"ci"})");
  const std::string api_key = json_text(key.body, "api_key");
  CHECK(app.as(api_key, "GET", "/api/v1/me").status == 200);
  const RawResponse rotated =
      app.as_owner("POST", project_path + "/api-keys/" + json_text(key.body, "key_id") + "/rotate");
  CHECK(rotated.status == 200);
  CHECK(app.as(api_key, "GET", "/api/v1/me").status == 401);
  CHECK(app.as(json_text(rotated.body, "api_key"), "GET", "/api/v1/me").status == 200);
  CHECK(app.as_owner("DELETE", path).status == 409);
  CHECK(app.as_owner("DELETE", project_path).status == 204);
  CHECK(app.as(json_text(rotated.body, "api_key"), "GET", "/api/v1/me").status == 401);
  CHECK(app.as_owner("DELETE", path).status == 204);
  CHECK(app.as_owner("GET", path).status == 404);
}

TEST_CASE("admin: a repeat with the same Idempotency-Key has no second effect",
          "[unit][identity][app]") {
  TestApp app;
  const TestApp::Headers headers = {{"Authorization", "Bearer " + app.credential("admin_key")},
                                    {"Idempotency-Key", "once-1"}};
  const std::string body =
      R"({"email":"i@x.org","org_id":")" + app.credential("organization_id") + R"("})";
  const RawResponse first = app.call("POST", "/admin/users", headers, body);
  const RawResponse second = app.call("POST", "/admin/users", headers, body);
  CHECK(first.status == 201);
  CHECK(second.status == 201);
  CHECK(second.body == first.body);
  CHECK(second.header("idempotent-replay") == "true");
  const RawResponse other = app.call("POST", "/admin/users", headers, body + " ");
  CHECK(other.status == 409);
  CHECK(other.body.find("idempotency_key_reused") != std::string::npos);
  // A failure is not kept.
  TestApp::Headers again = headers;
  again[1].second = "once-2";
  CHECK(app.call("POST", "/admin/users", again, "{}").status == 400);
  CHECK(app.call("POST", "/admin/users", again,
                 R"({"email":"j@x.org","org_id":")" + app.credential("organization_id") + R"("})")
            .status == 201);
  again[1].second = "has space";
  CHECK(app.call("POST", "/admin/users", again, body).status == 400);
}

TEST_CASE("admin: roles reach as far as they say", "[unit][identity][app]") {
  TestApp app;
  const auto key_with = [&](const std::string& role) {
    return json_text(
        app.as_owner("POST", "/admin/admin-keys", R"({"name":"n","role":")" + role + R"("})").body,
        "admin_key");
  };
  const std::string viewer = key_with("viewer"), admin = key_with("admin"),
                    billing = key_with("billing");
  CHECK(json_text(app.as(billing, "GET", "/admin/me").body, "role") == "billing");
  CHECK(app.as(billing, "GET", "/admin/organizations").status == 403);
  CHECK(app.as(viewer, "GET", "/admin/organizations").status == 200);
  CHECK(app.as(viewer, "POST", "/admin/organizations", R"({"name":"x"})").status == 403);
  CHECK(app.as(admin, "POST", "/admin/organizations", R"({"name":"x"})").status == 201);
  CHECK(app.as(admin, "POST", "/admin/admin-keys", R"({"name":"n","role":"viewer"})").status ==
        403);
  const RawResponse me = app.as_owner("GET", "/admin/me");
  const std::string own = json_text(me.body, "key_id");
  CHECK(app.as_owner("DELETE", "/admin/admin-keys/" + own).status == 409);
  const std::string viewer_id = json_text(app.as(viewer, "GET", "/admin/me").body, "key_id");
  CHECK(app.as_owner("DELETE", "/admin/admin-keys/" + viewer_id).status == 200);
  CHECK(app.as(viewer, "GET", "/admin/me").status == 401);
}

TEST_CASE("admin: the store can be browsed, written and moved; secrets stay hidden",
          "[unit][identity][app]") {
  TestApp app;
  const std::string value = "/admin/kv/config/values/api_config:demo";
  CHECK(app.as_owner("PUT", value, R"({"a":1})").status == 204);
  CHECK(app.as_owner("GET", value).body.find(R"({\"a\":1})") != std::string::npos);
  const RawResponse list = app.as_owner("GET", "/admin/kv/config/keys?prefix=api_config:");
  CHECK(list.body.find("\"name\":\"api_config:demo\"") != std::string::npos);
  CHECK(list.body.find("\"list_complete\":true") != std::string::npos);
  const RawResponse page = app.as_owner("GET", "/admin/kv/config/keys?limit=1");
  const std::string cursor = json_text(page.body, "cursor");
  CHECK_FALSE(cursor.empty());
  CHECK(app.as_owner("GET", "/admin/kv/config/keys?limit=1&cursor=" + cursor).status == 200);
  CHECK(app.as_owner("GET", "/admin/kv/config/keys?cursor=%21%21").status == 400);
  CHECK(app.as_owner("PUT", "/admin/kv/tokens/values/tokens:t:p:a", "sealed-text").status == 204);
  const RawResponse hidden = app.as_owner("GET", "/admin/kv/tokens/values/tokens:t:p:a");
  CHECK(hidden.body.find("sealed-text") == std::string::npos);
  CHECK(hidden.body.find("\"hidden\":true") != std::string::npos);
  const std::string exported =
      app.as_owner("GET", "/admin/kv/bulk?family=config&prefix=api_config:").body;
  CHECK(exported.find("api_config:demo") != std::string::npos);
  CHECK(app.as_owner("DELETE", value).status == 204);
  CHECK(app.as_owner("GET", value).status == 404);
  const RawResponse imported = app.as_owner("PUT", "/admin/kv/bulk", exported);
  CHECK(imported.body.find("\"imported\":1") != std::string::npos);
  CHECK(app.as_owner("GET", value).status == 200);
  CHECK(app.as_owner("GET", "/admin/kv/auto/values/api_config:demo").status == 200);
  CHECK(app.as_owner("PUT", "/admin/kv/auto/values/tokens:t:p:b", "sealed-text").status == 204);
  CHECK(app.as_owner("GET", "/admin/kv/auto/values/tokens:t:p:b").body.find("sealed-text") ==
        std::string::npos);
  CHECK(app.as_owner("GET", "/admin/kv/auto/keys").status == 400);
  CHECK(app.as_owner("GET", "/admin/kv/nope/keys").status == 400);
  CHECK(app.as_owner("PUT", "/admin/kv/outbox/values/x", "v").status == 400);
  CHECK(app.as_owner("PUT", value + "?expiration_ttl=60&expiration=1", "v").status == 400);
  CHECK(app.as_owner("PUT", value + "?expiration=1", "v").status == 400);
}

TEST_CASE("admin: /admin/kv walks the keys of every family, page by page", "[unit][identity]") {
  TestApp app;
  std::string cursor;
  std::vector<std::string> names;
  std::set<std::string> families;
  do {
    const std::string query = cursor.empty() ? "" : "&cursor=" + cursor;
    const RawResponse page = app.as_owner("GET", "/admin/kv?limit=2" + query);
    INFO(page.body);
    REQUIRE(page.status == 200);
    const Json body = parse_json(page.body).value();
    CHECK(body["keys"].size() <= 2);
    for (const Json& key : body["keys"]) {
      names.push_back(key["name"].get<std::string>());
      families.insert(key["family"].get<std::string>());
    }
    CHECK(body["list_complete"] == body["cursor"].is_null());
    cursor = body["cursor"].is_null() ? "" : body["cursor"].get<std::string>();
  } while (!cursor.empty());
  CHECK(names.size() >= 4);
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == names.size());
  CHECK(families.contains("auth"));
  CHECK(families.contains("config"));
  CHECK_FALSE(families.contains("outbox"));
  const RawResponse some = app.as_owner("GET", "/admin/kv?prefix=adminkey:");
  CHECK(some.body.find("\"family\":\"auth\"") != std::string::npos);
  CHECK(some.body.find("\"config\"") == std::string::npos);
  CHECK(app.as_owner("GET", "/admin/kv?cursor=bm9uZTp4").status == 400);  // "none:x"
  const RawResponse metrics = app.as_owner("GET", "/admin/metrics");
  CHECK(metrics.status == 200);
  CHECK(metrics.body.find("kvcs_") != std::string::npos);
}
