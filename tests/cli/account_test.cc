// Goal: a second factor, a password and sessions are changed from a terminal, secrets are shown
// once and go nowhere else, and the login here outlives a new password. Method: the commands
// against a server on loopback that answers what the test says; a person's typing on stdin.
#include <nlohmann/json.hpp>

#include "cli/cli_desk.h"
#include "cli/credentials.h"

using namespace kvcs;
using namespace kvcs::cli;
using namespace kvcs::test;

namespace {

const CliAnswer kBegun{R"({"secret":"ABCDEFGHIJ","otpauth_url":"otpauth://totp/kvcs:a?secret=A"})",
                       "201 Created"};
const CliAnswer kCodes{R"({"recovery_codes":["aaaa-1111","bbbb-2222"]})"};

}  // namespace

TEST_CASE("account: a second factor is begun, confirmed and taken off", "[unit][cli]") {
  CliDesk desk;
  desk.answer({kBegun, kCodes});
  {
    const Stdin typed("123456\n");
    REQUIRE(desk.run({"totp", "on"}) == 0);
  }
  CHECK(desk.requests() ==
        Words{"POST /auth/totp {}", R"(POST /auth/totp/confirm {"code":"123456"})"});
  CHECK(desk.out.find("ABCD EFGH IJ\n") != std::string::npos);
  CHECK(desk.out.find("otpauth://totp/kvcs:a?secret=A\n") != std::string::npos);
  CHECK(desk.out.find("aaaa-1111\nbbbb-2222\n") != std::string::npos);
  // A login alone is not enough where the account has a password.
  desk.answer({{R"({"error":"current_password: required."})", "400 Bad Request"}, kBegun, kCodes});
  {
    const Stdin typed("present words\n123456\n");
    REQUIRE(desk.run({"totp", "on"}) == 0);
  }
  CHECK(desk.requests() == Words{"POST /auth/totp {}",
                                 R"(POST /auth/totp {"current_password":"present words"})",
                                 R"(POST /auth/totp/confirm {"code":"123456"})"});
  // In two steps, where nobody types.
  desk.answer({kBegun});
  {
    const Stdin nobody("");
    CHECK(desk.run({"totp", "on"}) == 0);
  }
  CHECK(desk.requests() == Words{"POST /auth/totp {}"});
  CHECK(desk.error.find("is not on yet") != std::string::npos);
  desk.answer({kBegun});
  CHECK(desk.run({"totp", "on", "--json"}) == 0);
  CHECK(parse_json(desk.out)->at("secret") == "ABCDEFGHIJ");
  desk.answer({kCodes});
  CHECK(desk.run({"totp", "on", "--code", "123456", "--json"}) == 0);
  CHECK(parse_json(desk.out)->at("recovery_codes").size() == 2);
  CHECK(desk.requests() == Words{R"(POST /auth/totp/confirm {"code":"123456"})"});

  CHECK(desk.run({"totp", "off", "--code", "aaaa-1111"}) == 0);
  CHECK(desk.requests() == Words{R"(DELETE /auth/totp {"code":"aaaa-1111"})"});
  desk.answer({{R"({"error":"current_password: required."})", "400 Bad Request"}, {"{}"}});
  {
    const Stdin typed("present words\n");
    CHECK(desk.run({"totp", "off", "--code", "aaaa-1111"}) == 0);
  }
  CHECK(desk.requests() ==
        Words{R"(DELETE /auth/totp {"code":"aaaa-1111"})",
              R"(DELETE /auth/totp {"code":"aaaa-1111","current_password":"present words"})"});
  {
    const Stdin nobody("");
    CHECK(desk.run({"totp", "off"}) == 1);
  }
  CHECK(desk.requests().empty());
  desk.answer({{R"({"error":"take it off first (DELETE /auth/totp)."})", "409 Conflict"}});
  CHECK(desk.run({"totp", "on"}) == 1);
  CHECK(desk.error.find("`kvcs totp off`") != std::string::npos);
}

TEST_CASE("account: the login goes on by the session that a new password begins", "[unit][cli]") {
  CliDesk desk;
  const Env no_key("KVCS_API_KEY", std::nullopt), no_other("KVCDN_API_KEY", std::nullopt);
  const std::string here = "http://127.0.0.1:" + std::to_string(desk.server.port());
  Login login;
  login.server = here;
  login.account = "Ada";
  login.access_token = Secret("ks_1");
  REQUIRE(keep_login(login).ok());
  const Stdin typed("present words\nnew words for it\n");
  desk.answer({{R"({"session_id":"s2","expires_at":"2100-01-01T00:00:00.000Z"})", "200 OK",
                "Set-Cookie: __Host-kvcs=ks_2; Path=/; HttpOnly\r\n"}});
  REQUIRE(desk.run({"password"}) == 0);
  CHECK(desk.requests() == Words{R"(POST /auth/password {"current_password":"present words",)"
                                 R"("new_password":"new words for it"})"});
  CHECK((desk.out + desk.error).find("words") == std::string::npos);
  const std::vector<Login> kept = read_logins().value();
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].access_token.reveal() == "ks_2");
  CHECK(kept[0].expires_at_s == 4'102'444'800);
  const Stdin one("present words\n");
  CHECK(desk.run({"password"}) == 1);
  CHECK(desk.requests().empty());
}

TEST_CASE("account: a password by a token of the environment, and one that is refused",
          "[unit][cli]") {
  CliDesk desk;
  const Env token("KVCS_TOKEN", "ks_1");
  {
    const Stdin typed("a\nb\n");
    CHECK(desk.run({"password"}) == 0);
    CHECK(desk.error.find("Sign in again") != std::string::npos);
    CHECK(read_logins()->empty());
  }
  const Stdin typed("a\nb\n");
  desk.answer(
      {{R"({"error":"current_password: it is not the account's password."})", "403 Forbidden"}});
  CHECK(desk.run({"password"}) == 1);
  CHECK(desk.error.find("not the account's password") != std::string::npos);
}

TEST_CASE("account: sessions are listed and ended", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"sessions":[{"session_id":"s1","current":true,"device":"laptop"}]})"}});
  CHECK(desk.run({"session", "list"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/me/sessions"});
  CHECK(desk.out.find("laptop") != std::string::npos);
  CHECK(desk.run({"session", "end", "s/1"}) == 0);
  CHECK(desk.requests() == Words{"DELETE /api/v1/me/sessions/s%2F1"});
  CHECK(desk.run({"session", "end", "--others"}) == 0);
  CHECK(desk.requests() == Words{"DELETE /api/v1/me/sessions"});
  CHECK(desk.run({"session", "end"}) == 1);
  CHECK(desk.run({"session", "end", "s1", "--others"}) == 1);
  CHECK(desk.requests().empty());
}
