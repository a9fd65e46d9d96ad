// The HTTP server: our connection layer (listener.h) and the request cycle (request_cycle.h):
// route, guard, body limits, handler, last-resort catch, access log, metrics.
//
// Threads: one accept/epoll thread and an elastic pool of workers, all owned here, joined by
// stop(). Idle keep-alive connections cost no thread.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/heartbeat.h"
#include "base/principal.h"
#include "base/status.h"
#include "http/serve/server_config.h"

namespace kvcs::http {

class LiveStreams;
class Router;

class Server final {
 public:
  // All references outlive the server. `on_fatal` is told, on a thread of the server, when it can
  // accept no more connections: its owner should end it. `live_streams` knows the streams of
  // callers with a key; null: nobody asks. `look_up_again` is asked about a caller who was let in
  // before the body was here, once it is: it refuses one who may do less than then; null: the
  // guard's word holds until the end.
  Server(const ServerConfig& config, const Router& router, const Clock& clock,
         RequestObserver observer, std::function<void(const Status& why)> on_fatal = nullptr,
         LiveStreams* live_streams = nullptr,
         std::function<Status(const Principal& caller)> look_up_again = nullptr);
  ~Server();
  // Takes the addresses: from now on the port is known, and who connects waits until start().
  // Conflict when an address is in use.
  Status bind();
  // Serves on its own threads; binds first, if nobody has.
  Status start();
  int port() const;  // After bind().
  // Stops accepting, lets requests in flight finish up to `grace_ms`, then closes and joins.
  void stop(int grace_ms);
  Status reload_tls();  // Reads certificate and key again; the old ones stay on failure.
  // When the certificate that is served ends, in Unix seconds; 0: there is none. Any thread.
  int64_t certificate_expires_s() const;
  using Stats = ServerStats;
  Stats stats() const;
  // Names the loops of the server to whoever watches them, while it lives.
  void add_pulses(const AddPulse& add) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "127.0.0.1:8080", "[::1]:8080", ":8080". Invalid otherwise.
struct HostAndPort {
  std::string host;
  int port = 0;
};
Result<HostAndPort> parse_listen_address(std::string_view text);

// The name of a share in metrics.
std::string_view share_name(Share share);

}  // namespace kvcs::http
