// One request from head to last byte: parse, route, guard, limits, handler, response, log. Shared
// by all workers; what changes per request lives in a RequestMemory.
#pragma once
#include <atomic>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/router.h"
#include "http/serve/access_log.h"
#include "http/serve/body_reader.h"
#include "http/serve/connection.h"
#include "http/serve/forwarded.h"
#include "http/serve/head_parser.h"
#include "http/serve/live_streams.h"
#include "http/serve/response_writer.h"
#include "http/serve/server_config.h"
#include "http/serve/shares.h"

namespace kvcs::http {

// The state of a connection after a response.
enum class Next : uint8_t {
  kKeepAlive,
  kLinger,  // Close, but read on for a moment so that the client gets to see the answer.
  kClose,
};

// The memory of a task's requests, used for one after the other, so that a request on a kept
// connection allocates little.
struct RequestMemory {
  explicit RequestMemory(size_t buffer_bytes) : input(buffer_bytes) {}
  ReadBuffer input;
  Request request;
  Framing framing;
  std::string head;
  DateText date;
  AccessLog access_log;
  std::string_view secret_pattern;  // Without a route, what the log shows of a path with a secret.
  uint64_t checks_seen = 0;         // LiveStreams::checks() before the guard.
  bool answer_begun = false;        // Of its bytes some may be with the client.
  bool drained = false;             // The socket had no more bytes at the last look.
};

class RequestCycle final {
 public:
  // All references outlive it.
  RequestCycle(const ServerConfig& config, const Router& router, const Clock& clock,
               RequestObserver observer, LiveStreams* live_streams,
               std::function<Status(const Principal& caller)> look_up_again);
  void set_trusted_proxies(TrustedProxies proxies) { proxies_ = std::move(proxies); }

  // `head` is complete and at the start of memory.input. Throws bad_alloc alone, when there is no
  // memory left to answer with.
  // Reads the body as far as the handler wants it and writes the whole response.
  Next serve(Connection& connection, RequestMemory& memory, std::string_view head);
  // Answers what is not a request; the caller lingers.
  void refuse(Connection& connection, RequestMemory& memory, Refusal refusal);
  // A whole response for a connection that no worker serves: full table, slow head.
  std::string refusal_text(Refusal refusal, int retry_after_s) const;
  void close_after_responses() { draining_ = true; }
  Shares& shares() { return shares_; }
  // Behind such a peer stand many clients.
  bool is_trusted_proxy(std::string_view ip) const {
    return !proxies_.empty() && proxies_.contains(ip);
  }

 private:
  struct Outcome;

  template <typename Function>
  Status contain(Function&& function) const;
  Response respond(RequestMemory& memory, ConnectionBody& body, Shares::Ticket& ticket);
  Response no_route(Request& request, const Framing& framing, const Router::Match& match);
  // A request whose body is still to come is counted once all of it is here: until then it costs
  // no more than its connection does. Its caller is looked up once more then: whoever sends a body
  // slowly must not act by rights that were taken away meanwhile.
  Response run_handler(Request& request, ConnectionBody& body, Shares::Ticket& ticket);
  Status look_up_again(Request& request) const;
  Response run_decoded(Request& request, ConnectionBody& body, Shares::Ticket& ticket,
                       std::string_view header, uint64_t limit);
  Response explain(const Status& status, const Request& request, int status_code) const;
  void prepare(Connection& connection, RequestMemory& memory);
  void warn_of_ignored_proxy(std::string_view peer_ip, const Request& request);
  static void keep_private(const Request& request, Response& response);
  void deliver(Connection& connection, RequestMemory& memory, Response& response, Outcome& outcome);
  void report(RequestMemory& memory, std::string_view path, const Outcome& outcome);

  const ServerConfig& config_;
  const Router& router_;
  const Clock& clock_;
  const RequestObserver observer_;
  LiveStreams* const live_streams_;  // Null: streams are not ended from outside.
  const std::function<Status(const Principal& caller)> look_up_again_;  // May be empty.
  TrustedProxies proxies_;
  HeadLimits head_limits_;
  Shares shares_;
  std::atomic<bool> draining_{false};
  std::atomic<bool> warned_of_proxy_{false};
};

}  // namespace kvcs::http
