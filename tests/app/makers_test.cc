// Goal: what somebody was allowed to make is worth no more than what is left to them when it is
// used. Method: a whole daemon over HTTP; a maker loses the right between the making and the use.
#include <nlohmann/json.hpp>

#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string token_of(const std::string& url) {
  return url.substr(url.find("token=") + 6);
}

std::string id_of(Browser& person) {
  return json_of(person.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
}

RawResponse set_up_by(const TestApp& app, const std::string& token) {
  return app.call("POST", "/auth/setup", {},
                  R"({"token":")" + token + R"(","email":"new@example.com","password":")" +
                      kGoodPassword + "\"}");
}

RawResponse reset_by(const TestApp& app, const std::string& token) {
  return app.call("POST", "/auth/reset/confirm", {},
                  R"({"token":")" + token + R"(","password":"another violin of seven clouds"})");
}

struct Makers {
  TestApp app;
  Browser ada = set_up(app);
  Browser bob = join(app, ada, "bob@example.com", "member");
  std::string bob_id = id_of(bob);

  void make_operator() {
    const RawResponse made =
        ada.send("PATCH", "/admin/people/" + bob_id, R"({"operator_role":"owner"})");
    INFO(made.body);
    REQUIRE(made.status == 200);
    // Who gets a role signs in anew.
    REQUIRE(
        bob.send("POST", "/auth/login",
                 R"({"email":"bob@example.com","password":")" + std::string(kGoodPassword) + "\"}")
            .status == 200);
  }
  std::string setup_link() {
    return token_of(json_text(bob.send("POST", "/admin/setup-link").body, "setup_url"));
  }
  std::string reset_link() {
    const std::string path = "/admin/people/" + id_of(ada) + "/reset-link";
    return token_of(json_text(bob.send("POST", path).body, "reset_url"));
  }
};

}  // namespace

TEST_CASE("makers: links of an operator end with the role, and with a suspension",
          "[contract][app][portal]") {
  const std::string loss = GENERATE(R"({"operator_role":null})", R"({"operator_role":"admin"})",
                                    R"({"status":"suspended"})");
  Makers m;
  m.make_operator();
  const std::string setup = m.setup_link(), reset = m.reset_link();
  REQUIRE(m.ada.send("PATCH", "/admin/people/" + m.bob_id, loss).status == 200);
  CHECK(set_up_by(m.app, setup).status == 401);
  CHECK(reset_by(m.app, reset).status == 401);
}

TEST_CASE("makers: links go on while their operator is one", "[contract][app][portal]") {
  Makers m;
  m.make_operator();
  const std::string setup = m.setup_link(), reset = m.reset_link();
  // A sign-out takes nothing from the person.
  REQUIRE(m.bob.send("POST", "/auth/logout").status < 300);
  CHECK(set_up_by(m.app, setup).status == 201);
  CHECK(reset_by(m.app, reset).status == 204);
}

TEST_CASE("makers: a setup link ends with the admin key that made it", "[contract][app][portal]") {
  TestApp app;
  const Json key =
      json_of(app.as_owner("POST", "/admin/admin-keys", R"({"name":"late","role":"owner"})"));
  const std::string bearer = key["admin_key"].get<std::string>();
  const std::string token =
      token_of(json_text(app.as(bearer, "POST", "/admin/setup-link").body, "setup_url"));
  REQUIRE(app.as_owner("DELETE", "/admin/admin-keys/" + key["key_id"].get<std::string>()).status <
          300);
  CHECK(set_up_by(app, token).status == 401);
  const std::string kept =
      token_of(json_text(app.as_owner("POST", "/admin/setup-link").body, "setup_url"));
  CHECK(set_up_by(app, kept).status == 201);
}

TEST_CASE("makers: a device is let in while the session goes on that let it in",
          "[contract][app][portal]") {
  Makers m;
  const auto begin = [&] {
    return json_of(m.app.call("POST", "/auth/device", {}, "device_name=box"));
  };
  const auto ask = [&](const Json& device) {
    return m.app.call("POST", "/auth/device/token", {},
                      "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code"
                      "&device_code=" +
                          device["device_code"].get<std::string>());
  };
  const auto allow = [&](const Json& device) {
    const std::string path = "/auth/device/" + device["user_code"].get<std::string>();
    REQUIRE(m.bob.send("POST", path, R"({"allow":true})").status == 204);
  };
  const Json kept = begin(), late = begin();
  allow(kept);
  CHECK(ask(kept).status == 200);
  allow(late);
  // A new password ends all sessions, the stolen one too.
  REQUIRE(m.bob
              .send("POST", "/auth/password",
                    R"({"current_password":")" + std::string(kGoodPassword) +
                        R"(","new_password":"another violin of seven clouds"})")
              .status == 200);
  const RawResponse refused = ask(late);
  CHECK(refused.status == 400);
  CHECK(json_text(refused.body, "error") == "access_denied");
}

TEST_CASE("makers: what is answered to somebody is nobody else's to keep",
          "[contract][app][portal]") {
  Makers m;
  for (const char* path : {"/admin/people", "/admin/organizations", "/api/v1/me"}) {
    CHECK(m.ada.send("GET", path).header("cache-control") == "private, no-store");
    CHECK(m.app.call("GET", path).header("cache-control") == "private, no-store");
  }
  CHECK(m.app.call("GET", "/auth/providers").header("cache-control").empty());
}
