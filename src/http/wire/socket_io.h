// One read, write or look at a socket, never blocking. These functions stand apart from the code
// that waits between two of them: a request may go on on another thread after a wait, and a
// compiler that sees errno before and after the wait in one function may take its address only
// once. Nothing else on the way of a request to another server reads errno.
#pragma once
#include <sys/socket.h>

#include <cstdint>
#include <span>
#include <string_view>

namespace kvcs::http {

enum class Io : uint8_t { kDone, kWouldBlock, kClosed };
struct IoResult {
  Io io;
  size_t size_bytes = 0;
  int error_number = 0;  // Of kClosed: errno's, 0 for a clean end.
};

IoResult receive_some(int socket, std::span<char> out);
// a, then b, as far as the socket takes them. `more`: another send follows at once.
IoResult send_some(int socket, std::string_view a, std::string_view b, bool more);
// Open, and without anything to read.
bool is_quiet(int socket);
struct Connecting {
  int socket = -1;       // The caller closes it; -1: failed.
  bool ready = false;    // Else writable once it is connected.
  int error_number = 0;  // Why it failed.
};
Connecting begin_connect(const sockaddr* address, socklen_t size_bytes);
int connect_error(int socket);  // 0: connected.

}  // namespace kvcs::http
