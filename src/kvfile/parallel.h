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

// Runs worker(take) on each of up to kWorkersMax threads; `take(index)` hands out 0 … jobs-1 once.
using TakeJob = std::function<bool(size_t& index)>;
inline Status run_parallel(size_t jobs, const std::function<Status(const TakeJob&)>& worker) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  Mutex mutex;
  Status first;
  const TakeJob take = [&](size_t& index) {
    index = next++;
    return index < jobs && !failed;
  };
  const auto body = [&] {
    Status status = worker(take);
    if (status.ok()) return;
    failed = true;
    MutexLock lock(mutex);
    if (first.ok()) first = std::move(status);
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
