// Remembers that the store takes no writes since one has failed, why, and when to try again whether
// it can: after pauses that grow, and that grow on when a store which was mended fails again soon.
// Thread-safe. Internal to kv/.
#pragma once
#include <atomic>
#include <cstdint>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"

namespace kvcs {

class WriteStop final {
 public:
  explicit WriteStop(const Clock& clock) : clock_(clock) {}
  bool is_on() const { return on_.load(std::memory_order_acquire); }
  // Logs it, when writes had not stopped before.
  void begin(const Status& why);
  // What a writer is told: Unavailable with reason kv_failed. The cause is that of the stop.
  Status refusal() const;
  bool is_time_to_try() const;
  void tried(const Status& outcome);  // Ok: ends the stop, and logs that.

 private:
  const Clock& clock_;
  std::atomic<bool> on_ = false;
  mutable Mutex mutex_;
  Status why_ KVCS_GUARDED_BY(mutex_);
  int64_t began_us_ KVCS_GUARDED_BY(mutex_) = 0, ended_us_ KVCS_GUARDED_BY(mutex_) = 0;
  int64_t pause_us_ KVCS_GUARDED_BY(mutex_) = 0, try_at_us_ KVCS_GUARDED_BY(mutex_) = 0;
};

}  // namespace kvcs
