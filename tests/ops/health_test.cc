// Goal: probes say what they found, in order, and the worst one decides.
#include "ops/health.h"

#include <catch2/catch.hpp>

#include <atomic>

#include "base/mutex.h"
#include "support/wait.h"

using namespace kvcs;

TEST_CASE("health: each code of a probe has its level, and the worst decides", "[unit][ops]") {
  ManualClock clock;
  HealthProbes probes(clock);
  CHECK(probes.run().empty());
  CHECK(HealthProbes::worst({}) == Health::kUp);

  Status kv_status, disk_status;
  probes.add("kv", [&] {
    clock.advance_ms(2);
    return kv_status;
  });
  probes.add("disk", [&] { return disk_status; });
  auto results = probes.run();
  REQUIRE(results.size() == 2);
  CHECK(results[0].name == "kv");
  CHECK(results[0].health == Health::kUp);
  CHECK(results[0].latency_us == 2000);
  CHECK(HealthProbes::worst(results) == Health::kUp);

  disk_status = too_large("the disk is 91 % full");
  results = probes.run();
  CHECK(results[1].health == Health::kDegraded);
  CHECK(results[1].message == "the disk is 91 % full");
  CHECK(HealthProbes::worst(results) == Health::kDegraded);

  for (const auto& down : {unavailable("kv is closed"), timed_out("no answer"), internal("bug")}) {
    kv_status = down;
    results = probes.run();
    CHECK(results[0].health == Health::kDown);
    CHECK(HealthProbes::worst(results) == Health::kDown);
  }
}

TEST_CASE("health: an internal failure does not show its cause", "[unit][ops]") {
  ManualClock clock;
  HealthProbes probes(clock);
  probes.add("kv", [] { return internal("password=1234"); });
  CHECK(probes.run()[0].message.find("1234") == std::string::npos);
}

TEST_CASE("health: levels have words", "[unit][ops]") {
  CHECK(health_name(Health::kUp) == "up");
  CHECK(health_name(Health::kDegraded) == "degraded");
  CHECK(health_name(Health::kDown) == "down");
}

TEST_CASE("health: a part whose writes fail is degraded by its name, and probed seldom",
          "[unit][ops]") {
  ManualClock clock;
  HealthProbes probes(clock);
  Status reads, writes;
  std::atomic<int> written = 0;  // The probes run on threads of their own.
  probes.add("kv", [&] { return reads; });
  const auto write = [&] {
    written++;
    return writes;
  };
  probes.add_writing("kv", write);
  probes.add_writing("blobs", write);
  CHECK(probes.run().size() == 1);  // Nobody hears of writes that succeed.
  writes = unavailable("the disk is full");
  CHECK(HealthProbes::worst(probes.run()) == Health::kUp);
  CHECK(written == 2);
  clock.advance_ms(HealthProbes::kWritingEveryUs / 1000);
  for (int i = 0; i < 2; i++) {
    const auto results = probes.run();
    REQUIRE(results.size() == 2);
    CHECK(results[0].name == "kv");
    CHECK(results[0].health == Health::kDegraded);
    CHECK(results[0].message == "the disk is full");
    CHECK(results[1].name == "blobs");
    CHECK(written == 4);
  }
  // What cannot be read either is down.
  reads = unavailable("closed");
  CHECK(probes.run()[0].health == Health::kDown);
  reads = writes = ok();
  clock.advance_ms(HealthProbes::kWritingEveryUs / 1000);
  CHECK(probes.run().size() == 1);
}

TEST_CASE("health: a probe that hangs is told, and holds nobody", "[unit][ops]") {
  ManualClock clock;
  Mutex mutex;
  CondVar changed;
  bool hangs = true;
  const auto hang = [&]() -> Status {
    const MutexLock lock(mutex);
    while (hangs) changed.wait(mutex);
    return ok();
  };
  HealthProbes probes(clock, 50);
  probes.add("kv", [] { return ok(); });
  probes.add("d1", hang);
  probes.add_writing("blobs", hang);
  for (int i = 0; i < 3; i++) {
    const auto results = probes.run();
    REQUIRE(results.size() == 3);
    CHECK(results[0].health == Health::kUp);
    CHECK(results[1].health == Health::kDown);
    CHECK(results[1].message.find("no answer for") == 0);
    CHECK(results[2].name == "blobs");
    CHECK(results[2].health == Health::kDegraded);
  }
  {
    const MutexLock lock(mutex);
    hangs = false;
  }
  changed.notify_all();
  CHECK(test::comes_true([&] { return HealthProbes::worst(probes.run()) == Health::kUp; }));
  CHECK(probes.run().size() == 2);
}
