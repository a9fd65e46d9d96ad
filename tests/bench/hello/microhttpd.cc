// A hello server over libmicrohttpd 0.9.75: its pool of threads, an epoll set each.
#include <arpa/inet.h>
#include <microhttpd.h>

#include <cstring>

#include "bench/hello/hello.h"

namespace {

MHD_Result on_request(void* response, MHD_Connection* connection, const char*, const char*,
                      const char*, const char*, size_t*, void** begun) {
  // The first call for a request brings its head alone; an answer would end the keep-alive.
  static char mark;
  if (*begun == nullptr) {
    *begun = &mark;
    return MHD_YES;
  }
  return MHD_queue_response(connection, MHD_HTTP_OK, static_cast<MHD_Response*>(response));
}

}  // namespace

int main() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  MHD_Response* response = MHD_create_response_from_buffer(
      std::strlen(HELLO_BODY), const_cast<char*>(HELLO_BODY), MHD_RESPMEM_PERSISTENT);
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, HELLO_TYPE);
  MHD_Daemon* daemon = MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD, 0, nullptr, nullptr, on_request, response,
      MHD_OPTION_SOCK_ADDR, reinterpret_cast<sockaddr*>(&address), MHD_OPTION_THREAD_POOL_SIZE,
      static_cast<unsigned>(hello_threads()), MHD_OPTION_CONNECTION_LIMIT, 8000u,
      MHD_OPTION_CONNECTION_TIMEOUT, 75u, MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096u, MHD_OPTION_END);
  if (daemon == nullptr) return 1;
  hello_ready(MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
  for (;;) ::pause();
}
