// Goal: a job runs when its schedule says, once, never beside itself, also across restarts, clock
// jumps, crashes and a failing store. Method: ManualClock and the memory store; tick_and_wait()
// where one tick is enough, start() where the ticking thread itself is the subject.
#include "ops/cron.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "kv/keyspace.h"
#include "kv/kv.h"
#include "support/no_threads.h"
#include "support/wait.h"

using namespace kvcs;
using kvcs::test::NoThreads;

namespace {

constexpr int64_t kMinute = 60'000, kHour = 60 * kMinute, kDay = 24 * kHour;
constexpr auto kPatience = 10'000;  // Real milliseconds; only a failing test waits so long.

// A door that a job waits at until the test opens it.
class Gate {
 public:
  void open() {
    MutexLock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait() {
    MutexLock lock(mutex_);
    while (!open_ && changed_.wait_for_ms(mutex_, kPatience)) {
    }
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool open_ KVCS_GUARDED_BY(mutex_) = false;
};

struct Fixture {
  ManualClock clock;  // 2026-01-01T00:00:00Z, a Thursday.
  std::unique_ptr<KvStore> kv = make_memory_kv(clock);
  Mutex mutex;
  CondVar finished;
  std::vector<JobRun> runs KVCS_GUARDED_BY(mutex);

  Cron make() {
    return {*kv, clock, [this](const JobRun& run) {
              MutexLock lock(mutex);
              runs.push_back(run);
              finished.notify_all();
            }};
  }
  size_t run_count() {
    MutexLock lock(mutex);
    return runs.size();
  }
  JobRun run(size_t i) {
    MutexLock lock(mutex);
    REQUIRE(i < runs.size());
    return runs[i];
  }
  void wait_for_runs(size_t n) {
    MutexLock lock(mutex);
    while (runs.size() < n && finished.wait_for_ms(mutex, kPatience)) {
    }
    REQUIRE(runs.size() >= n);
  }
};

Job job(
    const char* schedule, JobFunction run = [](const JobContext&) { return std::string(); }) {
  return {.name = "sweep", .schedule = schedule, .run = std::move(run)};
}

}  // namespace

TEST_CASE("cron: a job runs at its slot, and its run is reported", "[unit][ops][cron]") {
  Fixture f;
  Cron cron = f.make();
  REQUIRE(cron.add(job("*/5 * * * *",
                       [&](const JobContext&) -> Result<std::string> {
                         f.clock.advance_ms(1500);
                         return std::string("{\"removed\":3}");
                       }))
              .ok());
  cron.tick_and_wait();
  CHECK(f.run_count() == 0);
  CHECK(cron.list()[0].next_ms == f.clock.unix_ms() + 5 * kMinute);

  f.clock.advance_ms(5 * kMinute);
  const int64_t due = f.clock.unix_ms();
  cron.tick_and_wait();
  cron.tick_and_wait();
  REQUIRE(f.run_count() == 1);
  CHECK(f.run(0).job == "sweep");
  CHECK(f.run(0).result == "ok");
  CHECK(f.run(0).detail == "{\"removed\":3}");
  CHECK(f.run(0).started_ms == due);
  CHECK(f.run(0).duration_ms == 1500);
  const auto status = cron.list()[0];
  CHECK(status.last_result == "ok");
  CHECK(status.last_started_ms == due);
  CHECK(status.last_duration_ms == 1500);
  CHECK(status.next_ms == due + 5 * kMinute);
  CHECK(status.runs == 1);
  CHECK_FALSE(status.running);
}

TEST_CASE("cron: a failure is its result, and the schedule goes on", "[unit][ops][cron]") {
  Fixture f;
  Cron cron = f.make();
  int calls = 0;
  REQUIRE(cron.add(job("* * * * *",
                       [&](const JobContext&) -> Result<std::string> {
                         if (++calls == 1) return unavailable("the disk is full", "ENOSPC");
                         if (calls == 2) throw std::runtime_error("a bug");
                         return std::string();
                       }))
              .ok());
  cron.tick_and_wait();
  for (int i = 0; i < 3; ++i) {
    f.clock.advance_ms(kMinute);
    cron.tick_and_wait();
  }
  REQUIRE(f.run_count() == 3);
  CHECK(f.run(0).result == "Unavailable: the disk is full");
  CHECK_THAT(f.run(1).result, Catch::StartsWith("Internal"));
  CHECK_THAT(f.run(1).result, !Catch::Contains("a bug"));
  CHECK(f.run(2).result == "ok");
  CHECK(cron.list()[0].failures == 2);
}

TEST_CASE("cron: what cannot be a job is refused", "[unit][ops][cron]") {
  Fixture f;
  Cron cron = f.make();
  REQUIRE(cron.add(job("* * * * *")).ok());
  CHECK(cron.add(job("* * * * *")).code() == Code::kConflict);
  Job other = job("61 * * * *");
  other.name = "other";
  const Status bad = cron.add(other);
  CHECK(bad.code() == Code::kInvalid);
  CHECK_THAT(bad.message(), Catch::Contains("job other") && Catch::Contains("minute"));
  other.schedule = "* * * * *";
  for (const char* name : {"", "a b", "a:b", "ü"}) {
    Job named = other;
    named.name = name;
    CHECK(cron.add(named).code() == Code::kInvalid);
  }
  for (const int64_t limit : {int64_t{0}, int64_t{-1}, int64_t{86'401}}) {
    Job limited = other;
    limited.time_limit_s = limit;
    CHECK(cron.add(limited).code() == Code::kInvalid);
  }
  Job late = other;
  late.jitter_s = -1;
  CHECK(cron.add(late).code() == Code::kInvalid);
  Job empty = other;
  empty.run = nullptr;
  CHECK(cron.add(empty).code() == Code::kInvalid);
  CHECK(cron.list().size() == 1);
}

TEST_CASE("cron: a job never runs beside itself; the slot is skipped", "[unit][ops][cron]") {
  Fixture f;
  Cron cron = f.make();
  std::atomic<int> inside{0}, most{0};
  Gate gate, entered;
  REQUIRE(cron.add(job("* * * * *",
                       [&](const JobContext&) -> Result<std::string> {
                         most = std::max(most.load(), ++inside);
                         entered.open();
                         gate.wait();
                         --inside;
                         return std::string();
                       }))
              .ok());
  REQUIRE(cron.run_now("sweep").ok());
  entered.wait();
  CHECK(cron.list()[0].running);
  CHECK(cron.run_now("sweep").code() == Code::kConflict);
  f.clock.advance_ms(kMinute);
  cron.start();
  test::wait_until([&] { return cron.list()[0].skipped > 0; }, "a run was skipped");
  gate.open();
  f.wait_for_runs(1);
  cron.stop();
  CHECK(most == 1);
}

TEST_CASE("cron: run_now says what is not there, and leaves the schedule alone",
          "[unit][ops][cron]") {
  Fixture f;
  Cron cron = f.make();
  REQUIRE(cron.add(job("0 3 * * *")).ok());
  CHECK(cron.run_now("nothing").code() == Code::kNotFound);
  cron.tick_and_wait();
  const int64_t next = cron.list()[0].next_ms;
  REQUIRE(cron.run_now("sweep").ok());
  cron.tick_and_wait();
  CHECK(f.run_count() == 1);
  CHECK(cron.list()[0].next_ms == next);
  cron.stop();
  CHECK(cron.run_now("sweep").code() == Code::kUnavailable);
}

TEST_CASE("cron: past its time limit a job is told so and counts as failed", "[unit][ops][cron]") {
  Fixture f;
  Cron cron = f.make();
  Job slow = job("* * * * *", [&](const JobContext& context) -> Result<std::string> {
    f.clock.advance_ms(31'000);
    context.cancelled.wait(false);
    return std::string("done all the same");
  });
  slow.time_limit_s = 30;
  REQUIRE(cron.add(slow).ok());
  cron.tick_and_wait();
  f.clock.advance_ms(kMinute);
  cron.tick_and_wait();
  REQUIRE(f.run_count() == 1);
  CHECK(f.run(0).result == "Timeout: over its limit of 30 s");
  CHECK(f.run(0).detail.empty());
}

TEST_CASE("cron: the last run outlives the process", "[unit][ops][cron]") {
  Fixture f;
  {
    Cron cron = f.make();
    REQUIRE(cron.add(job("* * * * *",
                         [&f](const JobContext&) -> Result<std::string> {
                           f.clock.advance_ms(250);
                           return invalid("no");
                         }))
                .ok());
    cron.tick_and_wait();
    f.clock.advance_ms(kMinute);
    cron.tick_and_wait();
  }
  Cron cron = f.make();
  REQUIRE(cron.add(job("* * * * *")).ok());
  cron.tick_and_wait();
  const auto status = cron.list()[0];
  CHECK(status.last_result == "Invalid: no");
  CHECK(status.last_started_ms == f.clock.unix_ms() - 250);
  CHECK(status.last_duration_ms == 250);
  CHECK(f.run_count() == 1);
}

TEST_CASE("cron: of many missed slots one is caught up", "[unit][ops][cron]") {
  Fixture f;
  const auto start_and_tick = [&] {
    Cron cron = f.make();
    REQUIRE(cron.add(job("0 * * * *")).ok());
    cron.tick_and_wait();
    cron.tick_and_wait();
  };
  start_and_tick();  // First seen: nothing was missed.
  CHECK(f.run_count() == 0);
  f.clock.advance_ms(10 * kHour + 1);
  start_and_tick();
  CHECK(f.run_count() == 1);
  f.clock.advance_ms(30 * kMinute);
  start_and_tick();  // No slot in between.
  CHECK(f.run_count() == 1);
  f.clock.advance_ms(30 * kMinute);
  start_and_tick();
  CHECK(f.run_count() == 2);
}

TEST_CASE("cron: a run that died with the process is tried once more", "[unit][ops][cron]") {
  Fixture f;
  const auto store = [&](int attempts) {
    KvBatch batch;
    batch.put(KvFamily::kSystem, keyspace::cron("sweep"),
              "{\"slot_ms\":" + std::to_string(f.clock.unix_ms()) +
                  ",\"attempts\":" + std::to_string(attempts) +
                  ",\"started_ms\":1,\"duration_ms\":2,\"result\":\"ok\"}");
    REQUIRE(f.kv->write(batch, KvDurability::kBuffered).ok());
  };
  const auto start_and_tick = [&] {
    Cron cron = f.make();
    REQUIRE(cron.add(job("0 3 * * *")).ok());
    cron.tick_and_wait();
  };
  store(0);
  start_and_tick();
  CHECK(f.run_count() == 0);
  store(1);
  start_and_tick();
  CHECK(f.run_count() == 1);
  start_and_tick();
  CHECK(f.run_count() == 1);
  store(2);
  start_and_tick();
  CHECK(f.run_count() == 1);
}

TEST_CASE("cron: what the shutdown cut off starts again with the next process",
          "[unit][ops][cron]") {
  Fixture f;
  Gate entered;
  {
    Cron cron = f.make();
    REQUIRE(cron.add(job("* * * * *",
                         [&](const JobContext& context) -> Result<std::string> {
                           entered.open();
                           context.cancelled.wait(false);
                           return timed_out("stopped half-way");
                         }))
                .ok());
    cron.tick_and_wait();
    f.clock.advance_ms(kMinute);
    cron.start();
    entered.wait();
  }
  CHECK(f.run(0).result == "cancelled by the shutdown");
  Cron cron = f.make();
  REQUIRE(cron.add(job("* * * * *")).ok());
  cron.tick_and_wait();
  REQUIRE(f.run_count() == 2);
  CHECK(f.run(1).result == "ok");
}

TEST_CASE("cron: damaged, foreign and future records do no harm", "[unit][ops][cron]") {
  for (const char* text :
       {"", "[]", "{}", "{\"slot_ms\":\"x\"}", "\xff",
        "{\"slot_ms\":99999999999999,\"attempts\":1,\"started_ms\":0,\"duration_ms\":0}"}) {
    INFO(text);
    Fixture f;
    KvBatch batch;
    batch.put(KvFamily::kSystem, keyspace::cron("sweep"), text);
    REQUIRE(f.kv->write(batch, KvDurability::kBuffered).ok());
    Cron cron = f.make();
    REQUIRE(cron.add(job("* * * * *")).ok());
    cron.tick_and_wait();
    CHECK(f.run_count() == 0);
    f.clock.advance_ms(kMinute);
    cron.tick_and_wait();
    CHECK(f.run_count() == 1);
  }
}

TEST_CASE("cron: a clock that jumps neither stops a job nor runs it in a burst",
          "[unit][ops][cron]") {
  Fixture f;
  Cron cron = f.make();
  REQUIRE(cron.add(job("0 * * * *")).ok());
  cron.tick_and_wait();
  f.clock.set_unix_ms(f.clock.unix_ms() + 30 * kDay);
  for (int i = 0; i < 3; ++i) cron.tick_and_wait();
  CHECK(f.run_count() == 1);
  f.clock.set_unix_ms(f.clock.unix_ms() - 60 * kDay);
  cron.tick_and_wait();
  CHECK(f.run_count() == 1);
  CHECK(cron.list()[0].next_ms == f.clock.unix_ms() + kHour);
  f.clock.advance_ms(kHour);
  cron.tick_and_wait();
  CHECK(f.run_count() == 2);
}

TEST_CASE("cron: jitter moves a slot by less than its bound, and always equally",
          "[unit][ops][cron]") {
  Fixture f;
  std::vector<int64_t> delays[2];
  for (auto& measured : delays) {
    Fixture fresh;
    Cron cron = fresh.make();
    Job job_with_jitter = job("* * * * *");
    job_with_jitter.jitter_s = 20;
    REQUIRE(cron.add(job_with_jitter).ok());
    for (int i = 0; i < 30; ++i) {
      cron.tick_and_wait();
      const int64_t slot = fresh.clock.unix_ms() / kMinute * kMinute + kMinute;
      measured.push_back(cron.list()[0].next_ms - slot);
      fresh.clock.set_unix_ms(slot + 20'000);
    }
  }
  CHECK(delays[0] == delays[1]);
  std::set<int64_t> different(delays[0].begin(), delays[0].end());
  CHECK(different.size() > 20);
  CHECK(*different.begin() >= 0);
  CHECK(*different.rbegin() < 20'000);
}

TEST_CASE("cron: a store that fails does not stop a job", "[fault][ops][cron]") {
  Fixture f;
  const auto faulty = make_faulty_kv(
      *f.kv, [](std::string_view, std::string_view) { return unavailable("kv is closed"); });
  std::atomic<int> calls{0};
  Cron cron(*faulty, f.clock, nullptr);
  REQUIRE(cron.add(job("* * * * *",
                       [&](const JobContext&) -> Result<std::string> {
                         ++calls;
                         return std::string();
                       }))
              .ok());
  cron.tick_and_wait();
  f.clock.advance_ms(kMinute);
  cron.tick_and_wait();
  CHECK(calls == 1);
  CHECK(cron.list()[0].last_result == "ok");
}

TEST_CASE("cron: the ticking thread starts what is due, and stop() waits for it",
          "[unit][ops][cron]") {
  Fixture f;
  Cron cron = f.make();
  for (const char* name : {"a", "b", "c", "d"}) {
    Job each = job("* * * * *");
    each.name = name;
    REQUIRE(cron.add(each).ok());
  }
  cron.tick_and_wait();
  f.clock.advance_ms(kMinute);
  cron.start();
  f.wait_for_runs(4);
  for (int i = 0; i < 200; ++i) {
    (void)cron.run_now("a");  // Conflict now and then.
    (void)cron.list();
  }
  cron.stop();
  for (const auto& status : cron.list()) CHECK_FALSE(status.running);
  const size_t before = f.run_count();
  f.clock.advance_ms(kHour);
  cron.tick_and_wait();
  CHECK(f.run_count() == before);
}

TEST_CASE("cron: a run for which there is no thread has failed, and is tried a minute later",
          "[unit][ops][cron]") {
  Fixture f;
  Cron cron = f.make();
  REQUIRE(cron.add(job("0 4 * * *")).ok());
  cron.tick_and_wait();
  f.clock.advance_ms(4 * kHour);
  {
    const NoThreads limit;
    cron.tick_and_wait();
    REQUIRE(f.run_count() == 1);
    CHECK(f.run(0).result.starts_with("Unavailable: The system lets this process start no more"));
    CHECK(cron.list()[0].failures == 1);
    CHECK(cron.list()[0].last_result == f.run(0).result);
    CHECK_FALSE(cron.list()[0].running);
    CHECK(cron.list()[0].next_ms == f.clock.unix_ms() + kMinute);
    // By hand: the caller is told.
    CHECK(cron.run_now("sweep").code() == Code::kUnavailable);
    CHECK(f.run_count() == 2);
  }
  f.clock.advance_ms(kMinute);
  cron.tick_and_wait();
  REQUIRE(f.run_count() == 3);
  CHECK(f.run(2).result == "ok");
  CHECK(cron.list()[0].next_ms == f.clock.unix_ms() - kMinute + kDay);
}

TEST_CASE("cron: a slot without a thread is caught up by the next process", "[unit][ops][cron]") {
  Fixture f;
  {
    Cron cron = f.make();
    REQUIRE(cron.add(job("0 4 * * *")).ok());
    cron.tick_and_wait();
    f.clock.advance_ms(4 * kHour);
    const NoThreads limit;
    cron.tick_and_wait();
    REQUIRE(f.run_count() == 1);
  }
  Cron cron = f.make();
  REQUIRE(cron.add(job("0 4 * * *")).ok());
  cron.tick_and_wait();
  REQUIRE(f.run_count() == 2);
  CHECK(f.run(1).result == "ok");
}
