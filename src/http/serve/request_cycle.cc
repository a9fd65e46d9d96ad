// The request cycle: how a complete head becomes an answer on the wire. Runs on the workers, on the
// fiber of a request task; what changes per request is in the RequestMemory.
#include "http/serve/request_cycle.h"

#include <exception>
#include <new>
#include <optional>

#include "base/bytes.h"
#include "base/id.h"
#include "base/log.h"
#include "http/header_list.h"
#include "http/problem.h"
#include "http/serve/cors.h"
#include "http/serve/decoded_body.h"
#include "http/wire/content_coding.h"

namespace kvcs::http {
namespace {

constexpr int kNoMemoryRetryAfterS = 1;
// A body that a route does not take is read over up to this size, as proxies and clients add
// empty or tiny bodies freely.
constexpr uint64_t kIgnoredBodyMaxBytes = 64 << 10;

// RFC 6455 §4.1: a WebSocket begins as a GET that asks to change the protocol.
bool wants_web_socket(const Request& request) {
  if (request.method != Method::kGet || !request.header("upgrade")) return false;
  const std::string protocols = header_list(request, "upgrade").value_or("");
  for (const std::string_view protocol : split(protocols, ',')) {
    if (equal_ignore_case(trim(protocol), "websocket")) return true;
  }
  return false;
}

bool is_model_door(Dialect dialect) {
  return dialect == Dialect::kOpenAi || dialect == Dialect::kAnthropic;
}

// The doors of programs that fall back to plain requests once they are told so in a word.
bool refuses_web_sockets(Dialect dialect) {
  return is_model_door(dialect) || dialect == Dialect::kGateway;
}

}  // namespace

struct RequestCycle::Outcome {
  Shares::Memory& memory;
  HeadFacts facts = {};
  Status status = {};
  int status_code = 0;
  uint64_t received_bytes = 0, sent_bytes = 0;
};

RequestCycle::RequestCycle(const ServerConfig& config, const Router& router, const Clock& clock,
                           RequestObserver observer, LiveStreams* live_streams,
                           std::function<Status(const Principal& caller)> look_up_again)
    : config_(config),
      router_(router),
      clock_(clock),
      observer_(std::move(observer)),
      live_streams_(live_streams),
      look_up_again_(std::move(look_up_again)),
      head_limits_{config.head_max_bytes, config.uri_max_bytes, config.headers_max},
      shares_(config) {}

// Tells whoever has to end the request, also when memory ends in the answer.
class AnswerMark final {
 public:
  AnswerMark(RequestMemory& memory, const ResponseWriter& writer)
      : memory_(memory), writer_(writer) {}
  AnswerMark(const AnswerMark&) = delete;
  AnswerMark& operator=(const AnswerMark&) = delete;
  ~AnswerMark() { memory_.answer_begun = writer_.sent_bytes() > 0; }

 private:
  RequestMemory& memory_;
  const ResponseWriter& writer_;
};

// The last resort: nothing that a handler throws passes here. Each one is a bug, counted by the
// observer as a 500 and logged, but for memory that does not last.
template <typename Function>
Status RequestCycle::contain(Function&& function) const {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return unavailable("There is no memory left for this request; try again later.")
        .with_retry_after_s(kNoMemoryRetryAfterS);
  } catch (const std::exception& error) {
    return internal(std::string("exception: ") + error.what());
  } catch (...) {
    return internal("an exception of unknown type");
  }
}

// The request of before is in the same memory: everything is set, nothing is assumed.
void RequestCycle::prepare(Connection& connection, RequestMemory& memory) {
  Request& request = memory.request;
  request.method = Method::kGet;
  request.target = request.query = {};
  request.path.clear();
  request.headers.clear();
  request.params.clear();
  request.remote_ip = connection.peer_ip;
  request.https = connection.tls != nullptr;
  request.request_id.clear();
  if (request.principal.kind != PrincipalKind::kAnonymous) request.principal = {};
  request.route = nullptr;
  request.body = nullptr;
  request.started_us = clock_.mono_us();
  memory.answer_begun = false;
  memory.secret_pattern = {};
  if (live_streams_ != nullptr) memory.checks_seen = live_streams_->checks();
}

Response RequestCycle::explain(const Status& status, const Request& request,
                               int status_code) const {
  if (status_code >= 500) {
    // Only our own faults need someone to act; the others are upstream's, or load.
    const auto write = status_code == 500 ? log::error : log::warn;
    write("request.failed", {{"request_id", request.request_id},
                             {"path", printable(loggable_path(request, request.path))},
                             {"status", status_code},
                             {"message", printable(status.message(), kShownText)},
                             {"cause", printable(status.cause(), kShownText)}});
  }
  const Dialect dialect = request.route ? request.route->dialect : Dialect::kPortal;
  return problem_response(status_code, status, dialect, request.request_id);
}

// 404 for an unknown path; 204 to OPTIONS; else 405 with Allow.
Response RequestCycle::no_route(Request& request, const Framing& framing,
                                const Router::Match& match) {
  if (framing.asterisk) return empty_response(204);
  if (!match.path_known) {
    return problem_response(not_found("No such path."), match.dialect, request.request_id);
  }
  if (request.method == Method::kOptions) {
    return std::move(empty_response(204).set("allow", match.allow));
  }
  const std::string name(method_name(request.method));
  return std::move(
      problem_response(405, invalid(name + " is not possible here; allowed: " + match.allow + "."),
                       match.dialect, request.request_id)
          .set("allow", match.allow));
}

Status RequestCycle::look_up_again(Request& request) const {
  if (!look_up_again_ || request.principal.kind == PrincipalKind::kAnonymous) return ok();
  return look_up_again_(request.principal);
}

Response RequestCycle::run_handler(Request& request, ConnectionBody& body, Shares::Ticket& ticket) {
  const bool reads_body = request.method != Method::kGet && request.method != Method::kHead &&
                          request.route->body_max_bytes != kNoBody;
  if (reads_body && !body.is_here()) {
    body.on_complete([this, &request, &ticket]() -> Status {
      KVCS_TRY(look_up_again(request));
      return shares_.enter(request, ticket);
    });
  } else if (const Status entered = shares_.enter(request, ticket); !entered.ok()) {
    return explain(entered, request, http_status(entered));
  }
  Response response;
  const Status status = contain([&]() -> Status {
    response = KVCS_TRY(request.route->handler(request));
    return ok();
  });
  if (status.ok()) return response;
  const bool slow_body = status.code() == Code::kTimeout && body.too_slow();
  return explain(status, request, slow_body ? 408 : http_status(status));
}

Response RequestCycle::respond(RequestMemory& memory, ConnectionBody& body,
                               Shares::Ticket& ticket) {
  Request& request = memory.request;
  const Framing& framing = memory.framing;
  Router::Match match = router_.match(request.method, framing.raw_path);
  memory.secret_pattern = match.secret_pattern;
  const Dialect dialect = match.route ? match.route->dialect : match.dialect;
  if (match.path_known && refuses_web_sockets(dialect) && wants_web_socket(request)) {
    return problem_response(
        426, invalid("WebSockets are not spoken here; send the request by POST, over HTTP/1.1."),
        dialect, request.request_id);
  }
  // Also where OPTIONS has a route of its own, as in tus.
  if (match.path_known && !framing.asterisk) {
    if (auto preflight = answer_preflight(config_.cors, request, match.allow)) {
      return std::move(*preflight);
    }
  }
  if (!match.route || framing.asterisk) return no_route(request, framing, match);
  const Route& route = *match.route;
  request.route = &route;
  request.params = std::move(match.params);
  // RFC 9110 §14.5: it is likely a part, which would be taken for the whole.
  if (request.method == Method::kPut && request.header("content-range")) {
    return explain(invalid("A part of a body (Content-Range) cannot be put here; send all of it."),
                   request, 400);
  }
  // The guard runs before one byte of the body is read, and before its size is looked at: a caller
  // that may not come in learns nothing else.
  const Status allowed = contain([&]() -> Status {
    request.principal = KVCS_TRY(route.guard(request));
    return ok();
  });
  if (!allowed.ok()) return explain(allowed, request, http_status(allowed));
  const uint64_t limit =
      route.body_max_bytes == kNoBody ? kIgnoredBodyMaxBytes : route.body_max_bytes;
  body.set_max_bytes(limit);
  if (route.who == "public") body.set_total_max_ms(config_.public_body_timeout_ms);
  if (body.declared_size_bytes().value_or(0) > limit) {
    return explain(too_large("The request body of " + std::to_string(*body.declared_size_bytes()) +
                             " bytes is over the limit of " + std::to_string(limit) + " bytes."),
                   request, 413);
  }
  if (request.method == Method::kGet || request.method == Method::kHead || body.is_empty()) {
    return run_handler(request, body, ticket);
  }
  const std::string header = header_list(request, "content-encoding").value_or("");
  return header.empty() ? run_handler(request, body, ticket)
                        : run_decoded(request, body, ticket, header, limit);
}

// The model gateway's clients may compress what they send. Elsewhere the bytes themselves count: a
// digest, a signature, a file.
Response RequestCycle::run_decoded(Request& request, ConnectionBody& body, Shares::Ticket& ticket,
                                   std::string_view header, uint64_t limit) {
  const bool decodes = is_model_door(request.route->dialect);
  const auto codings = parse_content_codings(header);
  if (!codings.ok() || (!decodes && !codings->empty())) {
    const std::string_view accepted = decodes ? kAcceptedCodings : "identity";
    return std::move(explain(invalid("Content-Encoding: '" + printable(header, kShownName) +
                                     "' is not accepted here, only " + std::string(accepted) +
                                     "; send the plain bytes."),
                             request, 415)
                         .set("accept-encoding", std::string(accepted)));
  }
  if (codings->empty()) return run_handler(request, body, ticket);
  DecodedBody decoded(body, *codings, limit);
  request.body = &decoded;
  Response response = run_handler(request, body, ticket);
  request.body = &body;
  return response;
}

// What was answered to somebody is nobody else's to keep, whoever made the answer, and no browser's
// to show after a sign-out. Handlers whose answers may be kept say so themselves; what a model's
// provider says of its answers stands.
void RequestCycle::keep_private(const Request& request, Response& response) {
  if (request.route == nullptr || is_model_door(request.route->dialect)) return;
  const bool is_for_all = request.route->who == "public" && response.find("set-cookie") == nullptr;
  if (is_for_all || response.find("cache-control") != nullptr) return;
  response.set("cache-control", "private, no-store");
}

void RequestCycle::deliver(Connection& connection, RequestMemory& memory, Response& response,
                           Outcome& outcome) {
  if (!config_.cors.allowed_origins.empty()) {
    add_cors_headers(config_.cors, memory.request, response);
  }
  keep_private(memory.request, response);
  for (const AnswerHeader& header : config_.answer_headers) {
    const std::string_view path = memory.request.path;
    const bool is_below = path.starts_with(header.path) &&
                          (path.size() == header.path.size() || path[header.path.size()] == '/');
    if (is_below) response.set(header.name, header.value);
  }
  HeadFacts& facts = outcome.facts;
  facts.request_id = memory.request.request_id;
  facts.date = memory.date.at(clock_.unix_s());
  // A body that only the connection's end delimits ends the connection.
  const HeadPlan plan = plan_body(response, facts);
  if (plan.delimiter == Delimiter::kClose) facts.keep_alive = false;
  memory.head.clear();
  format_head(response, facts, plan, memory.head);
  const bool has_size = plan.delimiter == Delimiter::kLength;
  ResponseWriter writer(connection, config_.write_timeout_ms,
                        has_size ? std::optional(plan.size_bytes) : std::nullopt, outcome.memory);
  const AnswerMark mark(memory, writer);
  std::optional<LiveStreams::Entry> live;
  if (live_streams_ != nullptr && response.stream && !memory.request.principal.key_id.empty()) {
    live.emplace(*live_streams_, memory.request.principal, connection, memory.checks_seen);
  }
  outcome.status = contain([&] { return writer.write(response, memory.head, facts, plan); });
  outcome.status_code = response.status;
  outcome.sent_bytes = writer.sent_bytes();
  if (response.finished) {
    const Status finished = contain([&]() -> Status {
      response.finished(outcome.status, outcome.sent_bytes);
      return ok();
    });
    if (!finished.ok()) explain(finished, memory.request, 500);
  }
  if (outcome.status.code() == Code::kInternal) explain(outcome.status, memory.request, 500);
}

void RequestCycle::report(RequestMemory& memory, std::string_view path, const Outcome& outcome) {
  const Request& request = memory.request;
  const RequestRecord record = {request.route,          request.method,
                                outcome.status_code,    clock_.mono_us() - request.started_us,
                                outcome.received_bytes, outcome.sent_bytes};
  if (config_.access_log && (!request.route || request.route->access_log)) {
    memory.access_log.write(request, path, record, clock_.unix_ms());
  }
  if (observer_) observer_(record);
}

// Once in the life of a process, since each request of everybody behind the proxy shows the same.
void RequestCycle::warn_of_ignored_proxy(std::string_view peer_ip, const Request& request) {
  if (!proxies_.ignores_forwarded(peer_ip, request) || warned_of_proxy_.exchange(true)) return;
  log::warn("http.proxy_not_trusted",
            {{"peer", peer_ip},
             {"message",
              "A request came with X-Forwarded-* from an address that is no trusted proxy, so that "
              "its client is taken for that address, and limits by address hold for all behind it "
              "together. If it is your proxy, add the address to http.trusted_proxies."}});
}

Next RequestCycle::serve(Connection& connection, RequestMemory& memory, std::string_view head) {
  prepare(connection, memory);
  Request& request = memory.request;
  const Framing& framing = memory.framing;
  if (const Refusal refusal = parse_head(head, head_limits_, request, memory.framing)) {
    refuse(connection, memory, refusal);
    return Next::kLinger;
  }
  memory.input.consume(head.size());
  memory.input.pin();
  if (!proxies_.empty() || connection.peer_ip.empty())
    proxies_.resolve(connection.peer_ip, request);
  if (!warned_of_proxy_) warn_of_ignored_proxy(connection.peer_ip, request);
  request.request_id = make_request_id();
  // Of what this request and its answer hold until its end.
  Shares::Memory held(shares_, request);
  ConnectionBody body(connection, memory.input, framing, config_.body_idle_timeout_ms, held);
  request.body = &body;

  // The part of the body that the handler left is read over when that is cheap: the next request
  // stands behind it.
  Shares::Ticket ticket;
  Response response = respond(memory, body, ticket);
  // What is written from memory or a file is no work any more; a stream is, to its end.
  if (!response.stream) ticket.leave();
  const bool consumed = body.discard_rest();
  if (body.used_socket()) memory.drained = false;
  Outcome outcome{held};
  outcome.facts.http_1_1 = framing.http_1_1;
  outcome.facts.head_only = request.method == Method::kHead;
  outcome.facts.keep_alive = framing.keep_alive && consumed && !draining_ &&
                             ++connection.requests_served < config_.requests_per_connection_max;
  outcome.received_bytes = body.received_bytes();
  deliver(connection, memory, response, outcome);
  report(memory, memory.secret_pattern.empty() ? request.path : memory.secret_pattern, outcome);
  memory.input.unpin();
  if (!outcome.status.ok()) return Next::kClose;
  if (outcome.facts.keep_alive) return Next::kKeepAlive;
  return consumed ? Next::kClose : Next::kLinger;
}

void RequestCycle::refuse(Connection& connection, RequestMemory& memory, Refusal refusal) {
  prepare(connection, memory);
  memory.request.request_id = make_request_id();
  Response response = problem_response(refusal.status, invalid(refusal.why), Dialect::kPortal,
                                       memory.request.request_id);
  Shares::Memory held(shares_, memory.request);
  Outcome outcome{held};
  outcome.facts.keep_alive = false;
  deliver(connection, memory, response, outcome);
  report(memory, {}, outcome);
}

// Made without a connection's memory, since the caller is the accept thread or the monitor.
std::string RequestCycle::refusal_text(Refusal refusal, int retry_after_s) const {
  const std::string request_id = make_request_id();
  Status status = invalid(refusal.why);
  if (retry_after_s > 0) status = std::move(status).with_retry_after_s(retry_after_s);
  Response response = problem_response(refusal.status, status, Dialect::kPortal, request_id);
  DateText date;
  HeadFacts facts;
  facts.keep_alive = false;
  facts.request_id = request_id;
  facts.date = date.at(clock_.unix_s());
  std::string text;
  format_head(response, facts, plan_body(response, facts), text);
  return text + response.body;
}

}  // namespace kvcs::http
