// The store fails behind the AI door: an organization that fails closed is told when to come back,
// one that fails open goes on up to its daily fallback; what was spent meanwhile is in the month
// afterwards, also when the process dies before the store is back.
#include <atomic>

#include "ai/budget/budget.h"
#include "ai/budget/charge_journal.h"
#include "support/ai_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

struct Outage {
  std::atomic<bool> down = false;

  AppOptions options() {
    AppOptions options;
    options.kv_faults = [this](std::string_view, std::string_view) -> Status {
      return down ? unavailable("The store is away.") : ok();
    };
    return options;
  }
};

size_t journaled(AiHouse& house) {
  return ai::ChargeJournal::read(house.app.data_dir() + "/charges.journal")->all.size();
}

}  // namespace

TEST_CASE("ai: without the store a closed door says when to come back, never that a key is bad",
          "[fault][ai]") {
  Outage outage;
  AiHouse house([](Config&) {}, outage.options());
  REQUIRE(house.chat().status == 200);
  outage.down = true;
  const RawResponse openai = house.chat();
  CHECK(openai.status == 503);
  CHECK(has(openai.body, "quota_unavailable"));
  CHECK(is_spread(openai.header("retry-after"), 5));
  const RawResponse anthropic = house.message(
      R"({"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"x"}]})");
  CHECK(anthropic.status == 503);
  CHECK(anthropic.body.starts_with("{\"type\":\"error\""));
  // A key that nobody has seen yet cannot be judged either.
  const RawResponse unknown =
      house.app.as("gw_live_" + std::string(48, '0'), "POST", "/v1/chat/completions", kHello);
  CHECK(unknown.status == 503);
  CHECK(has(unknown.body, "auth_unavailable"));
  outage.down = false;
  CHECK(house.chat().status == 200);
  CHECK(has(house.usage(), "\"request_count\":2"));
}

TEST_CASE("ai: an open door spends the day's fallback and not more, and tells it afterwards",
          "[fault][ai]") {
  Outage outage;
  AiHouse house([](Config&) {}, outage.options());
  // Room for two: each reserves about 0.00007 USD and costs 0.000045.
  house.change_org(R"({"failure_mode":"fail_open","fallback_daily_limit":"0.00012"})");
  REQUIRE(house.chat().status == 200);
  REQUIRE(house.app.parts().ai.budgets->reconcile().ok());
  outage.down = true;
  for (int i = 0; i < 2; i++) {
    const RawResponse open = house.chat();
    INFO(open.body);
    CHECK(open.status == 200);
    CHECK(open.header("x-gateway-grace") == "1");
  }
  const RawResponse spent = house.chat();
  CHECK(spent.status == 429);
  CHECK(has(spent.body, "what is allowed today without it"));
  CHECK(journaled(house) == 2);
  outage.down = false;
  REQUIRE(house.app.parts().ai.budgets->reconcile().ok());
  CHECK(journaled(house) == 0);
  CHECK(has(house.usage(), "\"current_usage_usd\":0.000135,\"request_count\":3"));
  const std::string rows = house.admin("GET", "/admin/usage/requests").body;
  CHECK(has(rows, "\"grace\":true"));
  CHECK(has(house.admin("GET", "/admin/usage").body, "\"cost_usd\":0.000135"));
  CHECK(house.chat().status == 200);
}

TEST_CASE("ai: a process that ends while the store is away leaves its charges in the journal",
          "[fault][ai]") {
  Outage outage;
  AiHouse house([](Config&) {}, outage.options());
  house.change_org(R"({"failure_mode":"fail_open","fallback_daily_limit":1})");
  REQUIRE(house.chat().status == 200);
  REQUIRE(house.app.parts().ai.budgets->reconcile().ok());
  outage.down = true;
  REQUIRE(house.chat().header("x-gateway-grace") == "1");
  REQUIRE(journaled(house) == 1);
  house.app.stop();
  outage.down = false;
  house.app.restart();
  CHECK(journaled(house) == 0);
  CHECK(has(house.usage(), "\"current_usage_usd\":0.00009,\"request_count\":2"));
  CHECK(has(house.admin("GET", "/admin/usage").body, "\"cost_usd\":0.00009"));
  CHECK(house.admin("GET", "/admin/outbox-dead").body == R"({"outbox_dead":[],"cursor":null})");
  // A journal that outlived its rows, as after a death between the two: nothing is charged again.
  const std::string row = json_text(house.admin("GET", "/admin/usage/requests").body, "request_id");
  const std::string month = json_text(house.usage(), "current_month");
  house.app.stop();
  {
    ai::ChargeJournal journal;
    REQUIRE(journal.open(house.app.data_dir() + "/charges.journal").ok());
    const std::string charge =
        "{\"request_id\":\"" + row + "\",\"organization_id\":\"" + house.org + "\",\"user_id\":\"" +
        house.user + "\",\"period\":\"" + month +
        "\",\"ts_ms\":1,\"status\":200,\"key_id\":\"\",\"cost_nano_usd\":45000}";
    REQUIRE(journal.note_charge(*journal.begin("{}"), charge).ok());
  }
  house.app.restart();
  CHECK(journaled(house) == 0);
  CHECK(has(house.usage(), "\"current_usage_usd\":0.00009,\"request_count\":2"));
}
