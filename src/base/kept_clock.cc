// The steady reading is the monotonic clock and an offset; the latest one is the greatest of the
// wall clock, the steady reading and what was believed before.
#include "base/kept_clock.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <utility>

#include "base/json.h"

namespace kvcs {
namespace {

// Clocks that are no further apart agree: the system slews them, and reads them one by one.
constexpr int64_t kSameMs = 60'000;
constexpr int64_t kTimeMaxMs = int64_t{253'402'300'800} * 1000;  // The year 10,000.

}  // namespace

struct KeptClock::Impl {
  class Steady final : public Clock {
   public:
    explicit Steady(const Impl& impl) : impl_(impl) {}
    int64_t unix_ms() const override { return impl_.steady_ms(); }
    int64_t mono_us() const override { return impl_.wall.mono_us(); }

   private:
    const Impl& impl_;
  };
  class Latest final : public Clock {
   public:
    explicit Latest(const Impl& impl) : impl_(impl) {}
    int64_t unix_ms() const override { return impl_.latest_ms(); }
    int64_t mono_us() const override { return impl_.wall.mono_us(); }

   private:
    const Impl& impl_;
  };

  Impl(const Clock& clock, std::string boot) : wall(clock), boot_id(std::move(boot)) {}

  int64_t mono_ms() const { return wall.mono_us() / 1000; }
  int64_t steady_ms() const { return mono_ms() + offset_ms; }
  // A time that somebody was told is remembered here, not at the next look.
  int64_t latest_ms() const {
    const int64_t now = wall.unix_ms();
    int64_t before = believed_ms;
    const int64_t known = std::max(before, steady_ms());
    if (now - known > kBelievedLeapMs) return now;
    const int64_t latest = std::max(now, known);
    while (latest > before && !believed_ms.compare_exchange_weak(before, latest)) {
    }
    return std::max(latest, before);
  }

  const Clock& wall;
  const std::string boot_id;
  std::atomic<int64_t> offset_ms = 0;  // Written by look() alone, which one thread calls at a time.
  mutable std::atomic<int64_t> believed_ms = 0;
  std::atomic<int64_t> apart_ms = 0, apart_since_ms = 0;
  const Steady steady{*this};
  const Latest latest{*this};
};

// In one boot the monotonic clock counts through restarts of the daemon. In another boot the time
// between is known only from the wall clock.
KeptClock::KeptClock(const Clock& wall, std::string boot_id, const std::optional<KeptTimes>& before)
    : impl_(new Impl{wall, std::move(boot_id)}) {
  const int64_t now = wall.unix_ms();
  int64_t steady = now;
  if (before) {
    const bool same_boot = !impl_->boot_id.empty() && before->boot_id == impl_->boot_id &&
                           wall.mono_us() >= before->mono_us;
    const bool is_plausible =
        now >= before->steady_ms && now - before->steady_ms <= kBelievedLeapMs;
    if (same_boot) {
      steady = before->steady_ms + (wall.mono_us() - before->mono_us) / 1000;
    } else if (!is_plausible) {
      steady = before->steady_ms;
    }
    impl_->believed_ms = before->latest_ms;
    impl_->apart_ms = before->apart_ms;
    impl_->apart_since_ms = before->apart_since_ms;
  }
  impl_->offset_ms = steady - impl_->mono_ms();
  look();
}
KeptClock::~KeptClock() = default;

const Clock& KeptClock::steady() const {
  return impl_->steady;
}

const Clock& KeptClock::latest() const {
  return impl_->latest;
}

KeptTimes KeptClock::look() {
  const int64_t mono_us = impl_->wall.mono_us();
  const int64_t steady = mono_us / 1000 + impl_->offset_ms;
  const int64_t apart = impl_->wall.unix_ms() - steady;
  const bool is_waited_out = impl_->apart_since_ms != 0 &&
                             std::abs(apart - impl_->apart_ms) <= kSameMs &&
                             steady - impl_->apart_since_ms >= kSteadyWaitMs;
  if (std::abs(apart) <= kSameMs || is_waited_out) {
    if (apart > 0 || is_waited_out) impl_->offset_ms += apart;
    impl_->apart_ms = impl_->apart_since_ms = 0;
  } else if (impl_->apart_since_ms == 0 || std::abs(apart - impl_->apart_ms) > kSameMs) {
    impl_->apart_ms = apart;
    impl_->apart_since_ms = steady;
  }
  impl_->latest_ms();
  return {impl_->boot_id,     mono_us,         mono_us / 1000 + impl_->offset_ms,
          impl_->believed_ms, impl_->apart_ms, impl_->apart_since_ms};
}

std::string to_json(const KeptTimes& times) {
  return dump_json(Json{{"boot_id", times.boot_id},
                        {"mono_us", times.mono_us},
                        {"steady_ms", times.steady_ms},
                        {"latest_ms", times.latest_ms},
                        {"apart_ms", times.apart_ms},
                        {"apart_since_ms", times.apart_since_ms}});
}

Result<KeptTimes> parse_kept_times(std::string_view text) {
  const Json json = KVCS_TRY(parse_json(text));
  JsonReader reader(json);
  KeptTimes times;
  times.boot_id = reader.string("boot_id", {.min_bytes = 0, .max_bytes = 100});
  times.mono_us = reader.integer("mono_us", 0, INT64_MAX);
  times.steady_ms = reader.integer("steady_ms", 0, kTimeMaxMs);
  times.latest_ms = reader.integer("latest_ms", 0, kTimeMaxMs);
  times.apart_ms = reader.integer("apart_ms", -kTimeMaxMs, kTimeMaxMs);
  times.apart_since_ms = reader.integer("apart_since_ms", 0, kTimeMaxMs);
  KVCS_TRY(reader.finish());
  return times;
}

}  // namespace kvcs
