// When keys and accounts were last used, told to the store at most once a minute: note() only
// remembers, and flush() writes last_used:{name} for each name that was noted since the flush
// before. A killed process loses the last minute, which nobody misses. Bounded: beyond kLastUsedMax
// names in a minute further names are not noted. Thread-safe; note() is for the hot path.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/mutex.h"
#include "kv/kv.h"

namespace kvcs {

inline constexpr size_t kLastUsedMax = 160'000;

class LastUsed final {
 public:
  LastUsed(KvStore& kv, const Clock& clock) : kv_(kv), clock_(clock) {}  // Both outlive it.

  void note(const std::string& name);
  Status flush();  // A cron job calls it each minute.

 private:
  static constexpr size_t kStripes = 16;
  struct alignas(64) Stripe {
    Mutex mutex;
    std::unordered_map<std::string, int64_t> used_ms KVCS_GUARDED_BY(mutex);
  };

  KvStore& kv_;
  const Clock& clock_;
  std::array<Stripe, kStripes> stripes_;
};

// The time of the last flush that had the name; 0 when it was never used, or that is not known.
int64_t find_last_used_ms(const KvStore& kv, std::string_view name);

}  // namespace kvcs
