// A copy without the damaged parts of tables, in two steps. RocksDB's own repair keeps what tables
// are whole, with all their entries in order of age, and gives up any other table as a whole. Then
// the damaged store is walked beside the copy: wherever it can still be read, which is everywhere
// but in the blocks that are damaged, the copy gets what it says.
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <filesystem>

#include "base/bytes.h"
#include "base/damage.h"
#include "base/file.h"
#include "kv/kv_files.h"
#include "kv/kv_repair.h"
#include "kv/rocks_damage.h"
#include "kv/rocks_engine.h"
#include "kv/rocks_log.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;
using Iterator = std::unique_ptr<rocksdb::Iterator>;

constexpr size_t kBatchMaxBytes = 1u << 20;
// Behind all keys, which have at most kKvKeyMaxBytes.
const std::string kBehindAll(kKvKeyMaxBytes + 1, '\xff');
// How far beyond what two keys have in common a place between them is looked for.
constexpr size_t kPlaceBytes = 24;

// Halfway between two keys, as fractions of `digits` places.
std::string halfway(std::string low, std::string high, size_t digits) {
  low.resize(digits, '\0');
  high.resize(digits, '\0');
  std::string sum(digits + 1, '\0');
  int carry = 0;
  for (size_t i = digits; i-- > 0;) {
    const int digit =
        static_cast<unsigned char>(low[i]) + static_cast<unsigned char>(high[i]) + carry;
    sum[i + 1] = static_cast<char>(digit & 0xff);
    carry = digit >> 8;
  }
  sum[0] = static_cast<char>(carry);
  std::string half(digits, '\0');
  int rest = 0;
  for (size_t i = 0; i <= digits; i++) {
    const int digit = rest * 256 + static_cast<unsigned char>(sum[i]);
    if (i > 0) half[i - 1] = static_cast<char>(digit / 2);
    rest = digit % 2;
  }
  return half;
}

// One family of a store that is damaged, and its copy.
class FamilyWalk final {
 public:
  FamilyWalk(RocksEngine& damaged, RocksEngine& copy, KvFamily family, KvSalvage& salvage)
      : damaged_(damaged), copy_(copy), family_(family), salvage_(salvage) {}

  Status run() {
    Iterator truth = at(""), mine(copy_.db().NewIterator({}, copy_.handle(family_)));
    mine->SeekToFirst();
    std::string last;  // Up to here, it included, the copy is done.
    for (;;) {
      if (!truth->Valid() && !truth->status().ok()) {
        if (!truth->status().IsCorruption()) return rocks_status(truth->status(), "read");
        note_damage(truth->status().ToString());
        const auto next = place_behind(last);
        if (!next) break;  // Nothing behind can be read: the copy stays as it is there.
        truth = at(*next);
        last = *next;
        // What the copy has in the damaged part is older, or the same; nothing better is known.
        mine->Seek(*next);
        continue;
      }
      if (!truth->Valid() && !mine->Valid()) break;
      KVCS_TRY(compare(*truth, *mine, last));
    }
    KVCS_TRY(rocks_status(mine->status(), "read"));
    return flush();
  }

 private:
  Iterator at(const std::string& key) const {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    Iterator it(damaged_.db().NewIterator(options, damaged_.handle(family_)));
    it->Seek(key);
    return it;
  }

  void note_damage(const std::string& found) {
    salvage_.lost_stretches++;
    auto& all = salvage_.damaged;
    if (std::find(all.begin(), all.end(), found) == all.end()) all.push_back(found);
  }

  // The first place behind `key` from where the store can be read again, found by halving.
  std::optional<std::string> place_behind(const std::string& key) const {
    if (!at(kBehindAll)->status().ok()) return std::nullopt;
    std::string low = key, high = kBehindAll;
    // The last key of all, when it can be read, is nearer than the end of all keys.
    const Iterator end(damaged_.db().NewIterator({}, damaged_.handle(family_)));
    end->SeekToLast();
    if (end->Valid() && end->key().ToString() > low) high = end->key().ToString();
    const auto common = std::mismatch(low.begin(), low.end(), high.begin(), high.end());
    const size_t digits = static_cast<size_t>(common.first - low.begin()) + kPlaceBytes;
    for (std::string half = halfway(low, high, digits); half > low && half < high;
         half = halfway(low, high, digits)) {
      (at(half)->status().ok() ? high : low) = half;
    }
    return high;
  }

  // One step of the walk: the key that comes first.
  Status compare(rocksdb::Iterator& truth, rocksdb::Iterator& mine, std::string& last) {
    const int order = !truth.Valid() ? 1 : !mine.Valid() ? -1 : truth.key().compare(mine.key());
    last = (order <= 0 ? truth.key() : mine.key()).ToString();
    if (order > 0) {
      batch_.Delete(copy_.handle(family_), mine.key());
    } else {
      salvage_.kept_keys++;
      if (order < 0 || truth.value() != mine.value()) {
        batch_.Put(copy_.handle(family_), truth.key(), truth.value());
      }
    }
    if (order <= 0) truth.Next();
    if (order >= 0) mine.Next();
    return batch_.GetDataSize() > kBatchMaxBytes ? flush() : ok();
  }

  Status flush() {
    const auto written = copy_.db().Write({}, &batch_);
    batch_.Clear();
    return rocks_status(written, "write");
  }

  RocksEngine &damaged_, &copy_;
  const KvFamily family_;
  KvSalvage& salvage_;
  rocksdb::WriteBatch batch_;
};

Status keep_whole_tables(const std::string& directory) {
  rocksdb::DBOptions options;
  options.info_log = make_rocks_log();
  std::vector<rocksdb::ColumnFamilyDescriptor> families{{rocksdb::kDefaultColumnFamilyName, {}}};
  for (size_t i = 0; i < kKvFamilyCount; i++) {
    families.emplace_back(std::string(kv_family_name(static_cast<KvFamily>(i))),
                          rocksdb::ColumnFamilyOptions());
  }
  KVCS_TRY(rocks_status(rocksdb::RepairDB(directory, options, families, {}), "repair its files"));
  // What RocksDB set aside there are links and copies of what stays beside.
  std::error_code error;
  fs::remove_all(directory + "/lost", error);
  return error ? io_error("remove", directory + "/lost", error.value()) : ok();
}

}  // namespace

Result<KvSalvage> salvage_kv(const std::string& from, const std::string& to, const Clock& clock) {
  KvSalvage salvage;
  KVCS_TRY(link_kv_files(from, to, [](std::string_view) { return false; }));
  KVCS_TRY(keep_whole_tables(to));
  KvConfig config;
  config.path = to;
  const auto copy = KVCS_TRY(RocksEngine::open(config, clock));
  if (const Status files = check_kv_files(from); !files.ok()) {
    salvage.damaged.push_back(files.cause());
    return salvage;
  }
  config.path = from;
  const auto damaged = RocksEngine::open_to_read(config, clock);
  if (!damaged.ok()) {
    if (damaged.status().reason() != kKvDamaged) return damaged.status();
    salvage.damaged.push_back(damaged.status().cause());
    return salvage;
  }
  salvage.is_readable = true;
  for (size_t i = 0; i < kKvFamilyCount; i++) {
    KVCS_TRY(FamilyWalk(**damaged, *copy, static_cast<KvFamily>(i), salvage).run());
  }
  KVCS_TRY(copy->sync());
  return salvage;
}

}  // namespace kvcs
