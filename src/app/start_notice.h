// Asks systemd for more time while a start is at work: a disk whose syncs are slow makes a start
// last longer than TimeoutStartSec=, and a start that is killed for it begins anew, and never ends.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>

#include "base/mutex.h"
#include "base/thread.h"

namespace kvcs {

class StartNotice final {
 public:
  // How long a start may take in all. One that hangs is given up by systemd after that.
  static constexpr int64_t kMostMs = 15 * 60'000;
  static constexpr int64_t kEveryMs = 5'000;
  // `notify` sends its text to systemd, on a thread of this object; each message asks for the time
  // until the next one, and some more.
  explicit StartNotice(std::function<void(const char* text)> notify, int64_t every_ms = kEveryMs,
                       int64_t most_ms = kMostMs);
  ~StartNotice();  // Nothing is sent once it has returned.
  StartNotice(const StartNotice&) = delete;
  StartNotice& operator=(const StartNotice&) = delete;

 private:
  void run();

  const std::function<void(const char* text)> notify_;
  const int64_t every_ms_, most_ms_;
  Mutex mutex_;
  CondVar stopped_;
  bool is_over_ KVCS_GUARDED_BY(mutex_) = false;
  std::optional<Thread> thread_;  // Last; none where the system refuses it.
};

}  // namespace kvcs
