// Goal: somebody who has signed in calls models and tools for a user of the own organization, under
// that user's budget and limits, and for nobody else's. Method: a whole daemon with a provider on
// loopback, asked as a browser asks.
#include <nlohmann/json.hpp>

#include "gateway/gateway_house.h"
#include "identity/members.h"
#include "support/ai_house.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kChat = "/v1/chat/completions";

// As a page of ours asks; `user` "" = without the header.
RawResponse ask(const TestApp& app, const Browser& browser, const std::string& method,
                const std::string& path, const std::string& user, const std::string& body = {},
                TestApp::Headers more = {}) {
  more.emplace_back("Cookie", browser.cookie);
  if (!user.empty()) more.emplace_back("X-Kvcs-User", user);
  if (method != "GET") {
    more.emplace_back("Origin", browser.origin());
    more.emplace_back("X-CSRF-Token", browser.csrf);
  }
  return app.call(method, path, std::move(more), body);
}

std::string code_of(const RawResponse& answer) {
  const Json body = json_of(answer);
  return body.contains("code") ? body["code"].get<std::string>()
                               : body["error"]["code"].get<std::string>();
}

std::string person_of(Browser& browser) {
  return json_of(browser.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
}

// A user of another organization.
std::string foreign_user(const TestApp& app) {
  const std::string org =
      json_text(app.as_owner("POST", "/admin/organizations", R"({"name":"Other"})").body, "org_id");
  return json_text(
      app.as_owner("POST", "/admin/users", R"({"email":"eve@example.com","org_id":")" + org + "\"}")
          .body,
      "user_id");
}

}  // namespace

TEST_CASE("session at /v1: a stream that breaks off ends with its error, which a page reads whole",
          "[contract][fault][portal]") {
  AiHouse house;
  Browser owner = set_up(house.app);
  for (const bool clean : {false, true}) {
    house.provider.answer_stream({chunk("Hel")}, clean);
    const RawResponse cut = ask(house.app, owner, "POST", kChat, house.user, kHelloStream);
    INFO(cut.body);
    CHECK(has(cut.body, "Hel"));
    CHECK(has(cut.body, "data: {\"error\":{"));
    CHECK_FALSE(has(cut.body, "[DONE]"));
    CHECK(cut.complete);
  }
}

TEST_CASE("session at /v1: a member asks for a user, who pays, and the person is named",
          "[contract][app][portal]") {
  AiHouse house;
  Browser owner = set_up(house.app);
  Browser member = join(house.app, owner, "member@example.com", "member");
  Browser viewer = join(house.app, owner, "viewer@example.com", "viewer");
  const RawResponse nobody = ask(house.app, member, "POST", kChat, "", kHello);
  CHECK(nobody.status == 400);
  CHECK(code_of(nobody) == "user_required");
  CHECK(house.provider.bodies().empty());
  const RawResponse answer = ask(house.app, member, "POST", kChat, house.user, kHello);
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  CHECK(json_of(house.admin("GET", "/admin/users/" + house.user + "/usage"))["request_count"] == 1);
  const Json rows = json_of(house.admin("GET", "/admin/usage/requests"))["requests"];
  REQUIRE(rows.size() == 1);
  CHECK(rows[0]["user_id"] == house.user);
  CHECK(rows[0]["organization_id"] == house.org);
  CHECK(rows[0]["key_id"] == person_of(member));
  // What only reads needs the user, and no proof against other sites' pages.
  const RawResponse own = ask(house.app, member, "GET", "/v1/usage", house.user);
  CHECK(json_of(own)["user_id"] == house.user);
  const std::string id(answer.header("x-request-id"));
  CHECK(ask(house.app, member, "GET", "/v1/usage/" + id, house.user).status == 200);

  const auto refusal = [&](const Browser& who, const std::string& user) {
    const RawResponse refused = ask(house.app, who, "POST", kChat, user, kHello);
    return std::to_string(refused.status) + " " + code_of(refused);
  };
  CHECK(refusal(viewer, house.user) == "403 insufficient_role");
  for (const std::string& user : {foreign_user(house.app), std::string("nobody"), house.user + "x",
                                  std::string("a:b"), house.org}) {
    CHECK(refusal(member, user) == "404 user_not_found");
  }
  // Another site's page sends the cookie, and no more.
  const RawResponse forged = house.app.call(
      "POST", kChat,
      {{"Cookie", member.cookie}, {"X-Kvcs-User", house.user}, {"Origin", "http://evil.example"}},
      kHello);
  CHECK(forged.status == 403);
  CHECK(house.provider.bodies().size() == 1);
}

TEST_CASE("session at /v1: the user's limits and state hold as with its key",
          "[contract][app][portal]") {
  AiHouse house;
  Browser owner = set_up(house.app);
  const auto compare = [&](int status) {
    const RawResponse key = house.chat();
    const RawResponse session = ask(house.app, owner, "POST", kChat, house.user, kHello);
    INFO(key.body << " " << session.body);
    CHECK(key.status == status);
    CHECK(session.status == status);
    if (status != 200) CHECK(code_of(key) == code_of(session));
  };
  compare(200);
  house.change_user(R"({"monthly_limit_usd":0})");
  compare(429);
  house.change_user(R"({"monthly_limit_usd":5,"allowed_models":["other"]})");
  compare(403);
  house.change_user(R"({"allowed_models":[],"status":"suspended"})");
  compare(403);
  house.change_user(R"({"status":"active"})");
  compare(200);
  // An Idempotency-Key of one user's is not another's.
  const std::string second =
      json_text(house
                    .admin("POST", "/admin/users",
                           R"({"email":"bob@example.com","monthly_limit_usd":5,"org_id":")" +
                               house.org + "\"}")
                    .body,
                "user_id");
  const size_t before = house.provider.bodies().size();
  for (const std::string& user : {house.user, second, house.user, second}) {
    CHECK(ask(house.app, owner, "POST", kChat, user, kHello, {{"Idempotency-Key", "one"}}).status ==
          200);
  }
  CHECK(house.provider.bodies().size() == before + 2);
}

TEST_CASE("session at /v1: a stream ends with the membership", "[contract][app][portal]") {
  AiHouse house;
  Browser owner = set_up(house.app);
  Browser member = join(house.app, owner, "member@example.com", "member");
  house.provider.say_hello_for_good();
  const auto begin = [&](RawClient& client) {
    REQUIRE(client.send("POST " + kChat + " HTTP/1.1\r\nHost: x\r\nCookie: " + member.cookie +
                        "\r\nX-CSRF-Token: " + member.csrf + "\r\nOrigin: " + member.origin() +
                        "\r\nX-Kvcs-User: " + house.user + "\r\nContent-Length: " +
                        std::to_string(kHelloStream.size()) + "\r\n\r\n" + kHelloStream));
    std::string got;
    while (got.find("Hello") == got.npos) {
      const std::string more = client.read_some();
      REQUIRE_FALSE(more.empty());
      got += more;
    }
  };
  const std::string member_path = "/api/v1/members/" + person_of(member);
  RawClient stream(house.app.port());
  begin(stream);
  REQUIRE(owner.send("PATCH", member_path, R"({"role":"viewer"})").status == 200);
  std::string rest;
  for (std::string more; !(more = stream.read_some()).empty();) rest += more;
  CHECK(rest.find("0\r\n\r\n") == rest.npos);
}

TEST_CASE("session at a tool: a member calls for a user of the tenant's organization",
          "[contract][app][portal][gateway]") {
  FakeProvider provider;
  GatewayApp gateway(provider.server());
  const TestApp& app = gateway.app;
  Browser owner = set_up(app);
  const Json all = json_of(gateway.admin("GET", "/admin/organizations"))["organizations"];
  std::string kahuna;
  for (const Json& one : all) {
    if (one["slug"] == "kahuna") kahuna = one["org_id"].get<std::string>();
  }
  const auto user_of = [&](const std::string& organization) {
    return json_text(gateway
                         .admin("POST", "/admin/users",
                                R"({"email":"u@example.com","org_id":")" + organization + "\"}")
                         .body,
                     "user_id");
  };
  const std::string user = user_of(kahuna), elsewhere = user_of(app.credential("organization_id"));
  const auto call = [&](const std::string& of, const std::string& tenant = "kahuna") {
    return ask(app, owner, "POST", "/api/v1/" + tenant + "/local", of, R"({"path":"/v1/x"})");
  };
  // Not a member yet.
  CHECK(call(user).status == 404);
  const std::string person = person_of(owner);
  Parts& parts = gateway.app.parts();
  const AuditContext who{"test", "test", ""};
  REQUIRE(parts.members->add(kahuna, person, OrgRole::kViewer, who).ok());
  CHECK(code_of(call(user)) == "INSUFFICIENT_ROLE");
  const auto any = [](OrgRole) { return ok(); };
  REQUIRE(parts.members->set_role(kahuna, person, OrgRole::kMember, who, any).ok());
  const RawResponse answer = call(user);
  INFO(answer.body);
  CHECK(answer.status == 200);
  CHECK(has(provider.heads().back(), "Bearer upstream-secret-1"));
  CHECK(call("").status == 400);
  CHECK(code_of(call("")) == "USER_REQUIRED");
  CHECK(code_of(call(elsewhere)) == "USER_NOT_FOUND");
  CHECK(code_of(call(user, "default")) == "USER_NOT_FOUND");
  const RawResponse forged =
      app.call("POST", "/api/v1/kahuna/local",
               {{"Cookie", owner.cookie}, {"X-Kvcs-User", user}, {"Origin", owner.origin()}},
               R"({"path":"/v1/x"})");
  CHECK(forged.status == 403);
  CHECK(code_of(forged) == "CSRF_TOKEN_MISSING");
  REQUIRE(gateway.admin("PATCH", "/admin/users/" + user, R"({"status":"suspended"})").status ==
          200);
  CHECK(code_of(call(user)) == "USER_SUSPENDED");
  REQUIRE(gateway.admin("POST", "/admin/organizations/" + kahuna + "/suspend").status == 200);
  CHECK(code_of(call(user)) == "TENANT_SUSPENDED");
}
