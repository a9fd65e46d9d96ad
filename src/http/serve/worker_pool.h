// The worker threads, which take events from the listener's epoll set.
//
// A worker takes several events at once, and no more workers wait in epoll_wait than there are
// processors: the others stay in reserve, as waking one thread more costs more than a short
// request. Should an event hold its worker for long, supervise() gives the rest of that worker's
// batch to others and wakes the reserve, within some milliseconds. The pool is elastic:
// `workers_min` workers that are not held, up to `workers_max` in all; a surplus worker retires
// after a while.
//
// Threads: each worker runs run_loop(); one other thread, the listener's monitor, supervises. What
// they share are counters and the slots of batches, all atomic; the counters are read without
// order, since a supervisor that sees a value late only acts one round later.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/heartbeat.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/thread.h"

namespace kvcs::http {

class RequestTask;

class WorkerPool final {
 public:
  // An event is the cookie under which its descriptor is in the epoll set, and this bit, which no
  // cookie may have, when its peer closed.
  static constexpr uint64_t kPeerClosed = uint64_t{1} << 30;
  // Cookies that nobody else may use.
  static constexpr uint64_t kStopCookie = ~uint64_t{0}, kNoCookie = kStopCookie - 1;

  class Worker {
   public:
    Worker();
    // Called by on_event before each piece of work: from here on the supervisor measures how long
    // the worker is held, and it counts as progress of the pool.
    void note_run();
    RequestTask* spare_task = nullptr;  // The listener's: an idle task for the next connection.

   private:
    friend class WorkerPool;
    static constexpr int kBatchMax = 8;
    std::atomic<int64_t> busy_since_ms_{0};  // 0: waiting for events.
    std::atomic<uint64_t> runs_{0};
    // The events of the batch that were not begun; a slot is taken by exchanging it for kNoCookie,
    // by the worker or by supervise(), so that each event has one taker.
    std::array<std::atomic<uint64_t>, kBatchMax> batch_;
    std::atomic<bool> retired_{false};
    std::optional<Thread> thread_;
  };

  struct Callbacks {
    std::function<void(uint64_t event, Worker& worker)> on_event;  // On the worker.
    std::function<void(Worker& worker)> on_exit;                   // On the worker, at its end.
    // In supervise(): brings an event that was taken from a batch to any worker.
    std::function<void(uint64_t event)> requeue;
    std::function<void()> wake_supervisor;  // On any worker: supervise() is due soon.
  };

  WorkerPool(int workers_min, int workers_max, Callbacks callbacks);
  ~WorkerPool();
  // `epoll` outlives the pool's threads.
  Status start(int epoll);
  // Returns when all workers have ended; each finishes its batch.
  void stop();

  // --- the supervising thread ---
  // True when the next supervise() should be soon: no worker is idle, or a batch was taken since
  // the last call. Forgets that batch, unless no worker is idle: then the mark stays.
  bool take_busy_mark();
  // Requeues what held workers have not begun, starts or wakes workers, joins retired ones.
  void supervise();

  int count() const { return count_; }
  int busy() const;
  // Of the pool as a whole: at work while events wait, which a beat is for each that is begun. One
  // worker that is held is no matter, since others come.
  Pulse pulse() const;

 private:
  // A worker's thread, until it retires or the pool stops.
  void run_loop(Worker& worker);
  void run_batch(Worker& worker, size_t count);
  // True: the pool has one worker less, and this one must end.
  bool try_retire(Worker& worker);
  // Until the reserve is woken; false when that took so long that a surplus worker may retire.
  bool wait_in_reserve();
  void wake_reserve();
  // Requeues the events of a worker that is held; notes that there are some, when it is not.
  void requeue_batch(Worker& worker, bool held);
  void grow();
  bool has_waiting_events() const;
  uint64_t runs() const KVCS_REQUIRES(mutex_);  // Of all workers that are here.
  bool start_worker();
  void join_retired();

  const int workers_min_, workers_max_, processors_;
  const Callbacks callbacks_;
  int epoll_ = -1, stop_event_ = -1;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> batched_{false};  // A worker took several events since the last look.
  // Workers in epoll_wait; all workers; those that have retired and are not joined.
  std::atomic<int> idle_{0}, count_{0}, retired_{0};
  uint64_t runs_before_ = 0;  // Of all workers, at the last supervise().
  Mutex reserve_mutex_;
  CondVar reserve_woken_;
  uint64_t reserve_calls_ KVCS_GUARDED_BY(reserve_mutex_) = 0;
  std::atomic<int> in_reserve_{0};
  mutable Mutex mutex_;
  std::vector<std::unique_ptr<Worker>> workers_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs::http
