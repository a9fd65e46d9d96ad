// Token buckets in stripes: the hash of a key names its stripe, and each stripe has a lock of its
// own and its share of the keys, in the order of their last use. Called by every request's thread.
#include "ops/rate_limit.h"

#include <algorithm>
#include <functional>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"

namespace kvcs {

namespace {

constexpr size_t kStripesMax = 64;
constexpr size_t kStripeKeysMin = 64;  // Fewer keys to a stripe would evict keys in use.
constexpr int64_t kMinuteUs = 60'000'000, kHourUs = 60 * kMinuteUs;
constexpr int64_t kSecondUs = 1'000'000;
constexpr int64_t kNeverFitsRetryS = 60;  // Told to a caller whose cost no full bucket covers.

// A bucket as the amount that is missing from a full one, in parts of a token: as many to the token
// as the period, a minute or an hour, has microseconds. So a bucket of any rate refills by exactly
// `rate` parts a microsecond, and nothing is ever rounded.
struct Bucket {
  std::string key;
  int64_t used = 0;
  int64_t updated_us = 0;
};

int64_t ceil_div(int64_t a, int64_t b) {
  return a <= 0 ? 0 : (a - 1) / b + 1;
}

// Gives back what has come in since the bucket was last looked at.
void refill(Bucket& bucket, int64_t rate, int64_t now_us) {
  const int64_t elapsed_us = std::max<int64_t>(now_us - bucket.updated_us, 0);
  bucket.updated_us = now_us;
  // Compared by division, for the product of a long time and a high rate overflows.
  const bool full = elapsed_us >= ceil_div(bucket.used, rate);
  bucket.used = full ? 0 : bucket.used - elapsed_us * rate;
}

struct Stripe {
  Mutex mutex;
  std::list<Bucket> by_age KVCS_GUARDED_BY(mutex);  // Last used first.
  std::unordered_map<std::string_view, std::list<Bucket>::iterator> by_key KVCS_GUARDED_BY(mutex);

  // The bucket of the key, made full if it is new; it becomes the one last used. Beyond `keys_max`
  // the bucket that was idle longest is forgotten, which means that it counts as full again.
  Bucket& touch(std::string_view key, int64_t now_us, size_t keys_max) KVCS_REQUIRES(mutex) {
    if (const auto found = by_key.find(key); found != by_key.end()) {
      by_age.splice(by_age.begin(), by_age, found->second);
      return by_age.front();
    }
    if (by_age.size() >= keys_max) {
      by_key.erase(by_age.back().key);
      by_age.pop_back();
    }
    by_age.push_front({std::string(key), 0, now_us});
    by_key.emplace(by_age.front().key, by_age.begin());
    return by_age.front();
  }
};

}  // namespace

struct RateLimiter::Impl {
  Impl(const Clock& c, size_t keys_max)
      : clock(c),
        stripes(std::clamp<size_t>(keys_max / kStripeKeysMin, 1, kStripesMax)),
        stripe_keys_max(std::max<size_t>(keys_max / stripes.size(), 1)) {}

  Stripe& stripe(std::string_view key) {
    return stripes[std::hash<std::string_view>()(key) % stripes.size()];
  }

  RateDecision take(std::string_view key, int64_t rate, int64_t period_us, int64_t cost);

  const Clock& clock;
  std::vector<Stripe> stripes;
  const size_t stripe_keys_max;
};

RateLimiter::RateLimiter(const Clock& clock, size_t keys_max)
    : impl_(std::make_unique<Impl>(clock, keys_max)) {}
RateLimiter::~RateLimiter() = default;

// At most 1e10 · 6e7 = 6e17 parts, so that sums of capacity and cost fit into 64 bits.
RateDecision RateLimiter::Impl::take(std::string_view key, int64_t rate, int64_t period_us,
                                     int64_t cost) {
  const int64_t capacity = rate * period_us;
  const int64_t wanted = cost * period_us;
  RateDecision decision{.limit = rate};
  Stripe& of_key = stripe(key);
  MutexLock lock(of_key.mutex);
  const int64_t now_us = clock.mono_us();
  Bucket& bucket = of_key.touch(key, now_us, stripe_keys_max);
  refill(bucket, rate, now_us);
  decision.allowed = bucket.used <= capacity - wanted;
  if (decision.allowed) {
    bucket.used += wanted;
  } else if (wanted > capacity) {
    decision.retry_after_s = kNeverFitsRetryS;
  } else {
    const int64_t wait_us = ceil_div(bucket.used + wanted - capacity, rate);
    decision.retry_after_s = std::max<int64_t>(ceil_div(wait_us, kSecondUs), 1);
  }
  decision.remaining = std::max<int64_t>(capacity - bucket.used, 0) / period_us;
  decision.reset_s = ceil_div(ceil_div(bucket.used, rate), kSecondUs);
  return decision;
}

RateDecision RateLimiter::take(std::string_view key, int64_t per_minute, int64_t cost) {
  if (per_minute < 0) return {.allowed = true, .limit = -1, .remaining = -1};
  if (per_minute == 0) return {.allowed = false, .retry_after_s = kNeverFitsRetryS};
  return impl_->take(key, std::min(per_minute, kRatePerMinuteMax), kMinuteUs,
                     std::clamp<int64_t>(cost, 0, kRatePerMinuteMax));
}

RateDecision RateLimiter::take_hourly(std::string_view key, int64_t per_hour) {
  return impl_->take(key, std::clamp<int64_t>(per_hour, 1, kRatePerMinuteMax / 60), kHourUs, 1);
}

void RateLimiter::adjust(std::string_view key, int64_t per_minute, int64_t cost) {
  if (per_minute <= 0) return;
  per_minute = std::min(per_minute, kRatePerMinuteMax);
  cost = std::clamp(cost, -kRatePerMinuteMax, kRatePerMinuteMax);
  Stripe& stripe = impl_->stripe(key);
  MutexLock lock(stripe.mutex);
  const int64_t now_us = impl_->clock.mono_us();
  Bucket& bucket = stripe.touch(key, now_us, impl_->stripe_keys_max);
  refill(bucket, per_minute, now_us);
  // The bounds keep the sum within 64 bits: 6e18 + 6e17.
  const int64_t used_max = per_minute * kMinuteUs * kRateDebtMinutesMax;
  bucket.used = std::clamp<int64_t>(bucket.used + cost * kMinuteUs, 0, used_max);
}

size_t RateLimiter::size() const {
  size_t n = 0;
  for (auto& stripe : impl_->stripes) {
    MutexLock lock(stripe.mutex);
    n += stripe.by_age.size();
  }
  return n;
}

}  // namespace kvcs
