// Goal: a person turns a second factor on, signs in with it, and gets rid of it; an operator takes
// it off for somebody who lost it. Method: a whole daemon over HTTP, and an app that computes
// codes.
#include "portal/totp.h"

#include <nlohmann/json.hpp>

#include "support/base32.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kSignIn =
    std::string(R"({"email":"ada@example.com","password":")") + kGoodPassword + "\"}";

const std::string kAsk = std::string(R"({"current_password":")") + kGoodPassword + "\"}";

std::string code_body(const std::string& code) {
  return R"({"code":")" + code + "\"}";
}
std::string proof_body(const std::string& code) {
  return dump_json(Json{{"current_password", kGoodPassword}, {"code", code}});
}

// The second factor of somebody, turned on.
struct Factor {
  std::string secret;
  int64_t step = 0;  // Of the code that turned it on.
  Json recovery_codes;

  std::string next_code() const { return portal::totp_code(secret, step + 1); }
  std::string recovery(size_t at) const { return recovery_codes.at(at).get<std::string>(); }
};
Factor turn_on(TestApp& app, Browser& person) {
  const Json begun = json_of(person.send("POST", "/auth/totp", kAsk));
  Factor factor{from_base32(begun["secret"].get<std::string>()),
                app.parts().clock().unix_ms() / 1000 / portal::kTotpStepS,
                {}};
  const RawResponse on = person.send("POST", "/auth/totp/confirm",
                                     code_body(portal::totp_code(factor.secret, factor.step)));
  INFO(on.body);
  REQUIRE(on.status == 200);
  factor.recovery_codes = json_of(on)["recovery_codes"];
  return factor;
}

}  // namespace

TEST_CASE("totp: a sign-in by password asks for a code from then on", "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  CHECK(app.call("POST", "/auth/totp").status == 401);
  // A session alone may be a stolen one.
  CHECK(ada.send("POST", "/auth/totp").status == 400);
  const RawResponse wrong = ada.send("POST", "/auth/totp", R"({"current_password":"guess"})");
  CHECK(wrong.status == 403);
  CHECK(json_text(wrong.body, "code") == "wrong_password");
  CHECK(json_of(ada.send("GET", "/api/v1/me"))["second_factor"] == false);
  const Json begun = json_of(ada.send("POST", "/auth/totp", kAsk));
  const std::string secret = from_base32(begun["secret"].get<std::string>());
  const int64_t began_step = app.parts().clock().unix_ms() / 1000 / portal::kTotpStepS;
  const auto code = [&](int64_t steps) { return portal::totp_code(secret, began_step + steps); };
  CHECK(ada.send("POST", "/auth/totp/confirm", code_body("12345")).status == 403);
  const RawResponse on = ada.send("POST", "/auth/totp/confirm", code_body(code(0)));
  INFO(on.body);
  REQUIRE(on.status == 200);
  const Json recovery = json_of(on)["recovery_codes"];
  REQUIRE(recovery.size() == 10);
  CHECK(json_of(ada.send("GET", "/api/v1/me"))["second_factor"] == true);

  Browser other(app);
  const RawResponse first = other.send("POST", "/auth/login", kSignIn);
  CHECK(first.status == 200);
  CHECK(first.header("set-cookie").empty());
  const Json step = json_of(first);
  CHECK(step["totp_required"] == true);
  const auto second = [&](const Json& ticket, const std::string& with) {
    return other.send("POST", "/auth/login/totp",
                      dump_json(Json{{"ticket", ticket}, {"code", with}}));
  };
  CHECK(second("guess", code(1)).status == 401);
  CHECK(second(step["ticket"], code(0)).status == 401);
  CHECK(second(step["ticket"], code(1)).status == 200);
  CHECK(other.send("GET", "/api/v1/me").status == 200);
  // The same ticket, and the same code with a new one.
  CHECK(second(step["ticket"], code(1)).status == 401);
  const Json again = json_of(other.send("POST", "/auth/login", kSignIn))["ticket"];
  CHECK(second(again, code(1)).status == 401);
  CHECK(second(again, recovery[0].get<std::string>()).status == 200);

  CHECK(other.send("DELETE", "/auth/totp", proof_body(recovery[0].get<std::string>())).status ==
        403);
  const RawResponse bare = other.send("DELETE", "/auth/totp", kAsk);
  CHECK(bare.status == 400);
  CHECK(json_text(bare.body, "code") == "code_required");
  CHECK(other.send("DELETE", "/auth/totp", proof_body(recovery[1].get<std::string>())).status ==
        204);
  CHECK(json_of(other.send("POST", "/auth/login", kSignIn))["totp_required"] == false);
}

TEST_CASE("totp: with it the account ends, and gets another way in, by a code and the password",
          "[contract][app][portal]") {
  TestApp app([](Config& config) {
    config.auth.providers = R"({"idp": {"issuer": "http://127.0.0.1:1", "client_id": "kvcs"}})";
  });
  Browser ada = set_up(app);
  Browser bob = join(app, ada, "bob@example.com", "admin");
  CHECK(bob.send("DELETE", "/api/v1/me").status == 400);
  CHECK(bob.send("DELETE", "/api/v1/me", R"({"current_password":"guess"})").status == 403);
  const Factor factor = turn_on(app, bob);
  const auto end = [&](const std::string& code) {
    Json body{{"current_password", kGoodPassword}};
    if (!code.empty()) body["code"] = code;
    return bob.send("DELETE", "/api/v1/me", dump_json(body)).status;
  };
  CHECK(end("") == 400);  // Reason code_required.
  CHECK(bob.send("POST", "/auth/link/idp", kAsk).status == 400);
  CHECK(end("0000000") == 403);
  CHECK(bob.send("GET", "/api/v1/me").status == 200);
  CHECK(end(factor.recovery(0)) == 200);
  CHECK(bob.send("GET", "/api/v1/me").status == 401);
}

TEST_CASE("totp: the end of an account that is refused spends no recovery code",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  Browser bob = join(app, ada, "bob@example.com", "owner");
  const std::string other = json_text(
      bob.send("POST", "/api/v1/organizations", R"({"name":"Both"})").body, "organization_id");
  REQUIRE(bob.send("PATCH", "/api/v1/me", R"({"organization_id":")" + other + "\"}").status == 200);
  Browser eve = join(app, bob, "eve@example.com", "member");
  const Factor factor = turn_on(app, bob);
  const std::string recovery = factor.recovery(0);
  const RawResponse refused = bob.send("DELETE", "/api/v1/me", proof_body(recovery));
  CHECK(refused.status == 409);
  CHECK(json_text(refused.body, "code") == "last_owner");
  CHECK(bob.send("DELETE", "/auth/totp", proof_body(recovery)).status == 204);
}

TEST_CASE("totp: what asks for the password takes the longest there is",
          "[contract][app][portal]") {
  TestApp app([](Config& config) {
    config.auth.providers = R"({"idp": {"issuer": "http://127.0.0.1:1", "client_id": "kvcs"}})";
  });
  Browser ada = set_up(app);
  Browser bob = join(app, ada, "bob@example.com", "admin");
  // Each of its bytes is six in JSON, as some programs write it.
  std::string body = R"({"current_password":")";
  for (int i = 0; i < 1000; i++) body += "\\u0061";
  body += "\"}";
  for (const auto& [method, path] :
       {std::pair("POST", "/auth/totp"), std::pair("DELETE", "/auth/totp"),
        std::pair("DELETE", "/api/v1/me"), std::pair("POST", "/auth/link/idp")}) {
    INFO(method << " " << path);
    const RawResponse refused = bob.send(method, path, body);
    CHECK(refused.status == 403);
    CHECK(json_text(refused.body, "code") == "wrong_password");
  }
}

TEST_CASE("totp: whoever has a session alone neither takes it off nor locks its owner out",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  const Factor factor = turn_on(app, ada);
  for (int i = 0; i <= portal::kWrongCodesMax; i++) {
    CHECK(ada.send("DELETE", "/auth/totp", code_body("0000000")).status == 400);
  }
  // Not even a right code is enough, and a guessed password counts no code.
  const std::string next = factor.next_code();
  CHECK(ada.send("DELETE", "/auth/totp", code_body(next)).status == 400);
  const RawResponse guessed =
      ada.send("DELETE", "/auth/totp", R"({"current_password":"guess","code":"0000000"})");
  CHECK(json_text(guessed.body, "code") == "wrong_password");
  CHECK(ada.send("DELETE", "/auth/totp", proof_body(next)).status == 204);
}

TEST_CASE("totp: an operator takes it off, and nobody else", "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  Browser bob = join(app, ada, "bob@example.com", "admin");
  turn_on(app, bob);
  const std::string path = "/admin/people/" +
                           json_of(bob.send("GET", "/api/v1/me"))["person_id"].get<std::string>() +
                           "/totp";
  CHECK(bob.send("DELETE", path).status == 403);
  CHECK(ada.send("DELETE", "/admin/people/nobody/totp").status == 404);
  CHECK(ada.send("DELETE", path).status == 204);
  CHECK(ada.send("DELETE", path).status == 409);
  CHECK(json_of(bob.send("GET", "/api/v1/me"))["second_factor"] == false);
  const Json audit = json_of(app.as_owner("GET", "/admin/audit?limit=100"))["audit"];
  CHECK(std::any_of(audit.begin(), audit.end(), [](const Json& row) {
    const std::string key = row["key"].is_string() ? row["key"].get<std::string>() : "";
    return row["action"] == "delete" && key.ends_with(":totp");
  }));
}
