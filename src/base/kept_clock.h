// Two readings of a wall clock that may leap, for what has an end. `steady` never leaps: what is
// kept for a while, such as the answers under idempotency keys, goes by it, so that a clock that is
// years ahead does not let a repeat have its effect twice. `latest` never goes back: credentials go
// by it, so that a key that has ended is not alive again when the clock is set back. Both know the
// time of the daemon's last life, by what the owner has saved. Thread-safe.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/status.h"

namespace kvcs {

// A leap of no more than this is believed by `latest` at once; a machine that was off for a while
// looks the same. A further one is not, for else one wrong second would end all keys for good.
inline constexpr int64_t kBelievedLeapMs = int64_t{7} * 86'400'000;
// After so long at one distance from the wall clock `steady` takes that for the truth. Longer than
// anything is kept that must not end early.
inline constexpr int64_t kSteadyWaitMs = int64_t{7} * 86'400'000;

// What the next life of the daemon must know.
struct KeptTimes {
  std::string boot_id;  // In which `mono_us` counts.
  int64_t mono_us = 0, steady_ms = 0, latest_ms = 0;
  int64_t apart_ms = 0, apart_since_ms = 0;  // The wall clock's lead, and since when, by `steady`.
};
std::string to_json(const KeptTimes& times);
Result<KeptTimes> parse_kept_times(std::string_view text);

class KeptClock final {
 public:
  // `wall` outlives it. Without `before` the wall clock is believed.
  KeptClock(const Clock& wall, std::string boot_id, const std::optional<KeptTimes>& before);
  ~KeptClock();
  const Clock& steady() const;
  const Clock& latest() const;  // Never behind the wall clock or `steady`.
  // To be called each minute or so: looks whether a leap has been waited out. Returns what to save.
  KeptTimes look();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
