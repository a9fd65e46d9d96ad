// The state of a store that has stopped to take writes, and the pauses between its attempts.
#include "kv/write_stop.h"

#include <algorithm>

#include "base/log.h"

namespace kvcs {
namespace {

constexpr int64_t kPauseUs = 50'000, kPauseMaxUs = 5'000'000;
constexpr int64_t kHealthyUs = 60'000'000;  // So long without a stop: the pause begins small again.

}  // namespace

void WriteStop::begin(const Status& why) {
  MutexLock lock(mutex_);
  if (on_) return;
  began_us_ = clock_.mono_us();
  if (pause_us_ == 0 || began_us_ - ended_us_ > kHealthyUs) pause_us_ = kPauseUs;
  try_at_us_ = began_us_ + pause_us_;
  why_ = why;
  on_ = true;
  log::error("kv.writes_stopped", {{"error", why.to_string()}});
}

Status WriteStop::refusal() const {
  MutexLock lock(mutex_);
  return unavailable(
             "The key-value store takes no writes since one has failed; it goes on by itself when "
             "its disk takes writes again.",
             why_.to_string())
      .with_reason("kv_failed");
}

bool WriteStop::is_time_to_try() const {
  MutexLock lock(mutex_);
  return clock_.mono_us() >= try_at_us_;
}

void WriteStop::tried(const Status& outcome) {
  MutexLock lock(mutex_);
  const int64_t now_us = clock_.mono_us();
  pause_us_ = std::min(2 * pause_us_, kPauseMaxUs);
  try_at_us_ = now_us + pause_us_;
  if (!outcome.ok()) {
    why_ = outcome;
    return;
  }
  ended_us_ = now_us;
  on_ = false;
  log::info("kv.writes_resumed", {{"stopped_ms", (now_us - began_us_) / 1000}});
}

}  // namespace kvcs
