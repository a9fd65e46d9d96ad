// How one waits for another server's socket: with the thread, or, as a request of our own server
// does, by letting the thread go on with something else.
#pragma once
#include <cstdint>

namespace kvcs {

struct WaitFor {
  int descriptor = -1;
  short events = 0;        // poll's: POLLIN, POLLOUT. Errors and hang-ups always count.
  int timeout_ms = -1;     // -1: none.
  bool client_too = true;  // Also until the client has gone.
};

class Waiter {
 public:
  enum class Woken : uint8_t { kReady, kTimeout, kClientGone };
  virtual ~Waiter() = default;
  // May be woken early as kTimeout. A waiter is used by one thread, or one request, at a time; the
  // caller may find itself on another thread afterwards (base/fiber.h says what that forbids).
  virtual Woken wait(const WaitFor& what) = 0;
  // The client whom the wait is for, for those who poll themselves; -1: none.
  virtual int client_fd() const = 0;
};

class ThreadWaiter final : public Waiter {
 public:
  explicit ThreadWaiter(int client_fd = -1) : client_fd_(client_fd) {}
  Woken wait(const WaitFor& what) override;
  int client_fd() const override { return client_fd_; }

 private:
  const int client_fd_;
};

}  // namespace kvcs
