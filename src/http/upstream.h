// Requests to other servers. Two engines: make_curl_upstream (HTTP/1.1, HTTP/2, TLS, pooled
// connections) and ScriptedUpstream in tests/support.
//
// open() returns as soon as the response's head is in; the body is pulled by read(), which is the
// back-pressure: what is not read is not fetched. Redirects are never followed, nothing is retried.
// Thread-safe; a response is used by one thread.
#pragma once
#include <cstdint>
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

struct UpstreamRequest {
  std::string method = "GET";
  std::string url;  // http or https
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  int connect_timeout_ms = 5'000;
  int deadline_ms = 30'000;      // Whole exchange; 0: none.
  int idle_timeout_ms = 60'000;  // No byte for so long.
  int client_fd = -1;            // A client that leaves cancels the exchange; -1: nobody to watch.
  bool allow_private_addresses = false;  // Else a host resolving to one is Forbidden (SSRF).
  size_t head_max_bytes = 64 << 10;
};

class UpstreamResponse {
 public:
  virtual ~UpstreamResponse() = default;  // Cancels what is not finished.
  virtual int status() const = 0;
  // Lower-case names, in order of arrival; hop-by-hop headers removed.
  virtual const std::vector<std::pair<std::string, std::string>>& headers() const = 0;
  std::optional<std::string_view> header(std::string_view lower_name) const;
  // 0 at the clean end. Upstream: broken off, lied about its length. Timeout: deadline or idle.
  // Unavailable with reason "client_gone": the watched client left.
  virtual Result<size_t> read(std::span<char> out) = 0;
  Result<std::string> read_all(size_t max_bytes);  // TooLarge beyond.
};

class HttpUpstream {
 public:
  virtual ~HttpUpstream() = default;
  // Upstream: no connection, no DNS, TLS failure, not HTTP. Timeout. Forbidden: private address.
  virtual Result<std::unique_ptr<UpstreamResponse>> open(const UpstreamRequest& request) = 0;
};

struct UpstreamConfig {
  int connections_per_host_max = 256;
  int connections_idle_max = 512;
  int dns_cache_s = 60;
  std::string ca_file;  // "" = the system's.
  std::string user_agent = "kvcs";
};
std::unique_ptr<HttpUpstream> make_curl_upstream(const UpstreamConfig& config, const Clock& clock);

}  // namespace kvcs::http
