// What serves a connection: a fiber with the memory of its requests. A worker runs it until it ends
// or waits for another server; then the worker takes the next event, and whichever worker gets the
// event that was waited for goes on with it. So a request that waits holds no thread.
//
// Who runs a serving is decided by one atomic word: the generation of its wait, parked or not, what
// woke it. The socket that is waited for is in the listener's epoll set for one event, with the
// serving's cookie; an event, the monitor's clock, the client's leaving and the server's end all
// come as wake(), and the one that finds the serving parked owns it and must run() it, or post() it
// for a worker to do so. Whatever comes before the serving is parked makes it go on at once;
// whatever comes late has a stale generation. Slots live as long as the table.
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

namespace kvcs::http {

class ServingTable;

class Serving final : public Waiter {
 public:
  Serving(ServingTable& table, uint32_t index);
  ~Serving() override;
  RequestMemory& memory() { return running_->memory; }

  Woken wait(const WaitFor& what) override;
  int client_fd() const override { return connection_->socket(); }

 private:
  friend class ServingTable;
  struct Running {
    Running(size_t buffer_bytes, std::unique_ptr<Fiber> fiber_in)
        : memory(buffer_bytes), fiber(std::move(fiber_in)) {}
    RequestMemory memory;
    const std::unique_ptr<Fiber> fiber;
  };
  static constexpr uint64_t kParked = 1, kReady = 2, kTimeout = 4, kGone = 8;
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  bool furnish();
  void strip();
  void live();
  uint64_t park_until(const WaitFor& what, int64_t deadline_ms);
  uint64_t suspend_until_woken(const WaitFor& what, uint64_t cookie, int64_t deadline_ms);
  bool arm(const WaitFor& what, uint64_t cookie);
  bool park();
  bool wake(uint32_t generation, uint64_t reason);

  ServingTable& table_;
  const uint32_t index_;
  std::unique_ptr<Running> running_;  // Null: no memory is held.
  Connection* connection_ = nullptr;  // Null: free.
  uint32_t generation_ = 0;           // The fiber's own.
  std::atomic<uint64_t> word_{0};     // generation << 32 | bits
  std::atomic<int64_t> deadline_ms_{kNever};
};

// All servings of a listener. Thread-safe; the lock is taken when a serving changes hands outside
// of an event.
class ServingTable final {
 public:
  // `serve` runs on a serving's fiber, until the connection is parked or gone. At most `parked_max`
  // requests wait without a thread; each of `workers_max` workers runs one and may keep another.
  ServingTable(int workers_max, int parked_max, size_t buffer_bytes,
               std::function<void(Connection&, Serving&)> serve,
               std::function<void()> wake_monitor);
  ~ServingTable();
  // Epoll, and the cookie under which posted servings are announced there.
  Status start(int epoll, uint64_t posted_cookie);

  // --- workers ---
  Serving* take();                                    // A free one; null: no memory for it.
  void put(Serving& free);                            // Gives it back.
  void begin(Serving& free, Connection& connection);  // run() is next.
  // Until it ends or waits. True: it ended and is free, the caller's. False: hands off.
  bool run(Serving& serving);
  static bool is_cookie(uint64_t cookie) { return (cookie & kCookieBit) != 0; }
  // Its socket is ready; not null: the caller runs it.
  Serving* ready(uint64_t cookie) { return wake(cookie, Serving::kReady); }
  // The client of the serving that watches the connection may have gone.
  Serving* client_gone(Connection& connection);
  // Makes a worker run it.
  void post(Serving& owned);
  Serving* take_posted();

  // --- the monitor ---
  int64_t next_deadline_ms() const { return next_deadline_ms_; }
  void expire(int64_t now_ms);  // Posts those whose time is up.
  void trim();  // Frees the memory of those that were free all the time since the last call.

  // --- stopping ---
  // Ends all waits, those to come too, as if the clients had gone.
  void end_waits();
  int parked() const { return parked_; }
  // Waits that blocked their worker, because `parked_max` requests were parked already or the
  // descriptor cannot be polled by epoll.
  uint64_t blocked_waits() const { return blocked_waits_.load(std::memory_order_relaxed); }

 private:
  friend class Serving;
  static constexpr uint64_t kCookieBit = uint64_t{1} << 31;

  uint64_t cookie(const Serving& serving, uint32_t generation) const {
    return uint64_t{generation} << 32 | kCookieBit | serving.index_;
  }
  Serving* take_slot() KVCS_REQUIRES(mutex_);
  Serving* wake(uint64_t cookie, uint64_t reason);
  void wake_all(uint64_t reason, int64_t due_by_ms);
  void note_deadline(int64_t deadline_ms);
  void announce_posted();

  const size_t size_, buffer_bytes_;
  const int parked_max_;
  const std::function<void(Connection&, Serving&)> serve_;
  const std::function<void()> wake_monitor_;
  int epoll_ = -1, posted_event_ = -1;
  std::unique_ptr<std::unique_ptr<Serving>[]> slots_;
  std::atomic<uint32_t> used_{0};
  std::atomic<int> parked_{0};
  std::atomic<uint64_t> blocked_waits_{0};
  std::atomic<bool> waits_ended_{false};
  std::atomic<int64_t> next_deadline_ms_{Serving::kNever};
  Mutex mutex_;
  std::vector<Serving*> free_ KVCS_GUARDED_BY(mutex_);  // With memory; the last one goes first.
  std::vector<Serving*> bare_ KVCS_GUARDED_BY(mutex_);  // Free, without memory.
  size_t fewest_free_ KVCS_GUARDED_BY(mutex_) = 0;      // Since the last trim().
  std::vector<Serving*> posted_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs::http
