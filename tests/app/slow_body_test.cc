// Goal: whoever holds a request's body back does not act by rights that were taken away meanwhile.
// Method: a whole daemon over HTTP; the client waits for "100 Continue", which comes behind the
// guard, then the rights go, then the body is sent.
#include <nlohmann/json.hpp>

#include <functional>

#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// A POST whose body is sent once `between` has run.
RawResponse post_slowly(const TestApp& app, const std::string& credentials, const std::string& path,
                        const std::string& body, const std::function<void()>& between) {
  RawClient client(app.port());
  REQUIRE(client.send("POST " + path + " HTTP/1.1\r\nHost: x\r\n" + credentials +
                      "Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: " +
                      std::to_string(body.size()) + "\r\n\r\n"));
  REQUIRE(client.read_response(false, true).status == 100);
  between();
  REQUIRE(client.send(body));
  return client.read_response();
}

std::string cookies_of(const Browser& browser) {
  return "Cookie: " + browser.cookie + "\r\nOrigin: " + browser.origin() +
         "\r\nX-CSRF-Token: " + browser.csrf + "\r\n";
}

std::string person_of(Browser& browser) {
  return json_of(browser.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
}

}  // namespace

TEST_CASE("slow bodies: a person's rights are those of the moment when the body is here",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser admin = join(app, owner, "admin@example.com", "admin");
  Browser second = join(app, owner, "second@example.com", "owner");
  Browser third = join(app, owner, "third@example.com", "admin");
  const std::string invitation = R"({"role":"admin"})", members = "/api/v1/members/";
  const auto invite = [&](Browser& by, const std::function<void()>& between) {
    return post_slowly(app, cookies_of(by), "/api/v1/invitations", invitation, between);
  };
  CHECK(invite(owner, [] {}).status == 201);
  // Reason rights_changed.
  const std::string second_id = person_of(second);
  const RawResponse demoted = invite(second, [&] {
    CHECK(owner.send("PATCH", members + second_id, R"({"role":"member"})").status == 200);
  });
  CHECK(demoted.status == 403);
  CHECK(demoted.body.find("taken away") != std::string::npos);
  const std::string admin_id = person_of(admin);
  const RawResponse removed =
      invite(admin, [&] { CHECK(owner.send("DELETE", members + admin_id).status == 204); });
  CHECK(removed.status == 403);
  CHECK(removed.body.find("taken away") != std::string::npos);
  CHECK(invite(third, [&] { CHECK(third.send("POST", "/auth/logout").status == 200); }).status ==
        401);
  // What was given meanwhile counts, too.
  const RawResponse raised =
      post_slowly(app, cookies_of(second), "/api/v1/organizations", R"({"name":"Mine"})", [&] {
        CHECK(owner.send("PATCH", members + second_id, R"({"role":"owner"})").status == 200);
      });
  CHECK(raised.status == 201);
  CHECK(json_of(owner.send("GET", "/api/v1/invitations"))["invitations"].size() == 1);
}

TEST_CASE("slow bodies: a key, and an operator, that are gone when the body is here do nothing",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  const std::string wanted = R"({"name":"again","role":"owner"})";
  const Json key = json_of(app.as_owner("POST", "/admin/admin-keys", wanted));
  const std::string id = key["key_id"].get<std::string>();
  const std::string bearer =
      "Authorization: Bearer " + key["admin_key"].get<std::string>() + "\r\n";
  CHECK(post_slowly(app, bearer, "/admin/admin-keys", wanted, [&] {
          CHECK(app.as_owner("DELETE", "/admin/admin-keys/" + id).status == 200);
        }).status == 401);
  Browser operator_of = join(app, owner, "op@example.com", "viewer");
  const std::string person = "/admin/people/" + person_of(operator_of);
  REQUIRE(owner.send("PATCH", person, R"({"operator_role":"owner"})").status == 200);
  const std::string sign_in =
      std::string(R"({"email":"op@example.com","password":")") + kGoodPassword + "\"}";
  REQUIRE(operator_of.send("POST", "/auth/login", sign_in).status == 200);
  const RawResponse suspended = post_slowly(
      app, cookies_of(operator_of), "/admin/admin-keys", wanted,
      [&] { CHECK(owner.send("PATCH", person, R"({"status":"suspended"})").status == 200); });
  CHECK(suspended.status == 401);
}
