#include "http/serve/request_task.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace kvcs::http {
namespace {

// The wait of a parked request for an event: the signal is one more reason to wake it.
class EventWake final : public Event::Listener {
 public:
  EventWake(ServingTable& table, uint64_t cookie) : table_(table), cookie_(cookie) {}
  void signalled() override {
    if (Serving* serving = table_.ready(cookie_)) table_.post(*serving);
  }

 private:
  ServingTable& table_;
  const uint64_t cookie_;
};

}  // namespace

Serving::Serving(ServingTable& table, uint32_t index) : table_(table), index_(index) {}

Serving::~Serving() {
  strip();
}

// False: no memory.
bool Serving::furnish() {
  if (running_) return true;
  auto fiber = Fiber::create([this] { live(); });
  if (!fiber) return false;
  running_ = std::make_unique<Running>(table_.buffer_bytes_, std::move(fiber));
  return true;
}

// Lets the fiber run to its end.
void Serving::strip() {
  if (running_) running_->fiber->resume();
  running_.reset();
}

void Serving::live() {
  while (connection_ != nullptr) {
    table_.serve_(*connection_, *this);
    connection_ = nullptr;
    running_->fiber->suspend();
  }
}

Waiter::Woken Serving::wait(const WaitFor& what) {
  const int64_t deadline_ms = what.timeout_ms < 0 ? kNever : steady_ms() + what.timeout_ms;
  for (;;) {
    const uint64_t reasons = park_until(what, deadline_ms);
    if (reasons == 0) {
      table_.blocked_waits_.fetch_add(1, std::memory_order_relaxed);
      return ThreadWaiter(client_fd()).wait(what);
    }
    const bool gone = what.client_too && connection_->peer_closed();
    if (gone || table_.waits_ended_) return Woken::kClientGone;
    if ((reasons & kReady) != 0) return Woken::kReady;
    if ((reasons & kTimeout) != 0) return Woken::kTimeout;
    // A word about a client that held this connection's slot before ours.
  }
}

// What woke it; 0: it cannot be parked.
uint64_t Serving::park_until(const WaitFor& what, int64_t deadline_ms) {
  const uint32_t generation = ++generation_;
  const uint64_t cookie = table_.cookie(*this, generation);
  word_.store(uint64_t{generation} << 32, std::memory_order_seq_cst);
  const bool fits = table_.parked_.fetch_add(1) < table_.parked_max_;
  uint64_t reasons = 0;
  if (what.client_too && fits) {
    // It says nothing while it is muted.
    if (connection_->muted()) connection_->rearm();
    connection_->watcher.store(cookie, std::memory_order_seq_cst);
  }
  if (table_.waits_ended_ || (what.client_too && connection_->peer_closed())) {
    reasons = kGone;
  } else if (fits && (what.descriptor < 0 || arm(what, cookie))) {
    reasons = suspend_until_woken(what, cookie, deadline_ms);
  }
  connection_->watcher.store(0, std::memory_order_relaxed);
  table_.parked_.fetch_sub(1);
  return reasons;
}

uint64_t Serving::suspend_until_woken(const WaitFor& what, uint64_t cookie, int64_t deadline_ms) {
  EventWake listener(table_, cookie);
  // What comes late for an armed descriptor has a stale generation.
  if (what.event != nullptr && !what.event->add(listener, what.seen)) return kReady;
  deadline_ms_.store(deadline_ms, std::memory_order_release);
  table_.note_deadline(deadline_ms);
  running_->fiber->suspend();
  deadline_ms_.store(kNever, std::memory_order_release);
  if (what.event != nullptr) what.event->remove(listener);
  return word_.load(std::memory_order_acquire) & (kReady | kTimeout | kGone);
}

bool Serving::arm(const WaitFor& what, uint64_t cookie) {
  epoll_event event{};
  event.events = EPOLLONESHOT;
  if ((what.events & POLLIN) != 0) event.events |= EPOLLIN;
  if ((what.events & POLLOUT) != 0) event.events |= EPOLLOUT;
  event.data.u64 = cookie;
  // Known from an earlier wait, most often.
  return ::epoll_ctl(table_.epoll_, EPOLL_CTL_MOD, what.descriptor, &event) == 0 ||
         ::epoll_ctl(table_.epoll_, EPOLL_CTL_ADD, what.descriptor, &event) == 0;
}

// By who ran it; false when something woke it already.
bool Serving::park() {
  uint64_t word = word_.load(std::memory_order_relaxed);
  do {
    if ((word & (kReady | kTimeout | kGone)) != 0) return false;
  } while (!word_.compare_exchange_weak(word, word | kParked, std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
  return true;
}

// True: it was parked; the caller owns it.
bool Serving::wake(uint32_t generation, uint64_t reason) {
  uint64_t word = word_.load(std::memory_order_seq_cst);
  do {
    if (word >> 32 != generation) return false;
  } while (!word_.compare_exchange_weak(word, (word | reason) & ~kParked, std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
  return (word & kParked) != 0;
}

ServingTable::ServingTable(int workers_max, int parked_max, size_t buffer_bytes,
                           std::function<void(Connection&, Serving&)> serve,
                           std::function<void()> wake_monitor)
    : size_(2 * static_cast<size_t>(workers_max) + static_cast<size_t>(parked_max)),
      buffer_bytes_(buffer_bytes),
      parked_max_(parked_max),
      serve_(std::move(serve)),
      wake_monitor_(std::move(wake_monitor)),
      slots_(std::make_unique<std::unique_ptr<Serving>[]>(size_)) {}

ServingTable::~ServingTable() {
  if (posted_event_ >= 0) ::close(posted_event_);
}

Status ServingTable::start(int epoll, uint64_t posted_cookie) {
  epoll_ = epoll;
  posted_event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (posted_event_ < 0) return io_error("cannot create", "eventfd", errno);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // Each post wakes one worker.
  event.data.u64 = posted_cookie;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, posted_event_, &event);
  return ok();
}

Serving* ServingTable::take() {
  Serving* serving = nullptr;
  {
    MutexLock lock(mutex_);
    serving = take_slot();
  }
  if (serving->furnish()) return serving;
  MutexLock lock(mutex_);
  bare_.push_back(serving);
  return nullptr;
}

Serving* ServingTable::take_slot() {
  std::vector<Serving*>& from = free_.empty() ? bare_ : free_;
  if (!from.empty()) {
    Serving* serving = from.back();
    from.pop_back();
    fewest_free_ = std::min(fewest_free_, free_.size());
    return serving;
  }
  const uint32_t index = used_.load(std::memory_order_relaxed);
  KVCS_ASSERT(index < size_);  // Each is a worker's or counted as parked.
  slots_[index] = std::make_unique<Serving>(*this, index);
  used_.store(index + 1, std::memory_order_release);
  return slots_[index].get();
}

void ServingTable::put(Serving& free) {
  MutexLock lock(mutex_);
  free_.push_back(&free);
}

void ServingTable::trim() {
  std::vector<Serving*> surplus;
  {
    MutexLock lock(mutex_);
    const auto end = free_.begin() + static_cast<std::ptrdiff_t>(fewest_free_);
    surplus.assign(free_.begin(), end);
    free_.erase(free_.begin(), end);
    fewest_free_ = free_.size();
  }
  for (Serving* serving : surplus) serving->strip();
  MutexLock lock(mutex_);
  bare_.insert(bare_.end(), surplus.begin(), surplus.end());
}

void ServingTable::begin(Serving& free, Connection& connection) {
  free.connection_ = &connection;
}

bool ServingTable::run(Serving& serving) {
  do {
    const WaiterScope scope(serving);
    serving.running_->fiber->resume();
    if (serving.connection_ == nullptr) return true;
  } while (!serving.park());
  return false;
}

Serving* ServingTable::wake(uint64_t cookie, uint64_t reason) {
  const auto index = static_cast<uint32_t>(cookie & (kCookieBit - 1));
  // Acquire: another thread may have made the slot.
  KVCS_ASSERT(index < used_.load(std::memory_order_acquire));
  Serving& serving = *slots_[index];
  return serving.wake(static_cast<uint32_t>(cookie >> 32), reason) ? &serving : nullptr;
}

Serving* ServingTable::client_gone(Connection& connection) {
  const uint64_t watcher = connection.watcher.load(std::memory_order_seq_cst);
  return watcher == 0 ? nullptr : wake(watcher, Serving::kGone);
}

void ServingTable::post(Serving& owned) {
  {
    MutexLock lock(mutex_);
    posted_.push_back(&owned);
  }
  announce_posted();
}

Serving* ServingTable::take_posted() {
  Serving* serving = nullptr;
  bool more = false;
  {
    MutexLock lock(mutex_);
    if (posted_.empty()) return nullptr;
    serving = posted_.back();
    posted_.pop_back();
    more = !posted_.empty();
  }
  if (more) announce_posted();  // Two posts may have made one event.
  return serving;
}

void ServingTable::announce_posted() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(posted_event_, &one, sizeof one);
}

// The monitor sleeps until the earliest deadline it knows; most deadlines are later than that.
void ServingTable::note_deadline(int64_t deadline_ms) {
  int64_t next_ms = next_deadline_ms_.load();
  while (deadline_ms < next_ms) {
    if (next_deadline_ms_.compare_exchange_weak(next_ms, deadline_ms)) return wake_monitor_();
  }
}

void ServingTable::wake_all(uint64_t reason, int64_t due_by_ms) {
  const uint32_t used = used_.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < used; i++) {
    Serving& serving = *slots_[i];
    // In this order: the deadline is of this generation or of a later one.
    const uint64_t word = serving.word_.load(std::memory_order_seq_cst);
    const int64_t deadline_ms = serving.deadline_ms_.load(std::memory_order_acquire);
    if (deadline_ms > due_by_ms) {
      note_deadline(deadline_ms);
    } else if (serving.wake(static_cast<uint32_t>(word >> 32), reason)) {
      post(serving);
    }
  }
}

void ServingTable::expire(int64_t now_ms) {
  if (next_deadline_ms_ > now_ms) return;
  next_deadline_ms_ = Serving::kNever;
  wake_all(Serving::kTimeout, now_ms);
}

void ServingTable::end_waits() {
  waits_ended_ = true;
  wake_all(Serving::kGone, Serving::kNever);
}

}  // namespace kvcs::http
