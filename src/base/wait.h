// How code waits: for a descriptor, for an Event, for whichever of the two comes first, or for
// time alone. A plain thread blocks. A request of our own server is parked, so that its worker
// thread goes on with other work (http/serve/request_task.h). The code that waits reads the same
// in both cases, and finds its waiter by current_waiter(), so that no signature hands one down.
//
// A wait may end on another thread than it began on. base/fiber.h says what that forbids.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "base/status.h"

namespace kvcs {

// Something that one party signals and that any number of requests and threads wait for.
//
// An event is a counter of its signals. A party that waits reads count() first, then looks at the
// condition that it is interested in, and then waits for the count to leave the value that it
// read: a signal between the look and the wait is not lost. A parked request that waits costs
// neither a thread nor a descriptor; it is a link in the event's list, on the request's own stack.
// Thread-safe. An event outlives every call of its functions and every wait for it.
class Event final {
 public:
  // One wait in the event's list.
  class Listener {
   public:
    Listener() = default;
    virtual ~Listener() = default;
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    // Called by signal() under the event's lock. It must be short and must not use the event; the
    // locks that it takes come after the event's in the order of locking.
    virtual void signalled() = 0;

   private:
    friend class Event;
    Listener* next_ = nullptr;
    Listener* previous_ = nullptr;
    bool listed_ = false;
  };

  Event() = default;
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  uint64_t count() const { return count_.load(std::memory_order_acquire); }
  // Counts, and ends the waits of all that listen. What the caller wrote before is visible to a
  // party that sees the new count. The caller holds no lock that signalled() could take.
  void signal();

  // For waiters. add() is false when the count has left `seen` already: nothing was added. Once
  // remove() has returned, signalled() neither runs nor will run.
  bool add(Listener& listener, uint64_t seen);
  void remove(Listener& listener);

 private:
  std::atomic<uint64_t> count_{0};  // Changes under the lock only.
  Mutex mutex_;
  Listener* first_ KVCS_GUARDED_BY(mutex_) = nullptr;
};

// A descriptor's registration with those who wait for it, which stays from one wait to the next, so
// that a wait needs no system call. Whoever owns the descriptor keeps it and destroys it before the
// descriptor is closed; a waiter that can use one makes it.
class Registration {
 public:
  virtual ~Registration() = default;
  // True: nothing has come and nobody has closed since the last wait ended. What has come within
  // the last milliseconds may not be known yet.
  virtual bool is_quiet() const = 0;
};

// The event or descriptor that a wait is for. Without a descriptor and without an event it is for
// time alone.
struct WaitFor {
  int descriptor = -1;     // -1: none.
  short events = 0;        // poll's: POLLIN, POLLOUT. Errors and hang-ups always count.
  int timeout_ms = -1;     // -1: no limit.
  bool client_too = true;  // The wait also ends when the request's client has gone.
  Event* event = nullptr;  // Null: none.
  uint64_t seen = 0;       // The event's count when the caller looked at its condition.
  // The descriptor's registration, or where one may be put; null: it is to have none. A wait with
  // one tells of what has come since the last wait, once: before the next wait the caller reads
  // until a read leaves nothing behind, and writes likewise.
  std::unique_ptr<Registration>* registration = nullptr;
  // With a registration: tells of one event only, and of none while nobody waits. For a long body,
  // whose segments would each wake a thread for nothing while the body is read.
  bool one_event = false;
};

class Waiter {
 public:
  enum class Woken : uint8_t {
    kReady,       // The descriptor is ready, or the event was signalled.
    kTimeout,     // May come early: the caller looks at its clock and waits again.
    kClientGone,  // Also ends every wait of a server that stops: the caller gives up.
  };
  virtual ~Waiter() = default;
  // A waiter is used by one thread, or by one request, at a time.
  virtual Woken wait(const WaitFor& what) = 0;
  // The socket of the client that the request is for, for code that polls itself; -1: none.
  virtual int client_fd() const = 0;
};

// Blocks the calling thread. Has no state, so that any number of threads may share one.
class ThreadWaiter final : public Waiter {
 public:
  constexpr explicit ThreadWaiter(int client_fd = -1) : client_fd_(client_fd) {}
  Woken wait(const WaitFor& what) override;
  int client_fd() const override { return client_fd_; }

 private:
  Woken block(const WaitFor& what) const;
  Woken poll_for(const WaitFor& what, int signalled_fd) const;
  Woken poll_with_event(const WaitFor& what) const;

  const int client_fd_;
};

// The waiter of the request that calls; outside of requests one that blocks the thread and knows
// no client. The reference is good until the caller returns from the request.
Waiter& current_waiter();

// While it lives, `waiter` is the current one of this thread. A worker holds a scope around the
// part of a request that it runs; code inside of a request must not hold one over a wait.
class WaiterScope final {
 public:
  explicit WaiterScope(Waiter& waiter);
  ~WaiterScope();
  WaiterScope(const WaiterScope&) = delete;
  WaiterScope& operator=(const WaiterScope&) = delete;

 private:
  Waiter* const before_;
};

// The monotonic time by which waits end, which no ManualClock moves. Cheap, and coarse: it steps by
// the kernel's tick of some milliseconds.
int64_t steady_ms();

// Waits with the current waiter until the event's count has left `seen`, and no longer than
// `timeout_ms`: unlike Waiter::wait() it does not end early.
Waiter::Woken wait_for_event(Event& event, uint64_t seen, int timeout_ms, bool client_too = true);

// The failure of work that a wait ended as kClientGone. Unavailable with reason "client_gone".
Status client_gone();

}  // namespace kvcs
