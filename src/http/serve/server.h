// The HTTP server: our connection layer (listener.h) and the request cycle (request_cycle.h):
// route, guard, body limits, handler, last-resort catch, access log, metrics.
//
// Threads: one accept/epoll thread and an elastic pool of workers, all owned here, joined by
// stop(). Idle keep-alive connections cost no thread.
#pragma once
#include <memory>

#include "base/clock.h"
#include "base/status.h"
#include "http/serve/server_config.h"

namespace kvcs::http {

class Router;

class Server final {
 public:
  // All references outlive the server.
  Server(const ServerConfig& config, const Router& router, const Clock& clock,
         RequestObserver observer);
  ~Server();
  // Binds and serves on its own threads. Conflict when the address is in use.
  Status start();
  int port() const;  // After start().
  // Stops accepting, lets requests in flight finish up to `grace_ms`, then closes and joins.
  void stop(int grace_ms);
  Status reload_tls();  // Reads certificate and key again; the old ones stay on failure.
  using Stats = ServerStats;
  Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::http
