// What a refusal says, how much room is left, and what is told of charges above what was set aside.
// Method: the memory store and a store that fails by plan.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>

#include "ai/budget/budget_support.h"
#include "base/json.h"
#include "kv/keyspace.h"
#include "kv/outbox.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::ai;
using namespace kvcs::test;

namespace {

// Alerts that wait in the outbox, as "event subject: message", by id.
std::map<std::string, std::string> alerts_in(const KvStore& kv) {
  std::map<std::string, std::string> alerts;
  REQUIRE(for_each_in_outbox(kv, [&](const OutboxRecord& record) {
            if (record.kind != "alert") return ok();
            const Json alert = parse_json(record.payload_json).value();
            alerts[record.id] = text_member(alert, "event") + " " + text_member(alert, "subject") +
                                ": " + text_member(alert, "message");
            return ok();
          }).ok());
  return alerts;
}

}  // namespace

TEST_CASE("budget: a refusal says whether waiting can help", "[unit][ai]") {
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  budgets.reserve(ask("paid", 30))->settle(charge(30));
  Result<Reservation> other = budgets.reserve(ask("held", 50));
  REQUIRE(other.ok());
  const auto waiting = [&](BudgetLimits limits, int64_t estimate) {
    const Status refused = budgets.reserve(ask("r", estimate, limits)).status();
    REQUIRE(refused.code() == Code::kQuotaExceeded);
    const bool may_help = parse_json(refused.details_json()).value().at("waiting_may_help");
    CHECK(refused.retry_after_s() == (may_help ? 2 : 0));
    CHECK((refused.message().find("Other requests hold") != std::string::npos) == may_help);
    return may_help;
  };
  // 30 used and 50 reserved.
  CHECK(waiting({-1, 100, kUsd}, 70));
  CHECK_FALSE(waiting({-1, 100, kUsd}, 71));
  CHECK(waiting({100, kUsd, kUsd}, 21));
  CHECK(waiting({-1, kUsd, 100}, 21));
  // One limit would do with waiting, another not, whichever refuses first.
  CHECK_FALSE(waiting({100, kUsd, 90}, 61));
  CHECK_FALSE(waiting({90, kUsd, 100}, 61));
  CHECK(waiting({-1, 95, 100}, 65));
  CHECK_FALSE(waiting({-1, 0, kUsd}, 0));
  CHECK_FALSE(waiting({100, kUsd, 0}, 21));
}

TEST_CASE("budget: the room is what the tightest limit leaves", "[unit][ai]") {
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  const auto room = [&](BudgetLimits limits) { return *budgets.room(ask("r", 0, limits)); };
  CHECK(room({-1, 100, 200}) == 100);
  budgets.reserve(ask("paid", 30))->settle(charge(30));
  Result<Reservation> held = budgets.reserve(ask("held", 50));
  CHECK(room({-1, 100, 200}) == 20);
  CHECK(room({90, 100, 200}) == 10);
  CHECK(room({-1, 1000, 81}) == 1);
  CHECK(room({-1, 1000, 80}) == 0);
  CHECK(room({-1, 1000, 10}) == 0);
  CHECK(room({-1, 0, 200}) == 0);
  CHECK(room({-1, -1, -1}) == INT64_MAX);
  CHECK(room({-1, INT64_MAX, INT64_MAX}) > 0);
  // Exactly the room is admitted, and a nano-dollar more is not.
  CHECK(budgets.reserve(ask("r1", 21, {-1, 100, 200})).code() == Code::kQuotaExceeded);
  CHECK(budgets.reserve(ask("r2", 20, {-1, 100, 200})).ok());
  CHECK(budgets.stats().open_reservations == 1);
}

TEST_CASE("budget: without the store there is the room of the day, or none", "[fault][ai]") {
  const ManualClock clock;
  const auto base = make_memory_kv(clock);
  const auto kv =
      make_faulty_kv(*base, [](std::string_view, std::string_view) { return unavailable("down"); });
  Budgets budgets(*kv, clock);
  const auto open = [](BudgetLimits limits) {
    limits.failure_mode = FailureMode::kFailOpen;
    limits.fallback_daily_nano_usd = 150;
    return limits;
  };
  CHECK(budgets.room(ask("r", 0, {-1, kUsd, kUsd})).status().reason() == "quota_unavailable");
  // A fifteenth of the user's month is 100.
  CHECK(*budgets.room(ask("r", 0, open({-1, 1500, kUsd}))) == 100);
  CHECK(*budgets.room(ask("r", 0, open({-1, kUsd, kUsd}))) == 150);
  Result<Reservation> held = budgets.reserve(ask("r1", 60, open({-1, 1500, kUsd})));
  REQUIRE(held.ok());
  CHECK(*budgets.room(ask("r", 0, open({-1, 1500, kUsd}))) == 40);
  const Status refused = budgets.reserve(ask("r2", 41, open({-1, 1500, kUsd}))).status();
  CHECK(refused.code() == Code::kQuotaExceeded);
  CHECK(parse_json(refused.details_json()).value().at("waiting_may_help") == true);
  CHECK(*budgets.room(ask("r", 0, open({-1, 0, kUsd}))) <= 0);
  const Status blocked = budgets.reserve(ask("r3", 0, open({-1, 0, kUsd}))).status();
  CHECK(parse_json(blocked.details_json()).value().at("waiting_may_help") == false);
}

TEST_CASE("budget: who will ask for less is not told of as refused", "[unit][ai]") {
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  const BudgetLimits limits{-1, 100, kUsd};
  budgets.reserve(ask("paid", 96, limits))->settle(charge(96));
  REQUIRE(budgets.reconcile().ok());
  BudgetAsk asked = ask("large", 50, limits);
  asked.tell_refusal = false;
  CHECK(budgets.reserve(asked).code() == Code::kQuotaExceeded);
  CHECK(alerts_in(*kv).count("budget-u1-2026-01-100") == 0);
  asked.tell_refusal = true;
  CHECK(budgets.reserve(asked).code() == Code::kQuotaExceeded);
  CHECK(alerts_in(*kv).count("budget-u1-2026-01-100") == 1);
}

TEST_CASE("budget: a charge above its reservation is charged, noted and told with the charge",
          "[unit][ai]") {
  const ManualClock clock;
  const auto base = make_memory_kv(clock);
  bool down = false;
  const auto kv = make_faulty_kv(*base, [&](std::string_view op, std::string_view) {
    return down && op == "write" ? unavailable("down") : ok();
  });
  Budgets budgets(*kv, clock, [](std::string_view kind, std::string_view id) {
    return std::string(kind) == "user" ? "acme/" + std::string(id) : std::string("acme");
  });
  budgets.reserve(ask("exact", 1000))->settle(charge(1000));
  Result<Reservation> held = budgets.reserve(ask("over", 1500));
  held->settle(charge(1501));
  budgets.reserve(ask("tried", 10))->settle_try(charge(11, 502));
  down = true;
  CHECK_FALSE(budgets.reconcile().ok());
  CHECK(alerts_in(*base).empty());
  CHECK(rows_in(*base).empty());
  down = false;
  REQUIRE(budgets.reconcile().ok());
  const auto rows = rows_in(*base);
  CHECK(parse_json(rows.at("exact")).value()["reserved_nano_usd"] == 1000);
  CHECK(parse_json(rows.at("over")).value()["reserved_nano_usd"] == 1500);
  CHECK(parse_json(rows.at("over")).value()["cost_nano_usd"] == 1501);
  const auto alerts = alerts_in(*base);
  REQUIRE(alerts.size() == 2);
  CHECK(alerts.at("ai.above_reservation-over-0") ==
        "ai.above_reservation acme/u1: The request over to the model m cost $0.000001501; "
        "$0.0000015 had been set aside for it.");
  CHECK(alerts.count("ai.above_reservation-tried.1-0") == 1);
  CHECK(budgets.view("user", "u1", "")->used_nano_usd == 2512);
}

TEST_CASE("budget: the alerts of a settlement ride with its charge, each once", "[unit][ai]") {
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  budgets.reserve(ask("r1", 10))
      ->settle(charge(11),
               {{"ai.absurd_usage", "acme", "one"}, {"ai.absurd_usage", "acme", "two"}});
  REQUIRE(budgets.reconcile().ok());
  std::vector<std::string> told;
  for (const auto& [id, text] : alerts_in(*kv)) told.push_back(id);
  CHECK(told == std::vector<std::string>{"ai.above_reservation-r1-2", "ai.absurd_usage-r1-0",
                                         "ai.absurd_usage-r1-1"});
}

TEST_CASE("budget: a charge above its reservation is told, too, by the start after a crash",
          "[fault][ai]") {
  const TempDir dir;
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  REQUIRE(budgets.recover(dir.file("journal"), known_in(*kv)).ok());
  budgets.reserve(ask("over", 10))->settle(charge(11));
  budgets.reserve(ask("under", 10))->settle(charge(9));
  std::filesystem::copy_file(dir.file("journal"), dir.file("left"));
  const auto after = make_memory_kv(clock);
  Budgets again(*after, clock);
  REQUIRE(again.recover(dir.file("left"), known_in(*after)).ok());
  CHECK(alerts_in(*after).size() == 1);
  CHECK(alerts_in(*after).count("ai.above_reservation-over-0") == 1);
}

// The record may be put right, by an older backup say, or be removed, before repair() comes to it.
TEST_CASE("budget: a damaged counter that can be read again waits for its rows all the same",
          "[fault][ai]") {
  const bool removed = GENERATE(false, true);
  INFO("removed " << removed);
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  const std::string key = keyspace::quota("user", "u1", "2026-01");
  {
    Budgets before(*kv, clock);
    before.reserve(ask("r1", 400))->settle(charge(100));
  }
  const KvEntry good = kv->get(KvFamily::kQuota, key).value();
  const auto put = [&](const std::string& value) {
    KvBatch batch;
    batch.put(KvFamily::kQuota, key, value);
    REQUIRE(kv->write(batch, KvDurability::kBuffered).ok());
  };
  put("\x01 not a counter");
  Budgets budgets(*kv, clock);
  const BudgetLimits open{-1, kUsd, kUsd, FailureMode::kFailOpen, kUsd};
  budgets.reserve(ask("r2", 400, open))->settle(charge(20));
  REQUIRE(budgets.reconcile().ok());  // The row alone.
  if (removed) {
    KvBatch batch;
    batch.remove(KvFamily::kQuota, key);
    REQUIRE(kv->write(batch, KvDurability::kBuffered).ok());
  } else {
    put(good.value);
  }
  CHECK(budgets.reserve(ask("r3", 400)).code() == Code::kUnavailable);
  budgets.reserve(ask("r4", 400, open))->settle(charge(3));
  REQUIRE(budgets.reconcile().ok());
  budgets.reserve(ask("r5", 400, open))->settle(charge(5));  // Has no row in the store yet.
  const auto recount = [&](std::string_view kind, std::string_view,
                           std::string_view month) -> Result<BudgetView> {
    CHECK(kind == "user");
    return BudgetView{123, 0, 3, 0, std::string(month)};
  };
  REQUIRE(budgets.repair(recount).ok());
  CHECK(budgets.view("user", "u1", "")->used_nano_usd == 128);
  CHECK(budgets.view("user", "u1", "")->request_count == 4);
  CHECK_FALSE(budgets.reserve(ask("r6", 400))->grace());
  REQUIRE(budgets.reconcile().ok());
  Budgets again(*kv, clock);
  CHECK(again.view("user", "u1", "")->used_nano_usd == 128);
  CHECK(again.view("org", "o1", "")->used_nano_usd == 128);
}
