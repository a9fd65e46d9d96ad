// Goal: a command line without a browser gets in when its person lets it in, and by nothing else.
// Method: a whole daemon over HTTP, with a program that asks and a browser that decides.
#include <nlohmann/json.hpp>

#include <atomic>
#include <thread>

#include "portal/device_api.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kAllow = R"({"allow":true})";

struct Program {
  explicit Program(const TestApp& of, const std::string& name = "build+box") : app(of) {
    const RawResponse answer = app.call("POST", "/auth/device", {}, "device_name=" + name);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    started = json_of(answer);
    code = started["device_code"].get<std::string>();
    user_code = started["user_code"].get<std::string>();
  }
  RawResponse ask() const {
    return app.call("POST", "/auth/device/token", {},
                    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code"
                    "&device_code=" +
                        code);
  }
  std::string error() const {
    const RawResponse answer = ask();
    CHECK(answer.status == 400);
    return json_text(answer.body, "error");
  }

  const TestApp& app;
  Json started;
  std::string code, user_code;
};

}  // namespace

TEST_CASE("device sign-in: the person sees who asks, agrees, and can end it",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  const Program program(app);
  CHECK(program.started["interval"] == 5);
  CHECK(program.started["expires_in"] == 600);
  CHECK(program.started["verification_uri"] == ada.origin() + "/#/device");
  CHECK(program.error() == "slow_down");  // It has not waited.
  const std::string path = "/auth/device/" + program.user_code;
  const Json shown = json_of(ada.send("GET", path));
  CHECK(shown["device_name"] == "build box");
  CHECK(shown["user_code"] == program.user_code);  // The person compares the two.
  CHECK(shown["address"] == "127.0.0.1");
  CHECK(app.call("GET", path).status == 401);
  CHECK(app.call("POST", path, {{"Cookie", ada.cookie}}, kAllow).status == 403);
  CHECK(ada.send("POST", path, "{}").status == 400);
  CHECK(ada.send("POST", path, kAllow).status == 204);
  CHECK(ada.send("POST", path, kAllow).status == 404);  // Reason user_code_unknown.
  const RawResponse answer = program.ask();
  REQUIRE(answer.status == 200);
  CHECK(answer.header("cache-control").find("no-store") != std::string::npos);
  CHECK(answer.header("set-cookie").empty());
  const std::string token = json_text(answer.body, "access_token");
  CHECK(token.starts_with("ks_"));
  CHECK(program.error() == "invalid_grant");
  const Json me = json_of(app.as(token, "GET", "/api/v1/me"));
  CHECK(me["email"] == "ada@example.com");
  CHECK(me["organization_id"] == app.credential("organization_id"));
  // As a bearer it needs neither an origin nor a CSRF token.
  CHECK(app.as(token, "POST", "/api/v1/projects", R"({"name":"By the box"})").status == 201);
  const Json sessions = json_of(ada.send("GET", "/api/v1/me/sessions"))["sessions"];
  REQUIRE(sessions.size() == 2);
  CHECK(sessions[0]["provider"] == "password");  // As the session that has let it in.
  CHECK(sessions[0]["device"] == "build box");
  CHECK(sessions[1]["device"].is_null());
  const std::string id = sessions[0]["session_id"].get<std::string>();
  CHECK(ada.send("DELETE", "/api/v1/me/sessions/" + id).status == 204);
  CHECK(app.as(token, "GET", "/api/v1/me").status == 401);
}

TEST_CASE("device sign-in: who is refused or suspended does not get in",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  Browser eve = join(app, ada, "eve@example.com", "viewer");
  const Program refused(app);
  CHECK(ada.send("POST", "/auth/device/" + refused.user_code, R"({"allow":false})").status == 204);
  CHECK(refused.error() == "access_denied");
  const Program suspended(app);
  CHECK(eve.send("POST", "/auth/device/" + suspended.user_code, kAllow).status == 204);
  const std::string person = json_of(eve.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
  CHECK(ada.send("PATCH", "/admin/people/" + person, R"({"status":"suspended"})").status == 200);
  CHECK(suspended.error() == "access_denied");
  const RawResponse other = app.call("POST", "/auth/device/token", {}, "grant_type=password");
  CHECK(json_text(other.body, "error") == "unsupported_grant_type");
}

TEST_CASE("device sign-in: whoever tries codes is slowed down, and nobody else is",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  Browser eve = join(app, ada, "eve@example.com", "viewer");
  const Program program(app);
  RawResponse guess;
  int tries = 0;
  for (; tries < 100; tries++) {
    guess = tries % 2 == 0 ? eve.send("GET", "/auth/device/BBBB-BBBB")
                           : eve.send("POST", "/auth/device/BBBB-BBBB", kAllow);
    if (guess.status != 404) break;
  }
  CHECK(guess.status == 429);
  CHECK(guess.body.find("Too many tries of device codes") != std::string::npos);
  CHECK_FALSE(guess.header("retry-after").empty());
  CHECK(tries >= portal::kAccountTriesPerMinute);
  // The right code is none of those that are left to her; from the same address another's is.
  CHECK(eve.send("POST", "/auth/device/" + program.user_code, kAllow).status == 429);
  CHECK(ada.send("POST", "/auth/device/" + program.user_code, kAllow).status == 204);
}

TEST_CASE("device sign-in: of many who ask with one code at once one gets the session",
          "[fault][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  const Program program(app);
  REQUIRE(ada.send("POST", "/auth/device/" + program.user_code, kAllow).status == 204);
  std::atomic<int> in{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] { in += program.ask().status == 200; });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(in == 1);
}

TEST_CASE("device sign-in: a name is text, and no more of it than fits",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  const Program program(app, "%1b%5B2Jevil%0a" + std::string(500, 'x'));
  const std::string name =
      json_of(ada.send("GET", "/auth/device/" + program.user_code))["device_name"]
          .get<std::string>();
  CHECK(name.find("evil") != std::string::npos);
  CHECK(name.find("xxx") != std::string::npos);
  CHECK(name.size() <= 2 * portal::kDeviceNameMaxBytes);
  CHECK(name.find('\n') == std::string::npos);
  CHECK(name.find('\x1b') == std::string::npos);
}
