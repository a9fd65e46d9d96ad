// The event's list of listeners, the waits of plain threads by poll() and condition variables, and
// the one thread-local pointer that says which waiter is the current one.
#include "base/wait.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace kvcs {
namespace {

// How long a thread waits blindly when the process has no descriptor left for it.
constexpr int kBlindMs = 10;

// Functions of this file alone touch it, and none of them suspends: its address is never kept over
// a suspension.
constinit thread_local Waiter* t_current = nullptr;

// The listener of a thread that waits for an event and nothing else.
class BlockedThread final : public Event::Listener {
 public:
  void signalled() override {
    const MutexLock lock(mutex_);
    signalled_ = true;
    changed_.notify_one();
  }
  bool wait(int timeout_ms) {
    const MutexLock lock(mutex_);
    while (!signalled_) {
      if (timeout_ms < 0) {
        changed_.wait(mutex_);
      } else if (!changed_.wait_for_ms(mutex_, timeout_ms)) {
        break;
      }
    }
    return signalled_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool signalled_ KVCS_GUARDED_BY(mutex_) = false;
};

// The listener of a thread that polls: the event becomes readable as a descriptor.
class PollingThread final : public Event::Listener {
 public:
  PollingThread() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~PollingThread() override {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int descriptor() const { return descriptor_; }
  void signalled() override {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(descriptor_, &one, sizeof one);
  }

 private:
  const int descriptor_;
};

}  // namespace

Event::~Event() {
  // Nobody else uses the event any more, so the lock only satisfies the checker.
  const MutexLock lock(mutex_);
  KVCS_ASSERT(first_ == nullptr);
}

// Listeners are called under the lock: a listener is on the stack of the one that waits, which can
// leave only through remove(), and that takes the lock.
void Event::signal() {
  const MutexLock lock(mutex_);
  count_.fetch_add(1, std::memory_order_release);
  Listener* next = std::exchange(first_, nullptr);
  while (next != nullptr) {
    Listener& listener = *next;
    next = listener.next_;
    listener.listed_ = false;
    listener.signalled();
  }
}

bool Event::add(Listener& listener, uint64_t seen) {
  const MutexLock lock(mutex_);
  if (count_.load(std::memory_order_relaxed) != seen) return false;
  listener.listed_ = true;
  listener.previous_ = nullptr;
  listener.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &listener;
  first_ = &listener;
  return true;
}

void Event::remove(Listener& listener) {
  const MutexLock lock(mutex_);
  if (!listener.listed_) return;
  listener.listed_ = false;
  (listener.previous_ != nullptr ? listener.previous_->next_ : first_) = listener.next_;
  if (listener.next_ != nullptr) listener.next_->previous_ = listener.previous_;
}

Waiter::Woken ThreadWaiter::wait(const WaitFor& what) {
  if (what.event == nullptr) return poll_for(what, -1);
  if (what.descriptor < 0 && (!what.client_too || client_fd_ < 0)) return block(what);
  return poll_with_event(what);
}

Waiter::Woken ThreadWaiter::block(const WaitFor& what) const {
  BlockedThread blocked;
  if (!what.event->add(blocked, what.seen)) return Woken::kReady;
  const bool signalled = blocked.wait(what.timeout_ms);
  what.event->remove(blocked);
  return signalled ? Woken::kReady : Woken::kTimeout;
}

// A client that is watched for POLLRDHUP alone does not wake us for what it pipelines. poll()
// passes over descriptors of -1.
Waiter::Woken ThreadWaiter::poll_for(const WaitFor& what, int signalled_fd) const {
  pollfd entries[] = {{what.descriptor, what.events, 0},
                      {what.client_too ? client_fd_ : -1, POLLRDHUP, 0},
                      {signalled_fd, POLLIN, 0}};
  if (::poll(entries, std::size(entries), what.timeout_ms) <= 0) return Woken::kTimeout;
  return entries[1].revents != 0 ? Woken::kClientGone : Woken::kReady;
}

Waiter::Woken ThreadWaiter::poll_with_event(const WaitFor& what) const {
  PollingThread polling;
  WaitFor bounded = what;
  if (polling.descriptor() < 0) {
    // The process has no descriptor left. The event is looked at again at each early timeout.
    bounded.timeout_ms = what.timeout_ms < 0 ? kBlindMs : std::min(what.timeout_ms, kBlindMs);
  }
  if (!what.event->add(polling, what.seen)) return Woken::kReady;
  const Woken woken = poll_for(bounded, polling.descriptor());
  what.event->remove(polling);
  return woken;
}

// Never inlined: a loop that waits would otherwise be free to keep the address of the thread-local
// pointer over a wait, after which it may run on another thread.
[[gnu::noinline]] Waiter& current_waiter() {
  static constinit ThreadWaiter this_thread;
  return t_current != nullptr ? *t_current : this_thread;
}

WaiterScope::WaiterScope(Waiter& waiter) : before_(std::exchange(t_current, &waiter)) {}

WaiterScope::~WaiterScope() {
  t_current = before_;
}

int64_t steady_ms() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

Waiter::Woken wait_for_event(Event& event, uint64_t seen, int timeout_ms, bool client_too) {
  const int64_t until_ms =
      timeout_ms < 0 ? std::numeric_limits<int64_t>::max() : steady_ms() + timeout_ms;
  for (int left_ms = timeout_ms;;) {
    WaitFor what;
    what.event = &event;
    what.seen = seen;
    what.timeout_ms = left_ms;
    what.client_too = client_too;
    const Waiter::Woken woken = current_waiter().wait(what);
    if (woken != Waiter::Woken::kTimeout) return woken;
    if (event.count() != seen) return Waiter::Woken::kReady;
    if (timeout_ms < 0) continue;
    left_ms = static_cast<int>(until_ms - steady_ms());
    if (left_ms <= 0) return woken;
  }
}

Status client_gone() {
  return unavailable("the client closed its connection").with_reason("client_gone");
}

}  // namespace kvcs
