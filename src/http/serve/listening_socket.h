// The sockets that a server listens on: addresses, files, or what systemd has opened for it.
// Functions without state.
#pragma once
#include <sys/socket.h>

#include <string>
#include <vector>

#include "base/status.h"
#include "http/serve/server_config.h"

namespace kvcs::http {

struct ListeningSocket {
  int descriptor = -1;  // Non-blocking, closed on exec; the caller's.
  int port = 0;         // The one that was given, or found; 0: it has none.
  std::string path;     // Of a socket file; "": none.
};
// On an IPv4 or IPv6 address, or the first address of a host's name that can be had. Port 0: any
// free one. Conflict when the address is in use.
Result<ListeningSocket> listen_at(const std::string& host, int port, bool only_v6 = false);
// On all addresses of a host's name, "localhost" being 127.0.0.1 and ::1, by one port; those that
// this machine does not have are left out.
Result<std::vector<ListeningSocket>> listen_at_all(const std::string& host, int port,
                                                   bool only_v6 = false);
// On a socket file, for its owner and its group. The file of a server that has died is replaced;
// Conflict when one listens there.
Result<ListeningSocket> listen_at_file(const std::string& path);

// All that the configuration names, or the sockets of systemd's in their place.
Result<std::vector<ListeningSocket>> open_listening_sockets(const ServerConfig& config);
// Once they are closed: a file at which another server listens by now is left alone.
void remove_socket_files(const std::vector<ListeningSocket>& sockets);

// The address of a peer as text; an IPv4 address in IPv6's clothes as IPv4. "" when it has none.
std::string address_text(const sockaddr_storage& peer);

}  // namespace kvcs::http
