// One opening of the RocksDB database behind RocksKv: the library's objects, opened together and
// closed together. After a failed write the database is closed and opened anew, hence a class of
// its own. Thread-safe. Internal to kv/.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "kv/kv.h"

namespace rocksdb {
class ColumnFamilyHandle;
class CompactionFilter;
class DB;
class Status;
}  // namespace rocksdb

namespace kvcs {

class StoreDamage;
class WalFiles;

class RocksEngine final {
 public:
  // Conflict: another process holds the directory. Unavailable: the disk fails, or what is stored
  // is damaged (reason kv_damaged); the message names the file and the way out.
  // `damage`, null or longer-lived, is told what compactions and flushes meet.
  static Result<std::unique_ptr<RocksEngine>> open(const KvConfig& config, const Clock& clock,
                                                   StoreDamage* damage = nullptr);
  // Reads what is stored, the logs included, and changes nothing on disk.
  static Result<std::unique_ptr<RocksEngine>> open_to_read(const KvConfig& config,
                                                           const Clock& clock);
  // The same of a store whose logs are damaged: of their records all that are whole.
  static Result<std::unique_ptr<RocksEngine>> open_to_salvage(const KvConfig& config,
                                                              const Clock& clock);
  ~RocksEngine();  // Syncs nothing.
  RocksEngine(const RocksEngine&) = delete;
  RocksEngine& operator=(const RocksEngine&) = delete;

  rocksdb::DB& db() { return *db_; }
  rocksdb::ColumnFamilyHandle* handle(KvFamily family) const {
    return handles_[static_cast<size_t>(family) + 1];  // RocksDB's own "default" is the first.
  }
  Status sync();     // Brings every write to disk.
  Status compact();  // Rewrites every file.
  // A flush or a compaction has failed: RocksDB does no more of them, and soon takes no writes.
  bool has_failed() const { return background_failed_->load(std::memory_order_relaxed); }

 private:
  RocksEngine(const KvConfig& config, const Clock& clock);
  Status open_database(StoreDamage* damage);
  Status open_read_only(bool over_damage);

  const KvConfig config_;
  const std::unique_ptr<const rocksdb::CompactionFilter> filter_;
  const std::shared_ptr<std::atomic<bool>> background_failed_;  // Shared with RocksDB's listener.
  std::unique_ptr<WalFiles> wals_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  std::unique_ptr<rocksdb::DB> db_;
};

// What a failed call of RocksDB means to the caller of the store, who was about to `what`.
Status rocks_status(const rocksdb::Status& s, std::string_view what);

}  // namespace kvcs
