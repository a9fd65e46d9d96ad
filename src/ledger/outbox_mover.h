// Brings the records of the KV outbox to SQL, exactly once each, in the order of their keys.
//
// A batch goes so: KV is synced (what SQL knows, KV must know too); one transaction writes the rows
// and, in ledger_state, the keys of the batch; then the keys are removed from KV, synced. A crash
// between the two leaves records that are in SQL already: the keys in ledger_state say which, and
// they are removed from KV before anything else is moved. Used by one thread (the ledger's).
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kv/kv.h"
#include "ledger/ledger.h"

namespace kvcs {

inline constexpr size_t kOutboxBatchMax = 500;

class OutboxMover final {
 public:
  // All outlive the mover.
  OutboxMover(KvStore& kv, DbWriter& writer) : kv_(kv), writer_(writer) {}
  void add_sink(std::string_view kind, OutboxSink sink);
  // Moves until the outbox is empty, or what came while it worked fills `batches_max` more batches.
  Status move_all(size_t batches_max);

  uint64_t moved() const { return moved_; }
  uint64_t dead() const { return dead_; }
  int64_t oldest_unix_ms() const { return oldest_unix_ms_; }  // 0: the outbox was empty.

 private:
  Status finish_last_batch();
  Status move_batch(const std::vector<KvItem>& items);
  Status insert_one(Database& db, const KvItem& item, bool& dead);
  Status write_batch(Database& db, const std::vector<KvItem>& items, uint64_t& dead);

  KvStore& kv_;
  DbWriter& writer_;
  std::map<std::string, OutboxSink, std::less<>> sinks_;
  bool recovered_ = false;           // finish_last_batch has read ledger_state.
  std::vector<std::string> in_sql_;  // In SQL, and perhaps in KV still.
  std::atomic<uint64_t> moved_{0}, dead_{0};
  std::atomic<int64_t> oldest_unix_ms_{0};
};

}  // namespace kvcs
