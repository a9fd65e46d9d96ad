// A hello server over libevent 2.1's evhttp: an event base per thread, each with a listening socket
// of its own on one port (SO_REUSEPORT), since a base belongs to one thread.
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <sys/socket.h>

#include <cstring>
#include <thread>
#include <vector>

#include "bench/hello/hello.h"

namespace {

void on_request(evhttp_request* request, void*) {
  evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", HELLO_TYPE);
  evbuffer* body = evhttp_request_get_output_buffer(request);
  evbuffer_add_reference(body, HELLO_BODY, std::strlen(HELLO_BODY), nullptr, nullptr);
  evhttp_send_reply(request, 200, "OK", nullptr);
}

// The port that it listens on; 0: any free one.
int open_listener(int port, int& listening) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  const int one = 1;
  listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  ::setsockopt(listening, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  if (::bind(listening, any, size) != 0 || ::listen(listening, 4096) != 0) return -1;
  return ::getsockname(listening, any, &size) == 0 ? ntohs(address.sin_port) : -1;
}

void run_loop(int listening) {
  event_base* base = event_base_new();
  evhttp* http = evhttp_new(base);
  evhttp_set_timeout(http, 75);
  evhttp_set_gencb(http, on_request, nullptr);
  evhttp_accept_socket(http, listening);
  event_base_dispatch(base);
}

}  // namespace

int main() {
  std::vector<int> listeners(static_cast<size_t>(hello_threads()));
  int port = 0;
  for (int& listening : listeners) {
    port = open_listener(port, listening);
    if (port < 0) return 1;
  }
  hello_ready(port);
  std::vector<std::thread> others;
  for (size_t i = 1; i < listeners.size(); i++) {
    others.emplace_back([listening = listeners[i]] { run_loop(listening); });
  }
  run_loop(listeners[0]);
}
