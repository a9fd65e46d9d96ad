// The sockets that a server listens on. Functions without state.
#pragma once
#include <sys/socket.h>

#include <string>

#include "base/status.h"

namespace kvcs::http {

struct ListeningSocket {
  int descriptor = -1;  // Non-blocking, closed on exec; the caller's.
  int port = 0;         // The one that was given, or found.
};
// On an IPv4 or IPv6 address, or the first address of a host's name. Port 0: any free one. Conflict
// when the address is in use.
Result<ListeningSocket> listen_at(const std::string& host, int port);

// The address of a peer as text; an IPv4 address in IPv6's clothes as IPv4. "" when it has none.
std::string address_text(const sockaddr_storage& peer);

}  // namespace kvcs::http
