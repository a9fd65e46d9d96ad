// The process's limit of descriptors: connections fit into it, or the start is refused.
#include "app/descriptors.h"

#include <catch2/catch.hpp>
#include <sys/resource.h>

#include "support/daemon.h"
#include "support/raw_client.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// Of this process and the children that it starts meanwhile.
class LimitScope final {
 public:
  explicit LimitScope(rlim_t descriptors) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lower{descriptors, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &lower);
  }
  ~LimitScope() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("descriptors: connections get three quarters of them", "[unit][app]") {
  http::ServerConfig server;
  server.connections_max = 1000;
  CHECK_FALSE(fit_connections(server, 1 << 20).value());
  CHECK(server.connections_max == 1000);
  CHECK(fit_connections(server, 1024).value());
  CHECK(server.connections_max == 768);
  CHECK(fit_connections(server, 128).value());
  CHECK(server.connections_max == 64);
  const auto refused = fit_connections(server, 127);
  CHECK(refused.code() == Code::kInvalid);
  CHECK(refused.status().message().find("127 descriptors") != std::string::npos);
}

TEST_CASE("serve: a low limit of descriptors is told, and a too low one refused", "[e2e]") {
  TempDir dir;
  const std::vector<std::string> arguments = {"serve", "--data-dir", dir.file("data"), "--listen",
                                              "127.0.0.1:0"};
  {
    const LimitScope limit(120);
    Daemon daemon(arguments, dir.file("log"));
    CHECK(daemon.wait() == 1);
    CHECK(daemon.log().find("RLIMIT_NOFILE") != std::string::npos);
  }
  const LimitScope limit(400);
  Daemon daemon(arguments, dir.file("log"));
  const int port = daemon.wait_until_ready();
  CHECK(daemon.log().find("\"http.connections_lowered\",\"connections_max\":300") !=
        std::string::npos);
  CHECK(fetch(port, "GET", "/livez").status == 200);
}
