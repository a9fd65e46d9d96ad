// What is remembered of AI requests and who is told: alerts at 80 and 100 percent of a budget,
// bodies for organizations that asked for them, retention, and the month's end.
#include <atomic>

#include "app/jobs.h"
#include "kv/keyspace.h"
#include "support/ai_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// Reserves less than the provider's answer costs, which is 0.000045 USD.
const std::string kCheap =
    R"({"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}],"max_tokens":20})";

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) found++;
  return found;
}

std::string alerts(const AiHouse& house) {
  return house.admin("GET", "/admin/alerts").body;
}

AppOptions with_clock(const ManualClock& clock) {
  AppOptions options;
  options.clock = &clock;
  return options;
}

// Returns its report.
std::string run_job(AiHouse& house, const std::string& name) {
  for (const Job& job : all_jobs(house.app.parts())) {
    if (job.name != name) continue;
    const std::atomic<bool> cancelled = false;
    REQUIRE(house.app.parts().ledger->drain().ok());
    const Result<std::string> ran = job.run(JobContext{cancelled});
    REQUIRE(ran.ok());
    return *ran;
  }
  FAIL("no job " << name);
  return {};
}

}  // namespace

TEST_CASE("ai: a budget tells once a month at 80 and at 100 percent", "[contract][ai]") {
  ManualClock clock(1'769'000'000'000);  // 2026-01-21
  AiHouse house([](Config& config) { config.alerts.quiet_s = 0; }, with_clock(clock));
  house.change_user(R"({"monthly_limit_usd":"0.0009"})");
  const auto use = [&](int requests) {
    for (int i = 0; i < requests; i++) REQUIRE(house.chat(kCheap).status == 200);
  };
  use(15);  // 75 percent
  CHECK(count(alerts(house), "budget.") == 0);
  use(2);
  std::string told = alerts(house);
  INFO(told);
  CHECK(count(told, "\"event\":\"budget.80\",\"subject\":\"default/ada@example.com\"") > 0);
  CHECK(has(told, "has used $0.00072 of $0.0009 in 2026-01."));
  CHECK(count(told, "budget.100") == 0);
  house.app.restart();
  use(3);
  CHECK(house.chat(kCheap).status == 429);
  CHECK(house.chat(kCheap).status == 429);
  told = alerts(house);
  CHECK(count(told, "\"event\":\"budget.") == 2 * 2);  // A row and its payload each.
  CHECK(has(told, "Its requests are refused."));
  // A reset of the use does not make the same month tell again; the next month does.
  house.admin("POST", "/admin/users/" + house.user + "/reset-quota", R"({"reset_reason":"x"})");
  use(18);
  CHECK(count(alerts(house), "\"event\":\"budget.") == 2 * 2);
  clock.advance_ms(int64_t{15} * 86'400'000);
  use(17);
  CHECK(has(alerts(house), "in 2026-02."));
}

TEST_CASE("ai: an organization's budget tells by its own name", "[contract][ai]") {
  AiHouse house;
  house.change_org(R"({"monthly_budget_usd":"0.00005"})");
  REQUIRE(house.chat(kCheap).status == 200);
  const std::string told = alerts(house);
  INFO(told);
  CHECK(has(told, "\"event\":\"budget.80\",\"subject\":\"default\""));
}

TEST_CASE("ai: a refusal with next to nothing left is told as a spent budget", "[contract][ai]") {
  AiHouse house;
  REQUIRE(house.chat(kCheap).status == 200);
  house.change_user(R"({"monthly_limit_usd":"0.000046"})");
  CHECK(house.chat(kHello).status == 429);
  CHECK(has(alerts(house), "budget.100"));
}

TEST_CASE("ai: no body is kept unless the organization asked for it", "[contract][ai]") {
  AiHouse house;
  REQUIRE(house.chat().status == 200);
  CHECK(house.admin("GET", "/admin/ai/bodies").body == R"({"bodies":[],"cursor":null})");
}

TEST_CASE("ai: bodies that are kept are cut and redacted, and for admins only", "[contract][ai]") {
  AiHouse house([](Config& config) { config.ai.proxy.body_log_max_bytes = 400; });
  house.change_org(R"({"log_bodies":true})");
  house.provider.answer_json("{\"choices\":[{\"message\":{\"content\":\"write to bob@example.com " +
                             std::string(200, '.') + std::string(600, ' ') + "\"}}]," + kUsage +
                             "}");
  const std::string secret = "sk-" + std::string(30, 'q');
  const RawResponse answer =
      house.chat(R"({"model":"gpt-4o-mini","messages":[{"role":"user","content":"my key is )" +
                 secret + R"("}]})");
  REQUIRE(answer.status == 200);
  const std::string id = answer.header("x-request-id");
  const RawResponse shown = house.admin("GET", "/admin/ai/bodies/" + id);
  INFO(shown.body);
  CHECK(shown.status == 200);
  CHECK(has(shown.body, "my key is ***"));
  CHECK(has(shown.body, "write to [email]"));
  CHECK_FALSE(has(shown.body, "qqqq"));
  CHECK_FALSE(has(shown.body, "bob@"));
  CHECK(shown.body.size() < 1500);
  const std::string list = house.admin("GET", "/admin/ai/bodies?user_id=" + house.user).body;
  CHECK(has(list, "\"request_id\":\"" + id + "\""));
  CHECK(has(list, "\"response_bytes\":" + std::to_string(answer.body.size())));
  CHECK_FALSE(has(list, "my key"));
  CHECK(house.admin("GET", "/admin/ai/bodies?org_id=other").body ==
        R"({"bodies":[],"cursor":null})");
  CHECK(house.admin("GET", "/admin/ai/bodies/unknown").status == 404);
  const RawResponse viewer =
      house.admin("POST", "/admin/admin-keys", R"({"name":"v","role":"viewer"})");
  const std::string key = json_text(viewer.body, "admin_key");
  REQUIRE_FALSE(key.empty());
  CHECK(house.app.as(key, "GET", "/admin/ai/bodies/" + id).status == 403);
}

TEST_CASE("ai: of a stream and of a provider's error the bodies are kept too", "[contract][ai]") {
  AiHouse house;
  house.change_org(R"({"log_bodies":true})");
  house.provider.answer_stream({chunk("Hel"), chunk("lo"), finish(), usage_chunk(), kDone});
  const RawResponse streamed = house.chat(kHelloStream);
  const std::string shown =
      house.admin("GET", "/admin/ai/bodies/" + streamed.header("x-request-id")).body;
  INFO(shown);
  CHECK(has(shown, R"(\"content\":\"lo\")"));
  CHECK(has(shown, "[DONE]"));
  house.provider.answer_json("{\"error\":\"theirs\"}", "400 Bad");
  const RawResponse refused = house.chat();
  CHECK(has(house.admin("GET", "/admin/ai/bodies/" + refused.header("x-request-id")).body,
            R"("status":400)"));
}

TEST_CASE("ai: old rows and bodies go with the nightly job, the days' sums stay",
          "[contract][ai][jobs]") {
  ManualClock clock(1'769'000'000'000);
  AiHouse house(
      [](Config& config) {
        config.ledger.usage_max_rows = 100;
        config.ledger.usage_max_age_s = 30 * 86'400;
      },
      with_clock(clock));
  house.change_org(R"({"log_bodies":true})");
  for (int i = 0; i < 104; i++) REQUIRE(house.chat().status == 200);
  run_job(house, "ledger-prune");
  std::string rows = house.admin("GET", "/admin/usage/requests?limit=1000").body;
  CHECK(count(rows, "\"request_id\"") == 100);
  CHECK(count(house.admin("GET", "/admin/ai/bodies?limit=1000").body, "\"request_id\"") == 104);
  const auto pass_days = [&](int64_t days) {
    clock.advance_ms(days * 86'400'000);
    run_job(house, "ledger-prune");
  };
  pass_days(4);
  pass_days(4);
  CHECK(house.admin("GET", "/admin/ai/bodies").body == R"({"bodies":[],"cursor":null})");
  for (int week = 0; week < 5; week++) pass_days(6);
  rows = house.admin("GET", "/admin/usage/requests").body;
  CHECK(count(rows, "\"request_id\"") == 0);
  CHECK(has(house.admin("GET", "/admin/usage").body, "\"requests\":104"));
  // The sums go at last, when their own age has come.
  // A clock that leaps so far may be wrong, and is waited for.
  pass_days(1100);
  CHECK(has(house.admin("GET", "/admin/usage").body, "\"requests\":104"));
  CHECK(has(house.admin("GET", "/admin/alerts").body, "\"event\":\"clock.leapt\""));
  CHECK(has(run_job(house, "artifact-sweep"), "held_until"));
  pass_days(7);
  CHECK_FALSE(has(house.admin("GET", "/admin/usage").body, "\"requests\":104"));
}

TEST_CASE("ai: usage rows take no more of the disk than they may", "[contract][ai][jobs]") {
  AiHouse house([](Config& config) { config.ledger.usage_max_bytes = 20'000; });
  for (int i = 0; i < 103; i++) REQUIRE(house.chat().status == 200);
  run_job(house, "ledger-prune");
  const std::string rows = house.admin("GET", "/admin/usage/requests?limit=1000").body;
  CHECK(count(rows, "\"request_id\"") == 100);
}

TEST_CASE("ai: a counter that the store cannot read is made anew from the ledger",
          "[fault][ai][jobs]") {
  ManualClock clock(1'769'000'000'000);  // No job runs but by hand.
  AiHouse house([](Config&) {}, with_clock(clock));
  for (int i = 0; i < 3; i++) REQUIRE(house.chat().status == 200);
  house.provider.answer_json("{}", "500 Oops");
  REQUIRE(house.chat().status == 500);
  house.provider.answer_json("{\"choices\":[]," + kUsage + "}");
  REQUIRE(house
              .admin("POST", "/admin/users/" + house.user + "/reset-quota",
                     R"({"reset_reason":"x","scope":"user_and_org"})")
              .status == 200);
  const RawResponse history = house.admin("GET", "/admin/users/" + house.user + "/usage/history");
  INFO(history.body);
  CHECK(has(history.body, R"("adjustments":[{"reset_at":"2026-01-)"));
  CHECK(has(history.body, R"("scope":"user_and_org","reset_reason":"x","actor":"adminkey:)"));
  REQUIRE(house.chat().status == 200);
  const std::string before = house.usage();
  const std::string of_org =
      house.admin("GET", "/admin/organizations/" + house.org + "/usage").body;
  const auto damage = [&](const std::string& kind, const std::string& id) {
    KvStore& kv = *house.app.parts().kv;
    const std::string prefix = keyspace::quota(kind, id, "");
    const KvItem item = kv.scan(KvFamily::kQuota, prefix, "", 1)->items.at(0);
    KvBatch batch;
    batch.put(KvFamily::kQuota, item.key, "{\"used_nano_usd\":\"much\"}");
    REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
  };
  house.app.restart();  // What was in memory is gone.
  damage("user", house.user);
  damage("org", house.org);
  const RawResponse refused = house.chat();
  CHECK(refused.status == 503);
  CHECK(has(refused.body, "quota_unavailable"));
  CHECK(house.admin("GET", "/admin/users/" + house.user + "/usage").status == 503);
  run_job(house, "budget-reconcile");
  CHECK(house.usage() == before);
  CHECK(house.admin("GET", "/admin/organizations/" + house.org + "/usage").body == of_org);
  CHECK(house.chat().status == 200);
  CHECK(count(alerts(house), "budget.counter_damaged") >= 1);
}

TEST_CASE("ai: a counter that the store has lost is found by its rows", "[fault][ai][jobs]") {
  ManualClock clock(1'769'000'000'000);  // No job runs but by hand.
  AiHouse house([](Config&) {}, with_clock(clock));
  for (int i = 0; i < 3; i++) REQUIRE(house.chat().status == 200);
  run_job(house, "budget-reconcile");  // A new counter is as it should be.
  CHECK(has(house.usage(), "\"request_count\":3"));
  const std::string before = house.usage();
  house.app.restart();
  KvStore& kv = *house.app.parts().kv;
  KvBatch loss;
  loss.remove(
      KvFamily::kQuota,
      kv.scan(KvFamily::kQuota, keyspace::quota("user", house.user, ""), "", 1)->items.at(0).key);
  REQUIRE(kv.write(loss, KvDurability::kSynced).ok());
  REQUIRE(house.chat().status == 200);  // Of a month that looks new.
  CHECK(has(house.usage(), "\"request_count\":1"));
  run_job(house, "budget-reconcile");
  CHECK(has(house.usage(), "\"request_count\":4"));
  const auto used = [](const std::string& usage) {
    return std::stod(usage.substr(usage.find("current_usage_usd") + 19));
  };
  CHECK(used(house.usage()) == Approx(used(before) / 3 * 4));
}

TEST_CASE("ai: a new month begins at zero at the door, and the old one is history",
          "[contract][ai]") {
  ManualClock clock(1'769'903'998'000);  // 2026-01-31T23:59:58Z
  AiHouse house([](Config&) {}, with_clock(clock));
  REQUIRE(house.chat().header("x-gateway-current-month") == "2026-01");
  house.change_user(R"({"monthly_limit_usd":"0.00005"})");
  check_refused(house, kHello, 429, "user_quota_exceeded");
  clock.advance_ms(2'000);
  house.change_user(R"({"monthly_limit_usd":"0.001"})");
  const RawResponse next = house.chat();
  CHECK(next.status == 200);
  CHECK(next.header("x-gateway-current-month") == "2026-02");
  CHECK(next.header("x-gateway-request-count") == "1");
  const std::string history =
      house.admin("GET", "/admin/users/" + house.user + "/usage/history").body;
  CHECK(history.find("2026-02") < history.find("2026-01"));
  CHECK(count(history, "\"usage_usd\":0.000045") == 2);
}

TEST_CASE("ai: an organization's cap on output is asked of the provider, not only reserved",
          "[contract][ai]") {
  AiHouse house;
  house.change_org(R"({"max_output_tokens":77})");
  const std::string open = R"({"model":"gpt-4o-mini","messages":[]})";
  REQUIRE(house.chat(open).status == 200);
  CHECK(has(house.provider.bodies().back(), "\"max_completion_tokens\":77"));
  // What the client states itself is its own.
  REQUIRE(house.chat().status == 200);
  CHECK(house.provider.bodies().back() == kHello);
  house.put_provider("local", "openai_compatible", house.provider.url());
  REQUIRE(house.chat(R"({"model":"local/gpt-4o-mini","messages":[]})").status == 200);
  CHECK(has(house.provider.bodies().back(), "\"max_tokens\":77"));
  const RawResponse response = house.app.as(house.key, "POST", "/v1/responses",
                                            R"({"model":"gpt-4o-mini","input":"Hello"})");
  CHECK(response.status == 200);
  CHECK(has(house.provider.bodies().back(), "\"max_output_tokens\":77"));
}

TEST_CASE("ai: a stream that passes over the bound it was sent is cut off and told",
          "[contract][ai]") {
  AiHouse house([](Config& config) { config.ai.proxy.output_tokens_default = 100; });
  const RawResponse put =
      house.admin("PUT", "/admin/ai/prices/openai/endless",
                  R"({"input_cost_per_token":0,"output_cost_per_token":"0.00001"})");
  REQUIRE(put.status == 200);
  house.provider.set([](LoopbackPeer& peer) {
    FakeProvider::begin_stream(peer);
    // About 100 tokens each.
    while (peer.send_chunk(chunk(std::string(400, 'x')))) continue;
    return false;
  });
  const RawResponse cut = house.chat(R"({"model":"openai/endless","stream":true,"messages":[]})");
  INFO(cut.body.substr(cut.body.size() > 600 ? cut.body.size() - 600 : 0));
  CHECK(cut.status == 200);
  CHECK_FALSE(cut.complete);
  CHECK(has(cut.body, "far more output"));
  CHECK(has(house.provider.bodies().back(), "\"max_completion_tokens\":100"));
  CHECK_FALSE(has(cut.body, "[DONE]"));
  const std::string rows = house.admin("GET", "/admin/usage/requests").body;
  CHECK(has(rows, "\"status\":502"));
  CHECK(has(rows, "\"cost_usd\":0.001,"));
  CHECK(has(house.usage(), "\"reserved_usd\":0.00,"));
}

TEST_CASE("ai: the model that answered is the one whose price counts", "[contract][ai]") {
  AiHouse house;
  REQUIRE(house
              .admin("PUT", "/admin/ai/prices/openai/gpt-dear",
                     R"({"input_cost_per_token":"0.001","output_cost_per_token":0})")
              .status == 200);
  house.provider.answer_json("{\"model\":\"gpt-dear\",\"choices\":[]," + kUsage + "}");
  CHECK(house.chat().header("x-gateway-cost-usd") == "0.100000");
  CHECK(has(house.admin("GET", "/admin/usage/requests").body, "\"model\":\"gpt-dear\""));
  // A name without a price of its own is priced as what was asked; an admin's price wins.
  house.provider.answer_json("{\"model\":\"gpt-4o-mini-x\",\"choices\":[]," + kUsage + "}");
  CHECK(house.chat().header("x-gateway-cost-usd") == "0.000045");
  REQUIRE(house
              .admin("PUT", "/admin/ai/prices/openai/gpt-4o-mini",
                     R"({"input_cost_per_token":0,"output_cost_per_token":0})")
              .status == 200);
  house.provider.answer_json("{\"model\":\"gpt-dear\",\"choices\":[]," + kUsage + "}");
  CHECK(house.chat().header("x-gateway-cost-usd") == "0.000000");
}

TEST_CASE("ai: a service tier is reserved when it is asked and charged when it was given",
          "[contract][ai]") {
  AiHouse house;
  REQUIRE(house
              .admin("PUT", "/admin/ai/prices/openai/gpt-4o-mini",
                     R"({"input_cost_per_token":"0.000001","output_cost_per_token":0,)"
                     R"("input_cost_per_token_priority":"0.00001"})")
              .status == 200);
  house.provider.answer_json("{\"service_tier\":\"priority\",\"choices\":[]," + kUsage + "}");
  CHECK(house.chat().header("x-gateway-cost-usd") == "0.001000");
  house.provider.answer_json("{\"service_tier\":\"default\",\"choices\":[]," + kUsage + "}");
  CHECK(house.chat().header("x-gateway-cost-usd") == "0.000100");
  house.change_user(R"({"monthly_limit_usd":"0.0013"})");
  std::string asked = kHello;
  asked.insert(1, "\"service_tier\":\"priority\",");
  check_refused(house, asked, 429, "user_quota_exceeded");
  CHECK(house.chat().status == 200);
}
