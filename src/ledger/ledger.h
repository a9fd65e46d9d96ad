// The history of the daemon in ledger.db: usage, audit, errors, decisions, job runs, alerts. There
// are two ways in:
//   outbox  Records that must not be lost (usage, audit, alerts) ride in the KV batch of the change
//           that they report (kv/outbox.h). The mover brings each to SQL exactly once and removes
//           it from KV after the commit.
//   queue   Diagnostics (error_ledger, job_runs, body_log) wait in memory. The queue is bounded: it
//           drops the oldest and counts them; bodies over their share of memory are not taken in.
// One thread of its own moves both, through the DbWriter of ledger.db.
//
// The class Ledger is everything that another module may do with this history, in five groups:
// setting up (sinks and sources, before start()), recording, moving (notify, drain), reading
// (query, read, the audit chain) and keeping small (prune). It owns the thread and the queue; the
// work itself is done by functions over a Database: rows.h inserts, tables.h lists, audit.h keeps
// the chain, outbox_mover.h moves. They are one class because all of them need the same writer,
// readers and clock, and because a reader that must see its own write has to go through drain().
//
// Database is only declared here, so that files of the hot path which include this header do not
// see db/. Thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/heartbeat.h"
#include "base/search_text.h"
#include "base/status.h"

namespace kvcs {

class Database;
class DbReaders;
class DbWriter;
class KvStore;
struct OutboxRecord;  // kv/outbox.h

// One failed request. It holds a hash of the client's address and never a body. Texts are cut at
// 2,000 bytes.
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

// The bodies of one AI request, for an organization that asked for it; cut and redacted before.
struct BodyRecord {
  int64_t ts_ms = 0;
  std::string request_id, organization_id, user_id, key_id, model;
  int status = 0;
  int64_t request_bytes = 0, response_bytes = 0;  // Of what was sent and received.
  std::string request, response;
};

// One page of a table for the admin API, newest first.
enum class RowFormat : uint8_t { kJson, kCsv };
inline constexpr int kLedgerPageMax = 1000;
// The rows whose column, a number or money, lies in one of the ranges; both ends are included.
// Money is nano-USD.
struct LedgerRanges {
  std::string column;
  std::vector<std::pair<int64_t, int64_t>> any;
};
struct LedgerQuery {
  // error_ledger, kv_audit, decision_log, job_runs, usage, body_log, alert_log or outbox_dead
  std::string table;
  std::vector<std::pair<std::string, std::string>> equals;  // column, value; columns are checked
  std::vector<LedgerRanges> within;
  std::string tries_of;  // Of `usage`: the rows of this request, one for each try; "" = all.
  std::optional<int64_t> from_ms, to_ms;  // from ≤ time < to
  SearchText search;  // Of `kv_audit`: what stands in a column that is no hash and no time.
  std::string cursor;
  int limit = 100;  // 1 to kLedgerPageMax
  RowFormat format = RowFormat::kJson;
};
// A table and how many rows it may hold.
struct RowCap {
  std::string table;
  int64_t max_rows = 0;
};
struct LedgerPage {
  std::vector<std::string> rows;  // JSON objects, or CSV lines that end in CR LF.
  std::string cursor;             // "" when this was the last page.
};

// Turns one outbox record into rows, inside the mover's transaction and a savepoint of its own.
// Registered per kind by App: "audit" (ledger's own), "usage" (rows.h), …
// Unavailable or Timeout: the batch is tried again later. Any other failure: the record is set
// aside in outbox_dead and the rest goes on.
using OutboxSink = std::function<Status(Database& db, const OutboxRecord& record)>;
// The same for all records of a kind that lie together: they share what costs once per call. All or
// none; after a failure each record is given to it alone.
using OutboxGroupSink =
    std::function<Status(Database& db, const std::vector<OutboxRecord>& records)>;

// The result of a walk along the hash chain of kv_audit.
struct AuditChain {
  int64_t rows = 0;    // Checked.
  int64_t pruned = 0;  // Removed by retention before the first row.
  std::string head;    // chain_hash of the newest row; note it elsewhere to prove the past.
};

class Ledger final {
 public:
  // `writer` and `readers` are of ledger.db. All outlive the ledger.
  Ledger(KvStore& kv, DbWriter& writer, DbReaders& readers, const Clock& clock,
         size_t queue_max = 10'000);
  ~Ledger();  // Drains queue and outbox, after stop_soon() a part of it, and joins its thread.

  // --- setting up
  void add_sink(std::string_view kind, OutboxSink sink);  // Before start().
  void add_group_sink(std::string_view kind, OutboxGroupSink sink);
  // `fill` brings into the outbox what others still hold; drain() calls it first, on its caller's
  // thread. Before start().
  void add_source(std::function<Status()> fill);
  // The caps hold at every insert: the transaction that adds rows takes the oldest ones beyond
  // them away. Before start(). Without it prune() alone keeps tables small.
  void set_row_caps(std::vector<RowCap> caps);
  // How many records outbox_dead may hold, and bytes of them. Before start(). Beyond, what no sink
  // takes stays in the outbox (outbox_mover.h).
  void set_dead_caps(int64_t max_rows, uint64_t max_bytes);
  void start();

  // --- recording diagnostics: cheap, from any thread, and dropped when the queue is full
  void record_error(ErrorRecord record);
  void record_job_run(JobRunRecord record);
  void record_bodies(BodyRecord record);
  // --- moving
  // Wakes the thread after a write to the outbox. It also looks every 200 ms by itself. Cheap.
  void notify();
  // Returns when all that was in queue and outbox at the call is in SQL; for tests, shutdown and
  // readers that must see it. Unavailable when KV or SQL is; the records stay in the outbox.
  // Timeout after stop_soon(), when there were too many.
  Status drain();
  // The daemon stops: from here on a pass moves a few batches, a prune ends at its next chunk, and
  // what is left in the outbox waits there for the next start. Never waits.
  void stop_soon();

  // --- reading
  // Invalid: unknown table or column, bad value, limit or cursor; the message names it.
  Result<LedgerPage> query(const LedgerQuery& query) const;
  // The first line of a CSV export of `table`.
  static Result<std::string> csv_header(std::string_view table);
  // Runs SQL that a higher module owns on a reader / on the writer thread.
  Status read(const std::function<Status(Database&)>& query) const;
  Status write(std::function<Status(Database&)> job);
  // How many errors of this action there are since then, counted no further than `max`. Timeout
  // when that takes long.
  Result<int64_t> count_errors(std::string_view action, int64_t from_ms, int64_t max) const;
  // Walks the hash chain of kv_audit. Conflict ("audit_chain_broken") naming the first row that
  // does not fit.
  Result<AuditChain> verify_audit_chain() const;

  // --- keeping it small
  // Removes rows older than `max_age_s` and, oldest first, those beyond `max_rows` (0: no such
  // limit), in chunks of 1,000. Returns how many went. Invalid for an unknown table.
  Result<int64_t> prune(std::string_view table, int64_t max_age_s, int64_t max_rows);
  // Removes the sums of days older than `max_age_s`. Returns how many went.
  Result<int64_t> prune_usage_days(int64_t max_age_s);

  struct Stats {
    size_t queued;
    uint64_t dropped, moved, dead;
    size_t left_in_outbox;  // As outbox_dead is full.
    int64_t oldest_outbox_age_ms;
  };
  Stats stats() const;
  Pulse pulse() const;  // Of its thread.

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
