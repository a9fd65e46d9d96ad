// The thread that accepts connections, and what it does about each error of accept(2). All of it
// runs on that thread but for start() and stop(), which are their caller's.
#include "http/serve/acceptor.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/wait.h"

namespace kvcs::http {
namespace {

constexpr int kPauseMs = 100;             // Without descriptors or memory.
constexpr int kPassingFaultsMax = 100;    // In a row; then a pause, so that the loop cannot spin.
constexpr int64_t kLineEveryMs = 60'000;  // Of what the log says of faults.

std::string error_text(int error_number) {
  char text[128];
  return ::strerror_r(error_number, text, sizeof text);
}

}  // namespace

// accept(2): errors of the network that wait at the new socket are handed on, and "should be
// treated like EAGAIN by retrying". EPERM is a firewall's.
AcceptFault classify_accept_error(int error_number) {
  switch (error_number) {
    case EAGAIN:
      return AcceptFault::kNone;
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
    case EPERM:
      return AcceptFault::kPassing;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return AcceptFault::kResources;
    default:
      return AcceptFault::kFatal;
  }
}

int64_t RareLines::due(int64_t now_ms) {
  unsaid_++;
  if (last_ms_ && now_ms - *last_ms_ < kLineEveryMs) return 0;
  last_ms_ = now_ms;
  return std::exchange(unsaid_, 0);
}

Acceptor::~Acceptor() {
  stop();
}

Status Acceptor::start(std::vector<int> listening) {
  listening_ = std::move(listening);
  wake_event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_event_ < 0) return io_error("cannot create", "eventfd", errno);
  thread_.emplace("http-accept", [this] { run(); });
  return ok();
}

void Acceptor::stop() {
  stopping_ = true;
  const uint64_t one = 1;
  if (wake_event_ >= 0) {
    [[maybe_unused]] const ssize_t n = ::write(wake_event_, &one, sizeof one);
  }
  thread_.reset();
  for (const int socket : std::exchange(listening_, {})) ::close(socket);
  if (wake_event_ >= 0) ::close(std::exchange(wake_event_, -1));
}

void Acceptor::run() {
  while (!stopping_) {
    for (const int socket : listening_) {
      if (!accept_all(socket)) return;
    }
    heartbeat_.rest();
    wait_for_connection();
  }
}

bool Acceptor::accept_all(int listening) {
  while (!stopping_) {
    heartbeat_.work();
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const int socket = callbacks_.accept(listening, reinterpret_cast<sockaddr*>(&peer), &size);
    if (socket >= 0) {
      passing_faults_ = 0;
      callbacks_.on_socket(socket, peer);
      continue;
    }
    const Then then = after_error(errno);
    if (then != Then::kAgain) return then == Then::kWait;
  }
  return true;
}

Acceptor::Then Acceptor::after_error(int error_number) {
  const AcceptFault fault = classify_accept_error(error_number);
  if (fault == AcceptFault::kNone) return Then::kWait;
  if (fault == AcceptFault::kFatal) {
    const Status why =
        io_error("cannot accept connections at", "the listening socket", error_number);
    log::error("http.accept_ended", {{"error", error_text(error_number)}});
    if (callbacks_.on_fatal) callbacks_.on_fatal(why);
    return Then::kEnd;
  }
  if (error_number != EINTR) {
    if (const int64_t count = lines_.due(steady_ms()); count > 0) {
      log::warn("http.accept_failed", {{"error", error_text(error_number)}, {"count", count}});
    }
  }
  if (fault == AcceptFault::kPassing && ++passing_faults_ < kPassingFaultsMax) return Then::kAgain;
  passing_faults_ = 0;
  if (fault == AcceptFault::kPassing || !callbacks_.make_room()) pause();
  return Then::kAgain;
}

void Acceptor::wait_for_connection() {
  std::vector<pollfd> entries = {{wake_event_, POLLIN, 0}};
  for (const int socket : listening_) entries.push_back({socket, POLLIN, 0});
  ::poll(entries.data(), entries.size(), -1);
}

void Acceptor::pause() {
  pollfd entry = {wake_event_, POLLIN, 0};
  ::poll(&entry, 1, kPauseMs);
}

}  // namespace kvcs::http
