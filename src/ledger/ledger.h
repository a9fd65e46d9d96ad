// What is remembered: usage, audit, errors, decisions, job runs. Two ways in:
//   outbox  what must not be lost (usage, audit, alerts) rides in the KV batch of the change itself
//           (kv/outbox.h); the mover brings it to SQL, idempotent by id, and removes it after
//           its commit.
//   queue   diagnostics (error_ledger, statistics): bounded, drops the oldest and counts.
// One writer thread (DbWriter) owns ledger.db. The face forward-declares Database, so that hot
// files which include it do not see db/. Thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace kvcs {

class DbReaders;
class DbWriter;
class KvStore;

// One failed request; hashes instead of addresses, never bodies.
struct ErrorRecord {
  std::string id;  // "" = made here
  int64_t ts_ms = 0;
  std::string request_id, tenant, provider, account_id, action, method, path, code, message;
  int status = 0, upstream_status = 0;
  int64_t latency_ms = 0;
  std::string ip_hash;
};

struct JobRunRecord {
  std::string job;
  int64_t started_ms = 0, duration_ms = 0;
  std::string result;  // "ok" or the failure's text
  std::string detail;  // What the job reports, JSON or "".
};

// One page of a table for the admin API: rows as JSON object text, newest first.
struct LedgerQuery {
  std::string table;  // error_ledger, kv_audit, decision_log, job_runs, usage, alert_log
  std::vector<std::pair<std::string, std::string>> equals;  // column, value; columns are checked
  std::optional<int64_t> from_ms, to_ms;
  std::string cursor;
  int limit = 100;  // 1 to 1000
};
struct LedgerPage {
  std::vector<std::string> rows;
  std::string cursor;
};

// Turns one outbox record into rows, inside the mover's transaction. Registered per kind by App:
// "audit" (ledger's own), "usage" (ai), … `payload` is the JSON that was put into the outbox.
class Database;
using OutboxSink =
    std::function<Status(Database& db, std::string_view id, std::string_view payload)>;

class Ledger final {
 public:
  // `writer` and `readers` are of ledger.db. All outlive the ledger.
  Ledger(KvStore& kv, DbWriter& writer, DbReaders& readers, const Clock& clock,
         size_t queue_max = 10'000);
  ~Ledger();  // Drains queue and outbox, joins its thread.
  void add_sink(std::string_view kind, OutboxSink sink);  // Before start().
  void start();

  void record_error(ErrorRecord record);
  void record_job_run(JobRunRecord record);
  // Nudges the mover; it also looks every 200 ms by itself. Cheap; called after outbox writes.
  void notify();
  // Moves everything that is in the outbox now; for tests, shutdown and readers that must see it.
  Status drain();

  Result<LedgerPage> query(const LedgerQuery& query) const;
  // Runs SQL that a higher module owns on a reader / on the writer thread.
  Status read(const std::function<Status(Database&)>& query) const;
  Status write(std::function<Status(Database&)> job);
  // Walks the hash chain of kv_audit. Conflict naming the first row that does not fit.
  Result<int64_t> verify_audit_chain() const;  // Rows checked.
  // Removes rows older than `max_age_s` and, oldest first, beyond `max_rows`; how many.
  Result<int64_t> prune(std::string_view table, int64_t max_age_s, int64_t max_rows);

  struct Stats {
    size_t queued;
    uint64_t dropped, moved, outbox_failures;
    int64_t oldest_outbox_age_ms;
  };
  Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
