// How an address becomes a listening socket: resolve, bind, listen. Called at the start only.
#include "http/serve/listening_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/bytes.h"
#include "http/serve/connection.h"
#include "http/serve/server.h"

namespace kvcs::http {
namespace {

constexpr int kBacklog = 4096;

int port_of(const sockaddr_storage& address) {
  return address.ss_family == AF_INET6
             ? ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port)
             : ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

// What is set here holds for the sockets that are accepted, too: answers leave without waiting for
// more to say, and a client that takes nothing does not fill megabytes of the kernel's memory.
void set_tcp_options(int socket) {
  const int yes = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  ::setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &Connection::kUnsentBytes,
               sizeof Connection::kUnsentBytes);
}

// The socket, or -1 and errno. SO_REUSEADDR lets a restart take its port again at once, and not
// SO_REUSEPORT, with which another process could take half of the connections.
// `only_v6`: an address of IPv6 takes none of IPv4.
int bound_socket(const addrinfo& entry, bool only_v6) {
  const int socket = ::socket(entry.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return -1;
  const int yes = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  set_tcp_options(socket);
  if (only_v6 && entry.ai_family == AF_INET6) {
    ::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
  }
  if (::bind(socket, entry.ai_addr, entry.ai_addrlen) == 0 && ::listen(socket, kBacklog) == 0) {
    return socket;
  }
  const int error_number = errno;
  ::close(socket);
  errno = error_number;
  return -1;
}

// Precondition: the path fits.
sockaddr_un file_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  return address;
}

// Whether a server takes connections at that file.
bool is_listened_at(const sockaddr_un& address) {
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return true;  // Nobody knows, and a live server's file must stay.
  // What else connect(2) may say is of a server, of another kind perhaps: its backlog is full, it
  // takes datagrams, it does not let us in.
  const bool is_left =
      ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      (errno == ECONNREFUSED || errno == ENOENT);
  ::close(probe);
  return !is_left;
}

void close_all(const std::vector<ListeningSocket>& sockets) {
  for (const ListeningSocket& socket : sockets) ::close(socket.descriptor);
  remove_socket_files(sockets);
}

// The sockets that systemd has opened (sd_listen_fds(3)); none outside of it.
Result<std::vector<ListeningSocket>> inherited_sockets() {
  std::vector<ListeningSocket> sockets;
  const int count = ::sd_listen_fds(1);
  for (int i = 0; i < count; i++) {
    const int socket = SD_LISTEN_FDS_START + i;
    if (::sd_is_socket(socket, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
      return invalid("Descriptor " + std::to_string(socket) +
                     " of systemd is no listening stream socket; the .socket unit needs "
                     "ListenStream= and Accept=no.");
    }
    ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size);
    if (bound.ss_family != AF_UNIX) set_tcp_options(socket);
    sockets.push_back({socket, bound.ss_family == AF_UNIX ? 0 : port_of(bound), {}});
  }
  return sockets;
}

using Addresses = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

std::string shown_address(const std::string& host, int port) {
  return (host.find(':') == host.npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

Result<Addresses> addresses_of(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed == 0) return Addresses(found, ::freeaddrinfo);
  return invalid("Cannot listen on " + shown_address(host, port) + ": the host has no address (" +
                 ::gai_strerror(failed) + "); give an address of this machine.");
}

Status cannot_listen(const std::string& address, int error_number) {
  if (error_number == EADDRINUSE) {
    return conflict("The address " + address +
                    " is in use; stop the other server or choose another port.");
  }
  return io_error("cannot listen on", address, error_number);
}

ListeningSocket described(int socket) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size);
  return {socket, port_of(bound), {}};
}

bool is_same_address(const addrinfo& a, const addrinfo& b) {
  return a.ai_addrlen == b.ai_addrlen && std::memcmp(a.ai_addr, b.ai_addr, a.ai_addrlen) == 0;
}

// Once more of the same name; a hosts file may say it twice.
bool came_before(const addrinfo* first, const addrinfo* entry) {
  for (; first != entry; first = first->ai_next) {
    if (is_same_address(*first, *entry)) return true;
  }
  return false;
}

void set_port(addrinfo& entry, int port) {
  if (entry.ai_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(entry.ai_addr)->sin6_port = htons(static_cast<uint16_t>(port));
  } else {
    reinterpret_cast<sockaddr_in*>(entry.ai_addr)->sin_port = htons(static_cast<uint16_t>(port));
  }
}

// One of several addresses.
Result<std::vector<ListeningSocket>> listen_at_word(const std::string& word) {
  if (word.starts_with("unix:")) {
    return std::vector<ListeningSocket>{KVCS_TRY(listen_at_file(word.substr(5)))};
  }
  const HostAndPort address = KVCS_TRY(parse_listen_address(word));
  return listen_at_all(address.host, address.port, true);
}

}  // namespace

Result<HostAndPort> parse_listen_address(std::string_view text) {
  const Status bad =
      invalid("'" + printable(text, kShownName) +
              "' is not HOST:PORT (127.0.0.1:8080, [::1]:8080, 0.0.0.0:80) or unix:/PATH.");
  // The last colon, as an IPv6 address in brackets holds others.
  const size_t colon = text.rfind(':');
  if (colon == text.npos) return bad;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']') && host.size() > 2) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    return bad;
  }
  const Result<uint64_t> port = parse_u64(text.substr(colon + 1), "port");
  if (!port.ok() || *port > 65'535) return bad;
  return HostAndPort{host.empty() ? "0.0.0.0" : std::string(host), static_cast<int>(*port)};
}

// Until listen() nobody can connect, so that the file's mode is right before it matters.
Result<ListeningSocket> listen_at_file(const std::string& path) {
  const sockaddr_un address = file_address(path);
  if (path.empty() || path.front() != '/' || path.size() >= sizeof address.sun_path) {
    return invalid("Cannot listen on unix:" + printable(path, kShownText) +
                   ": the path must be absolute and of at most " +
                   std::to_string(sizeof address.sun_path - 1) + " bytes.");
  }
  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode) || is_listened_at(address)) {
      return conflict("The address unix:" + path +
                      " is in use; stop the other server or choose another path.");
    }
    ::unlink(path.c_str());
  }
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0 ||
      ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), 0660) != 0 || ::listen(socket, kBacklog) != 0) {
    const int error_number = errno;
    if (socket >= 0) ::close(socket);
    return io_error("cannot listen on", "unix:" + path, error_number);
  }
  return ListeningSocket{socket, 0, path};
}

Result<std::vector<ListeningSocket>> open_listening_sockets(const ServerConfig& config) {
  std::vector<ListeningSocket> sockets;
  if (config.takes_inherited) sockets = KVCS_TRY(inherited_sockets());
  if (!sockets.empty()) return sockets;
  const auto add = [&](Result<std::vector<ListeningSocket>> opened) {
    if (opened.ok()) sockets.insert(sockets.end(), opened->begin(), opened->end());
    return std::move(opened).status();
  };
  Status status =
      config.listen_port < 0
          ? ok()
          : add(listen_at_all(config.listen_host, config.listen_port, !config.listen_more.empty()));
  for (const std::string& word : config.listen_more) {
    if (status.ok()) status = add(listen_at_word(word));
  }
  if (status.ok()) return sockets;
  close_all(sockets);
  return status;
}

void remove_socket_files(const std::vector<ListeningSocket>& sockets) {
  for (const ListeningSocket& socket : sockets) {
    if (socket.path.empty()) continue;
    if (!is_listened_at(file_address(socket.path))) ::unlink(socket.path.c_str());
  }
}

Result<ListeningSocket> listen_at(const std::string& host, int port, bool only_v6) {
  const Addresses list = KVCS_TRY(addresses_of(host, port));
  int error_number = EADDRNOTAVAIL;
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    const int socket = bound_socket(*entry, only_v6);
    if (socket >= 0) return described(socket);
    error_number = errno;
  }
  return cannot_listen(shown_address(host, port), error_number);
}

Result<std::vector<ListeningSocket>> listen_at_all(const std::string& host, int port,
                                                   bool only_v6) {
  const Addresses list = KVCS_TRY(addresses_of(host, port));
  const bool several = list->ai_next != nullptr;
  std::vector<ListeningSocket> sockets;
  int error_number = EADDRNOTAVAIL;
  for (addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    if (came_before(list.get(), entry)) continue;
    if (!sockets.empty()) set_port(*entry, sockets.front().port);
    const int socket = bound_socket(*entry, only_v6 || several);
    if (socket >= 0) {
      sockets.push_back(described(socket));
      continue;
    }
    error_number = errno;
    // A machine without IPv6 has a name for an address that it does not have.
    if (error_number == EADDRNOTAVAIL || error_number == EAFNOSUPPORT) continue;
    close_all(sockets);
    return cannot_listen(shown_address(host, port), error_number);
  }
  if (sockets.empty()) return cannot_listen(shown_address(host, port), error_number);
  return sockets;
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
