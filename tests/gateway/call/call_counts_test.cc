// Goal: no call passes the limit of a plan, whoever calls at once and whenever the process dies,
// and a month has a count of its own. Method: counts over a store in memory, a clock that is moved
// by hand, and a second object that stands for the next start.
#include "gateway/call/call_counts.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

using namespace kvcs;
using gateway::CallCounts;

namespace {

struct Rig {
  ManualClock clock;
  std::unique_ptr<KvStore> memory = make_memory_kv(clock);
  std::atomic<bool> down{false};
  std::unique_ptr<KvStore> kv = make_faulty_kv(*memory, [this](std::string_view, std::string_view) {
    return down ? unavailable("The store is down.") : ok();
  });
};

}  // namespace

TEST_CASE("calls: of many at once so many pass as are allowed", "[unit][gateway]") {
  Rig rig;
  CallCounts counts(*rig.kv, rig.clock);
  std::atomic<int> passed{0}, refused{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; i++) {
    callers.emplace_back([&] {
      for (int call = 0; call < 50; call++) {
        const Status taken = counts.take("acme", 300);
        passed += taken.ok();
        refused += taken.reason() == "CALLS_QUOTA_EXCEEDED";
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(passed == 300);
  CHECK(refused == 100);
  CHECK(counts.used("acme").value() == 300);
  const Status why = counts.take("acme", 300);
  CHECK(why.code() == Code::kForbidden);
  CHECK(why.message().find("300 of 300") != std::string::npos);
  CHECK(why.details_json() ==
        R"({"resource":"gateway_calls","used":300,"requested":1,"limit":300})");
  CHECK(counts.take("acme", -1).ok());
  CHECK(counts.take("other", 1).ok());
  // Of a plan without calls the next month brings none either.
  CHECK(why.message().find("next month") != std::string::npos);
  const Status none = counts.take("none", 0);
  CHECK(none.reason() == "CALLS_QUOTA_EXCEEDED");
  CHECK(none.message().find("gateway_calls: 0") != std::string::npos);
  CHECK(none.message().find("next month") == std::string::npos);
}

TEST_CASE("calls: a process that dies forgets none, and one that ends counts exactly",
          "[unit][gateway]") {
  Rig rig;
  {
    CallCounts counts(*rig.kv, rig.clock);
    for (int i = 0; i < 100; i++) REQUIRE(counts.take("acme", 1000).ok());
    CallCounts after_kill(*rig.kv, rig.clock);
    CHECK(after_kill.used("acme").value() >= 100);
    CHECK(after_kill.used("acme").value() <= 200);
    REQUIRE(counts.flush().ok());
  }
  CallCounts next(*rig.kv, rig.clock);
  CHECK(next.used("acme").value() == 100);
}

TEST_CASE("calls: a month has a count of its own", "[unit][gateway]") {
  Rig rig;
  CallCounts counts(*rig.kv, rig.clock);
  REQUIRE(counts.take("acme", 1).ok());
  CHECK_FALSE(counts.take("acme", 1).ok());
  REQUIRE(counts.flush().ok());
  rig.clock.advance_ms(int64_t{32} * 86'400'000);
  CHECK(counts.used("acme").value() == 0);
  CHECK(counts.take("acme", 1).ok());
  CHECK_FALSE(counts.take("acme", 1).ok());
  REQUIRE(counts.flush().ok());
  rig.clock.set_unix_ms(rig.clock.unix_ms() - int64_t{32} * 86'400'000);
  CHECK(counts.used("acme").value() == 1);
}

TEST_CASE("calls: without the store a limit refuses, and no limit lets through",
          "[fault][gateway]") {
  Rig rig;
  CallCounts counts(*rig.kv, rig.clock);
  rig.down = true;
  CHECK(counts.take("acme", 5).code() == Code::kUnavailable);
  CHECK(counts.take("acme", -1).ok());
  rig.down = false;
  REQUIRE(counts.take("acme", 5).ok());
  // What is in memory goes on, and is brought to the store when that is back.
  rig.down = true;
  for (int i = 0; i < 70; i++) CHECK(counts.take("acme", 1000).ok());
  CHECK(counts.flush().code() == Code::kUnavailable);
  rig.down = false;
  REQUIRE(counts.flush().ok());
  CHECK(CallCounts(*rig.kv, rig.clock).used("acme").value() == 71);
}
