// Brings the records of the KV outbox to SQL, exactly once each, in the order of their keys.
//
// A batch goes so: KV is synced (what SQL knows, KV must know too); one transaction writes the rows
// and, in ledger_state, the keys of the batch; then the keys are removed from KV. A crash between
// the two leaves records that are in SQL already: the keys in ledger_state say which, and they are
// removed from KV before anything else is moved. The removal is a buffered write, for a synced one
// would make every request wait for the disk; the next batch's sync makes it durable before that
// batch's transaction forgets these keys. With the removal KV learns the newest row of the audit,
// so that a start can tell whether SQL still has it (audit_head.h).
//
// A record that no sink takes is set aside in outbox_dead with the reason, and the rest goes on.
// That table is never pruned, as what lies there may be money, and so it has a cap. When it is
// full, such a record stays in the outbox, where it is as safe, and is passed over until the next
// start; the good records of its key move, for a record that is moved twice is there once. To stop
// at it instead would let one bad record hold up all money and audit, and the alert that tells of
// it. Only with kLeftKeysMax keys left behind does the outbox stop.
//
// Used by one thread (the ledger's).
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/heartbeat.h"
#include "base/status.h"
#include "kv/kv.h"
#include "kv/outbox.h"
#include "ledger/ledger.h"

namespace kvcs {

inline constexpr size_t kOutboxBatchMax = 500;           // Keys.
inline constexpr size_t kOutboxBatchRecordsMax = 4'000;  // Reached, the batch takes no more keys.
inline constexpr size_t kLeftKeysMax = 1000;
inline constexpr size_t kBatchesAtStop = 4;  // So that a short outbox is empty after a stop.

class OutboxMover final {
 public:
  // All outlive the mover. `heartbeat` is its thread's.
  OutboxMover(KvStore& kv, DbWriter& writer, Heartbeat& heartbeat)
      : kv_(kv), writer_(writer), heartbeat_(heartbeat) {}
  void add_sink(std::string_view kind, OutboxSink sink);
  void add_group_sink(std::string_view kind, OutboxGroupSink sink);
  // What outbox_dead may hold. Before the first move.
  void set_dead_caps(int64_t max_rows, uint64_t max_bytes) {
    dead_max_rows_ = max_rows;
    dead_max_bytes_ = max_bytes;
  }
  bool has_sink(std::string_view kind) const;
  // Called after a batch of which records were set aside, or left behind when `is_full`.
  void set_on_dead(std::function<void(bool is_full)> on_dead) { on_dead_ = std::move(on_dead); }
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
  size_t left() const { return left_count_; }                 // Keys that stay in the outbox.
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

  // Runs a job of the writer, which is watched itself.
  Status write(const std::function<Status(Database&)>& job);
  // Records of a batch that no sink takes.
  struct Dead {
    uint64_t records = 0;
    int64_t rows = 0;  // New ones of outbox_dead.
    uint64_t bytes = 0;
    bool is_full = false;  // At least one has no place there.
  };
  Status finish_last_batch();
  Status recover();
  // Items from `next` to `end` at most, without those left behind; moves `next` past them.
  Batch take_batch(const std::vector<KvItem>& items, size_t& next, size_t end) const;
  Status move_items(const std::vector<KvItem>& items, size_t first, size_t end, Batch batch);
  // False, with nothing moved: outbox_dead is full, and the batch has several keys.
  Result<bool> move_batch(Batch batch);
  Status leave_behind(const std::string& key);
  Status set_aside(Database& db, const OutboxRecord& record, const std::string& key,
                   const Status& reason, Dead& dead) const;
  Status call_sink(Database& db, const OutboxRecord& record) const;
  Status write_run(Database& db, const Run& run, Dead& dead) const;
  Status insert_one(Database& db, const OutboxRecord& record, Dead& dead) const;
  Status write_batch(Database& db, const Batch& batch, Dead& dead) const;

  KvStore& kv_;
  DbWriter& writer_;
  Heartbeat& heartbeat_;
  std::map<std::string, OutboxSink, std::less<>> sinks_;
  std::map<std::string, OutboxGroupSink, std::less<>> group_sinks_;
  std::function<Status(Database&)> after_batch_;
  std::function<void(bool is_full)> on_dead_;
  int64_t dead_max_rows_ = INT64_MAX;
  uint64_t dead_max_bytes_ = UINT64_MAX;
  int64_t dead_rows_ = 0;       // In outbox_dead.
  uint64_t dead_bytes_ = 0;     // Of their payloads and reasons.
  std::set<std::string> left_;  // Keys that stay in the outbox.
  std::atomic<size_t> left_count_{0};
  bool recovered_ = false;           // recover() has read ledger.db.
  std::vector<std::string> in_sql_;  // In SQL, and perhaps in KV still.
  std::string audit_head_;           // In SQL with them; KV gets it when they are removed.
  std::string last_key_;             // Of the last batch moved.
  std::atomic<bool> stopping_{false}, stopped_early_{false};
  std::atomic<uint64_t> moved_{0}, dead_{0};
  std::atomic<int64_t> oldest_unix_ms_{0};
};

}  // namespace kvcs
