// The threads of the pool: how a worker takes and runs a batch of events, and how the supervisor
// finds the workers that are held and adds others.
#include "http/serve/worker_pool.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include "base/start_thread.h"
#include "base/wait.h"

namespace kvcs::http {
namespace {

constexpr int kWorkerIdleMs = 10'000;  // A surplus worker leaves after so long.
// A request that takes longer holds its worker. Not less: on a busy machine a worker that only
// waits for a processor would count as held, and more workers would make that worse.
constexpr int kHeldMs = 20;
constexpr int64_t kBatchHeldMs = 4;  // The others of a batch wait no longer than this.

}  // namespace

WorkerPool::Worker::Worker() {
  for (auto& cookie : batch_) cookie = kNoCookie;
}

void WorkerPool::Worker::note_run() {
  busy_since_ms_.store(steady_ms(), std::memory_order_relaxed);
  runs_.store(runs_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

WorkerPool::WorkerPool(int workers_min, int workers_max, Callbacks callbacks)
    : workers_min_(workers_min),
      workers_max_(workers_max),
      processors_(std::max(2, static_cast<int>(std::thread::hardware_concurrency()))),
      callbacks_(std::move(callbacks)) {}

WorkerPool::~WorkerPool() {
  stop();
  if (stop_event_ >= 0) ::close(stop_event_);
}

Status WorkerPool::start(int epoll) {
  epoll_ = epoll;
  stop_event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_event_ < 0) return io_error("cannot create", "eventfd", errno);
  epoll_event event{};
  event.events = EPOLLIN;  // Level-triggered: once signalled it wakes every worker.
  event.data.u64 = kStopCookie;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, stop_event_, &event);
  for (int i = 0; i < workers_min_; i++) start_worker();
  return ok();
}

void WorkerPool::stop() {
  stopping_ = true;
  if (stop_event_ >= 0) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(stop_event_, &one, sizeof one);
  }
  wake_reserve();
  std::vector<std::unique_ptr<Worker>> workers;
  {
    MutexLock lock(mutex_);
    workers.swap(workers_);
  }
  workers.clear();  // Joins.
}

int WorkerPool::busy() const {
  return std::max(0, count_ - idle_ - in_reserve_);
}

// --- workers -------------------------------------------------------------------------------------

void WorkerPool::run_loop(Worker& worker) {
  std::array<epoll_event, Worker::kBatchMax> events;
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (idle_.load(std::memory_order_relaxed) >= processors_) {
      // Enough workers wait for events already: this one goes into the reserve, and retires if it
      // is not needed there for long.
      if (!wait_in_reserve() && try_retire(worker)) break;
      continue;
    }
    idle_.fetch_add(1, std::memory_order_relaxed);
    const int n = ::epoll_wait(epoll_, events.data(), Worker::kBatchMax, kWorkerIdleMs);
    // The last idle worker to take an event asks for supervision: should this event take long,
    // nobody would be left to take the next one.
    const int others = idle_.fetch_sub(1, std::memory_order_relaxed) - 1;
    if (n == 0 && try_retire(worker)) break;
    if (n <= 0) continue;
    worker.busy_since_ms_.store(steady_ms(), std::memory_order_relaxed);
    const auto count = static_cast<size_t>(n);
    for (size_t i = 0; i < count; i++) {
      const bool peer_closed = (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
      worker.batch_[i].store(events[i].data.u64 | (peer_closed ? kPeerClosed : 0),
                             std::memory_order_release);
    }
    // The supervisor must know of a batch whose rest may wait, and that nobody is left to take the
    // next event.
    if (n > 1) batched_.store(true, std::memory_order_relaxed);
    if (others == 0 || n > 1) callbacks_.wake_supervisor();
    run_batch(worker, count);
    worker.busy_since_ms_.store(0, std::memory_order_relaxed);
  }
  callbacks_.on_exit(worker);
}

void WorkerPool::run_batch(Worker& worker, size_t count) {
  for (size_t i = 0; i < count; i++) {
    // Without a cookie the slot was taken by supervise(): another worker gets that event.
    const uint64_t event = worker.batch_[i].exchange(kNoCookie, std::memory_order_acq_rel);
    if (event != kNoCookie && event != kStopCookie) callbacks_.on_event(event, worker);
  }
}

bool WorkerPool::try_retire(Worker& worker) {
  int count = count_;
  // Of several workers that retire at once each takes one off the count that it has seen.
  if (count <= workers_min_ || !count_.compare_exchange_strong(count, count - 1)) return false;
  worker.retired_ = true;
  retired_++;
  return true;
}

bool WorkerPool::wait_in_reserve() {
  MutexLock lock(reserve_mutex_);
  in_reserve_++;
  const uint64_t calls = reserve_calls_;
  bool in_time = true;
  while (calls == reserve_calls_ && !stopping_ && in_time) {
    in_time = reserve_woken_.wait_for_ms(reserve_mutex_, kWorkerIdleMs);
  }
  in_reserve_--;
  return in_time;
}

// --- supervising ---------------------------------------------------------------------------------

void WorkerPool::wake_reserve() {
  MutexLock lock(reserve_mutex_);
  reserve_calls_++;
  reserve_woken_.notify_all();
}

bool WorkerPool::take_busy_mark() {
  return idle_ <= 0 || batched_.exchange(false, std::memory_order_relaxed);
}

void WorkerPool::supervise() {
  grow();
  join_retired();
}

void WorkerPool::requeue_batch(Worker& worker, bool held) {
  for (auto& slot : worker.batch_) {
    if (slot.load(std::memory_order_relaxed) == kNoCookie) continue;
    if (!held) return batched_.store(true, std::memory_order_relaxed);
    const uint64_t event = slot.exchange(kNoCookie, std::memory_order_acq_rel);
    if (event != kNoCookie && event != kStopCookie) callbacks_.requeue(event);
  }
}

// Keeps `workers_min` workers that no slow request holds. When no worker began anything since the
// last call although events wait, all workers are blocked and more must come at once. Workers in
// reserve are woken before new ones are started.
void WorkerPool::grow() {
  const int64_t now_ms = steady_ms();
  int held = 0, count = 0;
  uint64_t runs_now = 0;
  {
    MutexLock lock(mutex_);
    runs_now = runs();
    // A worker counts as held once its current event has taken kHeldMs.
    for (const auto& worker : workers_) {
      if (worker->retired_) continue;
      count++;
      const int64_t since_ms = worker->busy_since_ms_.load(std::memory_order_relaxed);
      if (since_ms != 0 && since_ms < now_ms - kHeldMs) held++;
      if (since_ms != 0) requeue_batch(*worker, since_ms < now_ms - kBatchHeldMs);
    }
  }
  const bool stalled = runs_now == runs_before_ && has_waiting_events();
  runs_before_ = runs_now;
  const int reserve = in_reserve_;
  const bool short_handed = idle_ <= 0 && count - held - reserve < processors_;
  if (reserve > 0 && (stalled || short_handed)) return wake_reserve();
  if (idle_ > 0) return;
  int wanted = std::max(0, workers_min_ - (count - held));
  // Many held at once means that many more are coming: grow in proportion.
  if (stalled) wanted = std::max({wanted, 1, count / 4});
  while (wanted-- > 0 && start_worker()) {
  }
}

uint64_t WorkerPool::runs() const {
  uint64_t sum = 0;
  for (const auto& worker : workers_) sum += worker->runs_.load(std::memory_order_relaxed);
  return sum;
}

Pulse WorkerPool::pulse() const {
  MutexLock lock(mutex_);
  return {runs(), !stopping_ && has_waiting_events()};
}

bool WorkerPool::has_waiting_events() const {
  pollfd entry = {epoll_, POLLIN, 0};  // An epoll set can be polled, which takes nothing.
  return ::poll(&entry, 1, 0) > 0;
}

bool WorkerPool::start_worker() {
  if (count_ >= workers_max_) return false;
  auto worker = std::make_unique<Worker>();
  Worker& started = *worker;
  MutexLock lock(mutex_);
  if (workers_.size() == workers_.capacity()) workers_.reserve(2 * workers_.size() + 16);
  Result<Thread> thread = start_thread("http-worker", [this, &started] { run_loop(started); });
  if (!thread.ok()) return false;
  count_++;
  started.thread_.emplace(std::move(thread).value());
  workers_.push_back(std::move(worker));
  return true;
}

void WorkerPool::join_retired() {
  if (retired_ == 0) return;
  std::vector<std::unique_ptr<Worker>> gone;
  MutexLock lock(mutex_);
  gone.reserve(workers_.size());
  for (auto& worker : workers_) {
    if (worker->retired_) gone.push_back(std::move(worker));
  }
  retired_ -= static_cast<int>(gone.size());
  std::erase(workers_, nullptr);
}

}  // namespace kvcs::http
