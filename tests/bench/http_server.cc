// The server that tests/bench/http.sh measures beside nginx: one small JSON answer, one file, and a
// body that is read and forgotten; nothing behind them. Prints its port, serves until stdin ends.
// Arguments: the file; the workers kept, 0 for the default; a certificate and its key, for TLS.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/clock.h"
#include "base/crypto.h"
#include "http/router.h"
#include "http/serve/server.h"

using namespace kvcs;

namespace {

http::Route get(std::string pattern, http::Handler handler) {
  http::Route route{};
  route.method = http::Method::kGet;
  route.pattern = std::move(pattern);
  route.guard = http::public_access();
  route.handler = std::move(handler);
  route.access_log = false;
  route.is_probe = true;  // What a request costs without shares.
  return route;
}

Result<http::Response> small(http::Request&) {
  return http::json_response(200, R"({"message":"Hello, World!"})");
}

Result<http::Response> forget(http::Request& request) {
  KVCS_TRY(request.body->read_all());
  return http::empty_response(204);
}

http::Handler file_handler(const char* path) {
  const int descriptor = ::open(path, O_RDONLY | O_CLOEXEC);
  struct stat facts {};
  ::fstat(descriptor, &facts);
  return [descriptor, size = static_cast<uint64_t>(facts.st_size)](
             http::Request& request) -> Result<http::Response> {
    http::Response response;
    const auto range = http::decide_range(request, size, "bench", response);
    response.file = http::FileBody{descriptor, range.offset, range.size_bytes, nullptr};
    return response;
  };
}

}  // namespace

int main(int argc, char** argv) {
  init_crypto();
  const std::unique_ptr<Clock> clock = make_system_clock();
  std::vector<http::Route> routes = {get("/small", small)};
  if (argc > 1) routes.push_back(get("/file", file_handler(argv[1])));
  routes.push_back(get("/forget", forget));
  routes.back().method = http::Method::kPost;
  routes.back().body_max_bytes = http::mib(1);
  const http::Router router(std::move(routes));
  http::ServerConfig config;
  config.listen_port = 0;
  config.connections_address_percent = config.memory_key_percent = 100;
  config.public_body_timeout_ms = 600'000;
  if (argc > 2 && std::atoi(argv[2]) > 0) config.workers_min = std::atoi(argv[2]);
  if (argc > 4) config.tls = {argv[3], argv[4]};
  http::Server server(config, router, *clock, nullptr);
  const Status started = server.start();
  if (!started.ok()) {
    std::fprintf(stderr, "%s\n", started.to_string().c_str());
    return 1;
  }
  std::printf("%d\n", server.port());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  server.stop(0);
  return 0;
}
