// Opens and closes RocksDB. Its options stand here: how the families are stored, when their files
// are rewritten, and that nothing of the library's own recovery from errors acts behind our back.
#include "kv/rocks_engine.h"

#include <rocksdb/cache.h>
#include <rocksdb/compaction_filter.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/table_properties_collectors.h>

#include "base/bytes.h"
#include "base/damage.h"
#include "base/store_damage.h"
#include "base/thread_room.h"
#include "kv/keyspace.h"
#include "kv/rocks_damage.h"
#include "kv/rocks_log.h"
#include "kv/stored_value.h"
#include "kv/wal_check.h"
#include "kv/wal_files.h"

namespace kvcs {
namespace {

constexpr size_t kWalMaxBytes = 64u << 20;
constexpr uint64_t kReclaimWithinS = 86'400;  // No file stays longer without a look at expiry.
constexpr double kBloomBitsPerKey = 10;
// RocksDB starts threads of its own, and aborts the process where one is refused: those that flush
// and compact, and, while it opens, some that read its tables.
constexpr int kBackgroundThreads = 2, kOpeningThreads = 16;
constexpr int kThreads = kBackgroundThreads + kOpeningThreads + 2;  // And its timer; one to spare.
// RocksDB compacts a file soon when kRemovedInWindow of any kRemovedWindow keys in a row in it are
// marks of removal.
constexpr size_t kRemovedWindow = 4096, kRemovedInWindow = 2048;

class ExpiryFilter final : public rocksdb::CompactionFilter {
 public:
  explicit ExpiryFilter(const Clock& clock) : clock_(clock) {}
  const char* Name() const override { return "kvcs.expiry"; }
  bool Filter(int, const rocksdb::Slice&, const rocksdb::Slice& stored, std::string*,
              bool*) const override {
    StoredValue decoded;
    return decode_value({stored.data(), stored.size()}, decoded) &&
           is_kv_expired(decoded.expires_at_s, clock_);
  }

 private:
  const Clock& clock_;
};

// The hint by which RocksDB finds the place of an insert in the memtable. The next insert of a kind
// goes near the last one: a counter's new value before its old one, an outbox record behind the
// last. RocksDB keeps one place per "prefix" and spares the search through the whole memtable,
// which is most of the cost of a small write. Keys without such a place (a grace day is written
// once in a while) are outside of the domain.
class InsertPlaces final : public rocksdb::SliceTransform {
 public:
  explicit InsertPlaces(KvFamily family) : family_(family) {}
  const char* Name() const override { return "kvcs.insert_places"; }
  bool InDomain(const rocksdb::Slice& key) const override {
    const rocksdb::Slice counters(keyspace::kQuotaPrefix.data(), keyspace::kQuotaPrefix.size());
    return family_ == KvFamily::kOutbox || key.starts_with(counters);
  }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return family_ == KvFamily::kOutbox ? rocksdb::Slice() : key;
  }

 private:
  const KvFamily family_;
};

// Notes that a flush or a compaction has failed. RocksDB would try again by itself on a full disk,
// on a thread of its own and at a time of its own; the store is mended by RocksKv alone.
class Failures final : public rocksdb::EventListener {
 public:
  Failures(std::shared_ptr<std::atomic<bool>> failed, StoreDamage* damage)
      : failed_(std::move(failed)), damage_(damage) {}
  const char* Name() const override { return "kvcs.failures"; }
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* error) override {
    if (!error->ok()) *failed_ = true;
    if (error->IsCorruption() && damage_ != nullptr) damage_->note(error->ToString());
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }

 private:
  const std::shared_ptr<std::atomic<bool>> failed_;
  StoreDamage* const damage_;
};

rocksdb::DBOptions database_options(const KvConfig& config, rocksdb::Env* env) {
  rocksdb::DBOptions options;
  options.env = env;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_open_files = config.open_files_max;
  options.max_background_jobs = kBackgroundThreads;
  options.max_file_opening_threads = kOpeningThreads;
  // When writers meet, one of them writes for all. To divide the memtable's part among them would
  // wake each for a few microseconds of work, and the writers that wait would spin.
  options.allow_concurrent_memtable_write = false;
  options.enable_write_thread_adaptive_yield = false;
  options.max_total_wal_size = kWalMaxBytes;
  options.info_log = make_rocks_log();
  options.max_bgerror_resume_count = 0;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

rocksdb::ColumnFamilyOptions family_options(const KvConfig& config,
                                            const rocksdb::CompactionFilter* filter) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(config.block_cache_bytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  table.format_version = 5;
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = config.write_buffer_bytes;
  options.compression = rocksdb::kLZ4Compression;
  options.compaction_filter = filter;
  options.table_properties_collector_factories.push_back(
      rocksdb::NewCompactOnDeletionCollectorFactory(kRemovedWindow, kRemovedInWindow));
  options.periodic_compaction_seconds = kReclaimWithinS;
  return options;
}

using Families = std::vector<rocksdb::ColumnFamilyDescriptor>;

// Ours, without RocksDB's "default".
Families our_families(const rocksdb::ColumnFamilyOptions& options) {
  Families ours;
  for (size_t i = 0; i < kKvFamilyCount; ++i) {
    const auto family = static_cast<KvFamily>(i);
    ours.emplace_back(std::string(kv_family_name(family)), options);
    if (family != KvFamily::kQuota && family != KvFamily::kOutbox) continue;
    ours.back().options.memtable_insert_with_hint_prefix_extractor =
        std::make_shared<InsertPlaces>(family);
  }
  return ours;
}

Status open_failed(const rocksdb::Status& s, const std::string& path) {
  std::string text = s.ToString();
  // A table that is missing is named as LevelDB would have called it, which RocksDB tries last.
  if (const size_t old = text.find(".ldb"); old != std::string::npos) text.replace(old, 4, ".sst");
  if (s.IsIOError() && (text.find("lock hold by current process") != std::string::npos ||
                        text.find("While lock file") != std::string::npos)) {
    return conflict("The directory \"" + printable(path) +
                    "\" is in use by another process; stop it, or choose another directory.")
        .with_cause(text);
  }
  if (s.IsCorruption() || s.IsPathNotFound()) return kv_damaged(path, text);
  return unavailable("The key-value store in \"" + printable(path) + "\" cannot be opened.", text);
}

}  // namespace

Status rocks_status(const rocksdb::Status& s, std::string_view what) {
  if (s.ok()) return ok();
  if (s.IsCorruption()) {
    return unreadable("A record that this needs", std::string(what) + ": " + s.ToString())
        .with_reason(kKvDamaged);
  }
  return unavailable("The key-value store cannot " + std::string(what) + ".", s.ToString());
}

RocksEngine::RocksEngine(const KvConfig& config, const Clock& clock)
    : config_(config),
      filter_(std::make_unique<ExpiryFilter>(clock)),
      background_failed_(std::make_shared<std::atomic<bool>>(false)),
      wals_(make_wal_files(config.path)) {}

RocksEngine::~RocksEngine() {
  if (!db_) return;
  for (auto* handle : handles_) (void)db_->DestroyColumnFamilyHandle(handle);
  (void)db_->Close();  // What it could not write is in the logs, or was told to the writer.
}

Result<std::unique_ptr<RocksEngine>> RocksEngine::open(const KvConfig& config, const Clock& clock,
                                                       StoreDamage* damage) {
  std::unique_ptr<RocksEngine> engine(new RocksEngine(config, clock));
  KVCS_TRY(engine->open_database(damage));
  return engine;
}

Result<std::unique_ptr<RocksEngine>> RocksEngine::open_to_read(const KvConfig& config,
                                                               const Clock& clock) {
  std::unique_ptr<RocksEngine> engine(new RocksEngine(config, clock));
  KVCS_TRY(engine->open_read_only(false));
  return engine;
}

Result<std::unique_ptr<RocksEngine>> RocksEngine::open_to_salvage(const KvConfig& config,
                                                                  const Clock& clock) {
  std::unique_ptr<RocksEngine> engine(new RocksEngine(config, clock));
  KVCS_TRY(engine->open_read_only(true));
  return engine;
}

Status RocksEngine::open_database(StoreDamage* damage) {
  KVCS_TRY(check_thread_room(kThreads, "the key-value store"));
  KVCS_TRY(check_kv_files(config_.path));
  const WalNotes::Left left = WalNotes::read(config_.path + "/" + kWalNotesName);
  const bool lost_tail = KVCS_TRY(check_wals(config_.path, left));
  if (left.same_boot) KVCS_TRY(check_manifest(config_.path));
  KVCS_TRY(wals_->keep_notes(left));
  const bool fresh = !has_kv_files(config_.path);
  const rocksdb::ColumnFamilyOptions family = family_options(config_, filter_.get());
  const Families ours = our_families(family);
  rocksdb::DBOptions options = database_options(config_, wals_->env());
  options.listeners.push_back(std::make_shared<Failures>(background_failed_, damage));
  // RocksDB by default drops, without a word, all that stands behind the first damage.
  options.wal_recovery_mode = lost_tail ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
                                        : rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  // A new store makes its families in one call: DB::Open would write and sync its options file
  // once for each. Should that be cut short, the next DB::Open makes those that are missing.
  Families families{{rocksdb::kDefaultColumnFamilyName, family}};
  if (!fresh) families.insert(families.end(), ours.begin(), ours.end());
  rocksdb::DB* db = nullptr;
  auto s = rocksdb::DB::Open(options, config_.path, families, &handles_, &db);
  if (!s.ok()) return open_failed(s, config_.path);
  db_.reset(db);
  if (!fresh) return ok();
  std::vector<rocksdb::ColumnFamilyHandle*> made;
  s = db_->CreateColumnFamilies(ours, &made);
  handles_.insert(handles_.end(), made.begin(), made.end());
  return s.ok() ? ok() : open_failed(s, config_.path);
}

Status RocksEngine::open_read_only(bool over_damage) {
  KVCS_TRY(check_thread_room(kThreads, "the key-value store"));
  const rocksdb::ColumnFamilyOptions family = family_options(config_, filter_.get());
  const Families ours = our_families(family);
  Families families{{rocksdb::kDefaultColumnFamilyName, family}};
  families.insert(families.end(), ours.begin(), ours.end());
  rocksdb::DBOptions options = database_options(config_, wals_->env());
  if (over_damage) {
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
  }
  rocksdb::DB* db = nullptr;
  const auto s = rocksdb::DB::OpenForReadOnly(options, config_.path, families, &handles_, &db);
  if (!s.ok()) return open_failed(s, config_.path);
  db_.reset(db);
  return ok();
}

Status RocksEngine::sync() {
  return wals_->sync();
}

Status RocksEngine::compact() {
  for (auto* family : handles_) {
    rocksdb::CompactRangeOptions options;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    const auto s = db_->CompactRange(options, family, nullptr, nullptr);
    if (!s.ok()) return rocks_status(s, "compact");
  }
  return ok();
}

}  // namespace kvcs
