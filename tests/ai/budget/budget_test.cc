// Budgets: whatever the order of reserve, settle, cancel, crash and month change, used + reserved
// never passes a limit, and counters equal the rows in the outbox. Method: the memory store, a
// store that fails by plan, a clock moved by hand, many threads, and a seeded random walk.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <atomic>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include "ai/budget/budget_support.h"
#include "base/json.h"
#include "kv/keyspace.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::ai;
using namespace kvcs::test;

TEST_CASE("budget: what is settled is counted for key, user and organization", "[unit][ai]") {
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  {
    Result<Reservation> held = budgets.reserve(ask("r1", 1000));
    REQUIRE(held.ok());
    CHECK(budgets.view("user", "u1", "")->reserved_nano_usd == 1000);
    held->settle(charge(300));
    // Counted at once; in the store with its row when the group is written.
    CHECK(budgets.view("user", "u1", "")->used_nano_usd == 300);
    CHECK(rows_in(*kv).empty());
  }
  REQUIRE(budgets.reconcile().ok());
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

TEST_CASE("budget: one of 0 is told as not set, with who sets it, and not as used up",
          "[unit][ai]") {
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  const auto words = [&](BudgetLimits limits) {
    return budgets.reserve(ask("a", 100, limits)).status().message();
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  const std::string of_organization = words({-1, kUsd, 0});
  CHECK(has(of_organization, "No AI budget is set for this organization"));
  CHECK(has(of_organization, "An operator"));
  const std::string of_user = words({-1, 0, kUsd});
  CHECK(has(of_user, "No AI budget is set for this user"));
  CHECK(has(of_user, "An admin of the organization"));
  CHECK(has(words({0, kUsd, kUsd}), "No AI budget is set for this API key"));
  for (const std::string& text : {of_organization, of_user}) CHECK_FALSE(has(text, "next month"));
  // One that has been spent is another matter.
  {
    Result<Reservation> spent = budgets.reserve(ask("b", 50, {-1, 50, kUsd}));
    REQUIRE(spent.ok());
    spent->settle(charge(50));
  }
  CHECK(has(words({-1, 50, kUsd}), "used up until the next month"));
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
    left->set_fallback_charge(charge(70, 499));
  }
  CHECK(budgets.view("user", "u1", "")->used_nano_usd == 70);
  CHECK(budgets.view("user", "u1", "")->error_count == 1);
  REQUIRE(budgets.reconcile().ok());
  CHECK(rows_by_month(*kv)["2026-01"] == 70);
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
  january->settle(charge(5));
  february->settle(charge(7));
  REQUIRE(budgets.reconcile().ok());
  CHECK(budgets.view("user", "u1", "2026-01")->used_nano_usd == 5);
  CHECK(budgets.view("user", "u1", "2026-02")->used_nano_usd == 7);
  const auto history = *budgets.history("user", "u1");
  REQUIRE(history.size() == 2);
  CHECK(history[0].month == "2026-02");
  CHECK(rows_by_month(*kv) == std::map<std::string, int64_t>{{"2026-01", 5}, {"2026-02", 7}});
}

TEST_CASE("budget: a process that died leaves its reservations to be settled, once", "[unit][ai]") {
  TempDir dir;
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets first(*kv, clock);
  REQUIRE(first.recover(dir.file("journal"), known_in(*kv)).ok());
  first.reserve(ask("r1", 400))->settle(charge(100));
  REQUIRE(first.reconcile().ok());
  first.reserve(ask("r2", 400))->settle(charge(30));  // Not in the store yet.
  Result<Reservation> open = first.reserve(ask("r3", 400));
  REQUIRE(open.ok());
  // The death of a process: what store and journal hold at this moment is all that is left.
  const auto after = make_memory_kv(clock);
  copy_store(*kv, *after);
  const std::string journal = dir.file("left");
  std::filesystem::copy_file(dir.file("journal"), journal);
  CHECK(count_left(journal) == 2);
  for (int restart = 0; restart < 2; restart++) {
    Budgets again(*after, clock);
    REQUIRE(again.recover(journal, known_in(*after)).ok());
    CHECK(again.view("user", "u1", "")->used_nano_usd == 100 + 30 + 100);
    CHECK(again.view("user", "u1", "")->reserved_nano_usd == 0);
    CHECK(again.view("user", "u1", "")->request_count == 3);
    CHECK(again.stats().recovered == (restart == 0 ? 2 : 0));
    CHECK(count_left(journal) == 0);
  }
  const auto rows = rows_in(*after);
  CHECK(rows.size() == 3);
  CHECK(rows.at("r2").find("recovered") == std::string::npos);
  CHECK(rows.at("r3").find("\"recovered\":true") != std::string::npos);
}

TEST_CASE("budget: a charge that reached the store before its process died is not charged again",
          "[fault][ai]") {
  TempDir dir;
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets first(*kv, clock);
  REQUIRE(first.recover(dir.file("journal"), known_in(*kv)).ok());
  Result<Reservation> one = first.reserve(ask("r1", 400));
  Result<Reservation> two = first.reserve(ask("r2", 400));
  std::filesystem::copy_file(dir.file("journal"), dir.file("open"));
  one->settle(charge(70));
  two->settle(charge(80));
  std::filesystem::copy_file(dir.file("journal"), dir.file("charged"));
  REQUIRE(first.reconcile().ok());  // Both, in one batch.
  CHECK(count_left(dir.file("journal")) == 0);
  for (const char* journal : {"charged", "open"}) {
    // As if it had died after the batch, before the slots were free.
    INFO(journal);
    Budgets after(*kv, clock);
    REQUIRE(after.recover(dir.file(journal), known_in(*kv)).ok());
    CHECK(after.view("user", "u1", "")->used_nano_usd == 150);
    CHECK(after.view("org", "o1", "")->request_count == 2);
    CHECK(after.stats().recovered == 0);
  }
  CHECK(rows_in(*kv).size() == 2);
}

TEST_CASE("budget: counters and rows of a group reach the store together or not at all",
          "[fault][ai]") {
  ManualClock clock;
  const auto base = make_memory_kv(clock);
  int writes = 0;
  bool down = false;
  const auto kv = make_faulty_kv(*base, [&](std::string_view op, std::string_view) {
    if (op != "write") return ok();
    writes++;
    return down ? unavailable("down") : ok();
  });
  Budgets budgets(*kv, clock);
  const std::string counter = keyspace::quota("user", "u1", "2026-01");
  const auto stored = [&] {
    return (*parse_json(base->get(KvFamily::kQuota, counter)->value))["used_nano_usd"];
  };
  for (int i = 0; i < 5; i++) budgets.reserve(ask(std::to_string(i), 100))->settle(charge(10));
  CHECK(writes == 0);
  REQUIRE(budgets.reconcile().ok());
  CHECK(writes == 1);
  CHECK(rows_in(*base).size() == 5);
  CHECK(base->scan(KvFamily::kOutbox, "", "", 10)->items.size() == 1);  // They share a key.
  CHECK(stored() == 50);
  for (int i = 5; i < 8; i++) budgets.reserve(ask(std::to_string(i), 100))->settle(charge(10));
  down = true;
  CHECK_FALSE(budgets.reconcile().ok());
  CHECK(rows_in(*base).size() == 5);
  CHECK(stored() == 50);
  down = false;
  budgets.reserve(ask("8", 100))->settle(charge(10));
  REQUIRE(budgets.reconcile().ok());
  CHECK(rows_in(*base).size() == 9);
  CHECK(stored() == 90);
}

TEST_CASE("budget: a thousand threads' requests never pass the limit", "[unit][ai]") {
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  budgets.start([] {});
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
        held->settle(charge(50'000));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(passed);
  CHECK(admitted == 200);
  CHECK(budgets.view("user", "u1", "")->used_nano_usd == 10'000'000);
  REQUIRE(budgets.reconcile().ok());
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
    first->settle(charge(60));
  }
  CHECK_FALSE(budgets.reconcile().ok());
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
  CHECK(budgets.view("user", "u1", "").code() == Code::kUnavailable);
}

TEST_CASE("budget: a counter whose block the store cannot read is made anew like any other",
          "[fault][ai]") {
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  const std::string key = keyspace::quota("user", "u1", "2026-01");
  const auto damaged = make_faulty_kv(*kv, [&](std::string_view op, std::string_view of) {
    return op == "get" && of == key ? internal("Corruption: block checksum mismatch") : ok();
  });
  Budgets budgets(*damaged, clock);
  CHECK(budgets.reserve(ask("r1", 400)).code() == Code::kUnavailable);
  REQUIRE(budgets
              .repair([](std::string_view kind, std::string_view, std::string_view month) {
                return Result<BudgetView>(
                    BudgetView{kind == "user" ? 120 : 0, 0, 3, 1, std::string(month)});
              })
              .ok());
  CHECK(budgets.reserve(ask("r2", 400)).ok());
  CHECK(budgets.view("user", "u1", "")->used_nano_usd == 120);
}

TEST_CASE("budget: a damaged counter holds up nobody else and is made anew from the rows",
          "[fault][ai]") {
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  budgets.reserve(ask("r1", 400))->settle(charge(100));
  budgets.reserve(ask("r2", 400))->settle(charge(20, 502));
  REQUIRE(budgets.reconcile().ok());
  const std::string key = keyspace::quota("user", "u1", "2026-01");
  KvBatch damage;
  damage.put(KvFamily::kQuota, key, "\x01 not a counter");
  REQUIRE(kv->write(damage, KvDurability::kBuffered).ok());

  Budgets after(*kv, clock);  // Has no counter in memory.
  BudgetAsk other = ask("r3", 400);
  other.user_id = "u2";
  other.key_id = "k2";
  const BudgetLimits open{-1, kUsd, kUsd, FailureMode::kFailOpen, kUsd};
  CHECK(after.reserve(ask("r4", 400)).code() == Code::kUnavailable);
  Result<Reservation> grace = after.reserve(ask("r5", 400, open));
  REQUIRE(grace.ok());
  CHECK(grace->grace());
  grace->settle(charge(7));
  after.reserve(other)->settle(charge(3));
  REQUIRE(after.reconcile().ok());
  CHECK(rows_in(*kv).size() == 4);
  CHECK(after.stats().unwritten_settlements == 0);
  CHECK(after.view("org", "o1", "")->used_nano_usd == 130);
  CHECK(after.view("key", "k1", "")->used_nano_usd == 127);
  CHECK(after.view("user", "u2", "")->used_nano_usd == 3);
  // What could not be read is still there to be looked at, and somebody was told.
  CHECK(kv->get(KvFamily::kQuota, key)->value == "\x01 not a counter");
  int alerts = 0;
  REQUIRE(kv_for_each(*kv, KvFamily::kOutbox, "", [&](const KvItem& item) {
            alerts += item.entry.value.find("budget.counter_damaged") != std::string::npos;
            return ok();
          }).ok());
  CHECK(alerts == 1);

  // A recount that fails changes nothing; one that works counts what came meanwhile once.
  const auto fails = [](auto...) -> Result<BudgetView> { return unavailable("down"); };
  CHECK(after.repair(fails).code() == Code::kUnavailable);
  Result<Reservation> meanwhile = after.reserve(ask("r6", 400, open));
  REQUIRE(meanwhile.ok());
  meanwhile->settle(charge(50));
  const auto recount = [](std::string_view kind, std::string_view id,
                          std::string_view month) -> Result<BudgetView> {
    // r1, r2 and r5 of u1, which has no row of r6 yet; the others are new and as they should be.
    if (id != "u1") return BudgetView{3, 0, 1, 0, std::string(month)};
    CHECK(kind == "user");
    return BudgetView{127, 0, 3, 1, std::string(month)};
  };
  REQUIRE(after.repair(recount).ok());
  const BudgetView made = *after.view("user", "u1", "");
  CHECK(made.used_nano_usd == 177);
  CHECK(made.request_count == 4);
  CHECK(made.error_count == 1);
  CHECK_FALSE(after.reserve(ask("r7", 400))->grace());
  Budgets again(*kv, clock);
  CHECK(again.view("user", "u1", "")->used_nano_usd == 177);
}

TEST_CASE("budget: a reset leaves an adjustment row and what is in flight lands after it",
          "[unit][ai]") {
  ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  budgets.reserve(ask("r1", 500))->settle(charge(500));
  Result<Reservation> in_flight = budgets.reserve(ask("r2", 100));
  CHECK(*budgets.reset_user("u1", "o1", false) == 500);
  in_flight->settle(charge(40));
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
      switch (random() % 9) {
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
            open.back().settle(charge(random() % 500));
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
        case 8:
          (void)budgets->reconcile();
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
    CHECK(budgets->stats().open_reservations == 0);
  }
}
