// The store of tests: sorted maps behind one lock. Its checkpoint makes the directory and nothing
// in it, since a memory store cannot be opened again.
#include <filesystem>
#include <map>

#include "base/bytes.h"
#include "base/mutex.h"
#include "kv/kv.h"

namespace kvcs {
namespace {

class MemoryKv final : public KvStore {
 public:
  explicit MemoryKv(const Clock& clock) : clock_(clock) {}

  Result<KvEntry> get(KvFamily family, std::string_view key) const override {
    KVCS_TRY(check_kv_key(key));
    MutexLock lock(mutex_);
    const KvEntry* entry = find(family, key);
    if (entry == nullptr) return not_found("No key \"" + printable(key) + "\".");
    return *entry;
  }

  Status write(const KvBatch& batch, KvDurability) override {
    KVCS_TRY(check_kv_batch(batch));
    MutexLock lock(mutex_);
    apply(batch);
    return ok();
  }

  Status compare_and_swap(KvFamily family, std::string_view key,
                          std::optional<std::string_view> expected, const KvBatch& batch,
                          KvDurability) override {
    KVCS_TRY(check_kv_key(key));
    KVCS_TRY(check_kv_batch(batch));
    MutexLock lock(mutex_);
    const KvEntry* now = find(family, key);
    const bool same = now == nullptr ? !expected : expected && *expected == now->value;
    if (!same) return conflict("The key \"" + printable(key) + "\" was changed meanwhile.");
    apply(batch);
    return ok();
  }

  Result<KvPage> scan(KvFamily family, std::string_view prefix, std::string_view cursor,
                      size_t limit) const override {
    KVCS_TRY(check_kv_scan(prefix, cursor, limit));
    KvPage page;
    size_t size_bytes = 0;
    MutexLock lock(mutex_);
    const Map& map = maps_[static_cast<size_t>(family)];
    auto it = cursor < prefix ? map.lower_bound(prefix) : map.upper_bound(cursor);
    // An empty cursor stands before every key, since no key is empty.
    for (; it != map.end() && it->first.starts_with(prefix); ++it) {
      if (is_kv_expired(it->second.expires_at_s, clock_)) continue;
      if (page.items.size() == limit || size_bytes >= kKvScanMaxBytes) {
        page.cursor = page.items.back().key;
        break;
      }
      page.items.push_back({it->first, it->second});
      size_bytes += it->first.size() + it->second.value.size();
    }
    return page;
  }

  Status sync() override { return ok(); }
  Status writable() const override { return ok(); }

  Status checkpoint(const std::string& directory) override {
    std::error_code error;
    if (std::filesystem::exists(directory, error)) {
      return conflict("The directory \"" + printable(directory) + "\" exists already.");
    }
    if (!std::filesystem::create_directory(directory, error)) {
      return io_error("create", directory, error.value());
    }
    return ok();
  }

 private:
  using Map = std::map<std::string, KvEntry, std::less<>>;

  const KvEntry* find(KvFamily family, std::string_view key) const KVCS_REQUIRES(mutex_) {
    const Map& map = maps_[static_cast<size_t>(family)];
    const auto it = map.find(key);
    if (it == map.end() || is_kv_expired(it->second.expires_at_s, clock_)) return nullptr;
    return &it->second;
  }
  void apply(const KvBatch& batch) KVCS_REQUIRES(mutex_) {
    for (const KvBatch::Op& op : batch.ops()) {
      Map& map = maps_[static_cast<size_t>(op.family)];
      if (op.entry) {
        map.insert_or_assign(op.key, *op.entry);
      } else {
        map.erase(op.key);
      }
    }
  }

  const Clock& clock_;
  mutable Mutex mutex_;
  std::array<Map, kKvFamilyCount> maps_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<KvStore> make_memory_kv(const Clock& clock) {
  return std::make_unique<MemoryKv>(clock);
}

}  // namespace kvcs
