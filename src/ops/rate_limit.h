// Token buckets by name: requests (or tokens) per minute for many keys. Memory is bounded: at most
// `keys_max` buckets, full ones are dropped first. Thread-safe; striped locks.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"

namespace kvcs {

struct RateDecision {
  bool allowed = true;
  int64_t limit = 0, remaining = 0;
  int64_t reset_s = 0;        // Until the bucket is full again.
  int64_t retry_after_s = 0;  // When refused: until `cost` fits.
};

class RateLimiter final {
 public:
  RateLimiter(const Clock& clock, size_t keys_max = 100'000);
  ~RateLimiter();
  // Takes `cost` from the bucket of `key`, which holds `per_minute` and refills evenly.
  // per_minute 0: everything is refused; a negative number: no limit.
  RateDecision take(std::string_view key, int64_t per_minute, int64_t cost = 1);
  // Gives back (cost < 0) or takes more after the fact (may go below zero).
  void adjust(std::string_view key, int64_t per_minute, int64_t cost);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
