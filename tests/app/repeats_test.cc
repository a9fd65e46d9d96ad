// Goal: one click has one effect: what is sent again with its Idempotency-Key, as browsers do by
// themselves when an answer is lost, gets the first answer at every door that makes something.
// Method: a whole daemon, asked as a browser and as a program ask.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "app/api/openapi.h"
#include "app/routes.h"
#include "kv/keyspace.h"
#include "support/ai_house.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

RawResponse click(const TestApp& app, const Browser& browser, const std::string& key,
                  const std::string& path, const std::string& body, TestApp::Headers more = {}) {
  more.emplace_back("Cookie", browser.cookie);
  more.emplace_back("Origin", browser.origin());
  more.emplace_back("X-CSRF-Token", browser.csrf);
  more.emplace_back("Idempotency-Key", key);
  return app.call("POST", path, std::move(more), body);
}

// How many things a list has that anybody may have made.
size_t count_of(Browser& browser, const std::string& path, const std::string& member) {
  return json_of(browser.send("GET", path))[member].size();
}

}  // namespace

TEST_CASE("repeats: what makes something at the portal makes it once, and answers the same again",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  const std::string org = app.credential("organization_id");
  struct Row {
    std::string path, body, list, member;
  };
  const Row rows[] = {
      {"/api/v1/api-keys", R"({"name":"lost"})", "/api/v1/api-keys", "keys"},
      {"/api/v1/invitations", R"({"email":"lost@example.com","role":"member"})",
       "/api/v1/invitations", "invitations"},
      {"/api/v1/projects", R"({"name":"Lost"})", "/api/v1/projects", "projects"},
      {"/api/v1/organizations", R"({"name":"Lost"})", "/api/v1/organizations", "organizations"},
      {"/api/v1/artifacts/upload-url", R"({"name":"n","dtype":"F16"})", "", ""},
      {"/admin/users", R"({"email":"lost@example.com","org_id":")" + org + "\"}", "/admin/users",
       "users"},
      {"/auth/totp", R"({"current_password":")" + std::string(kGoodPassword) + "\"}", "", ""},
  };
  for (const Row& row : rows) {
    INFO(row.path);
    const size_t before = row.list.empty() ? 0 : count_of(owner, row.list, row.member);
    const RawResponse first = click(app, owner, "one", row.path, row.body);
    INFO(first.body);
    REQUIRE(first.status < 300);
    CHECK(first.header("idempotent-replay").empty());
    const RawResponse again = click(app, owner, "one", row.path, row.body);
    CHECK(again.status == first.status);
    CHECK(again.body == first.body);
    CHECK(again.header("idempotent-replay") == "true");
    CHECK(again.header("cache-control") == first.header("cache-control"));
    if (!row.list.empty()) CHECK(count_of(owner, row.list, row.member) == before + 1);
  }
  const RawResponse other = click(app, owner, "one", "/api/v1/api-keys", R"({"name":"another"})");
  CHECK(other.status == 409);
  CHECK(json_text(other.body, "code") == "idempotency_key_reused");
}

TEST_CASE("repeats: nobody gets another's answer, and the store has no secret of one",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser admin = join(app, owner, "admin@example.com", "admin");
  const std::string body = R"({"name":"lost"})", upload = R"({"name":"n","dtype":"F16"})";
  const std::string mine =
      json_text(click(app, owner, "one", "/api/v1/api-keys", body).body, "api_key");
  REQUIRE_FALSE(mine.empty());
  const auto is_new = [&](const RawResponse& answer) {
    INFO(answer.body);
    CHECK(answer.status == 201);
    CHECK(answer.header("idempotent-replay").empty());
    CHECK(json_text(answer.body, "api_key") != mine);
  };
  is_new(click(app, admin, "one", "/api/v1/api-keys", body));
  // A program with a key of the same project.
  const auto program = [&] {
    return json_text(app.call("POST", "/api/v1/artifacts/upload-url",
                              {{"Authorization", "Bearer " + app.credential("api_key")},
                               {"Idempotency-Key", "one"}},
                              upload)
                         .body,
                     "artifact_id");
  };
  const std::string its = program();
  CHECK(program() == its);
  const RawResponse own = click(app, owner, "one", "/api/v1/artifacts/upload-url", upload);
  CHECK_FALSE(json_text(own.body, "artifact_id").empty());
  CHECK(json_text(own.body, "artifact_id") != its);
  // The same person elsewhere asks for another thing.
  const Json place = json_of(owner.send("POST", "/api/v1/organizations", R"({"name":"Second"})"));
  const std::string active = Json{{"organization_id", place["organization_id"]}}.dump();
  REQUIRE(owner.send("PATCH", "/api/v1/me", active).status < 300);
  is_new(click(app, owner, "one", "/api/v1/api-keys", body));
  size_t records = 0;
  const std::string any = keyspace::idempotency("", "");
  REQUIRE(kv_for_each(*app.parts().kv, KvFamily::kSystem, any.substr(0, any.size() - 1),
                      [&](const KvItem& item) -> Status {
                        records++;
                        CHECK(item.entry.value.find(mine) == std::string::npos);
                        CHECK(item.entry.value.find("kv_") == std::string::npos);
                        return ok();
                      })
              .ok());
  CHECK(records == 5);
}

TEST_CASE("repeats: a question that was streamed to a page is not asked and paid for again",
          "[contract][ai][portal]") {
  AiHouse house;
  Browser owner = set_up(house.app);
  house.provider.answer_stream({chunk("Hello"), finish(), usage_chunk(), kDone});
  const auto ask = [&](const std::string& key) {
    return click(house.app, owner, key, "/v1/chat/completions", kHelloStream,
                 {{"X-Kvcs-User", house.user}});
  };
  CHECK(has(ask("one").body, "Hello"));
  const RawResponse again = ask("one");
  CHECK(again.status == 409);
  CHECK(has(again.body, "idempotency_answer_not_kept"));
  CHECK(has(again.body, "in pieces"));
  CHECK(house.provider.bodies().size() == 1);
  CHECK(ask("two").status == 200);
  house.provider.answer_json("{}", "500 Oops");
  CHECK(ask("three").status == 500);
  house.provider.answer_stream({chunk("Hello"), finish(), usage_chunk(), kDone});
  CHECK(ask("three").status == 200);
}

TEST_CASE("repeats: an account that is deleted takes the answers with it", "[contract][app]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser member = join(app, owner, "member@example.com", "member");
  const std::string id = json_of(member.send("GET", "/api/v1/me"))["person_id"];
  REQUIRE(click(app, member, "one", "/api/v1/artifacts/upload-url", R"({"name":"n","dtype":"F16"})")
              .status < 300);
  const auto count = [&] {
    size_t records = 0;
    const std::string own = keyspace::idempotency(id, "");
    REQUIRE(kv_for_each(*app.parts().kv, KvFamily::kSystem, own, [&](const KvItem&) -> Status {
              records++;
              return ok();
            }).ok());
    return records;
  };
  CHECK(count() == 1);
  const RawResponse gone = member.send(
      "DELETE", "/api/v1/me", R"({"current_password":")" + std::string(kGoodPassword) + "\"}");
  INFO(gone.body);
  REQUIRE(gone.status < 300);
  CHECK(count() == 0);
}

// A new row is among those that take the key, unless it stands here with its reason.
TEST_CASE("repeats: which POSTs take no Idempotency-Key", "[contract][app][routes]") {
  const std::set<std::string> wanted = {
      // They begin and end sessions, which a cookie carries.
      "/auth/device", "/auth/device/token", "/auth/device/{user_code}", "/auth/invitation",
      "/auth/link/{provider}", "/auth/backchannel/{provider}", "/auth/login", "/auth/login/totp",
      "/auth/logout", "/auth/password", "/auth/register", "/auth/reset", "/auth/reset/confirm",
      "/auth/reset/look-up", "/auth/setup", "/auth/setup/look-up",
      // They only read.
      "/api/v1/api-keys/verify", "/api/v1/artifacts/search", "/api/v1/artifacts/{id}/download-url",
      "/v1/api-keys/verify",
      // Payments are switched off here.
      "/api/v1/billing/cancel", "/api/v1/billing/checkout", "/api/v1/billing/portal",
      // Their bytes are not kept in memory, and what is announced and gets none goes by itself.
      "/api/v1/uploads", "/api/v1/uploads/{id}",
      // Nobody has shown who asks; an event of Stripe and a seeded key are the same each time.
      "/api/v1/admin/api-keys", "/api/v1/billing/webhook", "/api/v1/telemetry", "/share/{token}",
      "/api/v1/orgs/{org}/projects/{project}/artifacts/{id}/infer",
      "/v1/orgs/{org}/projects/{project}/artifacts/{id}/infer"};
  TestApp app;
  const Json openapi = json_of(app.call("GET", "/openapi.json"));
  std::set<std::string> without;
  for (const http::Row& row : app.parts().route_table) {
    if (row.method != http::Method::kPost) {
      CHECK_FALSE(takes_idempotency_key(row));
      continue;
    }
    const Json& parameters =
        openapi["paths"][row.pattern]["post"].value("parameters", Json::array());
    const bool is_told = std::any_of(parameters.begin(), parameters.end(), [](const Json& one) {
      return one["in"] == "header" && one["name"] == "Idempotency-Key";
    });
    INFO(row.pattern);
    CHECK(is_told == takes_idempotency_key(row));
    if (!is_told) without.insert(row.pattern);
  }
  CHECK(without == wanted);
}
