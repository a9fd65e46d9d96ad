// How an address becomes a listening socket: resolve, bind, listen. Called at the start only.
#include "http/serve/listening_socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace kvcs::http {
namespace {

constexpr int kBacklog = 4096;

int port_of(const sockaddr_storage& address) {
  return address.ss_family == AF_INET6
             ? ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port)
             : ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

// The socket, or -1 and errno. SO_REUSEADDR lets a restart take its port again at once, and not
// SO_REUSEPORT, with which another process could take half of the connections. What is set here
// holds for the sockets that are accepted, too: answers leave without waiting for more to say.
int bound_socket(const addrinfo& entry) {
  const int socket = ::socket(entry.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return -1;
  const int yes = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (::bind(socket, entry.ai_addr, entry.ai_addrlen) == 0 && ::listen(socket, kBacklog) == 0) {
    return socket;
  }
  const int error_number = errno;
  ::close(socket);
  errno = error_number;
  return -1;
}

}  // namespace

Result<ListeningSocket> listen_at(const std::string& host, int port) {
  const std::string address =
      (host.find(':') == host.npos ? host : "[" + host + "]") + ":" + std::to_string(port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) {
    return invalid("Cannot listen on " + address + ": the host has no address (" +
                   ::gai_strerror(failed) + "); give an address of this machine.");
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, ::freeaddrinfo);
  int error_number = EADDRNOTAVAIL;
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    const int socket = bound_socket(*entry);
    if (socket < 0) {
      error_number = errno;
      continue;
    }
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size);
    return ListeningSocket{socket, port_of(bound)};
  }
  if (error_number == EADDRINUSE) {
    return conflict("The address " + address +
                    " is in use; stop the other server or choose another port.");
  }
  return io_error("cannot listen on", address, error_number);
}

std::string address_text(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  } else if (address.ss_family == AF_INET6) {
    const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&ip)) {
      inet_ntop(AF_INET, ip.s6_addr + 12, text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &ip, text, sizeof text);
    }
  }
  return text;
}

}  // namespace kvcs::http
