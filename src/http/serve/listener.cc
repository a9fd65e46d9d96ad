// The accept thread's, the workers' and the monitor's parts of the listener: how an event becomes a
// turn of a connection, the clock of idle and slow connections, and the stop.
#include "http/serve/listener.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/descriptor_room.h"
#include "base/memory.h"
#include "base/wait.h"
#include "http/serve/no_memory_answer.h"
#include "http/serve/tls.h"

namespace kvcs::http {
namespace {

constexpr uint64_t kRunnableCookie = WorkerPool::kNoCookie - 1;
// A task's read buffer is as long as the longest head and this, so that short bodies come with it.
constexpr size_t kBodyRoomBytes = 16 << 10;
// While workers are busy the monitor looks at them so often. It reaps eight times within the
// shortest timeout, between these two.
constexpr int kMonitorBusyMs = 2, kReapMinMs = 10, kReapMaxMs = 1000;
constexpr int kFullRetryAfterS = 1;
// Idle connections that are closed at once when there is no room for another one: an eighth of
// those that are open, within these two.
constexpr int64_t kGiveUpMin = 1, kGiveUpMax = 32;

void signal_event(int event) {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event, &one, sizeof one);
}

int reap_interval_ms(const ServerConfig& config) {
  return std::clamp(std::min(config.head_timeout_ms, config.idle_timeout_ms) / 8, kReapMinMs,
                    kReapMaxMs);
}

}  // namespace

Listener::Listener(const ServerConfig& config, RequestCycle& cycle, TlsContext& tls,
                   std::function<void(const Status& why)> on_fatal)
    : config_(config),
      cycle_(cycle),
      tls_(tls),
      head_limits_{config.head_max_bytes, config.uri_max_bytes, config.headers_max},
      table_(config.connections_max),
      tasks_(
          config.workers_max, config.connections_max, config.head_max_bytes + kBodyRoomBytes,
          [this](Connection& connection, RequestTask& task) {
            serve_connection(connection, task.memory());
          },
          [this] { wake_monitor(); }),
      workers_(config.workers_min, config.workers_max,
               {[this](uint64_t event, Worker& worker) { handle_event(event, worker); },
                [this](Worker& worker) {
                  if (worker.spare_task != nullptr)
                    tasks_.release(*std::exchange(worker.spare_task, nullptr));
                },
                [this](uint64_t event) { requeue(event); }, [this] { wake_monitor(); }}),
      acceptor_({[this](int socket, const sockaddr_storage& peer) { take_socket(socket, peer); },
                 [this] { return give_up_idle(); }, std::move(on_fatal),
                 [](int listening, sockaddr* peer, socklen_t* size_bytes) {
                   return ::accept4(listening, peer, size_bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);
                 }}) {}

Listener::~Listener() {
  stop(0);
  for (const int descriptor : {epoll_, monitor_event_}) {
    if (descriptor >= 0) ::close(descriptor);
  }
}

Status Listener::bind() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  monitor_event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (epoll_ < 0 || monitor_event_ < 0) {
    return io_error("cannot create", "epoll", errno);
  }
  KVCS_TRY(tasks_.start(epoll_, kRunnableCookie));
  sockets_ = KVCS_TRY(open_listening_sockets(config_));
  return ok();
}

Status Listener::start() {
  std::vector<int> descriptors;
  for (const ListeningSocket& socket : sockets_) descriptors.push_back(socket.descriptor);
  started_ = true;  // From here on the acceptor closes the sockets.
  KVCS_TRY(acceptor_.start(std::move(descriptors)));
  KVCS_TRY(workers_.start(epoll_));
  monitor_thread_.emplace("http-monitor", [this] { monitor(); });
  return ok();
}

int Listener::port() const {
  for (const ListeningSocket& socket : sockets_) {
    if (socket.port != 0) return socket.port;
  }
  return 0;
}

// --- accepting (accept thread) -----------------------------------------------------------------

void Listener::refuse_socket(int socket, const char* why) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  if (config_.tls.certificate_path.empty()) {
    std::string text;
    if_memory_lasts([&] { text = cycle_.refusal_text({503, why}, kFullRetryAfterS); });
    const std::string_view answer = text.empty() ? kNoMemoryAnswer : text;
    [[maybe_unused]] const ssize_t n =
        ::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  ::close(socket);
}

void Listener::take_socket(int socket, const sockaddr_storage& peer) {
  if (!if_memory_lasts([&] { on_socket(socket, peer); })) {
    refuse_socket(socket, "No memory for a connection.");
  }
}

// A client whose connection is closed while its next request is on its way sends it again, on
// another one: that is what every keep-alive client is ready for.
bool Listener::give_up_idle() {
  const int64_t count = std::clamp(connections_.load() / 8, kGiveUpMin, kGiveUpMax);
  std::vector<Connection*> idle;
  if_memory_lasts([&] { idle = table_.longest_idle(static_cast<size_t>(count)); });
  bool any = false;
  for (Connection* connection : idle) {
    if (!connection->claim_idle()) continue;
    drop(*connection);
    given_up_.fetch_add(1, std::memory_order_relaxed);
    any = true;
  }
  return any;
}

// The deadline first: from publish() on, the connection may be a worker's, or gone.
void Listener::on_socket(int& socket, const sockaddr_storage& peer) {
  if (!leaves_room(socket)) {
    // Its number is from the stores' part: it goes on under one that has become free.
    const int lower = give_up_idle() ? ::fcntl(socket, F_DUPFD_CLOEXEC, 0) : -1;
    if (lower < 0) return refuse_socket(socket, "Too many files and connections.");
    ::close(std::exchange(socket, lower));
    if (!leaves_room(socket)) return refuse_socket(socket, "Too many files and connections.");
  }
  const std::string ip = address_text(peer);
  // Behind a trusted proxy, or a socket without an address, stand many clients.
  const bool shares = !ip.empty() && !cycle_.is_trusted_proxy(ip);
  if (shares && !cycle_.shares().add_connection(ip)) {
    return refuse_socket(socket, Shares::why(Share::kConnections));
  }
  Connection* connection = table_.allocate();
  if (connection == nullptr && give_up_idle()) connection = table_.allocate();
  if (connection == nullptr) {
    if (shares) cycle_.shares().remove_connection(ip);
    return refuse_socket(socket, "Too many connections.");
  }
  const bool has_memory = if_memory_lasts([&] {
    connection->reset(socket, ip);
    connection->has_share = shares;
    if (!config_.tls.certificate_path.empty()) {
      connection->tls = tls_.accept(socket);
      connection->phase = Phase::kHandshake;
    }
  });
  if (!has_memory) {
    if (shares) cycle_.shares().remove_connection(ip);
    connection->close();
    return table_.free(*connection);
  }
  const int64_t now_ms = steady_ms();
  connection->deadline_ms = now_ms + config_.head_timeout_ms;
  connection->idle_since_ms = now_ms;
  connections_.fetch_add(1, std::memory_order_relaxed);
  if (!connection->publish(epoll_) && connection->claim_idle()) drop(*connection);
}

// --- events (workers) --------------------------------------------------------------------------

// Turns an event into ownership, or into nothing when it is stale or noted. An event of a
// connection that a task is at is only noted in the connection; it may also wake a request that
// waits for its client, and the client's closing any request that waits.
Listener::Owned Listener::claim(uint64_t event) {
  if (event == kRunnableCookie) return {nullptr, tasks_.dequeue()};
  const bool peer_closed = (event & WorkerPool::kPeerClosed) != 0;
  const uint64_t cookie = event & ~WorkerPool::kPeerClosed;
  if (TaskTable::is_cookie(cookie)) return {nullptr, tasks_.wake_ready(cookie)};
  if (StandingDescriptors::is_cookie(cookie)) {
    return {nullptr, tasks_.wake_standing(cookie, peer_closed)};
  }
  Connection& connection = table_.at(static_cast<uint32_t>(cookie));
  const auto claim = connection.claim(static_cast<uint32_t>(cookie >> 32), peer_closed);
  if (claim == Connection::Claim::kMine) return {&connection, nullptr};
  if (claim == Connection::Claim::kStale) return {};
  if (RequestTask* task = tasks_.wake_client_moved(connection)) return {nullptr, task};
  return {nullptr, peer_closed ? tasks_.wake_client_gone(connection) : nullptr};
}

void Listener::handle_event(uint64_t event, Worker& worker) {
  const Owned owned = claim(event);
  if (owned.connection != nullptr) start_task(*owned.connection, worker);
  if (owned.task != nullptr) run_task(*owned.task, worker);
}

void Listener::start_task(Connection& connection, Worker& worker) {
  RequestTask* task = std::exchange(worker.spare_task, nullptr);
  if (task == nullptr) if_memory_lasts([&] { task = tasks_.allocate(); });
  if (task == nullptr) return serve_without_task(connection);
  tasks_.assign(*task, connection);
  run_task(*task, worker);
}

void Listener::run_task(RequestTask& task, Worker& worker) {
  worker.note_run();
  if (!tasks_.run(task)) return;
  if (worker.spare_task == nullptr) {
    worker.spare_task = &task;
  } else {
    tasks_.release(task);
  }
}

void Listener::drop(Connection& connection) {
  if (connection.has_share) cycle_.shares().remove_connection(connection.peer_ip);
  connection.close();
  table_.free(connection);
  connections_.fetch_sub(1, std::memory_order_acq_rel);
  if (stopping_.load()) {
    MutexLock lock(mutex_);
    all_closed_.notify_all();
  }
}

// --- the monitor's thread ----------------------------------------------------------------------

void Listener::wake_monitor() {
  if (monitor_asleep_.load(std::memory_order_relaxed) && monitor_asleep_.exchange(false)) {
    signal_event(monitor_event_);
  }
}

// Sleeps until the next reaping, unless the workers are busy: then it looks again soon.
void Listener::monitor() {
  const int interval_ms = reap_interval_ms(config_);
  int64_t next_reap_ms = steady_ms() + interval_ms;
  while (!monitor_quit_) {
    const bool busy = workers_.take_busy_mark();
    monitor_asleep_ = !busy;
    pollfd entry = {monitor_event_, POLLIN, 0};
    // Read after monitor_asleep_ is set: a request that brings an earlier deadline from now on
    // wakes this thread.
    const int64_t next_ms = std::min(next_reap_ms, tasks_.next_deadline_ms());
    const auto left_ms = static_cast<int>(std::max<int64_t>(0, next_ms - steady_ms()));
    monitor_heartbeat_.rest();
    if (::poll(&entry, 1, busy ? std::min(left_ms, kMonitorBusyMs) : left_ms) > 0) {
      uint64_t count;
      [[maybe_unused]] const ssize_t n = ::read(monitor_event_, &count, sizeof count);
    }
    monitor_heartbeat_.work();
    if_memory_lasts([&] { workers_.supervise(); });
    const int64_t now_ms = steady_ms();
    tasks_.wake_expired(now_ms);
    if (now_ms < next_reap_ms) continue;
    reap(now_ms);
    if_memory_lasts([&] { tasks_.free_unused(); });
    next_reap_ms = now_ms + interval_ms;
  }
}

void Listener::reap(int64_t now_ms) {
  const uint32_t used = table_.used_slots();
  for (uint32_t i = 0; i < used; i++) {
    Connection& connection = table_.at(i);
    if (connection.deadline_ms.load(std::memory_order_relaxed) > now_ms) continue;
    if (!connection.claim_idle()) continue;
    // It may have been served since we looked; what counts is its deadline now that we own it.
    if (connection.deadline_ms.load(std::memory_order_relaxed) > now_ms) {
      give_back(connection);
      continue;
    }
    if (connection.phase == Phase::kHead && !connection.carry.empty()) {
      std::string text;
      if_memory_lasts([&] {
        text = cycle_.refusal_text({408, "The request head arrives too slowly."}, 0);
      });
      connection.send(text, {}, false);
    }
    drop(connection);
  }
}

// By an owner that is not a worker. An event that came meanwhile was only noted, so it has to be
// made again for a worker to see it.
void Listener::give_back(Connection& connection) {
  while (!connection.release()) connection.rearm();
}

void Listener::requeue(uint64_t event) {
  const Owned owned = claim(event);
  if (owned.connection != nullptr) {
    owned.connection->rearm();
    give_back(*owned.connection);
  }
  if (owned.task != nullptr) tasks_.enqueue(*owned.task);
}

// --- stopping ----------------------------------------------------------------------------------

void Listener::close_idle() {
  const uint32_t used = table_.used_slots();
  for (uint32_t i = 0; i < used; i++) {
    Connection& connection = table_.at(i);
    if (connection.claim_idle()) drop(connection);
  }
}

void Listener::stop(int grace_ms) {
  if (!started_) {
    for (const ListeningSocket& socket : sockets_) ::close(socket.descriptor);
    remove_socket_files(std::exchange(sockets_, {}));
    return;
  }
  started_ = false;
  acceptor_.stop();
  remove_socket_files(sockets_);
  stopping_ = true;
  close_idle();
  // Requests in flight, parked ones too, may finish until then.
  const int64_t until_ms = steady_ms() + grace_ms;
  {
    MutexLock lock(mutex_);
    while (connections_.load(std::memory_order_acquire) > 0) {
      const int64_t left_ms = until_ms - steady_ms();
      if (left_ms <= 0 || !all_closed_.wait_for_ms(mutex_, left_ms)) break;
    }
  }
  // The grace is over: blocked reads and writes fail, then all waits end, and each task runs to its
  // end on some worker. The monitor goes before the workers, since it starts new ones.
  for (uint32_t i = 0; i < table_.used_slots(); i++) table_.at(i).abort();
  tasks_.end_waits();
  while (tasks_.parked() > 0) {
    MutexLock lock(mutex_);
    all_closed_.wait_for_ms(mutex_, kReapMinMs);
  }
  monitor_quit_ = true;
  signal_event(monitor_event_);
  monitor_thread_.reset();  // Joins. Nobody adds workers from here on.
  workers_.stop();
  close_idle();
}

void Listener::add_pulses(const AddPulse& add) const {
  add("http-accept", [this] { return acceptor_.pulse(); });
  add("http-monitor", [this] { return monitor_heartbeat_.pulse(); });
  add("http-workers", [this] { return workers_.pulse(); });
}

ServerStats Listener::stats() const {
  return {workers_.count(),
          workers_.busy(),
          tasks_.parked(),
          tasks_.blocked_waits(),
          connections_,
          refused_,
          given_up_,
          cycle_.shares().refused(),
          cycle_.shares().held_bytes()};
}

}  // namespace kvcs::http
