// The ledger's thread, its queue of diagnostics, and the face's other functions, which run on their
// caller's thread. The thread works in passes: a pass moves the outbox to SQL and then writes the
// queue. Money and audit go first, so that a flood of errors cannot hold them up.
#include "ledger/ledger.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <variant>

#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "db/db.h"
#include "ledger/alerts.h"
#include "ledger/audit.h"
#include "ledger/ledger_csv.h"
#include "ledger/outbox_mover.h"
#include "ledger/row_cap.h"
#include "ledger/rows.h"
#include "ledger/tables.h"

namespace kvcs {
namespace {

constexpr int64_t kPollMs = 200;
// Records that come within this time share a transaction; a pass for each request would cost more
// than the request.
constexpr int64_t kGatherMs = 200;
// One pass in so many, and each one after a pass that moved nothing, reads the outbox from its
// start and so finds records whose keys lie before the last one moved.
constexpr uint64_t kPassesPerWhole = 16;
constexpr size_t kQueueBatchMax = 500;
constexpr size_t kQueuedBodyBytesMax = 32u << 20;  // Bodies are the only large diagnostics.
// One pass ends here at the latest, so that drain() returns under any load.
constexpr size_t kPassBatchesMax = 2000;
constexpr int64_t kPruneChunkRows = 1000;
constexpr int64_t kDeadToldEveryMs = 3'600'000;
constexpr int64_t kCountMs = 200;  // What a count may take of a start.

using Diagnostic = std::variant<ErrorRecord, JobRunRecord, BodyRecord>;

size_t body_bytes(const Diagnostic& record) {
  const auto* bodies = std::get_if<BodyRecord>(&record);
  return bodies == nullptr ? 0 : bodies->request.size() + bodies->response.size();
}

Status insert_diagnostic(Database& db, const Diagnostic& record) {
  if (const auto* error = std::get_if<ErrorRecord>(&record)) return insert_error(db, *error);
  if (const auto* bodies = std::get_if<BodyRecord>(&record)) return insert_bodies(db, *bodies);
  return insert_job_run(db, std::get<JobRunRecord>(record));
}

// Runs `work` on a reader or on the writer and brings out its value.
template <typename T, typename Store>
Result<T> run_on(Store& store, const std::function<Result<T>(Database&)>& work) {
  std::optional<T> value;
  KVCS_TRY(store.run([&](Database& db) {
    auto result = work(db);
    if (result.ok()) value = std::move(result).value();
    return std::move(result).status();
  }));
  return std::move(*value);
}

Result<int64_t> count_rows(Database& db, const std::string& table) {
  auto count = KVCS_TRY(db.prepare("SELECT count(*) FROM " + table));
  KVCS_TRY(count.step());
  return count.integer(0);
}

// Removes one chunk from the old end of a table that is no chain: `excess` rows of whatever age, or
// when that is 0 those before `before_ms`.
Result<int64_t> prune_chunk(Database& db, const std::string& table, int64_t before_ms,
                            int64_t excess) {
  auto remove =
      KVCS_TRY(excess > 0 ? db.prepare("DELETE FROM " + table + " WHERE seq IN (SELECT seq FROM " +
                                       table + " ORDER BY ts_ms, seq LIMIT ?)")
                          : db.prepare("DELETE FROM " + table + " WHERE seq IN (SELECT seq FROM " +
                                       table + " WHERE ts_ms < ? ORDER BY ts_ms, seq LIMIT ?)"));
  if (excess > 0) {
    remove.bind(1, std::min(excess, kPruneChunkRows));
  } else {
    remove.bind(1, before_ms).bind(2, kPruneChunkRows);
  }
  KVCS_TRY(remove.run());
  return db.changes();
}

}  // namespace

struct Ledger::Impl {
  Impl(KvStore& store, DbWriter& db_writer, DbReaders& db_readers, const Clock& time, size_t limit)
      : kv(store),
        writer(db_writer),
        readers(db_readers),
        clock(time),
        queue_max(limit),
        mover(kv, writer, heartbeat) {
    mover.add_sink("audit", audit_sink);
    mover.set_on_dead([this](bool is_full) { tell_dead(is_full); });
    mover.set_after_batch([this](Database& db) { return enforce_row_caps(db, caps); });
  }

  KvStore& kv;
  DbWriter& writer;
  DbReaders& readers;
  const Clock& clock;
  const size_t queue_max;
  std::atomic<bool> stops_soon{false};
  Heartbeat heartbeat;  // Beaten by whoever has `mover`.
  OutboxMover mover;    // Ledger's thread only; before start() and after the join, the owner's.
  uint64_t passes = 0, moved_before = 0;  // Guarded as `mover` is.
  std::array<int64_t, 2> dead_told_ms{};  // Likewise: set aside, left behind.

  std::vector<std::function<Status()>> sources;  // Immutable once it runs.
  std::vector<RowCap> caps;                      // Likewise.

  mutable Mutex mutex;
  CondVar wake, passed;
  std::deque<Diagnostic> queue KVCS_GUARDED_BY(mutex);
  size_t queued_body_bytes KVCS_GUARDED_BY(mutex) = 0;
  uint64_t dropped KVCS_GUARDED_BY(mutex) = 0;
  bool nudged KVCS_GUARDED_BY(mutex) = false;
  bool running KVCS_GUARDED_BY(mutex) = false;
  bool stopping KVCS_GUARDED_BY(mutex) = false;
  // drain() asks for a pass that begins after its call; `done` is the last one that ended.
  uint64_t asked KVCS_GUARDED_BY(mutex) = 0;
  uint64_t done KVCS_GUARDED_BY(mutex) = 0;
  Status last_pass KVCS_GUARDED_BY(mutex);
  std::optional<Thread> thread;

  void push(Diagnostic record);
  Diagnostic pop() KVCS_REQUIRES(mutex);
  std::vector<Diagnostic> take_queued();
  Status flush_queue();
  void tell_dead(bool is_full);
  Status pass(bool whole);
  Status drained(Status pass) const;
  void loop();
};

// The oldest record makes room for a new one. Bodies are the exception: a new one that does not fit
// into their share of memory is dropped itself.
void Ledger::Impl::push(Diagnostic record) {
  const size_t bytes = body_bytes(record);
  MutexLock lock(mutex);
  if (queued_body_bytes + bytes > kQueuedBodyBytesMax) {
    dropped++;
    return;
  }
  if (queue.size() >= queue_max) {
    pop();
    dropped++;
  }
  queue.push_back(std::move(record));
  queued_body_bytes += bytes;
  if (queue.size() >= kQueueBatchMax && !nudged) {
    nudged = true;
    wake.notify_one();
  }
}

Diagnostic Ledger::Impl::pop() {
  Diagnostic record = std::move(queue.front());
  queue.pop_front();
  queued_body_bytes -= body_bytes(record);
  return record;
}

std::vector<Diagnostic> Ledger::Impl::take_queued() {
  MutexLock lock(mutex);
  std::vector<Diagnostic> batch;
  while (!queue.empty() && batch.size() < kQueueBatchMax) {
    batch.push_back(pop());
  }
  return batch;
}

Status Ledger::Impl::flush_queue() {
  // Diagnostics that come meanwhile wait for the next pass: a flood of errors must not hold up the
  // money.
  for (size_t taken = 0; taken < queue_max;) {
    const std::vector<Diagnostic> batch = take_queued();
    if (batch.empty()) return ok();
    taken += batch.size();
    const Resting resting(heartbeat);  // The writer is watched itself.
    // A batch that cannot be written is counted as dropped; to keep it would fill the queue.
    Status status = writer.run([&](Database& db) -> Status {
      for (const Diagnostic& record : batch) KVCS_TRY(insert_diagnostic(db, record));
      return enforce_row_caps(db, caps);
    });
    if (!status.ok()) {
      MutexLock lock(mutex);
      dropped += batch.size();
      return status;
    }
  }
  return ok();
}

// An alert is a record of the outbox itself, which may be what no sink takes: one an hour.
void Ledger::Impl::tell_dead(bool is_full) {
  const int64_t now_ms = clock.unix_ms();
  int64_t& told_ms = dead_told_ms[is_full ? 1 : 0];
  if (!mover.has_sink("alert") || now_ms < told_ms + kDeadToldEveryMs) return;
  const AlertEvent alert =
      is_full ? AlertEvent{"ledger.dead_full", "outbox_dead",
                           "outbox_dead is full: records that no table takes stay in the outbox, "
                           "and what they say is missing in the history. Look at GET "
                           "/admin/outbox-dead, raise ledger.dead_max_rows or "
                           "ledger.dead_max_bytes, and restart."}
              : AlertEvent{"ledger.dead", "outbox_dead",
                           "A record that no table takes was set aside, and what it says is "
                           "missing in the history. Look at GET /admin/outbox-dead."};
  KvBatch batch;
  add_alert(batch, alert, alert.event + "-" + std::to_string(now_ms), now_ms);
  const Status written = kv.write(batch, KvDurability::kBuffered);
  if (!written.ok()) return log::error("ledger.alert_failed", {{"error", written.to_string()}});
  told_ms = now_ms;
}

Status Ledger::Impl::pass(bool whole) {
  heartbeat.work();
  const bool idle = mover.moved() == moved_before;
  moved_before = mover.moved();
  const bool from_start = whole || idle || passes++ % kPassesPerWhole == 0;
  Status moved = mover.move(from_start ? OutboxMover::From::kStart : OutboxMover::From::kLast,
                            kPassBatchesMax);
  Status flushed = flush_queue();
  heartbeat.rest();
  return moved.ok() ? std::move(flushed) : std::move(moved);
}

// Waits for a reason, gathers for a moment, then makes a pass. Reasons are a nudge, the poll, a
// drain() that asks, and the stop; the last two are served at once and read the whole outbox. The
// pass after `stopping` was set is the last one and is the drain of the destructor.
void Ledger::Impl::loop() {
  bool was_ok = true;
  uint64_t done_before = 0;
  for (bool last = false; !last;) {
    uint64_t serving = 0;
    {
      MutexLock lock(mutex);
      while (!nudged && !stopping && asked == done) {
        if (!wake.wait_for_ms(mutex, kPollMs)) break;
      }
      while (!stopping && asked == done) {
        if (!wake.wait_for_ms(mutex, kGatherMs)) break;
      }
      nudged = false;
      last = stopping;
      serving = asked;
    }
    Status status = pass(last || serving != done_before);
    done_before = serving;
    // This thread is an edge: nobody above could log it. Once per incident, not five times a
    // second.
    if (!status.ok() && was_ok) log::error("ledger.stalled", {{"reason", status.to_string()}});
    if (status.ok() && !was_ok) log::info("ledger.resumed");
    was_ok = status.ok();
    MutexLock lock(mutex);
    last_pass = std::move(status);
    done = serving;
    passed.notify_all();
  }
}

Ledger::Ledger(KvStore& kv, DbWriter& writer, DbReaders& readers, const Clock& clock,
               size_t queue_max)
    : impl_(std::make_unique<Impl>(kv, writer, readers, clock, queue_max)) {}

Ledger::~Ledger() {
  bool was_running = false;
  {
    MutexLock lock(impl_->mutex);
    impl_->stopping = true;
    was_running = impl_->running;
    impl_->wake.notify_all();
  }
  // Its last pass is the drain.
  if (was_running) impl_->thread->join();
}

void Ledger::add_sink(std::string_view kind, OutboxSink sink) {
  {
    MutexLock lock(impl_->mutex);
    KVCS_ASSERT(!impl_->running);
  }
  impl_->mover.add_sink(kind, std::move(sink));
}

void Ledger::add_group_sink(std::string_view kind, OutboxGroupSink sink) {
  {
    MutexLock lock(impl_->mutex);
    KVCS_ASSERT(!impl_->running);
  }
  impl_->mover.add_group_sink(kind, std::move(sink));
}

void Ledger::set_row_caps(std::vector<RowCap> caps) {
  MutexLock lock(impl_->mutex);
  KVCS_ASSERT(!impl_->running);
  impl_->caps = std::move(caps);
}

void Ledger::set_dead_caps(int64_t max_rows, uint64_t max_bytes) {
  MutexLock lock(impl_->mutex);
  KVCS_ASSERT(!impl_->running);
  impl_->mover.set_dead_caps(max_rows, max_bytes);
}

void Ledger::start() {
  MutexLock lock(impl_->mutex);
  KVCS_ASSERT(!impl_->running);
  impl_->running = true;
  impl_->thread.emplace("ledger", [impl = impl_.get()] { impl->loop(); });
}

void Ledger::record_error(ErrorRecord record) {
  impl_->push(std::move(record));
}

void Ledger::record_job_run(JobRunRecord record) {
  impl_->push(std::move(record));
}

void Ledger::record_bodies(BodyRecord record) {
  impl_->push(std::move(record));
}

void Ledger::notify() {
  MutexLock lock(impl_->mutex);
  if (impl_->nudged) return;
  impl_->nudged = true;
  impl_->wake.notify_one();
}

void Ledger::add_source(std::function<Status()> fill) {
  MutexLock lock(impl_->mutex);
  KVCS_ASSERT(!impl_->running);
  impl_->sources.push_back(std::move(fill));
}

Status Ledger::Impl::drained(Status pass) const {
  if (!pass.ok() || !mover.stopped_early()) return pass;
  return Status(Code::kTimeout,
                "The daemon stops; records that wait in the outbox move at its next start.");
}

void Ledger::stop_soon() {
  impl_->stops_soon = true;
  impl_->mover.stop_soon();
}

Status Ledger::drain() {
  for (const auto& fill : impl_->sources) KVCS_TRY(fill());
  {
    MutexLock lock(impl_->mutex);
    if (impl_->running) {
      const uint64_t mine = ++impl_->asked;
      impl_->wake.notify_one();
      while (impl_->done < mine) impl_->passed.wait(impl_->mutex);
      return impl_->drained(impl_->last_pass);
    }
  }
  return impl_->drained(impl_->pass(true));
}

Result<LedgerPage> Ledger::query(const LedgerQuery& query) const {
  return run_on<LedgerPage>(impl_->readers,
                            [&](Database& db) { return read_ledger_page(db, query); });
}

Result<std::string> Ledger::csv_header(std::string_view table) {
  const LedgerTable* found = KVCS_TRY(find_ledger_table(table));
  std::vector<std::string> names;
  for (const LedgerColumn& column : found->columns) names.emplace_back(column.name);
  return csv_line(names);
}

Status Ledger::read(const std::function<Status(Database&)>& query) const {
  return impl_->readers.run(query);
}

Status Ledger::write(std::function<Status(Database&)> job) {
  return impl_->writer.run([this, job = std::move(job)](Database& db) -> Status {
    KVCS_TRY(job(db));
    return enforce_row_caps(db, impl_->caps);
  });
}

Result<int64_t> Ledger::count_errors(std::string_view action, int64_t from_ms, int64_t max) const {
  return run_on<int64_t>(impl_->readers, [&](Database& db) -> Result<int64_t> {
    int64_t count = 0;
    const Status counted = db.run_within(kCountMs, [&]() -> Status {
      auto rows = KVCS_TRY(
          db.prepare("SELECT count(*) FROM (SELECT 1 FROM error_ledger WHERE ts_ms >= ? AND "
                     "action = ? LIMIT ?)"));
      rows.bind(1, from_ms).bind(2, action).bind(3, max);
      KVCS_TRY(rows.step());
      count = rows.integer(0);
      return ok();
    });
    if (!counted.ok()) return counted;
    return count;
  });
}

Result<AuditChain> Ledger::verify_audit_chain() const {
  return run_on<AuditChain>(impl_->readers, check_audit_chain);
}

Result<int64_t> Ledger::prune(std::string_view table, int64_t max_age_s, int64_t max_rows) {
  const std::string name = (KVCS_TRY(find_ledger_table(table)))->name;
  const int64_t before_ms = max_age_s > 0 ? impl_->clock.unix_ms() - max_age_s * 1000 : INT64_MIN;
  int64_t excess = 0;
  if (max_rows > 0) {
    excess = -max_rows + KVCS_TRY(run_on<int64_t>(
                             impl_->readers, [&](Database& db) { return count_rows(db, name); }));
  }
  int64_t removed = 0;
  for (;;) {
    // First the rows over the limit, of whatever age; then, chunk by chunk, those that are too old.
    const bool by_rows = excess > removed;
    // Each chunk is a job of its own, so that other writes are done in between.
    const int64_t chunk = KVCS_TRY(run_on<int64_t>(impl_->writer, [&](Database& db) {
      const int64_t more = std::max<int64_t>(0, excess - removed);
      return name == "kv_audit" ? prune_audit(db, before_ms, more, kPruneChunkRows)
                                : prune_chunk(db, name, before_ms, more);
    }));
    removed += chunk;
    const bool done = chunk == 0 || (chunk < kPruneChunkRows && !by_rows);
    if (done || impl_->stops_soon) return removed;
  }
}

Result<int64_t> Ledger::prune_usage_days(int64_t max_age_s) {
  const std::string before = format_day(impl_->clock.unix_ms() - max_age_s * 1000);
  return run_on<int64_t>(impl_->writer, [&](Database& db) -> Result<int64_t> {
    auto remove = KVCS_TRY(db.prepare("DELETE FROM usage_daily WHERE day < ?"));
    KVCS_TRY(remove.bind(1, before).run());
    return db.changes();
  });
}

Pulse Ledger::pulse() const {
  return impl_->heartbeat.pulse();
}

Ledger::Stats Ledger::stats() const {
  const int64_t oldest = impl_->mover.oldest_unix_ms();
  MutexLock lock(impl_->mutex);
  return {impl_->queue.size(),
          impl_->dropped,
          impl_->mover.moved(),
          impl_->mover.dead(),
          impl_->mover.left(),
          oldest == 0 ? 0 : std::max<int64_t>(0, impl_->clock.unix_ms() - oldest)};
}

}  // namespace kvcs
