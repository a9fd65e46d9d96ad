// Brings the records of the KV outbox to SQL, exactly once each, in the order of their keys.
//
// A batch goes so: KV is synced (what SQL knows, KV must know too); one transaction writes the rows
// and, in ledger_state, the keys of the batch; then the keys are removed from KV. A crash between
// the two leaves records that are in SQL already: the keys in ledger_state say which, and they are
// removed from KV before anything else is moved. The removal is a buffered write, for a synced one
// would make every request wait for the disk; the next batch's sync makes it durable before that
// batch's transaction forgets these keys. With the removal KV learns the newest row of the audit,
// so that a start can tell whether SQL still has it (audit_head.h). Used by one thread (the
// ledger's).
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kv/kv.h"
#include "kv/outbox.h"
#include "ledger/ledger.h"

namespace kvcs {

inline constexpr size_t kOutboxBatchMax = 500;           // Keys.
inline constexpr size_t kOutboxBatchRecordsMax = 4'000;  // Reached, the batch takes no more keys.
inline constexpr size_t kBatchesAtStop = 4;  // So that a short outbox is empty after a stop.

class OutboxMover final {
 public:
  // All outlive the mover.
  OutboxMover(KvStore& kv, DbWriter& writer) : kv_(kv), writer_(writer) {}
  void add_sink(std::string_view kind, OutboxSink sink);
  void add_group_sink(std::string_view kind, OutboxGroupSink sink);
  // Called in the transaction of each batch, after its rows.
  void set_after_batch(std::function<Status(Database&)> after) { after_batch_ = std::move(after); }
  // Where move() starts: at the first key, or behind the last one moved, which spares a look at
  // all that was removed. Keys begin with a time, so a record that was slow to be written may lie
  // before that one; the next move from the start finds it.
  enum class From : uint8_t { kStart, kLast };
  // Moves until the outbox is empty, or what came while it worked fills `batches_max` more batches.
  Status move(From from, size_t batches_max);
  // From here on a move ends after kBatchesAtStop batches, one that is under way included: what is
  // left is as safe in the outbox, and the next start moves it. From any thread.
  void stop_soon() { stopping_ = true; }
  // Whether a move has ended before the outbox was empty because of stop_soon().
  bool stopped_early() const { return stopped_early_; }

  uint64_t moved() const { return moved_; }
  uint64_t dead() const { return dead_; }
  int64_t oldest_unix_ms() const { return oldest_unix_ms_; }  // 0: the outbox was empty.

 private:
  // The work of one transaction: runs of records of one kind, and items that hold none, set aside.
  struct Run {
    std::vector<OutboxRecord> records;
    std::string bad_key, bad_value;  // Of an item that is malformed; then no records.
    Status reason;
  };
  struct Batch {
    std::vector<std::string> keys;
    std::vector<Run> runs;
    size_t records = 0;
  };

  Status finish_last_batch();
  // Items from `next` on, and moves `next` past them.
  static Batch take_batch(const std::vector<KvItem>& items, size_t& next);
  Status move_batch(Batch batch);
  Status call_sink(Database& db, const OutboxRecord& record) const;
  Status write_run(Database& db, const Run& run, uint64_t& dead) const;
  Status insert_one(Database& db, const OutboxRecord& record, uint64_t& dead) const;
  Status write_batch(Database& db, const Batch& batch, uint64_t& dead) const;

  KvStore& kv_;
  DbWriter& writer_;
  std::map<std::string, OutboxSink, std::less<>> sinks_;
  std::map<std::string, OutboxGroupSink, std::less<>> group_sinks_;
  std::function<Status(Database&)> after_batch_;
  bool recovered_ = false;           // finish_last_batch has read ledger_state.
  std::vector<std::string> in_sql_;  // In SQL, and perhaps in KV still.
  std::string audit_head_;           // In SQL with them; KV gets it when they are removed.
  std::string last_key_;             // Of the last batch moved.
  std::atomic<bool> stopping_{false}, stopped_early_{false};
  std::atomic<uint64_t> moved_{0}, dead_{0};
  std::atomic<int64_t> oldest_unix_ms_{0};
};

}  // namespace kvcs
