// RocksDB as KvStore. Expiry is checked on every read; the compaction filter only gives the space
// back. A write or sync that fails stops all writes, until the engine could be opened anew.
#include "kv/rocks_kv.h"

#include <rocksdb/db.h>
#include <rocksdb/perf_context.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <filesystem>
#include <map>

#include "base/bytes.h"
#include "base/damage.h"
#include "base/disk_probe.h"
#include "base/file.h"
#include "kv/disk_room.h"
#include "kv/engine_gate.h"
#include "kv/key_stripes.h"
#include "kv/kv_repair.h"
#include "kv/reserve_use.h"
#include "kv/rocks_engine.h"
#include "kv/rocks_table_check.h"
#include "kv/stored_value.h"
#include "kv/write_stop.h"

namespace kvcs {
namespace {

// A scan that stepped over more than so many marks of removal flushes the memtable, so that those
// in memory come into a file, which RocksDB then compacts soon.
constexpr uint64_t kSkippedMax = 20'000;

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}
std::string_view view(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

Status malformed(std::string_view key) {
  return unreadable("A record that this needs",
                    "the stored value of key " + printable(key) + " is malformed")
      .with_reason(kKvDamaged);
}

// The first key after all that start with `prefix`; "" when there is none.
std::string prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

class RocksKv final : public KvStore {
 public:
  RocksKv(const KvConfig& config, const Clock& clock)
      : config_(config),
        clock_(clock),
        damage_({"The key-value store in \"" + printable(config.path) + "\"", "kv.damaged",
                 std::string(kKvDamaged),
                 " Stop the daemon." + ways_out(folder_of(config.path), "kv-files")}),
        room_(config.path, config.reserve_path, config.free_reserve_bytes, clock),
        stop_(clock) {}
  ~RocksKv() override {
    // After a failure nothing is owed: what was answered since the last sync was told so.
    if (engine_ && !stop_.is_on()) (void)engine_->sync();
  }

  // A disk that takes no writes is no reason not to read from it.
  Status open() {
    room_.look();
    Result<std::unique_ptr<RocksEngine>> engine = RocksEngine::open(config_, clock_, &damage_);
    if (!engine.ok()) {
      Status why = engine.status();
      if (why.code() != Code::kUnavailable || why.reason() == kKvDamaged) return why;
      engine = RocksEngine::open_to_read(config_, clock_);
      if (!engine.ok()) return why;
      stop_.begin(why);
    }
    engine_ = std::move(engine).value();
    return ok();
  }

  Status open_to_salvage() {
    engine_ = KVCS_TRY(RocksEngine::open_to_salvage(config_, clock_));
    return ok();
  }

  Result<KvEntry> get(KvFamily family, std::string_view key) const override {
    KVCS_TRY(check_kv_key(key));
    const EngineGate::Inside inside(gate_, key);
    if (!engine_) return closed();
    rocksdb::PinnableSlice stored;
    const auto s =
        engine_->db().Get(rocksdb::ReadOptions(), engine_->handle(family), slice(key), &stored);
    if (s.IsNotFound()) return absent(key);
    if (!s.ok()) return told(rocks_status(s, "read"));
    StoredValue decoded;
    if (!decode_value(view(stored), decoded)) return told(malformed(key));
    if (is_kv_expired(decoded.expires_at_s, clock_)) return absent(key);
    return decoded.entry();
  }

  Status write(const KvBatch& batch, KvDurability durability) override {
    KVCS_TRY(check_kv_batch(batch));
    KVCS_TRY(check_room(batch));
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
    KVCS_TRY(check_room(batch));
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
    const EngineGate::Inside inside(gate_, prefix);
    if (!engine_) return closed();
    const std::string end = prefix_end(prefix);
    const rocksdb::Slice bound = slice(end);
    rocksdb::ReadOptions options;
    // Blocks that are read once must not push those out that requests get one by one.
    options.fill_cache = false;
    if (!end.empty()) options.iterate_upper_bound = &bound;
    const uint64_t skipped_before = rocksdb::get_perf_context()->internal_delete_skipped_count;
    const std::unique_ptr<rocksdb::Iterator> it(
        engine_->db().NewIterator(options, engine_->handle(family)));
    KvPage page;
    size_t size_bytes = 0;
    it->Seek(slice(cursor < prefix ? prefix : cursor));
    if (!cursor.empty() && it->Valid() && view(it->key()) == cursor) it->Next();
    for (; it->Valid(); it->Next()) {
      StoredValue decoded;
      if (!decode_value(view(it->value()), decoded)) return told(malformed(view(it->key())));
      if (is_kv_expired(decoded.expires_at_s, clock_)) continue;
      if (page.items.size() == limit || size_bytes >= kKvScanMaxBytes) {
        page.cursor = page.items.back().key;
        break;
      }
      page.items.push_back({it->key().ToString(), decoded.entry()});
      size_bytes += it->key().size() + it->value().size();
    }
    KVCS_TRY(told(rocks_status(it->status(), "scan")));
    if (rocksdb::get_perf_context()->internal_delete_skipped_count - skipped_before > kSkippedMax) {
      sweep(family);
    }
    return page;
  }

  Status sync() override {
    KVCS_TRY(mend());
    const EngineGate::Inside inside(gate_, {});
    if (stop_.is_on()) return stop_.refusal();
    Status synced = engine_->sync();
    if (synced.ok()) return synced;
    stop_.begin(synced);
    return stop_.refusal();
  }

  Status writable() const override {
    Status going = mend();
    KVCS_TRY(room_.check(false));
    return going;
  }

  Status checkpoint(const std::string& directory) override {
    KVCS_TRY(mend());
    std::error_code error;
    if (std::filesystem::exists(directory, error)) {
      return conflict("The directory \"" + printable(directory) + "\" exists already.");
    }
    const MutexLock lasting(lasting_);
    if (stop_.is_on()) return stop_.refusal();
    rocksdb::Checkpoint* made = nullptr;
    const auto s = rocksdb::Checkpoint::Create(&engine_->db(), &made);
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
    if (!s.ok()) return rocks_status(s, "make a checkpoint");
    return rocks_status(checkpoint->CreateCheckpoint(directory), "make a checkpoint");
  }

  // The files are read without a lock: each is written once.
  Result<KvFilesCheck> check_files(const std::function<bool()>& cancelled) {
    std::vector<rocksdb::LiveFileMetaData> files;
    {
      const EngineGate::Inside inside(gate_, {});
      if (!engine_) return closed();
      engine_->db().GetLiveFilesMetaData(&files);
    }
    KvFilesCheck check;
    for (const rocksdb::LiveFileMetaData& file : files) {
      check.whole = !cancelled();
      if (!check.whole) return check;
      std::string damage = KVCS_TRY(damage_of_table(file.db_path + file.name));
      check.files++;
      check.bytes += file.size;
      if (damage.empty()) continue;
      (void)told(internal(damage).with_reason(kKvDamaged));
      check.damaged.push_back(std::move(damage));
    }
    return check;
  }

  StoreDamage& damage() { return damage_; }

  Status compact() {
    const MutexLock lasting(lasting_);
    if (stop_.is_on()) return stop_.refusal();
    return engine_->compact();
  }

 private:
  Status told(Status failed) const {
    if (failed.reason() == kKvDamaged) damage_.note(failed.cause());
    return failed;
  }

  // What was stored under the keys of failed writes before them, as RocksDB has it; nothing: the
  // key was absent.
  using Before = std::map<std::pair<KvFamily, std::string>, std::optional<std::string>>;

  Status apply(const KvBatch& batch, KvDurability durability) {
    const EngineGate::Inside inside(gate_, batch.ops().empty() ? "" : batch.ops().front().key);
    // Since the caller looked another write may have failed, and the engine be gone.
    if (stop_.is_on()) return stop_.refusal();
    if (engine_->has_failed()) {
      stop_.begin(unavailable("RocksDB failed in the background."));
      return stop_.refusal();
    }
    rocksdb::WriteBatch changes;
    for (const KvBatch::Op& op : batch.ops()) {
      rocksdb::ColumnFamilyHandle* const family = engine_->handle(op.family);
      const auto s = op.entry ? changes.Put(family, op.key, encode_value(*op.entry))
                              : changes.Delete(family, op.key);
      if (!s.ok()) return rocks_status(s, "write");
    }
    rocksdb::WriteOptions options;
    options.sync = durability == KvDurability::kSynced;
    const auto s = engine_->db().Write(options, &changes);
    if (s.ok()) return ok();
    note_before(batch);
    stop_.begin(rocks_status(s, "write"));
    // The disk may have been filled since the last look at it, and the caller can mend that.
    room_.look();
    KVCS_TRY(room_.check(false));
    return stop_.refusal();
  }

  // --- after a failure

  // The log may hold the batch whole or in part, while the memtable does not: when the log is read
  // again it may turn up. What reads tell now is what must be there then.
  void note_before(const KvBatch& batch) {
    MutexLock lock(before_mutex_);
    for (const KvBatch::Op& op : batch.ops()) {
      std::string stored;
      const auto s =
          engine_->db().Get(rocksdb::ReadOptions(), engine_->handle(op.family), op.key, &stored);
      if (!s.ok() && !s.IsNotFound()) continue;
      std::optional<std::string> value;
      if (s.ok()) value = std::move(stored);
      before_.try_emplace({op.family, op.key}, std::move(value));
    }
  }

  Status undo_failed_writes() const {
    MutexLock lock(before_mutex_);
    if (before_.empty()) return ok();
    rocksdb::WriteBatch changes;
    for (const auto& [place, value] : before_) {
      rocksdb::ColumnFamilyHandle* const family = engine_->handle(place.first);
      const auto s =
          value ? changes.Put(family, place.second, *value) : changes.Delete(family, place.second);
      if (!s.ok()) return rocks_status(s, "write");
    }
    rocksdb::WriteOptions options;
    options.sync = true;
    KVCS_TRY(rocks_status(engine_->db().Write(options, &changes), "write"));
    before_.clear();
    return ok();
  }

  Status check_room(const KvBatch& batch) const {
    Status going = mend();
    Status room = room_.check(false);
    // Of the two a full disk is what somebody can do something about.
    if (!room.ok() && !may_use_reserve(*this, batch)) return room;
    if (!room.ok()) KVCS_TRY(room_.check(true));
    return going;
  }

  // Ok when writes may go on: at once in a healthy store. Otherwise one of the callers tries, when
  // it is time, and the others are told no.
  Status mend() const {
    if (!stop_.is_on()) [[likely]] {
      return ok();
    }
    if (!lasting_.try_lock()) return stop_.refusal();
    if (stop_.is_on() && stop_.is_time_to_try()) stop_.tried(open_anew());
    lasting_.unlock();
    return stop_.is_on() ? stop_.refusal() : ok();
  }

  // The engine is closed only when the disk takes writes: until then it serves reads. One that
  // cannot be opened after all is opened to read at least.
  Status open_anew() const {
    KVCS_TRY(room_.check(true));
    KVCS_TRY(probe_disk(config_.path));
    const EngineGate::Alone alone(gate_);
    engine_.reset();
    Result<std::unique_ptr<RocksEngine>> opened = RocksEngine::open(config_, clock_, &damage_);
    if (opened.ok()) {
      engine_ = std::move(opened).value();
      return undo_failed_writes();
    }
    Result<std::unique_ptr<RocksEngine>> to_read = RocksEngine::open_to_read(config_, clock_);
    if (to_read.ok()) engine_ = std::move(to_read).value();
    return opened.status();
  }

  // Marks of removal stay in the way of scans until they are compacted; in memory they would stay
  // until the memtable is full. The flush is not awaited, and after a failure the marks only stay.
  void sweep(KvFamily family) const {
    if (stop_.is_on()) return;
    rocksdb::FlushOptions options;
    options.wait = false;
    options.allow_write_stall = true;
    (void)engine_->db().Flush(options, engine_->handle(family));
  }

  static Status absent(std::string_view key) {
    return not_found("No key \"" + printable(key) + "\".");
  }
  static Status closed() {
    return unavailable("The key-value store is closed, for its disk fails.")
        .with_reason("kv_failed");
  }

  const KvConfig config_;
  const Clock& clock_;
  mutable StoreDamage damage_;
  KeyStripes stripes_;
  mutable DiskRoom room_;
  mutable EngineGate gate_;
  mutable WriteStop stop_;
  mutable Mutex lasting_;  // Held by what must not find the engine exchanged, and takes long.
  mutable std::unique_ptr<RocksEngine> engine_;  // Null while even reading it fails.
  mutable Mutex before_mutex_;                   // Held over reads of the engine.
  mutable Before before_ KVCS_GUARDED_BY(before_mutex_);
};

}  // namespace

Result<std::unique_ptr<KvStore>> open_rocks_kv(const KvConfig& config, const Clock& clock) {
  std::error_code error;
  std::filesystem::create_directories(config.path, error);
  if (error) return io_error("create", config.path, error.value());
  // RocksDB syncs what is in its folder, and not the folder's own name.
  KVCS_TRY(sync_folder(folder_of(config.path)));
  auto store = std::make_unique<RocksKv>(config, clock);
  KVCS_TRY(store->open());
  return std::unique_ptr<KvStore>(std::move(store));
}

Result<std::unique_ptr<const KvStore>> open_whole_records(const std::string& directory,
                                                          const Clock& clock) {
  KvConfig config;
  config.path = directory;
  auto store = std::make_unique<RocksKv>(config, clock);
  KVCS_TRY(store->open_to_salvage());
  return std::unique_ptr<const KvStore>(std::move(store));
}

Result<KvFilesCheck> check_rocks_files(KvStore& store, const std::function<bool()>& cancelled) {
  auto* rocks = dynamic_cast<RocksKv*>(&store);
  if (rocks == nullptr) return invalid("This key-value store has no files to check.");
  return rocks->check_files(cancelled);
}

StoreDamage& damage_of_rocks(KvStore& store) {
  auto* rocks = dynamic_cast<RocksKv*>(&store);
  KVCS_ASSERT(rocks != nullptr);
  return rocks->damage();
}

Status compact_rocks_kv(KvStore& store) {
  auto* rocks = dynamic_cast<RocksKv*>(&store);
  if (rocks == nullptr) return invalid("This key-value store has no files to compact.");
  return rocks->compact();
}

}  // namespace kvcs
