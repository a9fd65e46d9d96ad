// What becomes of money while the store does not answer: the share that is allowed without it, and
// the journal that holds charges until it takes them.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <atomic>
#include <filesystem>
#include <thread>

#include "ai/budget/budget_support.h"
#include "base/json.h"
#include "kv/keyspace.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::ai;
using namespace kvcs::test;

TEST_CASE("budget: a process that dies while the store is away loses no charge", "[fault][ai]") {
  TempDir dir;
  const std::string path = dir.file("journal");
  ManualClock clock;
  const auto base = make_memory_kv(clock);
  std::atomic<bool> down{false};
  const auto kv = make_faulty_kv(
      *base, [&](std::string_view, std::string_view) { return down ? unavailable("down") : ok(); });
  const BudgetLimits open{-1, kUsd, kUsd, FailureMode::kFailOpen, kUsd};
  {
    Budgets budgets(*kv, clock);
    REQUIRE(budgets.recover(path, known_in(*base)).ok());
    // One that was reserved while the store answered, and two that begin in grace.
    Result<Reservation> before = budgets.reserve(ask("r1", 400, open));
    down = true;
    before->settle(charge(70));
    Result<Reservation> grace = budgets.reserve(ask("r2", 400, open));
    REQUIRE(grace->grace());
    grace->settle(charge(30));
    Result<Reservation> unsettled = budgets.reserve(ask("r3", 400, open));
    CHECK_FALSE(budgets.reconcile().ok());
    CHECK(budgets.stats().unwritten_settlements == 2);
    std::filesystem::copy_file(path, dir.file("left"));
  }
  down = false;
  CHECK(count_left(dir.file("left")) == 3);
  Budgets after(*kv, clock);
  REQUIRE(after.recover(dir.file("left"), known_in(*base)).ok());
  CHECK(after.view("user", "u1", "")->used_nano_usd == 70 + 30 + 100);
  CHECK(after.view("user", "u1", "")->request_count == 3);
  const auto rows = rows_in(*base);
  REQUIRE(rows.size() == 3);
  CHECK(rows.at("r3").find("\"grace\":true,\"recovered\":true") != std::string::npos);
  const auto day = base->get(KvFamily::kQuota, keyspace::grace("o1", "2026-01-01"));
  CHECK((*parse_json(day->value))["used_nano_usd"] == 130);
  CHECK(count_left(dir.file("left")) == 0);
}

TEST_CASE("budget: without the store a user has a share, and what is blocked stays blocked",
          "[fault][ai]") {
  ManualClock clock;
  const auto base = make_memory_kv(clock);
  const auto kv =
      make_faulty_kv(*base, [](std::string_view, std::string_view) { return unavailable("down"); });
  Budgets budgets(*kv, clock);
  const auto admitted = [&](const char* id, BudgetLimits limits, int64_t estimate) {
    limits.failure_mode = FailureMode::kFailOpen;
    limits.fallback_daily_nano_usd = kUsd;
    Result<Reservation> held = budgets.reserve(ask(id, estimate, limits));
    return held.ok();
  };
  CHECK(admitted("a", {-1, 1500, kUsd}, 100));
  CHECK_FALSE(admitted("b", {-1, 1500, kUsd}, 101));
  CHECK_FALSE(admitted("c", {-1, 0, kUsd}, 0));
  CHECK_FALSE(admitted("d", {-1, 1500, 0}, 0));
  CHECK_FALSE(admitted("e", {0, 1500, kUsd}, 0));
}

TEST_CASE("budget: threads and a store that comes and goes lose nothing and double nothing",
          "[fault][ai]") {
  TempDir dir;
  const std::string path = dir.file("journal");
  ManualClock clock;
  const auto base = make_memory_kv(clock);
  std::atomic<int> operations{0};
  const auto kv = make_faulty_kv(*base, [&](std::string_view, std::string_view) {
    return operations++ / 50 % 2 == 1 ? unavailable("down") : ok();
  });
  const BudgetLimits open{-1, 1'000 * kUsd, 1'000 * kUsd, FailureMode::kFailOpen, kUsd};
  std::atomic<int64_t> charged{0};
  {
    Budgets budgets(*kv, clock);
    REQUIRE(budgets.recover(path, known_in(*base)).ok());
    budgets.start([] {});
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; t++) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 100; i++) {
          auto held =
              budgets.reserve(ask(std::to_string(t) + "-" + std::to_string(i), 50'000, open));
          if (!held.ok()) continue;
          held->settle(charge(i));  // A store that is down just now takes it later.
          charged += i;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    while (!budgets.reconcile().ok()) continue;
    CHECK(budgets.stats().unwritten_settlements == 0);
    CHECK(budgets.view("user", "u1", "2026-01")->used_nano_usd == charged);
  }
  CHECK(charged > 0);
  CHECK(count_left(path) == 0);
  CHECK(rows_by_month(*base)["2026-01"] == charged);
  Budgets after(*base, clock);
  CHECK(after.view("user", "u1", "")->used_nano_usd == charged);
}
