// Independent jobs on a few threads; the first failure stops the rest. Nothing outlives the call.
#pragma once
#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "base/thread.h"

namespace kvcs::kvfile {

inline constexpr size_t kWorkersMax = 4;  // Beyond it disks and memory are the limit.

// Hands out 0 … jobs-1 once, in this order, until a worker failed. Used by all workers at once.
class TakeJob final {
 public:
  explicit TakeJob(size_t jobs) : jobs_(jobs) {}
  bool operator()(size_t& index) {
    index = next_++;
    return index < jobs_ && !failed_;
  }
  // A long job asks now and then; what it returns after a failure does not matter.
  bool failed() const { return failed_; }
  void fail() { failed_ = true; }

 private:
  const size_t jobs_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> failed_{false};
};

// Runs worker(take) on each of up to kWorkersMax threads.
inline Status run_parallel(size_t jobs, const std::function<Status(TakeJob&)>& worker) {
  TakeJob take(jobs);
  Mutex mutex;
  Status first;
  const auto body = [&] {
    Status status = worker(take);
    if (status.ok()) return;
    {
      MutexLock lock(mutex);
      if (first.ok()) first = std::move(status);
    }
    take.fail();
  };
  const size_t cores = std::max<size_t>(1, std::thread::hardware_concurrency());
  {
    std::vector<Thread> threads;
    for (size_t i = 1; i < std::min({cores, kWorkersMax, jobs}); i++) {
      threads.emplace_back("kv-work", body);
    }
    body();
  }
  return first;
}

}  // namespace kvcs::kvfile
