// The waits of requests: how a task is parked in the listener's epoll set or an event's list and
// woken by workers, by the monitor and by signals. The protocol is told as a whole in the header.
#include "http/serve/request_task.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <new>

namespace kvcs::http {
namespace {

uint32_t epoll_events(const WaitFor& what) {
  return ((what.events & POLLIN) != 0 ? EPOLLIN : 0u) |
         ((what.events & POLLOUT) != 0 ? EPOLLOUT : 0u);
}

// The place of a parked task in an event's list: a signal is one more reason to wake it. It runs
// under the event's lock and takes the table's, never the other way round.
class EventWake final : public Event::Listener {
 public:
  EventWake(TaskTable& table, uint64_t cookie) : table_(table), cookie_(cookie) {}
  void signalled() override {
    if (RequestTask* task = table_.wake_ready(cookie_)) table_.enqueue(*task);
  }

 private:
  TaskTable& table_;
  const uint64_t cookie_;
};

}  // namespace

RequestTask::RequestTask(TaskTable& table, uint32_t index) : table_(table), index_(index) {}

RequestTask::~RequestTask() {
  free_resources();
}

bool RequestTask::allocate_resources() {
  if (resources_) return true;
  auto fiber = Fiber::create([this] { run_loop(); });
  if (!fiber) return false;
  try {
    resources_ = std::make_unique<Resources>(table_.buffer_bytes_, std::move(fiber));
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

void RequestTask::free_resources() {
  if (resources_) resources_->fiber->resume();
  resources_.reset();
}

void RequestTask::run_loop() {
  while (connection_ != nullptr) {
    table_.serve_(*connection_, *this);
    connection_ = nullptr;
    resources_->fiber->suspend();
  }
}

Waiter::Woken RequestTask::wait(const WaitFor& what) {
  const int64_t deadline_ms = what.timeout_ms < 0 ? kNever : steady_ms() + what.timeout_ms;
  for (;;) {
    const uint64_t reasons = wait_parked(what, deadline_ms);
    if (reasons == 0) {
      table_.blocked_waits_.fetch_add(1, std::memory_order_relaxed);
      return ThreadWaiter(client_fd()).wait(what);
    }
    const bool gone = what.client_too && connection_->peer_closed();
    if (gone || table_.waits_ended_) return Woken::kClientGone;
    if ((reasons & kReady) != 0) {
      // Not before: a caller that hears of its client alone waits again for what has come.
      if (StandingRegistration* registration = registration_of(what)) registration->take();
      return Woken::kReady;
    }
    if ((reasons & kTimeout) != 0) return Woken::kTimeout;
    // The reason was a client that held this connection's slot before ours; the wait goes on.
  }
}

// In this order: the new generation, so that what is left of older waits is stale; then the ways to
// be woken; then a look at what may have come before they were there; the fiber's suspension last.
uint64_t RequestTask::wait_parked(const WaitFor& what, int64_t deadline_ms) {
  const uint32_t generation = ++generation_;
  const uint64_t cookie = table_.cookie(*this, generation);
  word_.store(uint64_t{generation} << 32, std::memory_order_seq_cst);
  table_.parked_.fetch_add(1);
  uint64_t reasons = 0;
  if (what.client_too) {
    // A muted connection has no events, so that its closing would not be seen.
    if (connection_->muted()) connection_->rearm();
    connection_->watcher.store(cookie, std::memory_order_seq_cst);
  }
  if (table_.waits_ended_ || (what.client_too && connection_->peer_closed())) {
    reasons = kGone;
  } else if (what.descriptor >= 0 && what.descriptor == connection_->socket()) {
    reasons = wait_client(what, cookie, deadline_ms);
  } else if (StandingRegistration* registration = arm_registration(what)) {
    reasons = wait_registered(what, cookie, deadline_ms, *registration);
  } else if (what.descriptor < 0 || arm_descriptor(what, cookie)) {
    reasons = suspend_until_woken(what, cookie, deadline_ms);
  }
  connection_->watcher.store(0, std::memory_order_relaxed);
  table_.parked_.fetch_sub(1);
  return reasons;
}

uint64_t RequestTask::suspend_until_woken(const WaitFor& what, uint64_t cookie,
                                          int64_t deadline_ms) {
  // On the fiber's stack, and taken out of the event's list before this returns.
  EventWake listener(table_, cookie);
  if (what.event != nullptr && !what.event->add(listener, what.seen)) return kReady;
  deadline_ms_.store(deadline_ms, std::memory_order_seq_cst);
  table_.note_deadline(deadline_ms);
  resources_->fiber->suspend();
  deadline_ms_.store(kNever, std::memory_order_release);
  if (what.event != nullptr) what.event->remove(listener);
  return word_.load(std::memory_order_acquire) & kReasons;
}

uint64_t RequestTask::wait_client(const WaitFor& what, uint64_t cookie, int64_t deadline_ms) {
  const uint64_t reasons = connection_->begin_wait(cookie, (what.events & POLLOUT) != 0)
                               ? kReady
                               : suspend_until_woken(what, cookie, deadline_ms);
  connection_->end_wait();
  return reasons;
}

uint64_t RequestTask::wait_registered(const WaitFor& what, uint64_t cookie, int64_t deadline_ms,
                                      StandingRegistration& registration) {
  const uint64_t reasons =
      registration.begin_wait(cookie) ? kReady : suspend_until_woken(what, cookie, deadline_ms);
  registration.end_wait();
  return reasons;
}

// A registration with the table of another listener is left alone: such a wait is for one event.
StandingRegistration* RequestTask::registration_of(const WaitFor& what) const {
  if (what.registration == nullptr) return nullptr;
  auto* registration = static_cast<StandingRegistration*>(what.registration->get());
  return registration != nullptr && registration->is_in(*table_.standing_) ? registration : nullptr;
}

StandingRegistration* RequestTask::arm_registration(const WaitFor& what) {
  if (what.registration == nullptr || what.descriptor < 0) return nullptr;
  if (!*what.registration && !what.one_event) {
    *what.registration = StandingRegistration::make(table_.standing_);
  }
  StandingRegistration* registration = registration_of(what);
  if (registration == nullptr) return nullptr;
  if (what.one_event) {
    registration->disarm();
    return nullptr;
  }
  return registration->arm(table_.epoll_, what.descriptor, epoll_events(what)) ? registration
                                                                               : nullptr;
}

bool RequestTask::arm_descriptor(const WaitFor& what, uint64_t cookie) {
  epoll_event event{};
  event.events = EPOLLONESHOT | epoll_events(what);
  event.data.u64 = cookie;
  // The descriptor is in the set from an earlier wait, most often: a one-shot registration stays,
  // disarmed, until the descriptor is closed.
  return ::epoll_ctl(table_.epoll_, EPOLL_CTL_MOD, what.descriptor, &event) == 0 ||
         ::epoll_ctl(table_.epoll_, EPOLL_CTL_ADD, what.descriptor, &event) == 0;
}

bool RequestTask::park() {
  uint64_t word = word_.load(std::memory_order_relaxed);
  do {
    if ((word & kReasons) != 0) return false;
  } while (!word_.compare_exchange_weak(word, word | kParked, std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
  return true;
}

bool RequestTask::wake(uint32_t generation, uint64_t reason) {
  uint64_t word = word_.load(std::memory_order_seq_cst);
  do {
    if (word >> 32 != generation) return false;
  } while (!word_.compare_exchange_weak(word, (word | reason) & ~kParked, std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
  return (word & kParked) != 0;
}

TaskTable::TaskTable(int workers_max, int connections_max, size_t buffer_bytes,
                     std::function<void(Connection&, RequestTask&)> serve,
                     std::function<void()> wake_monitor)
    : size_(2 * static_cast<size_t>(workers_max) + static_cast<size_t>(connections_max)),
      buffer_bytes_(buffer_bytes),
      serve_(std::move(serve)),
      wake_monitor_(std::move(wake_monitor)),
      slots_(std::make_unique<std::unique_ptr<RequestTask>[]>(size_)) {}

TaskTable::~TaskTable() {
  if (runnable_event_ >= 0) ::close(runnable_event_);
}

Status TaskTable::start(int epoll, uint64_t runnable_cookie) {
  epoll_ = epoll;
  runnable_event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (runnable_event_ < 0) return io_error("cannot create", "eventfd", errno);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // Each write wakes one worker.
  event.data.u64 = runnable_cookie;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, runnable_event_, &event);
  return ok();
}

RequestTask* TaskTable::allocate() {
  RequestTask* task = nullptr;
  {
    const MutexLock lock(mutex_);
    task = take_idle();
  }
  if (task->allocate_resources()) return task;
  const MutexLock lock(mutex_);
  bare_.push_back(task);
  return nullptr;
}

RequestTask* TaskTable::take_idle() {
  std::vector<RequestTask*>& from = idle_.empty() ? bare_ : idle_;
  if (!from.empty()) {
    RequestTask* task = from.back();
    from.pop_back();
    fewest_idle_ = std::min(fewest_idle_, idle_.size());
    return task;
  }
  const uint32_t index = used_.load(std::memory_order_relaxed);
  KVCS_ASSERT(index < size_);  // Each task is a connection's, or a worker's spare.
  // Room in the lists for this one too: what has begun is not stopped by a list that cannot grow.
  for (std::vector<RequestTask*>* list : {&idle_, &bare_, &runnable_}) {
    if (list->capacity() <= index) list->reserve(size_t{2} * index + 16);
  }
  slots_[index] = std::make_unique<RequestTask>(*this, index);
  used_.store(index + 1, std::memory_order_release);
  return slots_[index].get();
}

void TaskTable::release(RequestTask& idle) {
  const MutexLock lock(mutex_);
  idle_.push_back(&idle);
}

// The front of the list is what the last rush needed and nothing has used since.
void TaskTable::free_unused() {
  std::vector<RequestTask*> unused;
  {
    const MutexLock lock(mutex_);
    const auto end = idle_.begin() + static_cast<std::ptrdiff_t>(fewest_idle_);
    unused.assign(idle_.begin(), end);
    idle_.erase(idle_.begin(), end);
    fewest_idle_ = idle_.size();
  }
  for (RequestTask* task : unused) task->free_resources();
  const MutexLock lock(mutex_);
  bare_.insert(bare_.end(), unused.begin(), unused.end());
}

void TaskTable::assign(RequestTask& idle, Connection& connection) {
  idle.connection_ = &connection;
}

bool TaskTable::run(RequestTask& task) {
  do {
    const WaiterScope scope(task);
    task.resources_->fiber->resume();
    if (task.connection_ == nullptr) return true;
  } while (!task.park());
  return false;
}

RequestTask* TaskTable::wake(uint64_t cookie, uint64_t reason) {
  const auto index = static_cast<uint32_t>(cookie & (kCookieBit - 1));
  // Acquire: another thread may have made the slot.
  KVCS_ASSERT(index < used_.load(std::memory_order_acquire));
  RequestTask& task = *slots_[index];
  return task.wake(static_cast<uint32_t>(cookie >> 32), reason) ? &task : nullptr;
}

RequestTask* TaskTable::wake_standing(uint64_t cookie, bool peer_closed) {
  const uint64_t waiting = standing_->note(cookie, peer_closed);
  return waiting == 0 ? nullptr : wake(waiting, RequestTask::kReady);
}

RequestTask* TaskTable::wake_client_gone(Connection& connection) {
  const uint64_t watcher = connection.watcher.load(std::memory_order_seq_cst);
  return watcher == 0 ? nullptr : wake(watcher, RequestTask::kGone);
}

RequestTask* TaskTable::wake_client_moved(Connection& connection) {
  const uint64_t waiter = connection.waiter.load(std::memory_order_seq_cst);
  return waiter == 0 ? nullptr : wake(waiter, RequestTask::kReady);
}

void TaskTable::enqueue(RequestTask& owned) {
  {
    const MutexLock lock(mutex_);
    runnable_.push_back(&owned);
  }
  announce_runnable();
}

RequestTask* TaskTable::dequeue() {
  RequestTask* task = nullptr;
  bool more = false;
  {
    const MutexLock lock(mutex_);
    if (runnable_.empty()) return nullptr;
    task = runnable_.back();
    runnable_.pop_back();
    more = !runnable_.empty();
  }
  if (more) announce_runnable();  // Two writes may have made one event.
  return task;
}

void TaskTable::announce_runnable() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(runnable_event_, &one, sizeof one);
}

// Most deadlines are later than the earliest one, so that most waits do not wake the monitor.
void TaskTable::note_deadline(int64_t deadline_ms) {
  int64_t next_ms = next_deadline_ms_.load();
  while (deadline_ms < next_ms) {
    if (next_deadline_ms_.compare_exchange_weak(next_ms, deadline_ms)) return wake_monitor_();
  }
}

void TaskTable::wake_all(uint64_t reason, int64_t due_by_ms) {
  const uint32_t used = used_.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < used; i++) {
    RequestTask& task = *slots_[i];
    // The word first: the deadline is then of this generation or of a later one.
    const uint64_t word = task.word_.load(std::memory_order_seq_cst);
    const int64_t deadline_ms = task.deadline_ms_.load(std::memory_order_seq_cst);
    if (deadline_ms > due_by_ms) {
      note_deadline(deadline_ms);
    } else if (task.wake(static_cast<uint32_t>(word >> 32), reason)) {
      enqueue(task);
    }
  }
}

void TaskTable::wake_expired(int64_t now_ms) {
  if (next_deadline_ms_ > now_ms) return;
  // Before the deadlines are read: one that is noted meanwhile is kept.
  next_deadline_ms_ = RequestTask::kNever;
  wake_all(RequestTask::kTimeout, now_ms);
}

void TaskTable::end_waits() {
  waits_ended_ = true;
  wake_all(RequestTask::kGone, RequestTask::kNever);
}

}  // namespace kvcs::http
