// The scheduler behind Cron: the ticking thread (or a caller of run_now) launches the jobs that are
// due, each run works on a thread of its own, and the record of a job is read and written by the
// one thread that launches, runs or ends the job at the time.
//
// A run whose thread the system refuses has failed: it is reported as others are, by the thread
// that launched it, and its slot is tried again a minute later.
//
// The record's `attempts` is what makes a crash harmless. It is raised, and on disk, before the
// job's function is called, and is 0 again when the function has returned. A start that finds it at
// 1 runs the slot once more; one that finds it at 2 (kAttemptsMax) goes on with the next slot.
#include "ops/cron.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/start_thread.h"
#include "base/thread.h"
#include "kv/keyspace.h"
#include "kv/kv.h"

namespace kvcs {

namespace {

constexpr int64_t kTickMs = 1000;
constexpr int64_t kUnstartedRetryMs = 60'000;
constexpr int64_t kWaitStepMs = 20;           // How often tick_and_wait looks at the time limits.
constexpr int64_t kClockJumpBackMs = 90'000;  // Less is a clock being disciplined.
constexpr int64_t kAttemptsMax = 2;
constexpr int64_t kTimeLimitMaxS = 86'400;  // Of a run, and of a jitter.
constexpr size_t kNameMaxBytes = 64;
constexpr size_t kResultMaxBytes = 1000;  // Of a failure, as the history keeps it.
constexpr std::string_view kSucceeded = "ok";

// The record of a job in KV: the slot that was last dealt with and how its run ended.
struct Record {
  int64_t slot_ms = 0;
  int64_t attempts = 0;  // Runs of this slot that have not ended; 0 when it is done.
  int64_t started_ms = 0, duration_ms = 0;
  std::string result;
};

std::string to_text(const Record& record) {
  return dump_json(Json{{"slot_ms", record.slot_ms},
                        {"attempts", record.attempts},
                        {"started_ms", record.started_ms},
                        {"duration_ms", record.duration_ms},
                        {"result", record.result}});
}

Result<Record> from_text(std::string_view text) {
  const Json json = KVCS_TRY(parse_json(text));
  if (!json.is_object()) return invalid("not an object");
  JsonReader reader(json);
  reader.ignore_unknown();
  Record record;
  record.slot_ms = reader.integer("slot_ms", 0, INT64_MAX);
  record.attempts = reader.integer("attempts", 0, INT64_MAX);
  record.started_ms = reader.integer("started_ms", 0, INT64_MAX);
  record.duration_ms = reader.integer("duration_ms", 0, INT64_MAX);
  record.result =
      reader.optional_string("result", {.min_bytes = 0, .max_bytes = 4096}).value_or("");
  KVCS_TRY(reader.finish());
  return record;
}

// FNV-1a over name and slot: the same slot of the same job always waits equally long.
int64_t jitter_ms(const Job& job, int64_t slot_ms) {
  if (job.jitter_s <= 0) return 0;
  uint64_t hash = 14'695'981'039'346'656'037u;
  for (const char c : job.name + "@" + std::to_string(slot_ms)) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211u;
  }
  return static_cast<int64_t>(hash % static_cast<uint64_t>(job.jitter_s * 1000));
}

Status check_job(const Job& job) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  };
  if (job.name.empty() || job.name.size() > kNameMaxBytes ||
      !std::all_of(job.name.begin(), job.name.end(), fits)) {
    return invalid("job name '" + printable(job.name, kShownName) +
                   "': 1 to 64 letters, digits, '-' and '_'");
  }
  if (job.time_limit_s < 1 || job.time_limit_s > kTimeLimitMaxS) {
    return invalid("job " + job.name + ": time limit " + std::to_string(job.time_limit_s) +
                   " s; it is 1 to 86400");
  }
  if (job.jitter_s < 0 || job.jitter_s > kTimeLimitMaxS) {
    return invalid("job " + job.name + ": jitter " + std::to_string(job.jitter_s) +
                   " s; it is 0 to 86400");
  }
  if (!job.run) return invalid("job " + job.name + " has no function");
  return ok();
}

std::string describe(const Status& status) {
  return printable(std::string(code_name(status.code())) + ": " + status.message(),
                   kResultMaxBytes);
}

Result<std::string> run_guarded(const Job& job, const JobContext& context) {
  // The edge of the thread: one job's bug must not take the daemon with it.
  try {
    return job.run(context);
  } catch (const std::exception& e) {
    return internal(std::string("exception: ") + e.what());
  }
}

}  // namespace

struct Cron::Impl {
  // `job` and `schedule` never change after add(). The other members are guarded by the mutex, with
  // two exceptions: `cancelled` is atomic, and while status.running is true `record` belongs to the
  // thread of the run.
  struct Entry {
    Job job;
    CronExpression schedule;
    JobStatus status;
    int64_t next_slot_ms = -1;  // The slot that is due next, without its jitter; -1 is none.
    int64_t deadline_us = 0;    // By the monotonic clock; passed, the run is cancelled.
    bool timed_out = false;
    std::atomic<bool> cancelled{false};
    Record record;
    std::unique_ptr<Thread> thread;
  };

  Impl(KvStore& k, const Clock& c, std::function<void(const JobRun&)> f)
      : kv(k), clock(c), on_finished(std::move(f)) {}

  Entry* find(std::string_view name) KVCS_REQUIRES(mutex) {
    for (const auto& entry : entries) {
      if (entry->job.name == name) return entry.get();
    }
    return nullptr;
  }

  void load_once();
  void plan(Entry& entry, int64_t after_ms) KVCS_REQUIRES(mutex);
  void plan_from_record(Entry& entry, int64_t now_ms) KVCS_REQUIRES(mutex);
  void tick();
  void tick_locked(std::vector<std::pair<Entry*, Status>>& unstarted);
  void finish_unstarted(Entry& entry, const Status& refused);
  void cancel_overdue(Entry& entry) KVCS_REQUIRES(mutex);
  Status launch(Entry& entry, int64_t slot_ms) KVCS_REQUIRES(mutex);
  void retry_unstarted(Entry& entry, int64_t slot_ms, int64_t now_ms) KVCS_REQUIRES(mutex);
  void run(Entry& entry, int64_t slot_ms);
  void finish(Entry& entry, JobRun done);
  std::string judge(Entry& entry, const Result<std::string>& outcome, int64_t duration_us);
  void save(const Entry& entry, KvDurability durability);
  bool any_running() const KVCS_REQUIRES(mutex) {
    return std::any_of(entries.begin(), entries.end(),
                       [](const auto& entry) { return entry->status.running; });
  }

  KvStore& kv;
  const Clock& clock;
  const std::function<void(const JobRun&)> on_finished;
  mutable Mutex mutex;
  CondVar changed;
  std::vector<std::unique_ptr<Entry>> entries KVCS_GUARDED_BY(mutex);
  // Whether the records of the last process were read. One caller reads them, the others wait.
  enum class Load : uint8_t { kNot, kUnderWay, kDone } load KVCS_GUARDED_BY(mutex) = Load::kNot;
  bool stopping KVCS_GUARDED_BY(mutex) = false;
  int64_t last_tick_ms KVCS_GUARDED_BY(mutex) = 0;
  Heartbeat heartbeat;  // The ticker's.
  std::unique_ptr<Thread> ticker;
};

void Cron::Impl::plan(Entry& entry, int64_t after_ms) {
  entry.next_slot_ms = entry.schedule.next_after_ms(after_ms);
  entry.status.next_ms =
      entry.next_slot_ms < 0 ? -1 : entry.next_slot_ms + jitter_ms(entry.job, entry.next_slot_ms);
}

// Plans the first run after a start. A slot that was interrupted is run again; if any slot passed
// while no process ran, one run makes up for all of them. The oldest missed slot stands for them:
// which one it is does not matter, because the slot after the run is planned from the present time.
void Cron::Impl::plan_from_record(Entry& entry, int64_t now_ms) {
  const bool interrupted = entry.record.attempts > 0 && entry.record.attempts < kAttemptsMax;
  const int64_t missed_ms = entry.schedule.next_after_ms(entry.record.slot_ms);
  if (interrupted || (missed_ms >= 0 && missed_ms <= now_ms)) {
    entry.next_slot_ms = interrupted ? entry.record.slot_ms : missed_ms;
    entry.status.next_ms = now_ms;
  } else {
    plan(entry, now_ms);
  }
}

void Cron::Impl::load_once() {
  std::vector<Entry*> all;
  {
    MutexLock lock(mutex);
    while (load == Load::kUnderWay) changed.wait(mutex);
    if (load == Load::kDone) return;
    load = Load::kUnderWay;
    for (const auto& entry : entries) all.push_back(entry.get());
  }
  const int64_t now_ms = clock.unix_ms();
  // Nothing runs yet, so the records may be touched without the lock, which is not held over I/O.
  for (Entry* entry : all) {
    const auto stored = kv.get(KvFamily::kSystem, keyspace::cron(entry->job.name));
    if (stored.ok()) {
      if (auto record = from_text(stored->value); record.ok()) entry->record = *record;
    } else if (stored.code() != Code::kNotFound) {
      log::warn("job.load_failed",
                {{"job", entry->job.name}, {"error", stored.status().to_string()}});
    }
    // A slot in the future was recorded under a wrong clock, and a job without a record is new.
    // Neither has missed anything yet: slots count from this moment.
    if (entry->record.slot_ms <= 0 || entry->record.slot_ms > now_ms + kClockJumpBackMs) {
      entry->record.slot_ms = now_ms;
      entry->record.attempts = 0;
      save(*entry, KvDurability::kBuffered);
    }
  }
  MutexLock lock(mutex);
  last_tick_ms = now_ms;
  for (Entry* entry : all) {
    entry->status.last_started_ms = entry->record.started_ms;
    entry->status.last_duration_ms = entry->record.duration_ms;
    entry->status.last_result = entry->record.result;
    plan_from_record(*entry, now_ms);
  }
  load = Load::kDone;
  changed.notify_all();
}

void Cron::Impl::tick() {
  std::vector<std::pair<Entry*, Status>> unstarted;
  tick_locked(unstarted);
  for (const auto& [entry, refused] : unstarted) finish_unstarted(*entry, refused);
}

void Cron::Impl::tick_locked(std::vector<std::pair<Entry*, Status>>& unstarted) {
  MutexLock lock(mutex);
  const int64_t now_ms = clock.unix_ms();
  // After the clock was set back, the next slot may lie hours ahead; every job is planned anew.
  const bool jumped_back = now_ms < last_tick_ms - kClockJumpBackMs;
  last_tick_ms = now_ms;
  for (const auto& entry : entries) {
    cancel_overdue(*entry);
    if (jumped_back) plan(*entry, now_ms);
    if (stopping || entry->status.next_ms < 0 || entry->status.next_ms > now_ms) continue;
    const int64_t slot_ms = entry->next_slot_ms;
    // A run that is still at work swallows the slot: the job never overlaps itself.
    plan(*entry, now_ms);
    if (entry->status.running) {
      ++entry->status.skipped;
    } else if (Status launched = launch(*entry, slot_ms); !launched.ok()) {
      retry_unstarted(*entry, slot_ms, now_ms);
      unstarted.emplace_back(entry.get(), std::move(launched));
    }
  }
}

void Cron::Impl::cancel_overdue(Entry& entry) {
  if (!entry.status.running || entry.timed_out || clock.mono_us() < entry.deadline_us) return;
  entry.timed_out = true;
  entry.cancelled = true;
  entry.cancelled.notify_all();
}

// A thread that has set running = false does nothing but end, so joining it here is brief. Without
// a thread the job counts as running until the caller has called finish_unstarted().
Status Cron::Impl::launch(Entry& entry, int64_t slot_ms) {
  entry.thread.reset();
  entry.cancelled = false;
  entry.timed_out = false;
  entry.deadline_us = clock.mono_us() + entry.job.time_limit_s * 1'000'000;
  entry.status.running = true;
  entry.status.last_started_ms = clock.unix_ms();
  Result<Thread> thread = start_thread(("job " + entry.job.name).c_str(),
                                       [this, &entry, slot_ms] { run(entry, slot_ms); });
  if (!thread.ok()) return std::move(thread).status();
  entry.thread = std::make_unique<Thread>(std::move(thread).value());
  return ok();
}

// A job of once a day does not wait for the next day.
void Cron::Impl::retry_unstarted(Entry& entry, int64_t slot_ms, int64_t now_ms) {
  if (entry.next_slot_ms >= 0 && entry.status.next_ms <= now_ms + kUnstartedRetryMs) return;
  entry.next_slot_ms = slot_ms;
  entry.status.next_ms = now_ms + kUnstartedRetryMs;
}

// The record keeps its slot as it was, so that a start of the process catches it up.
void Cron::Impl::finish_unstarted(Entry& entry, const Status& refused) {
  const JobRun done{
      .job = entry.job.name, .started_ms = clock.unix_ms(), .result = describe(refused)};
  log::warn("job.not_started", {{"job", done.job}, {"error", refused.to_string()}});
  finish(entry, done);
}

void Cron::Impl::save(const Entry& entry, KvDurability durability) {
  KvBatch batch;
  batch.put(KvFamily::kSystem, keyspace::cron(entry.job.name), to_text(entry.record));
  const Status written = kv.write(batch, durability);
  if (written.ok()) return;
  log::warn("job.save_failed", {{"job", entry.job.name}, {"error", written.to_string()}});
}

// The result that is kept and shown: "ok", or why the run counts as a failure. A run that took too
// long is a failure even when its function succeeded in the end.
std::string Cron::Impl::judge(Entry& entry, const Result<std::string>& outcome,
                              int64_t duration_us) {
  MutexLock lock(mutex);
  if (entry.timed_out || duration_us > entry.job.time_limit_s * 1'000'000) {
    return "Timeout: over its limit of " + std::to_string(entry.job.time_limit_s) + " s";
  }
  if (outcome.ok()) return std::string(kSucceeded);
  if (entry.cancelled) return "cancelled by the shutdown";
  return describe(outcome.status());
}

// Runs on the thread of the run. `slot_ms` is 0 for a run that was started by hand: the record of
// the schedule's slots then stays as it is.
void Cron::Impl::run(Entry& entry, int64_t slot_ms) {
  const int64_t begin_us = clock.mono_us();
  JobRun done{.job = entry.job.name, .started_ms = clock.unix_ms()};
  if (slot_ms > 0) {
    entry.record.attempts = entry.record.slot_ms == slot_ms ? entry.record.attempts + 1 : 1;
    entry.record.slot_ms = slot_ms;
    // On disk before the job acts: a run that the power cuts off counts as a try.
    save(entry, KvDurability::kSynced);
  }
  auto outcome = run_guarded(entry.job, JobContext{entry.cancelled});
  const int64_t duration_us = clock.mono_us() - begin_us;
  done.duration_ms = duration_us / 1000;
  done.result = judge(entry, outcome, duration_us);
  const bool succeeded = done.result == kSucceeded;
  if (!succeeded) {
    const std::string cause = outcome.ok() ? std::string() : outcome.status().cause();
    log::warn("job.failed", {{"job", done.job}, {"result", done.result}, {"cause", cause}});
  } else {
    done.detail = std::move(outcome).value();
    log::debug("job.done", {{"job", done.job}, {"ms", done.duration_ms}});
  }
  // A run that the shutdown cut off starts again with the next process, with one attempt to spare.
  const bool cut_off = !succeeded && done.result.starts_with("cancelled");
  if (slot_ms > 0) entry.record.attempts = cut_off ? 1 : 0;
  if (slot_ms > 0 && !cut_off) entry.record.slot_ms = std::max(slot_ms, done.started_ms);
  finish(entry, std::move(done));
}

// The end of a run: what it left is saved and reported, and the job may run again.
void Cron::Impl::finish(Entry& entry, JobRun done) {
  entry.record.started_ms = done.started_ms;
  entry.record.duration_ms = done.duration_ms;
  entry.record.result = done.result;
  save(entry, KvDurability::kBuffered);
  if (on_finished) on_finished(done);

  MutexLock lock(mutex);
  entry.status.last_duration_ms = done.duration_ms;
  entry.status.last_result = done.result;
  ++entry.status.runs;
  if (done.result != kSucceeded) ++entry.status.failures;
  entry.status.running = false;
  changed.notify_all();
}

Cron::Cron(KvStore& kv, const Clock& clock, std::function<void(const JobRun&)> on_finished)
    : impl_(std::make_unique<Impl>(kv, clock, std::move(on_finished))) {}

Cron::~Cron() {
  stop();
}

Status Cron::add(Job job) {
  KVCS_TRY(check_job(job));
  auto schedule = CronExpression::parse(job.schedule);
  if (!schedule.ok()) return std::move(schedule).status().with_context("job " + job.name);
  MutexLock lock(impl_->mutex);
  KVCS_ASSERT(impl_->load == Impl::Load::kNot);
  if (impl_->find(job.name) != nullptr) return conflict("job " + job.name + " is there already");
  auto entry = std::make_unique<Impl::Entry>();
  entry->status.name = job.name;
  entry->status.schedule = job.schedule;
  entry->schedule = *schedule;
  entry->job = std::move(job);
  impl_->entries.push_back(std::move(entry));
  return ok();
}

void Cron::start() {
  impl_->load_once();
  impl_->ticker = std::make_unique<Thread>("cron", [impl = impl_.get()] {
    MutexLock lock(impl->mutex);
    while (!impl->stopping) {
      impl->mutex.unlock();
      impl->heartbeat.work();
      impl->tick();
      impl->heartbeat.rest();
      impl->mutex.lock();
      if (!impl->stopping) impl->changed.wait_for_ms(impl->mutex, kTickMs);
    }
  });
}

void Cron::stop() {
  {
    MutexLock lock(impl_->mutex);
    impl_->stopping = true;
    for (const auto& entry : impl_->entries) {
      entry->cancelled = true;
      entry->cancelled.notify_all();
    }
    impl_->changed.notify_all();
    // The threads are joined only when none of them needs the mutex any more.
    while (impl_->any_running()) impl_->changed.wait_for_ms(impl_->mutex, kTickMs);
    for (const auto& entry : impl_->entries) entry->thread.reset();
  }
  impl_->ticker.reset();
}

void Cron::tick_and_wait() {
  impl_->load_once();
  impl_->tick();
  MutexLock lock(impl_->mutex);
  while (impl_->any_running()) {
    impl_->changed.wait_for_ms(impl_->mutex, kWaitStepMs);
    for (const auto& entry : impl_->entries) impl_->cancel_overdue(*entry);
  }
}

Status Cron::run_now(std::string_view name) {
  impl_->load_once();
  Impl::Entry* entry = nullptr;
  Status launched;
  {
    MutexLock lock(impl_->mutex);
    entry = impl_->find(name);
    if (entry == nullptr)
      return not_found("There is no job '" + printable(name, kShownName) +
                       "'; GET /admin/jobs lists them.");
    if (impl_->stopping) return unavailable("shutting down");
    if (entry->status.running) return conflict("job " + entry->job.name + " is running");
    launched = impl_->launch(*entry, 0);
  }
  if (!launched.ok()) impl_->finish_unstarted(*entry, launched);
  return launched;
}

Pulse Cron::pulse() const {
  return impl_->heartbeat.pulse();
}

std::vector<JobStatus> Cron::list() const {
  MutexLock lock(impl_->mutex);
  std::vector<JobStatus> all;
  for (const auto& entry : impl_->entries) all.push_back(entry->status);
  return all;
}

}  // namespace kvcs
