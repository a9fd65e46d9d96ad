// One thread that sleeps until the stop is over, or for too long.
#include "app/stop_limit.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "base/start_thread.h"

namespace kvcs {

StopLimit::StopLimit(int64_t limit_ms, std::function<void()> cut_off) {
  Result<Thread> started =
      start_thread("stop-limit", [this, limit_ms, cut_off = std::move(cut_off)] {
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
        {
          const MutexLock lock(mutex_);
          while (!over_ && std::chrono::steady_clock::now() < end) {
            const auto rest = std::chrono::ceil<std::chrono::milliseconds>(
                end - std::chrono::steady_clock::now());
            (void)changed_.wait_for_ms(mutex_, rest.count());
          }
          if (over_) return;
        }
        cut_off();
      });
  if (started.ok()) thread_.emplace(std::move(started).value());
}

StopLimit::~StopLimit() {
  {
    const MutexLock lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
}

void cut_off_stop(int64_t limit_ms) {
  log::error("server.stop_cut_off",
             {{"after_ms", limit_ms},
              {"reason",
               "A job or a store does not come to its end; is a disk hanging? What was "
               "answered is kept, and the next start goes on from there."}});
  ::_exit(EXIT_FAILURE);
}

}  // namespace kvcs
