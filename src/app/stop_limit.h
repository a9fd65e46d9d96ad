// The end of waiting when the daemon stops: a disk that hangs keeps a job, a commit or the close of
// a store for as long as it likes. What was answered is durable by then, so that the process may
// end as a kill would end it, and the next start goes on from there.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>

#include "base/mutex.h"
#include "base/thread.h"

namespace kvcs {

class StopLimit final {
 public:
  // `cut_off` is called on a thread of its own when the object is still there after `limit_ms`.
  // Where the system gives no thread for that there is no limit.
  StopLimit(int64_t limit_ms, std::function<void()> cut_off);
  ~StopLimit();  // The stop came to its end.

 private:
  Mutex mutex_;
  CondVar changed_;
  bool over_ KVCS_GUARDED_BY(mutex_) = false;
  std::optional<Thread> thread_;  // Last: it uses the rest. Null: the system refused one.
};

// For the daemon: says so in the log and ends the process with exit code 1.
void cut_off_stop(int64_t limit_ms);

}  // namespace kvcs
