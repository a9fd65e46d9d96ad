// A hello server over cpp-httplib 0.11: a connection holds a thread of its pool from its first
// request to its end, so the pool is as large as the connections of the benchmark, not as the
// processors.
#include <httplib.h>

#include "bench/hello/hello.h"

int main() {
  httplib::Server server;
  server.new_task_queue = [] { return new httplib::ThreadPool(1100); };
  server.set_keep_alive_max_count(1'000'000'000);
  server.set_keep_alive_timeout(75);
  server.set_tcp_nodelay(true);
  server.Get("/small", [](const httplib::Request&, httplib::Response& response) {
    response.set_content(HELLO_BODY, HELLO_TYPE);
  });
  hello_ready(server.bind_to_any_port("127.0.0.1"));
  return server.listen_after_bind() ? 0 : 1;
}
