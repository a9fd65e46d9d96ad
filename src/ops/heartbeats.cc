// Compares what each loop says of itself with what it said at the look before. Runs on whichever
// thread looks.
#include "ops/heartbeats.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace kvcs {
namespace {

// The time between two looks that counts, and so the least number of looks that find a loop stuck.
constexpr int64_t kLooksMin = 4;
constexpr int64_t kIntervalMinMs = 50, kIntervalMaxMs = 5000;

}  // namespace

Heartbeats::Heartbeats(const Clock& clock, int64_t limit_ms)
    : clock_(clock), limit_us_(limit_ms * 1000) {}

void Heartbeats::add(std::string name, std::function<Pulse()> pulse) {
  MutexLock lock(mutex_);
  loops_.push_back({std::move(name), std::move(pulse)});
}

int64_t Heartbeats::interval_ms() const {
  return std::clamp(limit_us_ / 1000 / (kLooksMin + 2), kIntervalMinMs, kIntervalMaxMs);
}

std::vector<std::string> Heartbeats::look() {
  MutexLock lock(mutex_);
  const int64_t now_us = clock_.mono_us();
  const int64_t passed_us =
      looked_us_ ? std::min(now_us - *looked_us_, limit_us_ / kLooksMin) : int64_t{0};
  looked_us_ = now_us;
  std::vector<std::string> stuck;
  std::string names;
  for (Loop& loop : loops_) {
    const Pulse pulse = loop.pulse();
    const bool is_still = pulse.at_work && pulse.beats == loop.beats;
    loop.still_us = is_still ? loop.still_us + passed_us : 0;
    loop.beats = pulse.beats;
    if (loop.still_us < limit_us_ * (pulse.is_long ? kLongFactor : 1)) continue;
    stuck.push_back(loop.name);
    names += (names.empty() ? "" : ", ") + loop.name;
  }
  tell(names, now_us);
  return stuck;
}

void Heartbeats::tell(const std::string& names, int64_t now_us) {
  if (names.empty()) {
    if (!told_.empty()) log::info("watchdog.moving", {{"was_stuck", told_}});
    told_.clear();
    return;
  }
  if (told_us_ && now_us - *told_us_ < kLineEveryMs * 1000) return;
  told_ = names;
  told_us_ = now_us;
  log::error("watchdog.stuck", {{"threads", names}, {"limit_ms", limit_us_ / 1000}});
}

}  // namespace kvcs
