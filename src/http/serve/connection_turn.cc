// A connection's turn: from the event that begins it to its wait for the next one, through the
// phases of a handshake, of heads and their requests, and of the client's last bytes. Runs on a
// task's fiber, or without one where there is no memory for it.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <new>

#include "base/log.h"
#include "base/memory.h"
#include "base/wait.h"
#include "http/serve/listener.h"
#include "http/serve/no_memory_answer.h"
#include "http/serve/tls.h"

namespace kvcs::http {
namespace {

// At once. What comes with a head and is no part of it stays in memory while the body is waited
// for.
constexpr size_t kHeadReadBytes = 8 << 10;
// After the last answer a client may send on, for as long as it keeps this rate after a start,
// before it is cut off: many clients look for an answer only once all of a too large body is out.
constexpr int kLingerStartMs = 2000, kLingerMaxMs = 30'000;
constexpr uint64_t kLingerLeastBytesPerSecond = 64 << 10;
constexpr uint64_t kLingerBodyMaxBytes = 1 << 30, kLingerChunksMinBytes = 8 << 20;
constexpr uint64_t kLingerHeadMaxBytes = 1 << 20;  // Of what is no request.
// A client that has sent so many requests at once waits before the next, that others come between.
constexpr int kTurnRequests = 16, kTurnPauseMs = 1;

constexpr std::string_view kHttpAtTls =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 81\r\n"
    "Connection: close\r\n\r\n"
    "{\"error\":\"This port speaks TLS: use https:// instead of http:// in the address.\"}";

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

}  // namespace

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
  const IoResult result = connection.tls->handshake();
  if (connection.tls->met_http()) {
    connection.tls.reset();  // In the clear, as the client speaks.
    connection.send(kHttpAtTls, {}, false);
    start_linger(connection, kLingerHeadMaxBytes);
    return true;
  }
  if (result.io != Io::kDone) return false;
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

}  // namespace kvcs::http
