// Goal: a page can say what a link is for, and whether it works still, before anybody fills in a
// form; asking spends nothing and is bounded. Method: a whole daemon over HTTP.
#include <nlohmann/json.hpp>

#include "portal/team_api.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string token_body(const std::string& token) {
  return R"({"token":")" + token + "\"}";
}
std::string token_of(const std::string& url) {
  return url.substr(url.find("token=") + 6);
}
RawResponse look(const TestApp& app, const std::string& path, const std::string& token) {
  return app.call("POST", path, {}, token_body(token));
}

bool works(const TestApp& app, const std::string& path, const std::string& token) {
  const RawResponse answer = look(app, path, token);
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  return json_of(answer)["works"] == true;
}

struct Invited {
  Json invite(const std::string& body) {
    return json_of(owner.send("POST", "/api/v1/invitations", body));
  }
  Json look_up(const Json& invitation) {
    const RawResponse answer =
        look(app, "/auth/invitation", invitation["token"].get<std::string>());
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return json_of(answer);
  }

  // No time passes, in which a rate would have more.
  ManualClock clock{1'769'947'200'000};
  TestApp app{AppOptions{.clock = &clock, .kv_faults = {}}};
  Browser owner = set_up(app);
};

}  // namespace

TEST_CASE("links: an invitation tells who invites whom where and as what, and stays open",
          "[contract][app][portal]") {
  Invited house;
  const Json made = house.invite(R"({"email":"Grace@Example.com","role":"admin"})");
  for (int i = 0; i < 2; i++) {
    CHECK(house.look_up(made) == Json{{"state", "open"},
                                      {"organization", "default"},
                                      {"role", "admin"},
                                      {"invited_by", "Ada"},
                                      {"email", "grace@example.com"},
                                      {"expires_at", made["expires_at"]}});
  }
  CHECK(house.look_up(house.invite(R"({"role":"viewer"})"))["email"].is_null());
  CHECK(json_of(house.owner.send("GET", "/api/v1/invitations"))["invitations"].size() == 2);
  CHECK(house.app
            .call("POST", "/auth/register", {},
                  R"({"token":")" + made["token"].get<std::string>() + R"(","password":")" +
                      kGoodPassword + "\"}")
            .status == 201);
}

TEST_CASE("links: an invitation that works no longer tells why", "[contract][app][portal]") {
  Invited house;
  const Json none{{"state", "withdrawn"},  {"organization", nullptr}, {"role", nullptr},
                  {"invited_by", nullptr}, {"email", nullptr},        {"expires_at", nullptr}};
  const Json withdrawn = house.invite(R"({"email":"grace@example.com","role":"member"})");
  const std::string path = "/api/v1/invitations/" + withdrawn["invitation_id"].get<std::string>();
  const Json renewed = json_of(house.owner.send("POST", path + "/resend"));
  CHECK(house.look_up(withdrawn) == none);
  CHECK(house.look_up(renewed)["state"] == "open");
  REQUIRE(house.owner.send("DELETE", path).status == 204);
  CHECK(house.look_up(renewed) == none);

  const Json used = house.invite(R"({"email":"joan@example.com","role":"member"})");
  REQUIRE(house.app
              .call("POST", "/auth/register", {},
                    R"({"token":")" + used["token"].get<std::string>() + R"(","password":")" +
                        kGoodPassword + "\"}")
              .status == 201);
  Json told = house.look_up(used);
  CHECK(told["state"] == "used");
  CHECK(told["organization"] == "default");
  CHECK(told["email"].is_null());
  // The reason of accept is what it was.
  const RawResponse late = house.owner.send("POST", "/api/v1/invitations/accept",
                                            token_body(used["token"].get<std::string>()));
  CHECK(late.status == 404);
  CHECK(house.app
            .call("POST", "/auth/invitation", {{"Origin", "http://evil.example"}},
                  token_body("guess"))
            .status == 403);
  const RawResponse unknown = look(house.app, "/auth/invitation", "guess");
  CHECK(unknown.status == 404);
  CHECK(json_text(unknown.body, "code") == "invitation_invalid");
}

TEST_CASE("links: from one address invitations are looked at so often an hour",
          "[contract][app][portal]") {
  Invited house;
  const std::string open = house.invite(R"({"role":"viewer"})")["token"].get<std::string>();
  int seen = 0;
  RawResponse last;
  for (int64_t i = 0; i <= portal::kInvitationLooksFromAddressPerHour; i++) {
    last = look(house.app, "/auth/invitation", open);
    seen += last.status == 200;
  }
  CHECK(seen == portal::kInvitationLooksFromAddressPerHour);
  CHECK(last.status == 429);
  CHECK_FALSE(last.header("retry-after").empty());
}

TEST_CASE("links: an organization makes and renews so many invitations an hour",
          "[contract][app][portal]") {
  Invited house;
  const Json made = house.invite(R"({"role":"viewer"})");
  const std::string path =
      "/api/v1/invitations/" + made["invitation_id"].get<std::string>() + "/resend";
  int64_t taken = 1;
  RawResponse last;
  for (int64_t i = 0; i < portal::kInvitationsForOrganizationPerHour; i++) {
    last = house.owner.send("POST", path);
    taken += last.status == 200;
  }
  CHECK(taken == portal::kInvitationsForOrganizationPerHour);
  CHECK(last.status == 429);
  CHECK(house.owner.send("POST", "/api/v1/invitations", R"({"role":"viewer"})").status == 429);
}

TEST_CASE("links: a setup link says at once that it is spent", "[contract][app][portal]") {
  ManualClock clock(1'769'947'200'000);
  TestApp app(AppOptions{.clock = &clock, .kv_faults = {}});
  const std::string token = setup_token(app), path = "/auth/setup/look-up";
  for (int i = 0; i < 2; i++) CHECK(works(app, path, token));
  CHECK_FALSE(works(app, path, "guess"));
  CHECK(app.call("POST", path, {{"Origin", "http://evil.example"}}, token_body(token)).status ==
        403);
  (void)set_up(app);
  CHECK_FALSE(works(app, path, token));
  // Looks and tries are of one account: nobody guesses more often by them.
  RawResponse last;
  for (int i = 0; i < 12; i++) last = look(app, path, "guess");
  CHECK(last.status == 429);
  CHECK(json_text(last.body, "code") == "too_many_tries");
}

TEST_CASE("links: a link for a new password says at once that it is spent",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  const std::string id = json_of(ada.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
  const std::string made = "/admin/people/" + id + "/reset-link", path = "/auth/reset/look-up";
  const std::string first = token_of(json_text(app.as_owner("POST", made).body, "reset_url"));
  const std::string token = token_of(json_text(app.as_owner("POST", made).body, "reset_url"));
  CHECK_FALSE(works(app, path, first));
  for (int i = 0; i < 2; i++) CHECK(works(app, path, token));
  CHECK(app.call("POST", "/auth/reset/confirm", {},
                 R"({"token":")" + token + R"(","password":"another violin under seven clouds"})")
            .status == 204);
  CHECK_FALSE(works(app, path, token));
}

TEST_CASE("session: a page asks who is signed in, and nobody is an answer",
          "[contract][app][portal]") {
  TestApp app;
  Browser stranger(app);
  const RawResponse nobody = stranger.send("GET", "/auth/session");
  CHECK(nobody.status == 200);
  CHECK(json_of(nobody)["me"].is_null());
  CHECK(app.call("GET", "/auth/session", {{"Cookie", "kvcs_session=gone"}}).status == 200);
  Browser ada = set_up(app);
  const Json session = json_of(ada.send("GET", "/auth/session"));
  CHECK(session.at("me") == json_of(ada.send("GET", "/api/v1/me")));
  // A key is no session.
  CHECK(json_of(app.as_owner("GET", "/auth/session"))["me"].is_null());
  REQUIRE(ada.send("POST", "/auth/logout").status == 200);
  CHECK(json_of(ada.send("GET", "/auth/session"))["me"].is_null());
}
