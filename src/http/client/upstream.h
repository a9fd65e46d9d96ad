// Requests to other servers. make_http_upstream gives one client with two engines: libcurl
// (https, HTTP/2, names that need DNS) and an own plain HTTP/1.1 client for http:// addresses.
// ScriptedUpstream in tests/support is the fake.
//
// open() returns as soon as the response's head is in; the body is pulled by read(), which is the
// back-pressure: what is not read is not fetched (at most 256 KiB wait in memory). Redirects are
// never followed, and bodies not decoded (http/client/content_decoder.h does that). Nothing is
// retried, with one exception: a request on a pooled connection that the peer closed before the
// first byte of a response is sent once more on a new connection (RFC 9112 §9.3.1), if its method
// is idempotent (RFC 9110 §9.2.2) or part of it had not been sent. A POST of which all has left is
// never sent twice: the server may have acted. Thread-safe; a response is used by the request or
// the thread that opened it and must not outlive its HttpUpstream.
//
// The message of a failure does not name the other server; its cause does. Reasons, before a byte
// of the request has left: dns_failed, connect_failed, connect_timeout (also for other limits),
// tls_failed, private_address, upstream_busy, client_gone_unsent. Afterwards: not_http, truncated,
// deadline, idle, client_gone, bad_coding.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace kvcs::http {

// A request to another server. A value; it must live until open() returns.
struct UpstreamRequest {
  std::string method = "GET";
  std::string url;  // http or https; no user info, no fragment, nothing left to escape.
  // Names are tokens, values without control characters. Host, Content-Length, Expect and
  // hop-by-hop headers belong to the engine and are left out.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  int connect_timeout_ms = 5'000;
  int deadline_ms = 30'000;      // Whole exchange; 0: none.
  int idle_timeout_ms = 60'000;  // No byte for so long while we wait; 0: none.
  // The exchange waits with the current_waiter() (base/wait.h) of the caller of open(). True: the
  // client of the request that calls cancels the exchange by leaving.
  bool stop_if_client_leaves = false;
  // With these it does not, once a byte of the request has left: from then on the exchange may last
  // so long, within the deadline, and give so many bytes of body. 0 ms: cancelled at once.
  int after_client_left_ms = 0;
  size_t after_client_left_bytes = 1 << 20;
  bool allow_private_addresses = false;  // Else a host resolving to one is Forbidden (SSRF).
  size_t head_max_bytes = 64 << 10;
};

// A response whose head is in. Reading it waits with the waiter that open() found.
class UpstreamResponse {
 public:
  virtual ~UpstreamResponse() = default;  // Cancels what is not finished.
  virtual int status() const = 0;
  // Lower-case names, in order of arrival; hop-by-hop headers removed.
  virtual const std::vector<std::pair<std::string, std::string>>& headers() const = 0;
  std::optional<std::string_view> header(std::string_view lower_name) const;  // The first.
  // All values of a header that is a list, in order, joined by ", " (RFC 9110 §5.3).
  std::optional<std::string> header_list(std::string_view lower_name) const;
  // True once the client is known to have left, whose leaving did not cancel the exchange.
  virtual bool client_left() const = 0;
  // The caller knows it from elsewhere, from a write to the client that failed. From now on
  // after_client_left_ms and _bytes hold; without them the next read() fails.
  virtual void note_client_left() = 0;
  // 0 at the clean end. Upstream: broken off, lied about its length. Timeout: deadline or idle.
  // Unavailable with reason "client_gone": the watched client left, or our server stops; every
  // failure after the client left is this one, with its own words as the cause. A failure is final.
  virtual Result<size_t> read(std::span<char> out) = 0;
  Result<std::string> read_all(size_t max_bytes);  // TooLarge beyond.
};

class HttpUpstream {
 public:
  virtual ~HttpUpstream() = default;
  // Upstream: no connection, no DNS, TLS failure, not HTTP. Timeout. Forbidden: private address.
  // Invalid: a URL, method or header that is not sendable. Unavailable: "client_gone",
  // "client_gone_unsent", or "upstream_busy" at connections_per_host_max.
  virtual Result<std::unique_ptr<UpstreamResponse>> open(const UpstreamRequest& request) = 0;
};

// The two questions that money and idempotency keys ask of a failure of open() or read(). True
// when not one byte of the request has left, so that the server cannot have acted.
bool surely_not_sent(const Status& failure);
// The same by the reason alone, for who kept nothing else.
bool is_unsent_reason(std::string_view reason);
// True when it was the client that ended the exchange by leaving, or our server by stopping.
bool client_left(const Status& failure);

struct UpstreamConfig {
  int connections_per_host_max = 1200;  // Exchanges at once with one host and port.
  int connections_idle_max = 512;       // Kept open for the next request, all hosts together.
  int dns_cache_s = 60;
  std::string ca_file;  // "" = the system's.
  std::string user_agent = "kvcs";
};
// `clock` outlives the result.
std::unique_ptr<HttpUpstream> make_http_upstream(const UpstreamConfig& config, const Clock& clock);

// For checks at configuration time. Invalid: open() would refuse this URL.
Status check_upstream_url(std::string_view url);
}  // namespace kvcs::http
