// Token buckets by name: requests (or tokens) per minute for many keys. Thread-safe; striped locks.
//
// A bucket holds one minute's worth and refills evenly, exact to the microsecond. Memory is
// bounded: of about `keys_max` buckets the one that was idle longest goes first, and one that was
// idle for a minute is full anyway.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"

namespace kvcs {

inline constexpr int64_t kRatePerMinuteMax = 10'000'000'000;  // More counts as this much.
// adjust() may take more than a bucket holds, but no more than this many minutes' worth.
inline constexpr int64_t kRateDebtMinutesMax = 10;

struct RateDecision {
  bool allowed = true;
  int64_t limit = 0, remaining = 0;
  int64_t reset_s = 0;  // Until the bucket is full again.
  // 0 when allowed, else at least 1: until `cost` fits; 60 when it never will.
  int64_t retry_after_s = 0;
};

class RateLimiter final {
 public:
  explicit RateLimiter(const Clock& clock, size_t keys_max = 100'000);
  ~RateLimiter();
  // Takes `cost` (≥ 0) from the bucket of `key`, or nothing when it does not fit.
  // per_minute 0: everything is refused; a negative number: no limit.
  RateDecision take(std::string_view key, int64_t per_minute, int64_t cost = 1);
  // Takes one of so many an hour: a bucket that holds an hour's worth. Of other keys than take()'s.
  RateDecision take_hourly(std::string_view key, int64_t per_hour);
  // Gives back (cost < 0) or takes more after the fact; the bucket may go below empty.
  void adjust(std::string_view key, int64_t per_minute, int64_t cost);
  size_t size() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
