// The ownership word of a connection, its reads and writes in plain and under TLS, and the table of
// slots. Any thread claims; only the owner reads and writes.
#include "http/serve/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/wait.h"
#include "http/serve/tls.h"

namespace kvcs::http {
namespace {

// Edge-triggered: one event when something has changed, none while it stays so.
constexpr uint32_t kEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;

// A client that has closed its side may still read its answer, so its closing ends no such wait.
bool wait_for_client(int socket, short events, int timeout_ms) {
  return current_waiter().wait({.descriptor = socket,
                                .events = events,
                                .timeout_ms = timeout_ms,
                                .client_too = false}) != Waiter::Woken::kClientGone;
}

}  // namespace

Connection::Connection() = default;
Connection::~Connection() {
  if (socket_ >= 0) ::close(socket_);
}

void Connection::reset(int accepted_socket, std::string_view peer) {
  socket_ = accepted_socket;
  peer_ip = peer;
  phase = Phase::kHead;
  carry.clear();
  progress = {};
  skipped_line = false;
  head_started_ms = 0;
  requests_served = 0;
  lingered_bytes = 0;
}

bool Connection::publish(int epoll) {
  epoll_ = epoll;
  muted_ = watches_room_ = is_wide_ = false;
  epoll_event event{};
  event.events = kEvents;
  // The cookie: generation and slot. 'index' is below 2^29, so the bits of WorkerPool::kPeerClosed
  // and of the other kinds of cookies are free.
  event.data.u64 = state_.load(std::memory_order_relaxed) >> 32 << 32 | index;
  const int socket = socket_;
  state_.fetch_or(kOpen, std::memory_order_release);
  // Last: from here on a worker may own the connection.
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) == 0;
}

void Connection::modify_events(uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = state_.load(std::memory_order_relaxed) >> 32 << 32 | index;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, socket_, &event);
}
void Connection::mute() {
  if (!muted_) modify_events(EPOLLET);
  muted_ = true;
}
void Connection::rearm() {
  modify_events(watches_room_ ? kEvents | EPOLLOUT : kEvents);
  muted_ = false;
}

// In this order: the wait is noted, then comes a look at what came before. What the worker does
// that has an event is the other way round, so that one of the two sees the other. A change of the
// events makes the kernel look at the socket itself, and tell of what it finds.
bool Connection::begin_wait(uint64_t wait, bool for_writing) {
  waiter.store(wait, std::memory_order_seq_cst);
  if (muted_) {
    // Exactly what is waited for: bytes that lie unread would else end each wait for room at once.
    modify_events(EPOLLONESHOT | (for_writing ? EPOLLOUT : EPOLLIN | EPOLLRDHUP));
    return false;
  }
  if (for_writing && !watches_room_) {
    watches_room_ = true;
    modify_events(kEvents | EPOLLOUT);
  }
  return (state_.fetch_and(~kMoved, std::memory_order_seq_cst) & kMoved) != 0;
}

// Sequentially consistent, as peer_closed() and `watcher` are: either a request that begins to wait
// sees that the peer closed, or the worker that saw the peer close sees that request.
Connection::Claim Connection::claim(uint32_t generation, bool peer_closed) {
  const uint64_t closed = peer_closed ? kPeerClosed : 0;
  uint64_t state = state_.load(std::memory_order_relaxed);
  for (;;) {
    if (state >> 32 != generation || (state & kOpen) == 0) return Claim::kStale;
    const uint64_t next = state | closed | ((state & kBusy) != 0 ? kPending | kMoved : kBusy);
    if (state_.compare_exchange_weak(state, next, std::memory_order_seq_cst,
                                     std::memory_order_relaxed)) {
      return (state & kBusy) == 0 ? Claim::kMine : Claim::kBusy;
    }
  }
}

// The owner looks at the socket after this, and sees whatever has come so far.
void Connection::end_wait() {
  waiter.store(0, std::memory_order_relaxed);
  state_.fetch_and(~kMoved, std::memory_order_acq_rel);
}

// The reaper and a server that stops come without an event, and take only what nobody owns.
bool Connection::claim_idle() {
  uint64_t state = state_.load(std::memory_order_relaxed);
  while ((state & kOpen) != 0 && (state & kBusy) == 0) {
    if (state_.compare_exchange_weak(state, state | kBusy, std::memory_order_acq_rel,
                                     std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

bool Connection::is_idle() const {
  const uint64_t state = state_.load(std::memory_order_relaxed);
  return (state & kOpen) != 0 && (state & kBusy) == 0;
}

bool Connection::release() {
  uint64_t state = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((state & kPending) != 0) {
      state_.fetch_and(~kPending, std::memory_order_acq_rel);
      return false;
    }
    // Sequentially consistent: a server that stops looks at the state after it set its flag, we
    // look at the flag after we set the state; one of the two must see the other.
    if (state_.compare_exchange_weak(state, state & ~kBusy, std::memory_order_seq_cst,
                                     std::memory_order_relaxed)) {
      return true;
    }
  }
}

// The generation goes up before the descriptor is closed: whatever event of this socket is still
// under way is stale from here on.
void Connection::close() {
  tls.reset();
  carry = {};
  const int closing = socket_.exchange(-1);
  const uint64_t generation = state_.load(std::memory_order_relaxed) >> 32;
  state_.store(((generation + 1) & 0xffffffff) << 32, std::memory_order_release);
  ::close(closing);
}

void Connection::abort() {
  const int socket = socket_;
  if (socket >= 0) ::shutdown(socket, SHUT_RDWR);
}

IoResult Connection::receive(std::span<char> out) {
  if (tls) return tls->receive(out);
  return receive_some(socket_.load(std::memory_order_relaxed), out);
}

IoResult Connection::send(std::string_view a, std::string_view b, bool more) {
  if (tls) return tls->send(a.empty() ? b : a);
  return send_some(socket_.load(std::memory_order_relaxed), a, b, more);
}

IoResult Connection::send_file(int descriptor, uint64_t offset, uint64_t size_bytes) {
  static constexpr uint64_t kStepBytes = 2 << 20, kTlsStepBytes = 64 << 10;
  if (tls) {
    thread_local std::unique_ptr<char[]> copy = std::make_unique<char[]>(kTlsStepBytes);
    const ssize_t n = ::pread(descriptor, copy.get(), std::min(size_bytes, kTlsStepBytes),
                              static_cast<off_t>(offset));
    if (n <= 0) return {Io::kClosed, 0, n < 0 ? errno : kFileIsShort};
    return tls->send({copy.get(), static_cast<size_t>(n)});
  }
  auto position = static_cast<off_t>(offset);
  ssize_t n;
  do {
    n = ::sendfile(socket_.load(std::memory_order_relaxed), descriptor, &position,
                   std::min(size_bytes, kStepBytes));
  } while (n < 0 && errno == EINTR);
  if (n > 0) return {Io::kDone, static_cast<size_t>(n)};
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {Io::kWouldBlock};
  // 0: the file is shorter than promised; the transfer cannot be completed.
  return {Io::kClosed, 0, n < 0 ? errno : kFileIsShort};
}

void Connection::widen() {
  if (std::exchange(is_wide_, true)) return;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentWideBytes, sizeof kUnsentWideBytes);
}

bool Connection::wait_readable(int timeout_ms) {
  return wait_for_client(socket_, tls && tls->wants_write() ? POLLOUT : POLLIN, timeout_ms);
}
bool Connection::wait_writable(int timeout_ms) {
  return wait_for_client(socket_, tls && tls->wants_read() ? POLLIN : POLLOUT, timeout_ms);
}

bool Connection::peer_closed() const {
  return (state_.load(std::memory_order_seq_cst) & kPeerClosed) != 0;
}

// A byte that can be read hides a FIN behind it; then the client counts as present.
bool Connection::client_gone() const {
  char byte;
  const ssize_t n = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

ConnectionTable::ConnectionTable(int connections_max)
    : slots_(std::make_unique<Connection[]>(static_cast<size_t>(connections_max))),
      size_(static_cast<uint32_t>(connections_max)) {
  for (uint32_t i = 0; i < size_; i++) slots_[i].index = i;
  free_.reserve(size_);  // Nobody who closes a connection needs memory.
}
ConnectionTable::~ConnectionTable() = default;

// Freed slots first, so that the table stays as long as the most connections at one time.
Connection* ConnectionTable::allocate() {
  MutexLock lock(mutex_);
  if (!free_.empty()) {
    const uint32_t index = free_.back();
    free_.pop_back();
    return &slots_[index];
  }
  const uint32_t next = high_water_.load(std::memory_order_relaxed);
  if (next == size_) return nullptr;
  high_water_.store(next + 1, std::memory_order_release);
  return &slots_[next];
}

void ConnectionTable::free(Connection& connection) {
  MutexLock lock(mutex_);
  free_.push_back(connection.index);
}

std::vector<Connection*> ConnectionTable::longest_idle(size_t max) {
  std::vector<std::pair<int64_t, Connection*>> idle;
  const uint32_t used = used_slots();
  for (uint32_t i = 0; i < used; i++) {
    const int64_t since_ms = slots_[i].idle_since_ms.load(std::memory_order_relaxed);
    if (slots_[i].is_idle()) idle.emplace_back(since_ms, &slots_[i]);
  }
  const size_t count = std::min(max, idle.size());
  std::partial_sort(idle.begin(), idle.begin() + static_cast<std::ptrdiff_t>(count), idle.end());
  std::vector<Connection*> longest;
  for (size_t i = 0; i < count; i++) longest.push_back(idle[i].second);
  return longest;
}

std::span<char> ReadBuffer::space() {
  static constexpr size_t kRoomBytes = 4096;
  if (begin_ == end_) {
    begin_ = end_ = floor_;
  } else if (capacity_ - end_ < kRoomBytes && begin_ > floor_) {
    std::memmove(bytes_.get() + floor_, bytes_.get() + begin_, end_ - begin_);
    end_ -= begin_ - floor_;
    begin_ = floor_;
  }
  return {bytes_.get() + end_, capacity_ - end_};
}

void ReadBuffer::assign(std::string_view text) {
  clear();
  KVCS_ASSERT(text.size() <= capacity_);
  std::memcpy(bytes_.get(), text.data(), text.size());
  end_ = text.size();
}

}  // namespace kvcs::http
