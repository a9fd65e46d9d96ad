// A request task is the fiber on which a connection's requests are served, with their memory. A
// worker runs it until the connection is idle again or a request must wait, for another server or
// for an Event (base/wait.h); then the worker takes its next event from epoll, and whichever worker
// takes the event that was waited for goes on with the task. So a request that waits holds no
// thread.
//
// The owner of a task: a task is idle (the table's, or a worker's spare), running (its worker's),
// parked (nobody's), or runnable (in the table's queue, for any worker). One atomic word per task
// decides: the generation of its current wait, whether it is parked, and the reasons that have
// woken it. A wait takes a new generation, arms what it waits for with a cookie of slot and
// generation, and suspends the fiber; then the worker parks the task. A descriptor is in the
// listener's epoll set for one event (EPOLLONESHOT), or stays there (standing_descriptors.h); the
// client's own socket is there as long as its connection (connection.h). Its event, an Event's
// signal, the monitor's clock, the client's leaving and the end of the server all call wake(): the
// one call that finds the task parked owns it and must run() or enqueue() it. A reason that comes
// before the task is parked makes its worker go on at once. A reason that comes late has a stale
// generation and does nothing; slots live as long as the table, so that looking at one is always
// safe.
//
// Memory order. park() and wake() change the word by acquire-release read-modify-writes: all that
// the fiber did before it suspended is visible to the next owner, on whatever thread. In four
// places two threads each write one variable and then read the other's, and at least one must see
// the other's write; these accesses are sequentially consistent:
//   - the task sets Connection::watcher, then looks whether the peer has closed; the worker that
//     sees the peer close notes that, then looks for a watcher.
//   - the task sets Connection::waiter, then looks whether an event was noted; the worker that has
//     an event notes it, then looks for a waiter.
//   - the task publishes its generation, then looks whether waits have ended; end_waits() sets that
//     flag, then looks at every generation.
//   - the monitor clears the next deadline that it knows, then looks at every deadline; a task sets
//     its deadline, then notes it as the next. The monitor reads a task's word before its deadline,
//     so that the deadline is of that generation or of a later one, never of an older one.
//
// When a thread is held after all: when epoll takes no such descriptor (it refuses files), the wait
// blocks its worker. blocked_waits() counts these. Every connection may have its request parked.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "base/fiber.h"
#include "base/mutex.h"
#include "base/wait.h"
#include "http/serve/connection.h"
#include "http/serve/request_cycle.h"
#include "http/serve/standing_descriptors.h"

namespace kvcs::http {

class TaskTable;

class RequestTask final : public Waiter {
 public:
  RequestTask(TaskTable& table, uint32_t index);
  ~RequestTask() override;
  RequestMemory& memory() { return resources_->memory; }

  // On the task's own fiber, by way of current_waiter().
  Woken wait(const WaitFor& what) override;
  int client_fd() const override { return connection_->socket(); }

 private:
  friend class TaskTable;
  // The memory of a task, which an idle one may lack.
  struct Resources {
    Resources(size_t buffer_bytes, std::unique_ptr<Fiber> fiber_in)
        : memory(buffer_bytes), fiber(std::move(fiber_in)) {}
    RequestMemory memory;
    const std::unique_ptr<Fiber> fiber;
  };
  // The bits of the word below its generation: parked, and the reasons that have woken the task.
  static constexpr uint64_t kParked = 1, kReady = 2, kTimeout = 4, kGone = 8;
  static constexpr uint64_t kReasons = kReady | kTimeout | kGone;
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  // Makes the fiber and the buffers; false when there is no memory.
  bool allocate_resources();
  // Of an idle task: resumes the fiber, whose loop ends without a connection, and frees all.
  void free_resources();
  // The body of the fiber: serves one connection after the other, and suspends in between.
  void run_loop();
  // One wait: the reasons that ended it; 0 when the task cannot be parked for it.
  uint64_t wait_parked(const WaitFor& what, int64_t deadline_ms);
  // The wait for a descriptor that stays registered.
  uint64_t wait_registered(const WaitFor& what, uint64_t cookie, int64_t deadline_ms,
                           StandingRegistration& registration);
  // The wait for bytes of the client, or for room for some.
  uint64_t wait_client(const WaitFor& what, uint64_t cookie, int64_t deadline_ms);
  // Listens for the event, notes the deadline and suspends: the reasons that woke it.
  uint64_t suspend_until_woken(const WaitFor& what, uint64_t cookie, int64_t deadline_ms);
  // Adds the descriptor to the epoll set for one event; false when epoll refuses it.
  bool arm_descriptor(const WaitFor& what, uint64_t cookie);
  // The descriptor's registration; null when it has none with this table.
  StandingRegistration* registration_of(const WaitFor& what) const;
  // The same, made if there is none, and armed.
  StandingRegistration* arm_registration(const WaitFor& what);
  // By the worker whose resume() has returned from a wait: gives the task up. False when a reason
  // has come already: the worker still owns the task and resumes it.
  bool park();
  // Adds a reason to the wait of that generation. True when it was parked: the caller owns it now.
  bool wake(uint32_t generation, uint64_t reason);

  TaskTable& table_;
  const uint32_t index_;                  // Of its slot.
  std::unique_ptr<Resources> resources_;  // Null: no memory is held.
  Connection* connection_ = nullptr;      // Null: idle.
  uint32_t generation_ = 0;               // Of the last wait; the fiber's own.
  std::atomic<uint64_t> word_{0};         // generation << 32 | bits
  std::atomic<int64_t> deadline_ms_{kNever};
};

// All tasks of a listener. Thread-safe. The lock is taken when a task changes hands by the lists of
// idle and runnable ones, not when an event wakes it.
class TaskTable final {
 public:
  // `serve` runs on a task's fiber, until the connection is idle or gone. Each of at most
  // `connections_max` connections has one task, which may be parked; each of `workers_max` workers
  // may keep another, idle one. `wake_monitor` makes the monitor look at next_deadline_ms() again.
  TaskTable(int workers_max, int connections_max, size_t buffer_bytes,
            std::function<void(Connection&, RequestTask&)> serve,
            std::function<void()> wake_monitor);
  ~TaskTable();
  // The epoll set, and the cookie under which runnable tasks are announced there.
  Status start(int epoll, uint64_t runnable_cookie);

  // --- workers ---
  RequestTask* allocate();          // An idle task, the caller's; null: no memory for it.
  void release(RequestTask& idle);  // Gives it back.
  // Gives an idle task its connection, which the caller owns; run() is next.
  void assign(RequestTask& idle, Connection& connection);
  // Until the task is idle again: true, and it is the caller's. False: it is parked, and may run
  // elsewhere already: hands off.
  bool run(RequestTask& task);
  static bool is_cookie(uint64_t cookie) { return (cookie & kCookieBit) != 0; }
  // The event that the cookie's wait is for has come. Not null: the caller owns the task and runs
  // or enqueues it; the same for the next two functions.
  RequestTask* wake_ready(uint64_t cookie) { return wake(cookie, RequestTask::kReady); }
  // By the cookie of a standing descriptor: whoever waits for that.
  RequestTask* wake_standing(uint64_t cookie, bool peer_closed);
  // The client of the task that watches the connection may have gone.
  RequestTask* wake_client_gone(Connection& connection);
  // The client of the task that waits for it has sent, taken or closed something.
  RequestTask* wake_client_moved(Connection& connection);
  // Makes an owned task runnable: some worker dequeues and runs it.
  void enqueue(RequestTask& owned);
  RequestTask* dequeue();  // Null: another worker was faster.

  // --- the monitor ---
  int64_t next_deadline_ms() const { return next_deadline_ms_; }
  void wake_expired(int64_t now_ms);  // Enqueues the tasks whose wait is over its time.
  // Frees the resources of the tasks that were idle all the time since the last call.
  void free_unused();

  // --- stopping ---
  // Ends all waits, and those to come, as if the clients had gone.
  void end_waits();
  int parked() const { return parked_; }
  // Waits that blocked their worker since the start.
  uint64_t blocked_waits() const { return blocked_waits_.load(std::memory_order_relaxed); }

 private:
  friend class RequestTask;
  // Tells a task's cookies in the epoll set from those of connections.
  static constexpr uint64_t kCookieBit = uint64_t{1} << 31;

  uint64_t cookie(const RequestTask& task, uint32_t generation) const {
    return uint64_t{generation} << 32 | kCookieBit | task.index_;
  }
  // The idle task that was used last, whose memory is warm; else one without resources, or a new
  // slot.
  RequestTask* take_idle() KVCS_REQUIRES(mutex_);
  RequestTask* wake(uint64_t cookie, uint64_t reason);
  // Wakes and enqueues every task whose deadline is `due_by_ms` or earlier.
  void wake_all(uint64_t reason, int64_t due_by_ms);
  // Wakes the monitor when this deadline is earlier than all that it knows.
  void note_deadline(int64_t deadline_ms);
  // One event in the epoll set, for one worker.
  void announce_runnable();

  const size_t size_, buffer_bytes_;
  const std::shared_ptr<StandingDescriptors> standing_ = std::make_shared<StandingDescriptors>();
  const std::function<void(Connection&, RequestTask&)> serve_;
  const std::function<void()> wake_monitor_;
  int epoll_ = -1, runnable_event_ = -1;
  std::unique_ptr<std::unique_ptr<RequestTask>[]> slots_;
  std::atomic<uint32_t> used_{0};  // Slots made so far; they are never unmade.
  std::atomic<int> parked_{0};     // Tasks inside of wait(), which counts them before they park.
  std::atomic<uint64_t> blocked_waits_{0};
  std::atomic<bool> waits_ended_{false};
  std::atomic<int64_t> next_deadline_ms_{RequestTask::kNever};
  Mutex mutex_;
  std::vector<RequestTask*> idle_ KVCS_GUARDED_BY(mutex_);  // With resources; the last goes first.
  std::vector<RequestTask*> bare_ KVCS_GUARDED_BY(mutex_);  // Idle, without resources.
  size_t fewest_idle_ KVCS_GUARDED_BY(mutex_) = 0;          // Since the last free_unused().
  std::vector<RequestTask*> runnable_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs::http
