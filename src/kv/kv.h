// The hot store: a sorted map of strings in a few families, with expiry, atomic batches and
// compare-and-swap. Everything that a request may need lives here (ARCHITECTURE.md, "Stores").
//
// Engines: open_rocks_kv (embedded), make_memory_kv (tests), make_faulty_kv (tests; wraps another).
// All pass tests/kv/kv_contract_test.cc. Every engine is thread-safe. Nothing outside kv/ may
// assume that the store is embedded, local or written by this process alone.
//
// Limits (Cloudflare KV's where it has one): key 1 to 512 bytes, not "." or ".."; value 25 MiB;
// metadata 1024 bytes of JSON; scan page 1,000 entries or 32 MiB; batch 100,000 changes. Beyond:
// Invalid or TooLarge, naming the limit.
#pragma once
#include <array>
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

// Column families; what lives in each is written in kv/keyspace.h.
enum class KvFamily : uint8_t { kAuth, kConfig, kTokens, kQuota, kSystem, kOutbox };
inline constexpr size_t kKvFamilyCount = 6;
std::string_view kv_family_name(KvFamily family);
Result<KvFamily> parse_kv_family(std::string_view name);

inline constexpr size_t kKvKeyMaxBytes = 512;
inline constexpr size_t kKvValueMaxBytes = 25u << 20;
inline constexpr size_t kKvMetadataMaxBytes = 1024;
inline constexpr size_t kKvScanMax = 1000;
inline constexpr size_t kKvScanMaxBytes = 32u << 20;  // A page ends early here, never empty.
inline constexpr size_t kKvBatchMax = 100'000;

struct KvEntry {
  std::string value;
  std::string metadata;      // "" or JSON text.
  int64_t expires_at_s = 0;  // Unix seconds; 0 = never.
};

struct KvItem {
  std::string key;
  KvEntry entry;
};

struct KvPage {
  std::vector<KvItem> items;  // In key order.
  std::string cursor;         // "" when this was the last page; else pass it to the next scan.
};

// Changes applied all or none, in order. A value; not thread-safe.
class KvBatch final {
 public:
  struct Op {
    KvFamily family;
    std::string key;
    std::optional<KvEntry> entry;  // Nothing: remove.
  };
  void put(KvFamily family, std::string key, KvEntry entry);
  void put(KvFamily family, std::string key, std::string value) {
    put(family, std::move(key), KvEntry{std::move(value), {}, 0});
  }
  void remove(KvFamily family, std::string key);
  void append(KvBatch other);
  const std::vector<Op>& ops() const { return ops_; }
  bool empty() const { return ops_.empty(); }

 private:
  std::vector<Op> ops_;
};

// The wait that callers are told, in seconds, when the store did not answer (Retry-After).
inline constexpr int kKvRetryAfterS = 5;

// kSynced: on disk before the call returns (admin and credential writes). kBuffered: in the log of
// the operating system, survives the death of the process; a power cut may take what sync() has not
// yet covered.
enum class KvDurability : uint8_t { kBuffered, kSynced };

class KvStore {
 public:
  virtual ~KvStore() = default;

  // NotFound when absent or expired. Unavailable when the store cannot answer.
  virtual Result<KvEntry> get(KvFamily family, std::string_view key) const = 0;
  // All or nothing. Unavailable: nothing was written.
  virtual Status write(const KvBatch& batch, KvDurability durability) = 0;
  // Applies `batch` only if `key` now holds exactly `expected` (nothing = absent or expired);
  // otherwise Conflict and nothing is written. The batch may touch other keys too.
  virtual Status compare_and_swap(KvFamily family, std::string_view key,
                                  std::optional<std::string_view> expected, const KvBatch& batch,
                                  KvDurability durability) = 0;
  // Live entries whose key starts with `prefix`, in key order, after `cursor` ("" = from the
  // first). 1 ≤ limit ≤ kKvScanMax. Not a snapshot across pages. The cursor is the last key seen:
  // bytes, so encode it before it leaves the process.
  virtual Result<KvPage> scan(KvFamily family, std::string_view prefix, std::string_view cursor,
                              size_t limit) const = 0;
  // Makes every earlier kBuffered write durable.
  virtual Status sync() = 0;
  // Ok, or why the store takes no writes just now. Without I/O while writes succeed; after one that
  // failed each call tries again.
  virtual Status writable() const = 0;
  // A consistent copy of the whole store in a new directory, while writes go on. Conflict when
  // `directory` exists.
  virtual Status checkpoint(const std::string& directory) = 0;
};

struct KvConfig {
  std::string path;  // Directory; created.
  size_t block_cache_bytes = 64u << 20;
  size_t write_buffer_bytes = 16u << 20;  // Per family.
  int open_files_max = 512;
  // Writes stop while so much of the disk is left, but for those that free some; 0 = never.
  uint64_t free_reserve_bytes = 64u << 20;
  // A file that is given up when the disk is full all the same; "" = none. See kv/disk_room.h.
  std::string reserve_path = {};
};
// `clock` outlives the store. Conflict when another process holds the directory. Unavailable, with
// a message for the operator, when the disk fails or what is stored is damaged.
//
// A write or sync that fails stops all writes, and from then on each of them, and writable() too,
// tries at growing intervals whether the disk is good again; when it is, the engine is opened anew
// and the failed writes are undone. Reads go on meanwhile.
Result<std::unique_ptr<KvStore>> open_rocks_kv(const KvConfig& config, const Clock& clock);
std::unique_ptr<KvStore> make_memory_kv(const Clock& clock);

// A store that fails by plan. The plan is called before each operation ("get", "write", "cas",
// "scan", "sync", "writable", "checkpoint") with the key (of a batch: the first); a failure that it
// returns is the operation's, and `base` is not asked. `base` outlives it. Thread-safe if `plan`
// is.
using KvFaultPlan = std::function<Status(std::string_view op, std::string_view key)>;
std::unique_ptr<KvStore> make_faulty_kv(KvStore& base, KvFaultPlan plan);

// Tells `on_change` after every successful write which keys it touched, so that caches of parsed
// records drop theirs (kv/record_cache.h). `base` and the listener outlive it.
using KvListener = std::function<void(KvFamily family, std::string_view key)>;
class WatchedKv : public KvStore {
 public:
  // Before threads start only. The listener must be quick; it may read the store, never write.
  virtual void add_listener(KvListener listener) = 0;
};
std::unique_ptr<WatchedKv> make_watched_kv(KvStore& base);

// Tells how long each operation took in the store below, failed ones too; a compare-and-swap is a
// write. `base` and `clock` outlive it. `took` must be quick and thread-safe.
enum class KvOp : uint8_t { kGet, kScan, kWrite, kSyncedWrite, kSync };
inline constexpr size_t kKvOpCount = 5;
std::string_view kv_op_name(KvOp op);
using KvTimer = std::function<void(KvOp op, int64_t duration_us)>;
std::unique_ptr<KvStore> make_timed_kv(KvStore& base, const Clock& clock, KvTimer took);

// --- shared helpers ---
// Empty pages never; stops at the first failure of scan or of `visit`.
Status kv_for_each(const KvStore& kv, KvFamily family, std::string_view prefix,
                   const std::function<Status(const KvItem&)>& visit);
// Limits above; engines call them first.
Status check_kv_key(std::string_view key);
Status check_kv_batch(const KvBatch& batch);
Status check_kv_scan(std::string_view prefix, std::string_view cursor, size_t limit);
bool is_kv_expired(int64_t expires_at_s, const Clock& clock);
// An entry whose end somebody was told. Such an end is counted from KeptClock::latest() when the
// entry is written, and `latest` is asked again here: NotFound when the end has come, though the
// store has the entry still, since its own clock stands while the machine sleeps. Also when the end
// is further away than `lifetime_s`, which a clock that was far ahead has made; 0 = any. For use
// alone: what removes entries asks the store, or a leap would hide them from it.
Result<KvEntry> kv_get_live(const KvStore& kv, KvFamily family, std::string_view key,
                            const Clock& latest, int64_t lifetime_s = 0);

}  // namespace kvcs
