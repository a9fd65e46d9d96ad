// The threads that take events from the listener's epoll set.
//
// A worker takes several events at once, and no more workers wait for events than there are
// processors: the others stay in reserve, as waking one thread more costs more than a short
// request. Should an event turn out to hold its worker for long, look() hands the rest of its batch
// on and calls the reserve, within some milliseconds. The pool is elastic: `workers_min` workers
// that are not held, up to `workers_max` in all; a surplus worker leaves after a while.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "base/thread.h"

namespace kvcs::http {

class Serving;

class WorkerPool final {
 public:
  // An event is the cookie under which its socket is in the epoll set, and this bit, which no
  // cookie may have, when its peer closed.
  static constexpr uint64_t kPeerClosed = uint64_t{1} << 30;
  // Cookies that nobody else may use.
  static constexpr uint64_t kStopCookie = ~uint64_t{0}, kNoCookie = kStopCookie - 1;

  class Worker {
   public:
    Worker();
    // By whom it serves, for each thing that it goes on with.
    void begins();
    Serving* spare = nullptr;  // Its owner's: what runs the next connection.

   private:
    friend class WorkerPool;
    static constexpr int kBatchMax = 8;
    std::atomic<int64_t> busy_since_ms_{0};  // 0: waiting for events.
    std::atomic<uint64_t> served_{0};
    // What is left of the batch; look() takes from it too.
    std::array<std::atomic<uint64_t>, kBatchMax> batch_;
    std::atomic<bool> finished_{false};
    std::optional<Thread> thread_;
  };

  struct Duties {
    std::function<void(uint64_t event, Worker& worker)> take;  // On the worker.
    std::function<void(Worker& worker)> leave;                 // The same; it ends.
    std::function<void(uint64_t event)> pass_on;               // In look(): to any worker.
    std::function<void()> ask_for_look;                        // On any worker.
  };

  WorkerPool(int workers_min, int workers_max, Duties duties);
  ~WorkerPool();
  // `epoll` outlives the pool's threads.
  Status start(int epoll);
  // Returns when all workers have ended; each ends what it is at first.
  void stop();

  // --- one thread looks after the workers ---
  // True: the next look() should be soon.
  bool is_busy();
  void look();

  int count() const { return count_; }
  int busy() const;

 private:
  void work(Worker& worker);
  void take_all(Worker& worker, size_t count);
  bool may_leave(Worker& worker);
  bool wait_in_reserve();
  void call_reserve();
  void look_at_batch(Worker& worker, bool held);
  void grow();
  bool events_wait() const;
  bool spawn();
  void join_finished();

  const int workers_min_, workers_max_, processors_;
  const Duties duties_;
  int epoll_ = -1, stop_event_ = -1;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> batched_{false};  // A worker took several events since the last look.
  std::atomic<int> idle_{0}, count_{0}, finished_{0};
  uint64_t served_before_ = 0;  // By the last look.
  Mutex reserve_mutex_;
  CondVar reserve_called_;
  uint64_t reserve_calls_ KVCS_GUARDED_BY(reserve_mutex_) = 0;
  std::atomic<int> in_reserve_{0};
  Mutex mutex_;
  std::vector<std::unique_ptr<Worker>> workers_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs::http
