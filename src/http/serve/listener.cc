// The accept thread's, the workers' and the monitor's parts of the listener: how an event becomes a
// turn of a connection, the phases of a turn, the clock of idle and slow connections, and the stop.
#include "http/serve/listener.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <utility>

#include "base/descriptor_room.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/wait.h"
#include "http/serve/tls.h"

namespace kvcs::http {
namespace {

constexpr uint64_t kRunnableCookie = WorkerPool::kNoCookie - 1;
// A task's read buffer is as long as the longest head and this, so that short bodies come with it.
constexpr size_t kBodyRoomBytes = 16 << 10;
// At once. What comes with a head and is no part of it stays in memory while the body is waited
// for.
constexpr size_t kHeadReadBytes = 8 << 10;
// While workers are busy the monitor looks at them so often. It reaps eight times within the
// shortest timeout, between these two.
constexpr int kMonitorBusyMs = 2, kReapMinMs = 10, kReapMaxMs = 1000;
// After the last answer a client may send on, for as long as it keeps this rate after a start,
// before it is cut off: many clients look for an answer only once all of a too large body is out.
constexpr int kLingerStartMs = 2000, kLingerMaxMs = 30'000;
constexpr uint64_t kLingerLeastBytesPerSecond = 64 << 10;
constexpr uint64_t kLingerBodyMaxBytes = 1 << 30, kLingerChunksMinBytes = 8 << 20;
constexpr uint64_t kLingerHeadMaxBytes = 1 << 20;  // Of what is no request.
constexpr int kFullRetryAfterS = 1;
// A client that has sent so many requests at once waits before the next, that others come between.
constexpr int kTurnRequests = 16, kTurnPauseMs = 1;
// Idle connections that are closed at once when there is no room for another one: an eighth of
// those that are open, within these two.
constexpr int64_t kGiveUpMin = 1, kGiveUpMax = 32;

// Made without memory, where there is none left.
constexpr std::string_view kNoMemoryAnswer =
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 70\r\n"
    "retry-after: 1\r\nconnection: close\r\n\r\n"
    "{\"error\":\"There is no memory left for this request; try again later.\"}";
static_assert(kNoMemoryAnswer.size() - kNoMemoryAnswer.find("\r\n\r\n") == 70 + 4);

void signal_event(int event) {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event, &one, sizeof one);
}

int64_t linger_deadline_ms(const Connection& connection) {
  const auto earned_ms =
      static_cast<int64_t>(connection.lingered_bytes * 1000 / kLingerLeastBytesPerSecond);
  return connection.linger_started_ms + std::min<int64_t>(kLingerStartMs + earned_ms, kLingerMaxMs);
}

// All of a body whose length is known, and as much of a chunked one as its route would have taken.
uint64_t linger_max_bytes(const RequestMemory& memory) {
  const Route* route = memory.request.route;
  const uint64_t taken = route != nullptr ? route->body_max_bytes : 0;
  return std::min(memory.framing.content_length.value_or(std::max(taken, kLingerChunksMinBytes)),
                  kLingerBodyMaxBytes);
}

void let_others() {
  current_waiter().wait({.descriptor = -1, .timeout_ms = kTurnPauseMs, .client_too = false});
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

Status Listener::start() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  monitor_event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (epoll_ < 0 || monitor_event_ < 0) {
    return io_error("cannot create", "epoll", errno);
  }
  KVCS_TRY(tasks_.start(epoll_, kRunnableCookie));
  sockets_ = KVCS_TRY(open_listening_sockets(config_));
  std::vector<int> descriptors;
  for (const ListeningSocket& socket : sockets_) descriptors.push_back(socket.descriptor);
  KVCS_TRY(acceptor_.start(std::move(descriptors)));
  started_ = true;
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

void Listener::serve_without_task(Connection& connection) {
  if (connection.phase == Phase::kHandshake) return drop(connection);
  if (connection.phase == Phase::kHead) {
    connection.send(kNoMemoryAnswer, {}, false);
    start_linger(connection, kLingerBodyMaxBytes);
  }
  do {
    if (!step_linger(connection)) return drop(connection);
  } while (!connection.release());
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

// --- a connection's turn (on a fiber) ----------------------------------------------------------

void Listener::serve_connection(Connection& connection, RequestMemory& memory) {
  do {
    // An event that came during the turn makes release() fail, and the turn goes on.
    if (!step_or_refuse(connection, memory)) return drop(connection);
    if (connection.muted()) connection.rearm();
  } while (!connection.release());
  // A connection that went idle as the server began to stop may have missed close_idle().
  if (stopping_.load() && connection.claim_idle()) drop(connection);
}

// A request for which memory does not last ends, and nothing else does. What it held its
// destructors have given back before it is answered.
bool Listener::step_or_refuse(Connection& connection, RequestMemory& memory) {
  try {
    return step(connection, memory);
  } catch (const std::bad_alloc&) {  // Answered below: nothing may wait inside of a catch.
  }
  if_memory_lasts([] { log::warn("http.no_memory", {}); });
  memory.input.unpin();
  if (connection.phase != Phase::kHead) return false;
  if (!memory.answer_begun) connection.send(kNoMemoryAnswer, {}, false);
  start_linger(connection, kLingerBodyMaxBytes);
  return step_linger(connection);
}

bool Listener::step(Connection& connection, RequestMemory& memory) {
  memory.drained = false;
  if (connection.phase == Phase::kHandshake && !step_handshake(connection)) {
    // A handshake's answers are small: a client whose socket does not take them at once is not
    // reading them, and is let go.
    return connection.phase == Phase::kHandshake && connection.tls->wants_read();
  }
  if (connection.phase == Phase::kHead && !step_head(connection, memory)) return false;
  return connection.phase != Phase::kLinger || step_linger(connection);
}

bool Listener::step_handshake(Connection& connection) {
  if (!connection.tls) {
    connection.phase = Phase::kLinger;
    return false;
  }
  if (connection.tls->handshake().io != Io::kDone) return false;
  connection.phase = Phase::kHead;
  return true;
}

bool Listener::step_head(Connection& connection, RequestMemory& memory) {
  // The start of a head that came earlier, kept while no task was at the connection.
  memory.input.assign(connection.carry);
  for (int served = 0;;) {
    if (served == kTurnRequests) {
      served = 0;
      let_others();
    }
    std::string_view ready = memory.input.unread();
    // RFC 9112 §2.2: an empty line before the request is to be ignored.
    if (connection.progress.lines == 0 && ready.starts_with("\r\n") && !connection.skipped_line) {
      connection.skipped_line = true;
      memory.input.consume(2);
      connection.progress = {};
      ready = memory.input.unread();
    }
    const HeadScan scan = scan_head(ready, connection.progress, head_limits_);
    if (scan.refusal) {
      cycle_.refuse(connection, memory, scan.refusal);
      start_linger(connection, kLingerHeadMaxBytes);
      return true;
    }
    if (scan.size_bytes > 0) {
      connection.progress = {};
      connection.skipped_line = false;
      connection.head_started_ms = 0;
      served++;
      const Next next = cycle_.serve(connection, memory, ready.substr(0, scan.size_bytes));
      if (next == Next::kClose) return false;
      if (next == Next::kLinger) {
        start_linger(connection, linger_max_bytes(memory));
        return true;
      }
      continue;
    }
    if (memory.drained) return park_head(connection, memory);
    const std::span<char> room = memory.input.space();
    const std::span<char> space = room.first(std::min(room.size(), kHeadReadBytes));
    const IoResult got = connection.receive(space);
    if (got.io == Io::kClosed) return false;
    if (got.io == Io::kWouldBlock) {
      memory.drained = true;
      continue;
    }
    memory.input.commit(got.size_bytes);
    // A short read emptied the socket: whatever comes now makes a new event. Not so for a FIN that
    // came with the bytes, and not under TLS, whose records are buffered.
    memory.drained = got.size_bytes < space.size() && !connection.peer_closed() && !connection.tls;
  }
}

bool Listener::park_head(Connection& connection, RequestMemory& memory) {
  const std::string_view rest = memory.input.unread();
  if (stopping_.load(std::memory_order_relaxed) && rest.empty()) return false;
  if (rest.empty()) {
    if (connection.carry.capacity() > 0) connection.carry = {};
    connection.head_started_ms = 0;
    const int64_t now_ms = steady_ms();
    connection.deadline_ms.store(now_ms + config_.idle_timeout_ms, std::memory_order_relaxed);
    connection.idle_since_ms.store(now_ms, std::memory_order_relaxed);
    return true;
  }
  connection.carry = rest;
  if (connection.head_started_ms == 0) connection.head_started_ms = steady_ms();
  connection.idle_since_ms.store(connection.head_started_ms, std::memory_order_relaxed);
  connection.deadline_ms.store(connection.head_started_ms + config_.head_timeout_ms,
                               std::memory_order_relaxed);
  return true;
}

// The response is out; what the client still sends is read and dropped, or the kernel would reset
// the connection and the client lose the answer.
void Listener::start_linger(Connection& connection, uint64_t max_bytes) {
  connection.linger_max_bytes = max_bytes;
  connection.phase = Phase::kLinger;
  connection.carry = {};
  connection.linger_started_ms = steady_ms();
  connection.idle_since_ms.store(connection.linger_started_ms, std::memory_order_relaxed);
  connection.deadline_ms = linger_deadline_ms(connection);
  if (!connection.tls) ::shutdown(connection.socket(), SHUT_WR);
}

bool Listener::step_linger(Connection& connection) {
  std::array<char, 16 << 10> dropped;
  for (;;) {
    const IoResult got = connection.receive(dropped);
    if (got.io == Io::kClosed) return false;
    connection.lingered_bytes += got.size_bytes;
    const int64_t deadline_ms = linger_deadline_ms(connection);
    if (connection.lingered_bytes > connection.linger_max_bytes || steady_ms() > deadline_ms)
      return false;
    connection.deadline_ms.store(deadline_ms, std::memory_order_relaxed);
    if (got.io == Io::kWouldBlock) return true;
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
  if (!started_) return;
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
