// Goal: people begin and end sessions as they expect, and nobody else does it for them. Method: a
// whole daemon over HTTP, asked as a browser asks, and as a page of another site makes one ask.
#include <nlohmann/json.hpp>

#include <thread>

#include "kv/keyspace.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string sign_in_body(const std::string& password) {
  return R"({"email":"ada@example.com","password":")" + password + "\"}";
}

}  // namespace

TEST_CASE("sign-in: the setup link makes the first person, once", "[contract][app][portal]") {
  TestApp app;
  const std::string token = setup_token(app);
  const auto body = [&](const std::string& of, const std::string& password) {
    return R"({"token":")" + of + R"(","email":"Ada@Example.com","password":")" + password + "\"}";
  };
  Browser browser(app);
  CHECK(browser.send("POST", "/auth/setup", body("guess", kGoodPassword)).status == 401);
  // What is refused for its own sake does not spend the link.
  const RawResponse weak = browser.send("POST", "/auth/setup", body(token, "password1"));
  CHECK(weak.status == 400);
  CHECK(weak.body.find("guessed first") != std::string::npos);
  CHECK(browser.send("POST", "/auth/setup", body(token, "short")).status == 400);
  const std::string named = body(token, kGoodPassword);
  CHECK(browser
            .send("POST", "/auth/setup",
                  named.substr(0, named.size() - 1) + R"(,"name":"Ada\r\nEve"})")
            .status == 400);
  const auto is_set_up = [&] { return json_of(app.call("GET", "/auth/providers"))["set_up"]; };
  CHECK(is_set_up() == false);
  const RawResponse made = browser.send("POST", "/auth/setup", body(token, kGoodPassword));
  CHECK(is_set_up() == true);
  REQUIRE(made.status == 201);
  CHECK(std::string(made.header("set-cookie")).find("HttpOnly; SameSite=Lax") != std::string::npos);
  CHECK(browser.send("POST", "/auth/setup", body(token, kGoodPassword)).status == 401);

  const Json me = json_of(browser.send("GET", "/api/v1/me"));
  CHECK(me["kind"] == "person");
  CHECK(me["email"] == "ada@example.com");
  CHECK(me["email_verified"] == false);  // As a local account's never is.
  CHECK(me["operator_role"] == "owner");
  CHECK(me["csrf_token"] == browser.csrf);
  CHECK(me["organization_id"] == app.credential("organization_id"));
  CHECK(me["project_id"] == app.credential("project_id"));
  REQUIRE(me["organizations"].size() == 1);
  CHECK(me["organizations"][0]["role"] == "owner");
  // An operator's session is let into /admin, and its changes are audited as the person's.
  CHECK(browser.send("GET", "/admin/organizations").status == 200);
  CHECK(browser.send("POST", "/admin/organizations", R"({"name":"Other"})").status == 201);
}

TEST_CASE("sign-in: of two who use one setup link at once one gets in", "[fault][app][portal]") {
  TestApp app;
  std::vector<int> statuses(6);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < statuses.size(); i++) {
    threads.emplace_back([&, i] {
      Browser browser(app);
      statuses[i] =
          browser
              .send("POST", "/auth/setup",
                    R"({"token":")" + setup_token(app) + R"(","email":"p)" + std::to_string(i) +
                        R"(@example.com","password":")" + kGoodPassword + "\"}")
              .status;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(std::count(statuses.begin(), statuses.end(), 201) == 1);
  CHECK(std::count(statuses.begin(), statuses.end(), 401) == 5);
}

TEST_CASE("sign-in: a password opens a session, a wrong one tells nothing",
          "[contract][app][portal]") {
  TestApp app;
  Browser first = set_up(app);
  Browser second(app);
  CHECK(second.send("POST", "/auth/login", sign_in_body(kGoodPassword)).status == 200);
  CHECK(second.send("GET", "/api/v1/me").status == 200);
  CHECK(second.cookie != first.cookie);
  const RawResponse wrong = app.call("POST", "/auth/login", {}, sign_in_body("wrong"));
  const RawResponse nobody =
      app.call("POST", "/auth/login", {},
               R"({"email":"nobody@example.com","password":"correct horse battery staple"})");
  CHECK(wrong.status == 401);
  CHECK(nobody.status == 401);
  const auto words = [](const RawResponse& answer) { return json_text(answer.body, "error"); };
  CHECK(words(wrong) == words(nobody));
  // A guesser is slowed down; whoever comes from elsewhere is not.
  int refused = 0;
  for (int i = 0; i < 15; i++) {
    refused += app.call("POST", "/auth/login", {}, sign_in_body("wrong")).status == 429;
  }
  CHECK(refused > 0);
}

TEST_CASE("sign-in: sessions are listed, ended one by one and all at once",
          "[contract][app][portal]") {
  TestApp app;
  Browser first = set_up(app);
  Browser second(app), third(app);
  REQUIRE(second.send("POST", "/auth/login", sign_in_body(kGoodPassword)).status == 200);
  REQUIRE(third.send("POST", "/auth/login", sign_in_body(kGoodPassword)).status == 200);
  const Json sessions = json_of(first.send("GET", "/api/v1/me/sessions"))["sessions"];
  REQUIRE(sessions.size() == 3);
  CHECK(sessions[2]["current"] == true);
  // As it is known in memory: the store is told once a minute.
  CHECK(sessions[2]["last_used_at"].is_string());
  CHECK(sessions[0]["provider"] == "password");
  const std::string newest = sessions[0]["session_id"].get<std::string>();
  CHECK(first.send("DELETE", "/api/v1/me/sessions/" + newest).status == 204);
  CHECK(third.send("GET", "/api/v1/me").status == 401);
  CHECK(second.send("GET", "/api/v1/me").status == 200);
  CHECK(first.send("DELETE", "/api/v1/me/sessions").status == 204);
  CHECK(second.send("GET", "/api/v1/me").status == 401);
  CHECK(first.send("GET", "/api/v1/me").status == 200);
  const std::string cookie = first.cookie;
  CHECK(json_of(first.send("POST", "/auth/logout"))["url"].is_null());
  CHECK(app.call("GET", "/api/v1/me", {{"Cookie", cookie}}).status == 401);
  // No record of any of them is left to be used.
  CHECK(app.parts().kv->scan(KvFamily::kSystem, keyspace::kSessionPrefix, "", 10)->items.empty());
}

TEST_CASE("sign-in: a new password ends all sessions but the one that gave it",
          "[contract][app][portal]") {
  TestApp app;
  Browser first = set_up(app);
  Browser second(app);
  REQUIRE(second.send("POST", "/auth/login", sign_in_body(kGoodPassword)).status == 200);
  const std::string old_cookie = first.cookie;
  const auto change = [](const std::string& current, const std::string& wanted) {
    return R"({"current_password":")" + current + R"(","new_password":")" + wanted + "\"}";
  };
  const std::string fresh = "another violin under seven clouds";
  CHECK(first.send("POST", "/auth/password", change("wrong", fresh)).status == 403);
  CHECK(first.send("POST", "/auth/password", change(kGoodPassword, "ada@example")).status == 400);
  REQUIRE(first.send("POST", "/auth/password", change(kGoodPassword, fresh)).status == 200);
  CHECK(first.cookie != old_cookie);
  CHECK(first.send("GET", "/api/v1/me").status == 200);
  CHECK(app.call("GET", "/api/v1/me", {{"Cookie", old_cookie}}).status == 401);
  CHECK(second.send("GET", "/api/v1/me").status == 401);
  CHECK(app.call("POST", "/auth/login", {}, sign_in_body(kGoodPassword)).status == 401);
  CHECK(app.call("POST", "/auth/login", {}, sign_in_body(fresh)).status == 200);
}

TEST_CASE("sign-in: a request that another site's page makes changes nothing",
          "[contract][app][portal]") {
  TestApp app;
  Browser browser = set_up(app);
  const std::string here = browser.origin();
  const auto ask = [&](TestApp::Headers headers) {
    headers.emplace_back("Cookie", browser.cookie);
    return app.call("POST", "/admin/organizations", std::move(headers), R"({"name":"Evil"})");
  };
  CHECK(ask({}).status == 403);
  CHECK(ask({{"Origin", here}}).status == 403);
  CHECK(ask({{"X-CSRF-Token", browser.csrf}}).status == 403);
  CHECK(ask({{"Origin", "http://evil.example"}, {"X-CSRF-Token", browser.csrf}}).status == 403);
  CHECK(ask({{"Origin", "null"}, {"X-CSRF-Token", browser.csrf}}).status == 403);
  CHECK(ask({{"Origin", here}, {"X-CSRF-Token", "x" + browser.csrf.substr(1)}}).status == 403);
  // What Host says does not matter: it is the caller's word.
  RawClient client(app.port());
  REQUIRE(client.send(
      "POST /admin/organizations HTTP/1.1\r\nHost: evil.example\r\nCookie: " + browser.cookie +
      "\r\nX-CSRF-Token: " + browser.csrf +
      "\r\nOrigin: http://evil.example\r\nContent-Length: 15\r\n\r\n{\"name\":\"Evil\"}"));
  CHECK(client.read_response().status == 403);
  const std::string evil = "http://evil.example";
  CHECK(ask({{"Origin", here}, {"X-CSRF-Token", browser.csrf}}).status == 201);
  // A page elsewhere cannot sign its reader in as somebody else, either.
  CHECK(app.call("POST", "/auth/login", {{"Origin", evil}}, sign_in_body(kGoodPassword)).status ==
        403);
  // As a bearer the token is sent by nobody's browser.
  const std::string token = browser.cookie.substr(browser.cookie.find('=') + 1);
  CHECK(app.as(token, "POST", "/admin/organizations", R"({"name":"Mine"})").status == 201);
}

TEST_CASE("sign-in: what came as a cookie is a session or nothing", "[contract][app][portal]") {
  TestApp app;
  const auto me = [&](const std::string& cookie) {
    return app.call("GET", "/api/v1/me", {{"Cookie", cookie}}).status;
  };
  CHECK(me("kvcs_session=ks_" + std::string(64, '0')) == 401);
  CHECK(me("kvcs_session=") == 401);
  CHECK(me("kvcs_session=" + std::string(2000, 'x')) == 401);
  CHECK(me("other=1; kvcs_session=\"ks_\"") == 401);
}
