// A daemon whose clock leaps ahead, and is set back, in one life and over a restart: what has ended
// stays ended, and what is kept against a second effect is kept.
#include "app/clock_file.h"
#include "base/file.h"
#include "blob/presign.h"
#include "kv/keyspace.h"
#include "oauth/ticket_store.h"
#include "support/ai_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr int64_t kStartMs = 1'800'000'000'000, kHourMs = 3'600'000, kDayMs = 24 * kHourMs;

struct Leaping {
  ManualClock clock{kStartMs};
  AiHouse house{[](Config&) {}, AppOptions{.clock = &clock, .kv_faults = {}}};
  void leap(int64_t ms) { clock.set_unix_ms(clock.unix_ms() + ms); }

  RawResponse ask(const std::string& name) const {
    return house.app.call("POST", "/v1/chat/completions",
                          {{"api-key", house.key}, {"Idempotency-Key", name}}, kHello);
  }
  std::string key_until(int64_t end_ms) const {
    const std::string keys = "/admin/organizations/" + house.org + "/projects/" +
                             house.app.credential("project_id") + "/api-keys";
    const RawResponse made = house.admin(
        "POST", keys,
        R"({"name":"k","scopes":["read"],"expires_at":")" + format_iso8601_s(end_ms) + "\"}");
    INFO(made.body);
    REQUIRE(made.status == 201);
    return json_text(made.body, "api_key");
  }
  int status_of(const std::string& key) const {
    return house.app.as(key, "GET", "/api/v1/me").status;
  }
};

}  // namespace

TEST_CASE("clock: a leap ahead makes no second charge under an Idempotency-Key", "[fault][app]") {
  Leaping f;
  REQUIRE(f.ask("one").status == 200);
  const std::string used = f.house.usage();
  for (const int64_t leap_ms : {2 * kDayMs, 20 * 365 * kDayMs}) {
    INFO("ahead by " << leap_ms);
    f.leap(leap_ms);
    CHECK(f.ask("one").header("idempotent-replay") == "true");
    f.house.app.restart();
    CHECK(f.ask("one").header("idempotent-replay") == "true");
    f.leap(-leap_ms);
    CHECK(f.ask("one").header("idempotent-replay") == "true");
  }
  CHECK(f.house.provider.bodies().size() == 1);
  CHECK(f.house.usage() == used);
  // Once the day has really passed, the key is free.
  f.clock.advance_ms(2 * kDayMs);
  CHECK(f.ask("one").header("idempotent-replay").empty());
  CHECK(f.house.provider.bodies().size() == 2);
}

TEST_CASE("clock: a key that has ended is not alive again when the clock is set back",
          "[fault][app]") {
  Leaping f;
  const std::string key = f.key_until(kStartMs + kHourMs);
  CHECK(f.status_of(key) == 200);
  f.leap(2 * kHourMs);
  CHECK(f.status_of(key) == 401);
  f.leap(-2 * kHourMs);
  CHECK(f.status_of(key) == 401);
  f.leap(-365 * kDayMs);
  f.house.app.restart();
  CHECK(f.status_of(key) == 401);
  // A key that is made meanwhile works, and ends.
  const std::string fresh = f.key_until(kStartMs + 4 * kHourMs);
  CHECK(f.status_of(fresh) == 200);
  f.clock.advance_ms(5 * kHourMs);
  CHECK(f.status_of(fresh) == 401);
}

TEST_CASE("clock: a wrong time of years ends keys for as long as it lasts", "[fault][app]") {
  Leaping f;
  const std::string key = f.key_until(kStartMs + 30 * kDayMs);
  f.leap(20 * 365 * kDayMs);
  CHECK(f.status_of(key) == 401);
  f.house.app.restart();
  CHECK(f.status_of(key) == 401);
  f.leap(-20 * 365 * kDayMs);
  CHECK(f.status_of(key) == 200);
}

TEST_CASE("clock: links and signed URLs that have ended stay ended", "[fault][app]") {
  Leaping f;
  Parts& parts = f.house.app.parts();
  oauth::TicketStore tickets("test", *parts.kv, *parts.sealer, parts.kept_clock->latest());
  REQUIRE(tickets.put("secret", "record", 600).ok());
  const PresignedClaim claim{.method = "GET",
                             .id = "an-id",
                             .size_bytes = 1,
                             .sha256_hex = std::string(64, 'a'),
                             .expires_at_s = kStartMs / 1000 + 600};
  const std::string url = parts.presigner->sign_path(claim);
  const std::string query = url.substr(url.find('?') + 1);
  CHECK(parts.presigner->verify("GET", "an-id", query).ok());
  f.leap(kHourMs);
  CHECK_FALSE(parts.presigner->verify("GET", "an-id", query).ok());
  CHECK(tickets.take("secret").code() == Code::kNotFound);
  f.leap(-kHourMs);
  CHECK_FALSE(parts.presigner->verify("GET", "an-id", query).ok());
  CHECK(tickets.take("secret").code() == Code::kNotFound);
  // A link that is made meanwhile has its full time, whatever the clock says.
  REQUIRE(tickets.put("another", "record", 600).ok());
  f.clock.advance_ms(60'000);
  CHECK(tickets.take("another").ok());
}

TEST_CASE("clock: a damaged clock.json is told, and does not stop the start", "[fault][app]") {
  Leaping f;
  const std::string path = clock_file_path(f.house.app.data_dir());
  f.house.app.stop();
  REQUIRE(read_small_file(path, 4096).ok());
  REQUIRE(write_private_file(path, "{").ok());
  f.house.app.restart();
  CHECK(f.ask("one").status == 200);
}
