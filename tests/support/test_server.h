// A real http::Server on a free port of 127.0.0.1, stopped by its destructor.
#pragma once
#include <catch2/catch.hpp>

#include <atomic>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "http/router.h"
#include "http/serve/server.h"

namespace kvcs::test {

class TestServer final {
 public:
  static http::ServerConfig quiet_config() {
    http::ServerConfig config;
    config.listen_port = 0;
    config.workers_min = 2;
    config.connections_max = 500;
    config.connections_address_percent = 100;  // All clients of a test have one address.
    config.streams_key_percent = config.streams_keyless_percent = 100;
    config.access_log = false;
    return config;
  }
  // Whatever `config` says, the port is a free one.
  explicit TestServer(std::vector<http::Route> routes, http::ServerConfig config = quiet_config())
      : clock_(make_system_clock()), router_(std::move(routes)) {
    config.listen_port = 0;
    server_ = std::make_unique<http::Server>(config, router_, *clock_,
                                             [this](const http::RequestRecord& record) {
                                               MutexLock lock(mutex_);
                                               records_.push_back(record);
                                             });
    const Status started = server_->start();
    INFO(started.to_string());
    REQUIRE(started.ok());
  }
  ~TestServer() { server_->stop(0); }
  int port() const { return server_->port(); }
  http::Server& server() { return *server_; }
  std::vector<http::RequestRecord> records() {
    MutexLock lock(mutex_);
    return records_;
  }

 private:
  std::unique_ptr<Clock> clock_;
  http::Router router_;
  Mutex mutex_;
  std::vector<http::RequestRecord> records_ KVCS_GUARDED_BY(mutex_);
  std::unique_ptr<http::Server> server_;
};

// A public route.
inline http::Route route(http::Method method, std::string pattern, http::Handler handler,
                         uint64_t body_max_bytes = http::kNoBody) {
  http::Route made{};
  made.method = method;
  made.pattern = std::move(pattern);
  made.guard = http::public_access();
  made.body_max_bytes = body_max_bytes;
  made.handler = std::move(handler);
  return made;
}

}  // namespace kvcs::test
