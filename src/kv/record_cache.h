// Parsed records in memory, keyed by their KV key, made stale by the write itself.
//
// Use: a member RecordCache<T> per record kind, registered with WatchedKv::add_listener →
// cache.invalidate(key). A read that raced with a write is never cached: the stripe's generation is
// taken before the store is read and compared before the record is kept. Thread-safe; the loader
// runs without a lock held. Bounded: a full stripe drops an arbitrary record.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/mutex.h"
#include "base/status.h"

namespace kvcs {

template <typename T>
class RecordCache final {
 public:
  using Loader = std::function<Result<T>(std::string_view key)>;
  using Pointer = std::shared_ptr<const T>;  // Two owners: the cache, and the request that reads.

  explicit RecordCache(size_t capacity) : stripe_capacity_(capacity / kStripes + 1) {}

  // The cached record, or the loader's (kept when it succeeded). Failures are not cached.
  template <typename Load>
  Result<Pointer> find_or_load(std::string_view key, Load&& load) {
    Stripe& stripe = stripe_of(key);
    uint64_t generation;
    {
      ReadLock lock(stripe.mutex);
      const auto it = stripe.records.find(key);
      if (it != stripe.records.end()) return it->second;
      generation = stripe.generation;
    }
    Result<T> loaded = load(key);
    if (!loaded.ok()) return std::move(loaded).status();
    Pointer record = std::make_shared<const T>(std::move(loaded).value());
    WriteLock lock(stripe.mutex);
    if (stripe.generation == generation) {
      if (stripe.records.size() >= stripe_capacity_) stripe.records.erase(stripe.records.begin());
      stripe.records.insert_or_assign(std::string(key), record);
    }
    return record;
  }
  // The cached record or null; never loads. For last-known-good reads while the store is down.
  Pointer peek(std::string_view key) const {
    const Stripe& stripe = stripe_of(key);
    ReadLock lock(stripe.mutex);
    const auto it = stripe.records.find(key);
    return it == stripe.records.end() ? nullptr : it->second;
  }
  void invalidate(std::string_view key) {
    Stripe& stripe = stripe_of(key);
    WriteLock lock(stripe.mutex);
    stripe.generation++;
    const auto it = stripe.records.find(key);
    if (it != stripe.records.end()) stripe.records.erase(it);
  }
  void clear() {
    for (Stripe& stripe : stripes_) {
      WriteLock lock(stripe.mutex);
      stripe.generation++;
      stripe.records.clear();
    }
  }

 private:
  static constexpr size_t kStripes = 16;
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  struct alignas(64) Stripe {
    mutable SharedMutex mutex;
    uint64_t generation KVCS_GUARDED_BY(mutex) = 0;
    std::unordered_map<std::string, Pointer, Hash, std::equal_to<>> records KVCS_GUARDED_BY(mutex);
  };
  Stripe& stripe_of(std::string_view key) {
    return stripes_[std::hash<std::string_view>{}(key) % kStripes];
  }
  const Stripe& stripe_of(std::string_view key) const {
    return stripes_[std::hash<std::string_view>{}(key) % kStripes];
  }

  const size_t stripe_capacity_;
  std::array<Stripe, kStripes> stripes_;
};

}  // namespace kvcs
