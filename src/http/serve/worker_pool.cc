#include "http/serve/worker_pool.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

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

void WorkerPool::Worker::begins() {
  busy_since_ms_.store(steady_ms(), std::memory_order_relaxed);
  served_.store(served_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

WorkerPool::WorkerPool(int workers_min, int workers_max, Duties duties)
    : workers_min_(workers_min),
      workers_max_(workers_max),
      processors_(std::max(2, static_cast<int>(std::thread::hardware_concurrency()))),
      duties_(std::move(duties)) {}

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
  for (int i = 0; i < workers_min_; i++) spawn();
  return ok();
}

void WorkerPool::stop() {
  stopping_ = true;
  if (stop_event_ >= 0) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(stop_event_, &one, sizeof one);
  }
  call_reserve();
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

void WorkerPool::work(Worker& worker) {
  std::array<epoll_event, Worker::kBatchMax> events;
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (idle_.load(std::memory_order_relaxed) >= processors_) {
      if (!wait_in_reserve() && may_leave(worker)) break;
      continue;
    }
    idle_.fetch_add(1, std::memory_order_relaxed);
    const int n = ::epoll_wait(epoll_, events.data(), Worker::kBatchMax, kWorkerIdleMs);
    const int others = idle_.fetch_sub(1, std::memory_order_relaxed) - 1;
    if (n == 0 && may_leave(worker)) break;
    if (n <= 0) continue;
    worker.busy_since_ms_.store(steady_ms(), std::memory_order_relaxed);
    const auto count = static_cast<size_t>(n);
    for (size_t i = 0; i < count; i++) {
      const bool peer_closed = (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
      worker.batch_[i].store(events[i].data.u64 | (peer_closed ? kPeerClosed : 0),
                             std::memory_order_release);
    }
    if (n > 1) batched_.store(true, std::memory_order_relaxed);
    if (others == 0 || n > 1) duties_.ask_for_look();
    take_all(worker, count);
    worker.busy_since_ms_.store(0, std::memory_order_relaxed);
  }
  duties_.leave(worker);
}

void WorkerPool::take_all(Worker& worker, size_t count) {
  for (size_t i = 0; i < count; i++) {
    // None: taken by look() meanwhile, another worker gets that event.
    const uint64_t event = worker.batch_[i].exchange(kNoCookie, std::memory_order_acq_rel);
    if (event != kNoCookie && event != kStopCookie) duties_.take(event, worker);
  }
}

bool WorkerPool::may_leave(Worker& worker) {
  int count = count_;
  if (count <= workers_min_ || !count_.compare_exchange_strong(count, count - 1)) return false;
  worker.finished_ = true;
  finished_++;
  return true;
}

// Until called; false when that took so long that a surplus worker may go.
bool WorkerPool::wait_in_reserve() {
  MutexLock lock(reserve_mutex_);
  in_reserve_++;
  const uint64_t calls = reserve_calls_;
  bool in_time = true;
  while (calls == reserve_calls_ && !stopping_ && in_time) {
    in_time = reserve_called_.wait_for_ms(reserve_mutex_, kWorkerIdleMs);
  }
  in_reserve_--;
  return in_time;
}

// --- looking after them --------------------------------------------------------------------------

void WorkerPool::call_reserve() {
  MutexLock lock(reserve_mutex_);
  reserve_calls_++;
  reserve_called_.notify_all();
}

bool WorkerPool::is_busy() {
  return idle_ <= 0 || batched_.exchange(false, std::memory_order_relaxed);
}

void WorkerPool::look() {
  grow();
  join_finished();
}

// The events that a held worker took and has not begun go to the others. While there are any the
// next look is soon.
void WorkerPool::look_at_batch(Worker& worker, bool held) {
  for (auto& slot : worker.batch_) {
    if (slot.load(std::memory_order_relaxed) == kNoCookie) continue;
    if (!held) return batched_.store(true, std::memory_order_relaxed);
    const uint64_t event = slot.exchange(kNoCookie, std::memory_order_acq_rel);
    if (event != kNoCookie && event != kStopCookie) duties_.pass_on(event);
  }
}

// Keeps `workers_min` workers that no slow request holds; and when nothing at all was taken since
// the last look although events wait, all workers are blocked and more must come at once.
void WorkerPool::grow() {
  const int64_t now_ms = steady_ms();
  int held = 0, count = 0;
  uint64_t served = 0;
  {
    MutexLock lock(mutex_);
    for (const auto& worker : workers_) {
      served += worker->served_.load(std::memory_order_relaxed);
      if (worker->finished_) continue;
      count++;
      const int64_t since_ms = worker->busy_since_ms_.load(std::memory_order_relaxed);
      if (since_ms != 0 && since_ms < now_ms - kHeldMs) held++;
      if (since_ms != 0) look_at_batch(*worker, since_ms < now_ms - kBatchHeldMs);
    }
  }
  const bool stalled = served == served_before_ && events_wait();
  served_before_ = served;
  const int reserve = in_reserve_;
  const bool short_handed = idle_ <= 0 && count - held - reserve < processors_;
  if (reserve > 0 && (stalled || short_handed)) return call_reserve();
  if (idle_ > 0) return;
  int wanted = std::max(0, workers_min_ - (count - held));
  // Many held at once means that many more are coming: grow in proportion.
  if (stalled) wanted = std::max({wanted, 1, count / 4});
  while (wanted-- > 0 && spawn()) {
  }
}

bool WorkerPool::events_wait() const {
  pollfd entry = {epoll_, POLLIN, 0};  // Looks without taking.
  return ::poll(&entry, 1, 0) > 0;
}

bool WorkerPool::spawn() {
  if (count_ >= workers_max_) return false;
  count_++;
  auto worker = std::make_unique<Worker>();
  Worker& started = *worker;
  MutexLock lock(mutex_);
  try {
    started.thread_.emplace("http-worker", [this, &started] { work(started); });
  } catch (const std::system_error&) {  // The process may start no more threads.
    count_--;
    return false;
  }
  workers_.push_back(std::move(worker));
  return true;
}

void WorkerPool::join_finished() {
  if (finished_ == 0) return;
  std::vector<std::unique_ptr<Worker>> gone;
  MutexLock lock(mutex_);
  for (auto& worker : workers_) {
    if (worker->finished_) gone.push_back(std::move(worker));
  }
  finished_ -= static_cast<int>(gone.size());
  std::erase(workers_, nullptr);
}

}  // namespace kvcs::http
