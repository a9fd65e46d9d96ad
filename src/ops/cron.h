// Jobs on a schedule. Five-field expressions in UTC (minute hour day-of-month month day-of-week;
// lists, ranges, steps, names; POSIX rule: when both day fields are restricted, either matches).
//
// One ticking thread starts due jobs on it and one runner thread each; a job never overlaps itself.
// The last run is kept in KV: after a stop, one missed slot is caught up, never more. A job past
// its time limit is told so through JobContext::cancelled and counted as failed. Thread-safe.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace kvcs {

class KvStore;

class CronExpression final {
 public:
  static Result<CronExpression> parse(std::string_view text);  // Invalid names the bad field.
  // The first matching minute strictly after `unix_ms`; -1 when there is none within 5 years.
  int64_t next_after_ms(int64_t unix_ms) const;

 private:
  uint64_t minutes_ = 0, hours_ = 0, days_ = 0, months_ = 0, weekdays_ = 0;
  bool any_day_ = true, any_weekday_ = true;
};

struct JobContext {
  const std::atomic<bool>& cancelled;  // Time limit passed or shutting down; return soon.
};
// What the job reports ("" or JSON), or why it failed.
using JobFunction = std::function<Result<std::string>(const JobContext&)>;

struct Job {
  std::string name;
  std::string schedule;
  int64_t time_limit_s = 60;
  int64_t jitter_s = 0;
  JobFunction run;
};

struct JobStatus {
  std::string name, schedule;
  bool running = false;
  int64_t last_started_ms = 0, last_duration_ms = 0, next_ms = 0;
  std::string last_result;  // "", "ok" or the failure
};

struct JobRunRecord;

class Cron final {
 public:
  // `on_finished` is called after each run (ledger's record_job_run).
  Cron(KvStore& kv, const Clock& clock, std::function<void(const JobRunRecord&)> on_finished);
  ~Cron();              // Cancels and joins.
  Status add(Job job);  // Before start(). Invalid schedule or a name used twice.
  void start();
  void stop();
  // Runs what is due at the clock's now and waits for it; for tests, without start().
  void tick_and_wait();
  // Starts the job now, apart from its schedule. NotFound; Conflict when it is running.
  Status run_now(std::string_view name);
  std::vector<JobStatus> list() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
