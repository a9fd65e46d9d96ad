// Jobs on a schedule. Five-field expressions in UTC: minute hour day-of-month month day-of-week;
// lists, ranges, steps and English names ("*/15 8-18 * jan,jul mon-fri"). Day of week is 0 to 7,
// both ends Sunday. POSIX rule: when both day fields are restricted, a day that matches either
// runs; a field that starts with '*' is not restricted.
//
// One ticking thread; each run has a thread of its own, so at most one per job. A job never
// overlaps itself: a slot that comes while it runs is skipped and counted. What ran last is kept in
// KV under keyspace::cron(job): after a stop one missed slot is caught up, never more, and a run
// that died with the process is tried once more. A job past its time limit is told so through
// JobContext::cancelled and has failed, as has one that gets no thread. Thread-safe but for add().
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/heartbeat.h"
#include "base/status.h"

namespace kvcs {

class KvStore;

class CronExpression final {
 public:
  // Invalid names the field, what it says and what it may say. An expression that matches no day of
  // any year ("0 0 31 2 *") is Invalid too.
  static Result<CronExpression> parse(std::string_view text);
  // The first matching minute strictly after `unix_ms`; -1 when there is none within 8 years (the
  // longest way from one 29 February to the next).
  int64_t next_after_ms(int64_t unix_ms) const;

 private:
  bool matches_day(int64_t days_since_epoch, int day, int month) const;

  uint64_t minutes_ = 0, hours_ = 0, days_ = 0, months_ = 0, weekdays_ = 0;  // Bit per value.
  bool any_day_ = true, any_weekday_ = true;
};

struct JobContext {
  // Time limit passed or shutting down; return soon. Both also wake cancelled.wait(false).
  const std::atomic<bool>& cancelled;
};
// Does the work of a job and returns its report ("" or JSON), or why it failed.
using JobFunction = std::function<Result<std::string>(const JobContext&)>;

struct Job {
  std::string name;  // Also in the KV key: letters, digits, '-' and '_'.
  std::string schedule;
  int64_t time_limit_s = 60;
  // Each slot starts up to this much later; how much depends on name and slot alone.
  int64_t jitter_s = 0;
  JobFunction run;
};

struct JobStatus {
  std::string name, schedule;
  bool running = false;
  // next_ms is when the next slot is due, jitter included; -1 = never. Times are 0 before any.
  int64_t last_started_ms = 0, last_duration_ms = 0, next_ms = 0;
  int64_t runs = 0, failures = 0, skipped = 0;  // Since the start of the process.
  std::string last_result;                      // "", "ok" or the failure
};

// One finished run.
struct JobRun {
  std::string job;
  int64_t started_ms = 0, duration_ms = 0;
  std::string result;  // "ok" or the failure's text
  std::string detail;  // What the job reported, JSON or "".
};

class Cron final {
 public:
  // `on_finished` is called after each run, on the run's thread, without a lock; it must be quick.
  // `kv` and `clock` outlive it. A store that fails does not stop a job; it is logged.
  Cron(KvStore& kv, const Clock& clock, std::function<void(const JobRun&)> on_finished);
  ~Cron();  // stop()
  // Before start(). Invalid: schedule, name or limit. Conflict: a name used twice.
  Status add(Job job);
  // Reads what ran last, then ticks once a second.
  void start();
  // Cancels what runs, waits for it and for the ticking thread. Nothing starts afterwards.
  void stop();
  // Runs what is due at the clock's now and waits until nothing runs; for tests, without start().
  void tick_and_wait();
  // Starts the job now, apart from its schedule. NotFound; Conflict when it is running;
  // Unavailable when shutting down, or when the system has no thread.
  Status run_now(std::string_view name);
  std::vector<JobStatus> list() const;  // In the order they were added.
  Pulse pulse() const;                  // Of the ticking thread.

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
