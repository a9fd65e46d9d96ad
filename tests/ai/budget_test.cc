// Budgets: whatever the order of reserve, settle, cancel, crash and month change, used + reserved
// never passes a limit, and counters equal the rows in the outbox. Method: the memory store, a
// store that fails by plan, a clock moved by hand, many threads, and a seeded random walk.
#include "ai/budget.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "base/json.h"
#include "kv/keyspace.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

constexpr int64_t kUsd = 1'000'000'000;

BudgetAsk ask(const std::string& id, int64_t estimate, BudgetLimits limits = {-1, kUsd, kUsd}) {
  return {.request_id = id,
          .key_id = "k1",
          .user_id = "u1",
          .organization_id = "o1",
          .limits = limits,
          .estimate_nano_usd = estimate,
          .input_only_nano_usd = estimate / 4};
}

UsageRecord charge(int64_t cost, int status = 200) {
  UsageRecord record;
  record.model = "m";
  record.cost_nano_usd = cost;
  record.status = status;
  return record;
}

// Sum of cost over the rows that wait in the outbox, by user and month.
std::map<std::string, int64_t> rows_by_month(const KvStore& kv) {
  std::map<std::string, int64_t> sums;
  REQUIRE(kv_for_each(kv, KvFamily::kOutbox, "", [&](const KvItem& item) -> Status {
            if (!item.entry.value.starts_with("usage\n")) return ok();  // An alert.
            const std::string payload = item.entry.value.substr(item.entry.value.find('\n') + 1);
            const Json row = KVCS_TRY(parse_json(payload));
            sums[row["period"].get<std::string>()] += row.value("cost_nano_usd", int64_t{0});
            return ok();
          }).ok());
  return sums;
}

int64_t count_open(const KvStore& kv) {
  return static_cast<int64_t>(
      kv.scan(KvFamily::kQuota, keyspace::reservation(""), "", 1000)->items.size());
}

void copy_store(const KvStore& from, KvStore& to) {
  for (const KvFamily family : {KvFamily::kQuota, KvFamily::kOutbox}) {
    REQUIRE(kv_for_each(from, family, "", [&](const KvItem& item) {
              KvBatch batch;
              batch.put(family, item.key, item.entry);
              return to.write(batch, KvDurability::kBuffered);
            }).ok());
  }
}

}  // namespace

TEST_CASE("budget: what is settled is counted for key, user and organization", "[unit][ai]") {
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  {
    Result<Reservation> held = budgets.reserve(ask("r1", 1000));
    REQUIRE(held.ok());
    CHECK(budgets.view("user", "u1", "")->reserved_nano_usd == 1000);
    CHECK(count_open(*kv) == 1);
    CHECK(held->settle(charge(300)).ok());
  }
  for (const auto& [kind, id] :
       std::map<std::string, std::string>{{"key", "k1"}, {"user", "u1"}, {"org", "o1"}}) {
    INFO(kind);
    const BudgetView view = *budgets.view(kind, id, "");
    CHECK(view.used_nano_usd == 300);
    CHECK(view.reserved_nano_usd == 0);
    CHECK(view.request_count == 1);
    const KvEntry stored = *kv->get(KvFamily::kQuota, keyspace::quota(kind, id, "2026-01"));
    CHECK((*parse_json(stored.value))["used_nano_usd"] == 300);
  }
  CHECK(count_open(*kv) == 0);
  CHECK(rows_by_month(*kv)["2026-01"] == 300);
}

TEST_CASE("budget: each of the three limits refuses by name, equality passes, zero blocks",
          "[unit][ai]") {
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  CHECK(budgets.reserve(ask("a", 100, {100, 100, 100})).ok());
  const auto refused = [&](BudgetLimits limits, int64_t estimate) {
    const Status status = budgets.reserve(ask("b", estimate, limits)).status();
    CHECK(status.code() == Code::kQuotaExceeded);
    CHECK(parse_json(status.details_json()).ok());
    return status.reason();
  };
  CHECK(refused({99, kUsd, kUsd}, 100) == "key_quota_exceeded");
  CHECK(refused({-1, 99, kUsd}, 100) == "user_quota_exceeded");
  CHECK(refused({-1, kUsd, 99}, 100) == "organization_quota_exceeded");
  CHECK(refused({-1, 0, kUsd}, 0) == "user_quota_exceeded");
  CHECK(refused({-1, kUsd, 0}, 0) == "organization_quota_exceeded");
  CHECK(refused({-1, kUsd, kUsd}, INT64_MAX) == "user_quota_exceeded");
}

TEST_CASE("budget: a dropped reservation costs what was seen, or nothing", "[unit][ai]") {
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  { Result<Reservation> dropped = budgets.reserve(ask("r1", 1000)); }
  CHECK(budgets.view("user", "u1", "")->used_nano_usd == 0);
  CHECK(rows_by_month(*kv).empty());
  {
    Result<Reservation> left = budgets.reserve(ask("r2", 1000));
    left->set_seen(charge(70, 499));
  }
  CHECK(budgets.view("user", "u1", "")->used_nano_usd == 70);
  CHECK(budgets.view("user", "u1", "")->error_count == 1);
  CHECK(rows_by_month(*kv)["2026-01"] == 70);
  CHECK(count_open(*kv) == 0);
}

TEST_CASE("budget: a new month starts at zero and a late settlement lands in its own",
          "[unit][ai]") {
  ManualClock clock(1'769'903'999'000);  // 2026-01-31T23:59:59Z
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  Result<Reservation> january = budgets.reserve(ask("r1", kUsd));
  REQUIRE(january.ok());
  CHECK_FALSE(budgets.reserve(ask("r2", 1)).ok());
  clock.advance_ms(2000);
  Result<Reservation> february = budgets.reserve(ask("r3", kUsd));
  REQUIRE(february.ok());
  CHECK(january->settle(charge(5)).ok());
  CHECK(february->settle(charge(7)).ok());
  CHECK(budgets.view("user", "u1", "2026-01")->used_nano_usd == 5);
  CHECK(budgets.view("user", "u1", "2026-02")->used_nano_usd == 7);
  const auto history = *budgets.history("user", "u1");
  REQUIRE(history.size() == 2);
  CHECK(history[0].month == "2026-02");
  CHECK(rows_by_month(*kv) == std::map<std::string, int64_t>{{"2026-01", 5}, {"2026-02", 7}});
}

TEST_CASE("budget: a process that died leaves its reservations to be settled, once", "[unit][ai]") {
  ManualClock clock;
  const auto before = make_memory_kv(clock);
  Budgets first(*before, clock);
  CHECK(first.reserve(ask("r1", 400))->settle(charge(100)).ok());
  Result<Reservation> open = first.reserve(ask("r2", 400));
  REQUIRE(open.ok());
  // The death of a process: what the store holds at this moment is all that is left.
  const auto kv = make_memory_kv(clock);
  copy_store(*before, *kv);
  for (int restart = 0; restart < 2; restart++) {
    Budgets again(*kv, clock);
    REQUIRE(again.recover().ok());
    CHECK(again.view("user", "u1", "")->used_nano_usd == 200);
    CHECK(again.view("user", "u1", "")->reserved_nano_usd == 0);
    CHECK(again.stats().recovered == (restart == 0 ? 1 : 0));
  }
  CHECK(rows_by_month(*kv)["2026-01"] == 200);
  CHECK(count_open(*kv) == 0);
}

TEST_CASE("budget: a thousand threads' requests never pass the limit", "[unit][ai]") {
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  const BudgetLimits limits{-1, kUsd / 100, kUsd};
  std::atomic<int> admitted{0};
  std::atomic<bool> passed{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; t++) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 125; i++) {
        auto held =
            budgets.reserve(ask(std::to_string(t) + "-" + std::to_string(i), 50'000, limits));
        const BudgetView view = *budgets.view("user", "u1", "");
        if (view.used_nano_usd + view.reserved_nano_usd > limits.user_nano_usd) passed = true;
        if (!held.ok()) continue;
        admitted++;
        if (!held->settle(charge(50'000)).ok()) passed = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(passed);
  CHECK(admitted == 200);
  CHECK(budgets.view("user", "u1", "")->used_nano_usd == 10'000'000);
  CHECK(rows_by_month(*kv)["2026-01"] == 10'000'000);
  Budgets again(*kv, clock);
  CHECK(again.view("user", "u1", "")->used_nano_usd == 10'000'000);
}

TEST_CASE("budget: an absent store closes the door, or opens it up to the day's fallback",
          "[fault][ai]") {
  ManualClock clock;
  const auto base = make_memory_kv(clock);
  std::atomic<bool> down{true};
  const auto kv = make_faulty_kv(
      *base, [&](std::string_view, std::string_view) { return down ? unavailable("down") : ok(); });
  Budgets budgets(*kv, clock);
  BudgetLimits closed{-1, kUsd, kUsd};
  const Status refused = budgets.reserve(ask("r0", 10, closed)).status();
  CHECK(refused.code() == Code::kUnavailable);
  CHECK(refused.reason() == "quota_unavailable");
  CHECK(refused.retry_after_s() > 0);

  BudgetLimits open{-1, kUsd, kUsd, FailureMode::kFailOpen, 100};
  {
    Result<Reservation> first = budgets.reserve(ask("r1", 60, open));
    REQUIRE(first.ok());
    CHECK(first->grace());
    CHECK(budgets.reserve(ask("r2", 60, open)).code() == Code::kQuotaExceeded);
    CHECK_FALSE(first->settle(charge(60)).ok());  // Kept in memory.
  }
  CHECK(budgets.stats().unwritten_settlements == 1);
  CHECK(budgets.reserve(ask("r3", 60, open)).code() == Code::kQuotaExceeded);
  CHECK_FALSE(budgets.reconcile().ok());
  down = false;
  CHECK(budgets.reconcile().ok());
  CHECK(budgets.stats().unwritten_settlements == 0);
  CHECK(budgets.view("user", "u1", "")->used_nano_usd == 60);
  CHECK(rows_by_month(*base)["2026-01"] == 60);
  // The day's spending survives a restart.
  Budgets again(*kv, clock);
  CHECK(again.reserve(ask("r4", 10, open)).ok());
  down = true;
  CHECK(again.reserve(ask("r5", 60, open)).code() == Code::kQuotaExceeded);
  down = false;
}

TEST_CASE("budget: a damaged counter is not a free month", "[fault][ai]") {
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  KvBatch batch;
  batch.put(KvFamily::kQuota, keyspace::quota("user", "u1", "2026-01"), "{\"used_nano_usd\":");
  REQUIRE(kv->write(batch, KvDurability::kBuffered).ok());
  Budgets budgets(*kv, clock);
  CHECK(budgets.reserve(ask("r1", 10)).code() == Code::kUnavailable);
}

TEST_CASE("budget: a reset leaves an adjustment row and what is in flight lands after it",
          "[unit][ai]") {
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  CHECK(budgets.reserve(ask("r1", 500))->settle(charge(500)).ok());
  Result<Reservation> in_flight = budgets.reserve(ask("r2", 100));
  CHECK(*budgets.reset_user("u1", "o1", false) == 500);
  CHECK(in_flight->settle(charge(40)).ok());
  CHECK(budgets.view("user", "u1", "")->used_nano_usd == 40);
  CHECK(budgets.view("org", "o1", "")->used_nano_usd == 540);
  CHECK(*budgets.reset_user("u1", "o1", true) == 40);
  CHECK(budgets.view("org", "o1", "")->used_nano_usd == 500);
}

TEST_CASE("budget: any interleaving keeps the limit and loses nothing", "[unit][ai]") {
  for (unsigned seed = 1; seed <= 20; seed++) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    ManualClock clock(1'769'903'000'000);
    const auto base = make_memory_kv(clock);
    bool down = false;
    const auto kv = make_faulty_kv(
        *base, [&](std::string_view, std::string_view) { return down ? unavailable("x") : ok(); });
    auto budgets = std::make_unique<Budgets>(*kv, clock);
    std::vector<Reservation> open;
    const BudgetLimits limits{-1, 5000, 8000};
    int next_id = 0;
    for (int step = 0; step < 400; step++) {
      switch (random() % 8) {
        case 0:
        case 1:
        case 2: {
          auto held = budgets->reserve(ask(std::to_string(next_id++), random() % 1000, limits));
          if (held.ok()) open.push_back(std::move(*held));
          break;
        }
        case 3:
        case 4:
          if (!open.empty()) {
            (void)open.back().settle(charge(random() % 500));
            open.pop_back();
          }
          break;
        case 5:
          if (!open.empty()) open.pop_back();
          break;
        case 6:
          clock.advance_ms(static_cast<int64_t>(random() % 60'000));
          break;
        case 7:
          down = random() % 4 == 0;
          break;
      }
      // Estimates bound costs here only up to 500 over; what was admitted never passes the limit.
      const auto view = budgets->view("user", "u1", "");
      if (view.ok()) CHECK(view->reserved_nano_usd <= limits.user_nano_usd);
    }
    down = false;
    open.clear();
    REQUIRE(budgets->reconcile().ok());
    for (const auto& [month, sum] : rows_by_month(*base)) {
      CHECK(budgets->view("user", "u1", month)->used_nano_usd == sum);
      CHECK(budgets->view("org", "o1", month)->used_nano_usd == sum);
    }
    CHECK(count_open(*base) == 0);
  }
}
