// The system calls of socket_io.h. A call that a signal interrupted is made again.
#include "http/wire/socket_io.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace kvcs::http {
namespace {

// 0 is the peer's orderly end for recv; for sendmsg of at least a byte it does not occur.
IoResult outcome(ssize_t n) {
  if (n > 0) return {Io::kDone, static_cast<size_t>(n)};
  if (n == 0) return {Io::kClosed};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {Io::kWouldBlock};
  return {Io::kClosed, 0, errno};
}

}  // namespace

IoResult receive_some(int socket, std::span<char> out) {
  ssize_t n;
  do {
    n = ::recv(socket, out.data(), out.size(), MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  return outcome(n);
}

IoResult send_some(int socket, std::string_view a, std::string_view b, bool more) {
  iovec parts[2] = {{const_cast<char*>(a.data()), a.size()},
                    {const_cast<char*>(b.data()), b.size()}};
  msghdr message{};
  // MSG_NOSIGNAL: a peer that has gone is an error here, not a SIGPIPE for the process.
  message.msg_iov = a.empty() ? parts + 1 : parts;
  message.msg_iovlen = a.empty() || b.empty() ? 1 : 2;
  ssize_t n;
  do {
    n = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
  } while (n < 0 && errno == EINTR);
  return outcome(n);
}

bool is_quiet(int socket) {
  char byte;
  return ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

Connecting begin_connect(const sockaddr* address, socklen_t size_bytes) {
  const int socket = ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return {-1, false, errno};
  const int one = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (::connect(socket, address, size_bytes) == 0) return {socket, true, 0};
  if (errno == EINPROGRESS) return {socket, false, 0};
  const int error_number = errno;
  ::close(socket);
  return {-1, false, error_number};
}

int connect_error(int socket) {
  int error_number = 0;
  socklen_t size = sizeof error_number;
  ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error_number, &size);
  return error_number;
}

}  // namespace kvcs::http
