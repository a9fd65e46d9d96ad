// Goal: what has an end is good for as long as was said, and no longer, whatever the wall clock
// does while the monotonic one goes on or stands; and what is ended is ended, though the clock says
// for a while that it has ended by itself. Method: a whole daemon whose two clocks are moved apart.
#include <nlohmann/json.hpp>

#include "identity/sessions.h"
#include "portal/totp.h"
#include "support/base32.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr int64_t kMinuteMs = 60'000, kHourMs = 60 * kMinuteMs, kDayMs = 24 * kHourMs;
constexpr const char* kFresh = "another violin under seven clouds";

struct House {
  ManualClock clock{1'800'000'000'000};
  TestApp app{AppOptions{.clock = &clock, .kv_faults = {}}};

  // The wall clock alone, as after a pause of the machine, or by hand.
  void leap(int64_t ms) { clock.set_unix_ms(clock.unix_ms() + ms); }
  std::string reset_token(const std::string& person_id) const {
    const RawResponse made = app.as_owner("POST", "/admin/people/" + person_id + "/reset-link");
    INFO(made.body);
    REQUIRE(made.status == 201);
    const std::string url = json_text(made.body, "reset_url");
    return url.substr(url.find("token=") + 6);
  }
  int reset(const std::string& token) const {
    return app
        .call("POST", "/auth/reset/confirm", {},
              dump_json(Json{{"token", token}, {"password", kFresh}}))
        .status;
  }
  int set_up_with(const std::string& token, const std::string& email) const {
    return app
        .call("POST", "/auth/setup", {},
              dump_json(Json{
                  {"token", token}, {"email", email}, {"name", "A"}, {"password", kGoodPassword}}))
        .status;
  }
  std::string setup_link() const {
    const std::string url = json_text(app.as_owner("POST", "/admin/setup-link").body, "setup_url");
    return url.substr(url.find("token=") + 6);
  }
  int register_with(const std::string& token) const {
    return app
        .call("POST", "/auth/register", {},
              dump_json(Json{{"token", token}, {"password", kGoodPassword}}))
        .status;
  }
  static std::string invite(Browser& by, const std::string& email) {
    return json_text(
        by.send("POST", "/api/v1/invitations", R"({"email":")" + email + R"(","role":"member"})")
            .body,
        "token");
  }
};

std::string person_of(Browser& browser) {
  return json_of(browser.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
}

// A second factor that is begun; its codes go by the wall clock.
struct Factor {
  explicit Factor(Browser& of) : browser(of) {
    const Json begun = json_of(
        browser.send("POST", "/auth/totp", dump_json(Json{{"current_password", kGoodPassword}})));
    secret = from_base32(begun["secret"].get<std::string>());
  }
  std::string code(const Clock& clock, int64_t steps = 0) const {
    return portal::totp_code(secret, clock.unix_s() / portal::kTotpStepS + steps);
  }
  int confirm(const Clock& clock) {
    return browser.send("POST", "/auth/totp/confirm", dump_json(Json{{"code", code(clock)}}))
        .status;
  }

  Browser& browser;
  std::string secret;
};

}  // namespace

TEST_CASE("ends: a sign-out reaches the sessions that a leap of the clock hides",
          "[fault][app][portal]") {
  House f;
  Browser ada = set_up(f.app);
  const std::string id = person_of(ada);
  SessionService& sessions = *f.app.parts().sessions;
  const AuditContext who{"test", "test", ""};
  NewSession elsewhere;
  elsewhere.person_id = id;
  elsewhere.provider = "idp";
  const std::string other = sessions.start(elsewhere, who)->token.reveal();
  const auto of_other = [&] { return f.app.as(other, "GET", "/api/v1/me").status; };
  f.leap(20 * kDayMs);
  CHECK(of_other() == 401);
  CHECK(sessions.list(id)->empty());
  REQUIRE(sessions.end_of_provider(id, "idp", who).ok());
  f.leap(-20 * kDayMs);
  CHECK(of_other() == 401);
  CHECK(ada.send("GET", "/api/v1/me").status == 200);

  f.leap(20 * kDayMs);
  REQUIRE(f.reset(f.reset_token(id)) == 204);
  f.leap(-20 * kDayMs);
  CHECK(ada.send("GET", "/api/v1/me").status == 401);
}

TEST_CASE("ends: links end by the wall clock too, when the monotonic one stood",
          "[fault][app][portal]") {
  House f;
  Browser ada = set_up(f.app);
  const std::string id = person_of(ada);
  const std::string setup = f.setup_link(), reset = f.reset_token(id);
  const std::string invitation = House::invite(ada, "bob@example.com");
  Factor factor(ada);
  f.leap(2 * kHourMs);
  CHECK(f.reset(reset) == 401);
  CHECK(factor.confirm(f.clock) == 409);  // Reason totp_not_started.
  // One that is begun now works, over the old record.
  Factor again(ada);
  CHECK(again.confirm(f.clock) == 200);
  f.leap(23 * kHourMs);
  CHECK(f.set_up_with(setup, "eve@example.com") == 401);
  for (const int64_t days : {3, 4}) {  // A leap of a week is not believed at once.
    f.leap(days * kDayMs);
    CHECK(ada.send("GET", "/api/v1/me").status == 200);
  }
  CHECK(f.register_with(invitation) == 404);
  // And stay ended when the clock is set back.
  f.leap(-9 * kDayMs);
  CHECK(f.reset(reset) == 401);
  CHECK(f.set_up_with(setup, "eve@example.com") == 401);
  CHECK(f.register_with(invitation) == 404);
}

TEST_CASE("ends: what is made while the clock is behind the store's is good for its time",
          "[fault][app][portal]") {
  House f;
  // The clock was ahead at the start, and is set right by more than any of these are good for.
  f.leap(-2 * kDayMs);
  Browser ada = set_up(f.app);
  const std::string id = person_of(ada);
  Factor factor(ada);
  REQUIRE(factor.confirm(f.clock) == 200);
  Browser other(f.app);
  const std::string sign_in =
      dump_json(Json{{"email", "ada@example.com"}, {"password", kGoodPassword}});
  const std::string ticket = json_text(other.send("POST", "/auth/login", sign_in).body, "ticket");
  const RawResponse second =
      other.send("POST", "/auth/login/totp",
                 dump_json(Json{{"ticket", ticket}, {"code", factor.code(f.clock, 1)}}));
  INFO(second.body);
  CHECK(second.status == 200);

  const std::string reset = f.reset_token(id), setup = f.setup_link();
  const std::string invitation = House::invite(ada, "bob@example.com");
  f.clock.advance_ms(50 * kMinuteMs);
  CHECK(f.register_with(invitation) == 201);
  CHECK(f.set_up_with(setup, "eve@example.com") == 201);
  CHECK(f.reset(reset) == 204);
  // And not for longer.
  const std::string late = f.reset_token(id);
  f.clock.advance_ms(61 * kMinuteMs);
  CHECK(f.reset(late) == 401);
}

TEST_CASE("ends: a link that was made years ahead does not stand in the way of the next",
          "[fault][app][portal]") {
  House f;
  Browser ada = set_up(f.app);
  const std::string id = person_of(ada);
  f.leap(400 * kDayMs);
  const std::string ahead = f.reset_token(id);
  f.leap(-400 * kDayMs);
  CHECK(f.reset(ahead) == 401);
  CHECK(f.reset(f.reset_token(id)) == 204);
}
