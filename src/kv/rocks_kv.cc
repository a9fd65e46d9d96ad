// RocksDB as KvStore. A stored value is: format byte 1 | expiry, 8 bytes | length of the metadata,
// 2 bytes | metadata | value; numbers are little-endian. Expiry is checked on every read; the
// compaction filter only gives the space back.
#include "kv/rocks_kv.h"

#include <rocksdb/cache.h>
#include <rocksdb/compaction_filter.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/perf_context.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/utilities/table_properties_collectors.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <filesystem>

#include "base/bytes.h"
#include "base/file.h"
#include "kv/key_stripes.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

constexpr char kFormat = 1;
constexpr size_t kHeaderBytes = 1 + 8 + 2;
constexpr size_t kWalMaxBytes = 64u << 20;
constexpr size_t kLogFileMaxBytes = 1u << 20;
constexpr size_t kLogFiles = 2;
constexpr uint64_t kReclaimWithinS = 86'400;  // No file stays longer without a look at expiry.
constexpr double kBloomBitsPerKey = 10;
// RocksDB compacts a file soon when kRemovedInWindow of any kRemovedWindow keys in a row in it are
// marks of removal. A scan that stepped over more than kSkippedMax marks flushes the memtable, so
// that those in memory come into such a file.
constexpr size_t kRemovedWindow = 4096, kRemovedInWindow = 2048;
constexpr uint64_t kSkippedMax = 20'000;

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}
std::string_view view(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

std::string encode(const KvEntry& entry) {
  std::string out;
  out.reserve(kHeaderBytes + entry.metadata.size() + entry.value.size());
  out += kFormat;
  append_u64le(out, static_cast<uint64_t>(entry.expires_at_s));
  static_assert(kKvMetadataMaxBytes <= 0xffff);
  out += static_cast<char>(entry.metadata.size() & 0xff);
  out += static_cast<char>(entry.metadata.size() >> 8);
  return out.append(entry.metadata).append(entry.value);
}

struct Decoded {
  int64_t expires_at_s;
  std::string_view metadata, value;
  KvEntry entry() const { return {std::string(value), std::string(metadata), expires_at_s}; }
};

// False when the bytes are not of the format above.
bool decode(std::string_view stored, Decoded& out) {
  if (stored.size() < kHeaderBytes || stored[0] != kFormat) return false;
  out.expires_at_s = static_cast<int64_t>(load_u64le(stored.data() + 1));
  const size_t metadata_bytes = static_cast<unsigned char>(stored[9]) |
                                static_cast<size_t>(static_cast<unsigned char>(stored[10])) << 8;
  if (stored.size() - kHeaderBytes < metadata_bytes) return false;
  out.metadata = stored.substr(kHeaderBytes, metadata_bytes);
  out.value = stored.substr(kHeaderBytes + metadata_bytes);
  return true;
}

Status malformed(std::string_view key) {
  return internal("the stored value of key " + printable(key) + " is malformed");
}

Status to_status(const rocksdb::Status& s, std::string_view what) {
  if (s.ok()) return ok();
  if (s.IsCorruption()) return internal(std::string(what) + ": " + s.ToString());
  return unavailable("The key-value store cannot " + std::string(what) + ".", s.ToString());
}

Status open_failed(const rocksdb::Status& s, const std::string& path) {
  const std::string text = s.ToString();
  if (s.IsIOError() && (text.find("lock hold by current process") != std::string::npos ||
                        text.find("While lock file") != std::string::npos)) {
    return conflict("The directory \"" + printable(path) +
                    "\" is in use by another process; stop it, or choose another directory.")
        .with_cause(text);
  }
  if (s.IsCorruption()) return internal("open " + path + ": " + text);
  return unavailable("The key-value store in \"" + printable(path) + "\" cannot be opened.", text);
}

class ExpiryFilter final : public rocksdb::CompactionFilter {
 public:
  explicit ExpiryFilter(const Clock& clock) : clock_(clock) {}
  const char* Name() const override { return "kvcs.expiry"; }
  bool Filter(int, const rocksdb::Slice&, const rocksdb::Slice& stored, std::string*,
              bool*) const override {
    Decoded decoded;
    return decode(view(stored), decoded) && is_kv_expired(decoded.expires_at_s, clock_);
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

// The first key after all that start with `prefix`; "" when there is none.
std::string prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

class RocksKv final : public KvStore {
 public:
  explicit RocksKv(const Clock& clock) : clock_(clock), filter_(clock) {}
  ~RocksKv() override {
    if (!db_) return;
    // Checks nothing: an unsynced tail is still in the log, and a broken disk has been reported.
    (void)db_->FlushWAL(true);
    for (auto* handle : handles_) (void)db_->DestroyColumnFamilyHandle(handle);
    (void)db_->Close();
  }

  Status open(const KvConfig& config) {
    const rocksdb::ColumnFamilyOptions options = family_options(config);
    std::vector<rocksdb::ColumnFamilyDescriptor> ours;
    for (size_t i = 0; i < kKvFamilyCount; ++i) {
      const auto family = static_cast<KvFamily>(i);
      ours.emplace_back(std::string(kv_family_name(family)), options);
      if (family != KvFamily::kQuota && family != KvFamily::kOutbox) continue;
      ours.back().options.memtable_insert_with_hint_prefix_extractor =
          std::make_shared<InsertPlaces>(family);
    }
    // A new store makes its families in one call: DB::Open would write and sync its options file
    // once for each. Should that be cut short, the next DB::Open makes those that are missing.
    std::error_code ignored;
    const bool fresh = !std::filesystem::exists(config.path + "/CURRENT", ignored);
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    families.emplace_back(rocksdb::kDefaultColumnFamilyName, options);
    if (!fresh) families.insert(families.end(), ours.begin(), ours.end());
    rocksdb::DB* db = nullptr;
    auto s = rocksdb::DB::Open(database_options(config), config.path, families, &handles_, &db);
    if (!s.ok()) return open_failed(s, config.path);
    db_.reset(db);
    if (!fresh) return ok();
    std::vector<rocksdb::ColumnFamilyHandle*> made;
    s = db_->CreateColumnFamilies(ours, &made);
    handles_.insert(handles_.end(), made.begin(), made.end());
    return s.ok() ? ok() : open_failed(s, config.path);
  }

  Result<KvEntry> get(KvFamily family, std::string_view key) const override {
    KVCS_TRY(check_kv_key(key));
    rocksdb::PinnableSlice stored;
    const auto s = db_->Get(rocksdb::ReadOptions(), handle(family), slice(key), &stored);
    if (s.IsNotFound()) return absent(key);
    if (!s.ok()) return to_status(s, "read");
    Decoded decoded;
    if (!decode(view(stored), decoded)) return malformed(key);
    if (is_kv_expired(decoded.expires_at_s, clock_)) return absent(key);
    return decoded.entry();
  }

  Status write(const KvBatch& batch, KvDurability durability) override {
    KVCS_TRY(check_kv_batch(batch));
    // Shared: plain writes need not wait for each other, only for a swap of the same key.
    KeyStripes::Guard guard(stripes_);
    for (const KvBatch::Op& op : batch.ops()) guard.add_shared(op.family, op.key);
    guard.lock();
    return apply(batch, durability);
  }

  Status compare_and_swap(KvFamily family, std::string_view key,
                          std::optional<std::string_view> expected, const KvBatch& batch,
                          KvDurability durability) override {
    KVCS_TRY(check_kv_key(key));
    KVCS_TRY(check_kv_batch(batch));
    KeyStripes::Guard guard(stripes_);
    guard.add_exclusive(family, key);
    for (const KvBatch::Op& op : batch.ops()) guard.add_shared(op.family, op.key);
    guard.lock();
    auto now = get(family, key);
    if (!now.ok() && now.code() != Code::kNotFound) return std::move(now).status();
    const bool same = now.ok() ? expected && *expected == now->value : !expected;
    if (!same) return conflict("The key \"" + printable(key) + "\" was changed meanwhile.");
    return apply(batch, durability);
  }

  Result<KvPage> scan(KvFamily family, std::string_view prefix, std::string_view cursor,
                      size_t limit) const override {
    KVCS_TRY(check_kv_scan(prefix, cursor, limit));
    const std::string end = prefix_end(prefix);
    const rocksdb::Slice bound = slice(end);
    rocksdb::ReadOptions options;
    // Blocks that are read once must not push those out that requests get one by one.
    options.fill_cache = false;
    if (!end.empty()) options.iterate_upper_bound = &bound;
    const uint64_t skipped_before = rocksdb::get_perf_context()->internal_delete_skipped_count;
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options, handle(family)));
    KvPage page;
    size_t size_bytes = 0;
    it->Seek(slice(cursor < prefix ? prefix : cursor));
    if (!cursor.empty() && it->Valid() && view(it->key()) == cursor) it->Next();
    for (; it->Valid(); it->Next()) {
      Decoded decoded;
      if (!decode(view(it->value()), decoded)) return malformed(view(it->key()));
      if (is_kv_expired(decoded.expires_at_s, clock_)) continue;
      if (page.items.size() == limit || size_bytes >= kKvScanMaxBytes) {
        page.cursor = page.items.back().key;
        break;
      }
      page.items.push_back({it->key().ToString(), decoded.entry()});
      size_bytes += it->key().size() + it->value().size();
    }
    KVCS_TRY(to_status(it->status(), "scan"));
    if (rocksdb::get_perf_context()->internal_delete_skipped_count - skipped_before > kSkippedMax) {
      sweep(family);
    }
    return page;
  }

  Status sync() override { return to_status(db_->FlushWAL(true), "sync"); }

  Status writable() const override {
    if (!write_failed_.load(std::memory_order_relaxed)) return ok();
    rocksdb::WriteBatch nothing;
    return write_out({}, nothing);
  }

  Status checkpoint(const std::string& directory) override {
    std::error_code error;
    if (std::filesystem::exists(directory, error)) {
      return conflict("The directory \"" + printable(directory) + "\" exists already.");
    }
    rocksdb::Checkpoint* made = nullptr;
    const auto s = rocksdb::Checkpoint::Create(db_.get(), &made);
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
    if (!s.ok()) return to_status(s, "make a checkpoint");
    return to_status(checkpoint->CreateCheckpoint(directory), "make a checkpoint");
  }

  Status compact() {
    for (auto* family : handles_) {
      rocksdb::CompactRangeOptions options;
      options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
      const auto s = db_->CompactRange(options, family, nullptr, nullptr);
      if (!s.ok()) return to_status(s, "compact");
    }
    return ok();
  }

 private:
  static rocksdb::DBOptions database_options(const KvConfig& config) {
    rocksdb::DBOptions options;
    options.create_if_missing = true;
    options.create_missing_column_families = true;
    options.max_open_files = config.open_files_max;
    options.max_background_jobs = 2;
    // When writers meet, one of them writes for all. To divide the memtable's part among them would
    // wake each for a few microseconds of work, and the writers that wait would spin.
    options.allow_concurrent_memtable_write = false;
    options.enable_write_thread_adaptive_yield = false;
    options.max_total_wal_size = kWalMaxBytes;
    options.info_log_level = rocksdb::WARN_LEVEL;
    options.max_log_file_size = kLogFileMaxBytes;
    options.keep_log_file_num = kLogFiles;
    options.stats_dump_period_sec = 0;
    options.stats_persist_period_sec = 0;
    return options;
  }

  rocksdb::ColumnFamilyOptions family_options(const KvConfig& config) const {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(config.block_cache_bytes);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
    table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
    table.format_version = 5;
    rocksdb::ColumnFamilyOptions options;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    options.write_buffer_size = config.write_buffer_bytes;
    options.compression = rocksdb::kLZ4Compression;
    options.compaction_filter = &filter_;
    options.table_properties_collector_factories.push_back(
        rocksdb::NewCompactOnDeletionCollectorFactory(kRemovedWindow, kRemovedInWindow));
    options.periodic_compaction_seconds = kReclaimWithinS;
    return options;
  }

  rocksdb::ColumnFamilyHandle* handle(KvFamily family) const {
    return handles_[static_cast<size_t>(family) + 1];  // RocksDB's own "default" is the first.
  }

  Status apply(const KvBatch& batch, KvDurability durability) {
    rocksdb::WriteBatch changes;
    for (const KvBatch::Op& op : batch.ops()) {
      const auto s = op.entry ? changes.Put(handle(op.family), op.key, encode(*op.entry))
                              : changes.Delete(handle(op.family), op.key);
      if (!s.ok()) return to_status(s, "write");
    }
    rocksdb::WriteOptions options;
    options.sync = durability == KvDurability::kSynced;
    return write_out(options, changes);
  }

  Status write_out(const rocksdb::WriteOptions& options, rocksdb::WriteBatch& changes) const {
    const auto s = db_->Write(options, &changes);
    if (write_failed_.load(std::memory_order_relaxed) == s.ok()) write_failed_ = !s.ok();
    return to_status(s, "write");
  }

  // Marks of removal stay in the way of scans until they are compacted; in memory they would stay
  // until the memtable is full. The flush is not awaited, and after a failure the marks only stay.
  void sweep(KvFamily family) const {
    rocksdb::FlushOptions options;
    options.wait = false;
    options.allow_write_stall = true;
    (void)db_->Flush(options, handle(family));
  }

  static Status absent(std::string_view key) {
    return not_found("No key \"" + printable(key) + "\".");
  }

  const Clock& clock_;
  const ExpiryFilter filter_;
  KeyStripes stripes_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  std::unique_ptr<rocksdb::DB> db_;
  mutable std::atomic<bool> write_failed_ = false;
};

}  // namespace

Result<std::unique_ptr<KvStore>> open_rocks_kv(const KvConfig& config, const Clock& clock) {
  std::error_code error;
  std::filesystem::create_directories(config.path, error);
  if (error) return io_error("create", config.path, error.value());
  // RocksDB syncs what is in its folder, and not the folder's own name.
  KVCS_TRY(sync_folder(folder_of(config.path)));
  auto store = std::make_unique<RocksKv>(clock);
  KVCS_TRY(store->open(config));
  return std::unique_ptr<KvStore>(std::move(store));
}

Status compact_rocks_kv(KvStore& store) {
  auto* rocks = dynamic_cast<RocksKv*>(&store);
  if (rocks == nullptr) return invalid("This key-value store has no files to compact.");
  return rocks->compact();
}

}  // namespace kvcs
