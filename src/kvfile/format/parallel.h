// Independent jobs on a few threads; the first failure stops the rest. Nothing outlives the call.
// An exception of a thread, as when memory runs out, is thrown again by the call; when the system
// refuses a thread, the others do its work.
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <system_error>
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

inline constexpr std::string_view kOutOfMemory =
    "there is not enough memory: end other programs, or raise the limit that `ulimit -v` shows";
inline Status out_of_memory() {
  return unavailable(std::string(kOutOfMemory));
}

// The first failure or exception of several threads, for the one that waits for them all.
class FirstFault final {
 public:
  bool run(const std::function<Status()>& work) noexcept {
    Status status;
    std::exception_ptr thrown;
    try {
      status = work();
    } catch (...) {
      thrown = std::current_exception();
    }
    if (status.ok() && !thrown) return true;
    MutexLock lock(mutex_);
    if (status_.ok() && !thrown_) {
      status_ = std::move(status);
      thrown_ = std::move(thrown);
    }
    return false;
  }
  // When the threads have ended.
  Status take() {
    MutexLock lock(mutex_);
    if (thrown_) std::rethrow_exception(thrown_);
    return status_;
  }

 private:
  Mutex mutex_;
  Status status_ KVCS_GUARDED_BY(mutex_);
  std::exception_ptr thrown_ KVCS_GUARDED_BY(mutex_);
};

// A thread has a stack, and the allocator sets an arena up for it, which it must not fail to do.
inline constexpr size_t kThreadRoomBytes = 32 << 20;
inline bool has_room_for_thread() {
  void* const room = ::mmap(nullptr, kThreadRoomBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return room != MAP_FAILED && ::munmap(room, kThreadRoomBytes) == 0;
}

// Whether the system had a thread left; `threads` has room for it.
inline bool add_thread(std::vector<Thread>& threads, const char* name,
                       const std::function<void()>& body) {
  if (!has_room_for_thread()) return false;
  try {
    threads.emplace_back(name, body);
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

// Runs worker(take) on each of up to kWorkersMax threads.
inline Status run_parallel(size_t jobs, const std::function<Status(TakeJob&)>& worker) {
  TakeJob take(jobs);
  FirstFault fault;
  const auto body = [&] {
    if (!fault.run([&] { return worker(take); })) take.fail();
  };
  const size_t cores = std::max<size_t>(1, std::thread::hardware_concurrency());
  {
    std::vector<Thread> threads;
    threads.reserve(kWorkersMax);
    for (size_t i = 1; i < std::min({cores, kWorkersMax, jobs}); i++) {
      if (!add_thread(threads, "kv-work", body)) break;
    }
    body();
  }
  return fault.take();
}

// Runs both, `aside` on a thread of its own; the failure of `here` comes first.
inline Status run_beside(const char* name, const std::function<Status()>& aside,
                         const std::function<Status()>& here) {
  FirstFault beside, fault;
  const auto body = [&] { beside.run(aside); };
  {
    std::vector<Thread> thread;
    thread.reserve(1);
    const bool started = add_thread(thread, name, body);
    fault.run(here);
    if (!started) body();
  }
  KVCS_TRY(fault.take());
  return beside.take();
}

}  // namespace kvcs::kvfile
