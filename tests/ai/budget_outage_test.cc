// What becomes of money while the store does not answer: the share that is allowed without it, and
// the journal that holds charges until it takes them.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <atomic>
#include <fstream>
#include <map>
#include <thread>

#include "ai/budget.h"
#include "base/json.h"
#include "kv/keyspace.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::ai;
using kvcs::test::TempDir;

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
  record.ts_ms = 1'767'225'600'000;  // 2026-01-01
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

size_t read_lines(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  size_t count = 0;
  while (std::getline(file, line)) count++;
  return count;
}

bool has_key(const KvStore& kv, const std::string& key) {
  return kv.get(KvFamily::kQuota, key).ok();
}

}  // namespace

TEST_CASE("budget: a process that dies while the store is away loses no charge", "[fault][ai]") {
  TempDir dir;
  const std::string path = dir.file("unwritten.jsonl");
  ManualClock clock;
  const auto base = make_memory_kv(clock);
  std::atomic<bool> down{false};
  const auto kv = make_faulty_kv(
      *base, [&](std::string_view, std::string_view) { return down ? unavailable("down") : ok(); });
  const BudgetLimits open{-1, kUsd, kUsd, FailureMode::kFailOpen, kUsd};
  {
    Budgets budgets(*kv, clock, {}, path);
    // One that was reserved while the store answered, and one that begins in grace.
    Result<Reservation> before = budgets.reserve(ask("r1", 400, open));
    down = true;
    CHECK_FALSE(before->settle(charge(70)).ok());
    Result<Reservation> grace = budgets.reserve(ask("r2", 400, open));
    REQUIRE(grace->grace());
    CHECK_FALSE(grace->settle(charge(30)).ok());
    CHECK_FALSE(budgets.reconcile().ok());
    CHECK(read_lines(path) == 2);
  }
  down = false;
  std::ofstream(path, std::ios::app) << "{\"torn";
  Budgets after(*kv, clock, {}, path);
  REQUIRE(after.recover([](std::string_view) -> Result<bool> { return false; }).ok());
  CHECK(after.view("user", "u1", "")->used_nano_usd == 100);
  CHECK(after.view("user", "u1", "")->request_count == 2);
  CHECK(rows_by_month(*base)["2026-01"] == 100);
  CHECK(count_open(*base) == 0);
  CHECK(has_key(*base, keyspace::grace("o1", "2026-01-01")));
  CHECK(read_lines(path) == 0);
}

TEST_CASE("budget: what the journal holds and the ledger has already is not charged again",
          "[fault][ai]") {
  TempDir dir;
  const std::string path = dir.file("unwritten.jsonl");
  ManualClock clock;
  const auto base = make_memory_kv(clock);
  std::atomic<bool> down{false};
  const auto kv = make_faulty_kv(
      *base, [&](std::string_view, std::string_view) { return down ? unavailable("down") : ok(); });
  const BudgetLimits open{-1, kUsd, kUsd, FailureMode::kFailOpen, kUsd};
  std::string left;
  {
    Budgets budgets(*kv, clock, {}, path);
    Result<Reservation> held = budgets.reserve(ask("r1", 400, open));
    down = true;
    CHECK_FALSE(held->settle(charge(70)).ok());
    std::ifstream(path) >> left;
    down = false;
    REQUIRE(budgets.reconcile().ok());
    CHECK(read_lines(path) == 0);  // The store has it.
  }
  // As if the process had died between the store's write and the removal.
  std::ofstream(path) << left << "\n";
  Budgets after(*kv, clock, {}, path);
  REQUIRE(after.recover([](std::string_view id) -> Result<bool> { return id == "r1"; }).ok());
  CHECK(after.view("user", "u1", "")->used_nano_usd == 70);
  CHECK(read_lines(path) == 0);
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
  const std::string path = dir.file("unwritten.jsonl");
  ManualClock clock;
  const auto base = make_memory_kv(clock);
  std::atomic<int> operations{0};
  const auto kv = make_faulty_kv(*base, [&](std::string_view, std::string_view) {
    return operations++ / 50 % 2 == 1 ? unavailable("down") : ok();
  });
  const BudgetLimits open{-1, 1'000 * kUsd, 1'000 * kUsd, FailureMode::kFailOpen, kUsd};
  std::atomic<int64_t> charged{0};
  {
    Budgets budgets(*kv, clock, {}, path);
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; t++) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 100; i++) {
          auto held =
              budgets.reserve(ask(std::to_string(t) + "-" + std::to_string(i), 50'000, open));
          if (!held.ok()) continue;
          // A store that is down just now takes it later.
          [[maybe_unused]] const Status written = held->settle(charge(i));
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
  CHECK(read_lines(path) == 0);
  CHECK(rows_by_month(*base)["2026-01"] == charged);
  Budgets after(*base, clock);
  CHECK(after.view("user", "u1", "")->used_nano_usd == charged);
}
