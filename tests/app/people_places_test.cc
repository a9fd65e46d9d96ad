// Goal: people see and take away by what they sign in, a browser has one session, and organizations
// made at once keep the limit. Method: a whole daemon over HTTP.
#include <nlohmann/json.hpp>

#include <atomic>
#include <thread>

#include "identity/people.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("people: a way to sign in is listed, and taken away with its sessions",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  Browser other = join(app, ada, "other@example.com", "viewer");
  const std::string all = "/api/v1/me/sign-ins";
  const Json local = json_of(ada.send("GET", all))["sign_ins"];
  REQUIRE(local.size() == 1);
  CHECK(local[0]["provider"] == "password");
  CHECK(local[0]["subject"] == "ada@example.com");
  const std::string one = all + "/" + local[0]["sign_in_id"].get<std::string>();
  CHECK(ada.send("DELETE", one).status == 409);
  CHECK(other.send("DELETE", one).status == 404);
  const std::string id = json_of(ada.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
  const SignIn second{"https://idp.example", "ada"};
  REQUIRE(app.parts().people->add_sign_in(id, second, {"test", "test", ""}).ok());
  const Json both = json_of(ada.send("GET", all))["sign_ins"];
  REQUIRE(both.size() == 2);
  CHECK((both[0]["provider"].is_null() || both[1]["provider"].is_null()));
  CHECK(ada.send("DELETE", all + "/" + sign_in_id(second)).status == 204);
  REQUIRE(app.parts().people->add_sign_in(id, second, {"test", "test", ""}).ok());
  CHECK(ada.send("DELETE", one).status == 204);
  // The session began by the password.
  CHECK(ada.send("GET", all).status == 401);
  CHECK(app.call("POST", "/auth/login", {},
                 std::string(R"({"email":"ada@example.com","password":")") + kGoodPassword + "\"}")
            .status == 401);
}

TEST_CASE("sign-in: the session that the browser had ends with the next one",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  const std::string before = ada.cookie;
  const std::string sign_in =
      std::string(R"({"email":"ada@example.com","password":")") + kGoodPassword + "\"}";
  REQUIRE(ada.send("POST", "/auth/login", sign_in).status == 200);
  CHECK(ada.cookie != before);
  CHECK(app.call("GET", "/api/v1/me", {{"Cookie", before}}).status == 401);
  CHECK(json_of(ada.send("GET", "/api/v1/me/sessions"))["sessions"].size() == 1);
}

TEST_CASE("places: organizations made at once keep the limit", "[fault][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  std::atomic<int> made{0}, full{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; i++) {
    threads.emplace_back([&, i, browser = ada]() mutable {
      for (int k = 0; k < 6; k++) {
        const std::string name = "o" + std::to_string(i) + "-" + std::to_string(k);
        const RawResponse answer =
            browser.send("POST", "/api/v1/organizations", R"({"name":")" + name + "\"}");
        made += answer.status == 201;
        full += answer.body.find("may own 20") != std::string::npos;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // And `default`, which the first person owns.
  CHECK(made == 19);
  CHECK(full == 36 - 19);
  CHECK(json_of(ada.send("GET", "/api/v1/organizations"))["organizations"].size() == 20);
}

TEST_CASE("places: slugs that a role_map names are the operators' to give",
          "[contract][app][portal]") {
  TestApp app([](Config& config) {
    config.auth.providers =
        "{idp: {issuer: 'https://idp.example', client_id: kvcs, role_claim: groups, role_map: "
        "{staff: acme/member}}}";
  });
  Browser ada = set_up(app);
  for (const char* body : {R"({"name":"Mine","slug":"acme"})", R"({"name":"Acme"})"}) {
    const RawResponse refused = ada.send("POST", "/api/v1/organizations", body);
    CHECK(refused.status == 400);
    CHECK(json_text(refused.body, "code") == "slug_reserved");
    CHECK(refused.body.find("kept for an organization of the operators") != std::string::npos);
  }
  const std::string own = "/api/v1/organizations/" + app.credential("organization_id");
  CHECK(ada.send("PATCH", own, R"({"slug":"acme"})").status == 400);
  CHECK(app.as_owner("POST", "/admin/organizations", R"({"name":"Acme","slug":"acme"})").status ==
        201);
}

TEST_CASE("places: an organization that a role_map names keeps its own slug in a change",
          "[contract][app][portal]") {
  TestApp app([](Config& config) {
    config.auth.providers =
        "{idp: {issuer: 'https://idp.example', client_id: kvcs, role_claim: groups, role_map: "
        "{staff: default/member}}}";
  });
  Browser ada = set_up(app);
  const std::string own = "/api/v1/organizations/" + app.credential("organization_id");
  const RawResponse changed = ada.send("PATCH", own, R"({"name":"Ours","slug":"default"})");
  INFO(changed.body);
  CHECK(changed.status == 200);
  CHECK(json_text(changed.body, "name") == "Ours");
}

TEST_CASE("places: who owns as many as one may is made the owner of no other",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  Browser bob = join(app, ada, "bob@example.com", "member");
  const std::string id = json_of(bob.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
  for (int i = 0; i < 20; i++) {
    REQUIRE(bob.send("POST", "/api/v1/organizations", R"({"name":"o)" + std::to_string(i) + "\"}")
                .status == 201);
  }
  const RawResponse given = ada.send("POST", "/api/v1/owner", R"({"person_id":")" + id + "\"}");
  CHECK(given.status == 409);
  CHECK(json_text(given.body, "code") == "organizations_full");
  CHECK(given.body.find("may own 20") != std::string::npos);
  CHECK(ada.send("PATCH", "/api/v1/members/" + id, R"({"role":"owner"})").status == 409);
  CHECK(ada.send("PATCH", "/api/v1/members/" + id, R"({"role":"admin"})").status == 200);
}

TEST_CASE("people: names that mislead are refused wherever one is given",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  const std::string bad = R"({"name":"a\u202eb"})", escape = R"({"name":"a\u001b[31mb"})";
  for (const std::string& body : {bad, escape}) {
    CHECK(ada.send("PATCH", "/api/v1/me", body).status == 400);
    CHECK(ada.send("POST", "/api/v1/organizations", body).status == 400);
    CHECK(ada.send("POST", "/api/v1/projects", body).status == 400);
    CHECK(ada.send("PATCH", "/api/v1/organizations/" + app.credential("organization_id"), body)
              .status == 400);
    CHECK(app.as_owner("POST", "/admin/organizations", body).status == 400);
  }
  CHECK(ada.send("POST", "/api/v1/invitations", R"({"role":"viewer","email":"a\u202eb@x.io"})")
            .status == 400);
}
