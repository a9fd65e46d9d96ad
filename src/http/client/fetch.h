// Requests of the command line, for the API and for bytes alike: one client for one thread over
// libcurl's easy interface. Its connections are kept for the next request to the same server. It
// reads no environment variable: which proxy, and whose certificates, the policy says.
//
// A redirect is followed by the same method with the same body, at most five times, and only where
// nothing is given away by it: a request that carries a credential (Authorization) goes to no other
// origin, and none goes from https to http. One that is not followed is the answer, and `moved_to`
// says where it points. Nothing is repeated, but that libcurl sends a request once more when a kept
// connection turns out to be closed; a request that must not be sent twice gets a new connection.
//
// Reasons of failures. Before a byte of the request has left: dns_failed, connect_failed,
// connect_timeout, tls_failed, proxy_failed. Afterwards: not_http, truncated, deadline, idle. And
// stopped, when the policy's function said so.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace kvcs::http {

using FetchHeaders = std::vector<std::pair<std::string, std::string>>;

// How a server is reached, and by whose word it is believed to be itself.
struct FetchWay {
  // The certificates of the authorities that are trusted, in place of the system's: a file, a
  // folder as c_rehash(1) makes it, or both. "" and "": the system's.
  std::string ca_file, ca_folder;
  // The proxies for http:// and for https://, "" for none. A server on this machine never has one.
  std::string http_proxy, https_proxy;
  std::string no_proxy;  // Hosts without a proxy, as NO_PROXY lists them.
};

struct FetchPolicy {
  FetchWay way;
  std::map<std::string, FetchWay> ways_of = {};  // In place of `way`, by origin.
  std::string user_agent = "kvcs";
  int connect_timeout_ms = 10'000;
  std::function<bool()> stopped = {};  // True ends the exchange, within a second. May be empty.
};

// A value; it must live until the call returns.
struct FetchRequest {
  std::string method = "GET";
  std::string url;  // http or https; no user info, no fragment.
  FetchHeaders headers = {};
  std::string body = {};
  // Bytes of a file in place of `body`, straight from its descriptor; `path` names it in failures.
  int descriptor = -1;
  std::string path;
  uint64_t offset = 0, size_bytes = 0;  // In the file.
  int deadline_ms = 30'000;             // Whole exchange; 0: none.
  int idle_timeout_ms = 60'000;         // No byte in either direction for so long; 0: none.
  bool ignores_stop = false;            // It goes on whatever the policy's `stopped` says.
  // Sending it twice does no more than sending it once. GET, HEAD, PUT and DELETE need not say so.
  bool is_repeatable = false;
  std::function<void(uint64_t sent_bytes)> sent = {};  // Of the file; may be empty.
};

struct FetchAnswer {
  int status = 0;
  FetchHeaders headers;  // Lower-case names, in order of arrival.
  std::string body;
  std::string moved_to;  // Of a redirect that was not followed: the URL.
  bool ok() const { return status / 100 == 2; }
  std::optional<std::string_view> header(std::string_view lower_name) const;  // The first.
};

class Fetcher final {
 public:
  // A piece of the body of a 2xx answer, whose head is in. A failure ends the exchange with it.
  using Take = std::function<Status(const FetchAnswer& head, std::string_view bytes)>;

  explicit Fetcher(FetchPolicy policy);

  // TooLarge: the body of a 2xx answer is longer. That of another answer is cut at 64 KiB.
  Result<FetchAnswer> ask(const FetchRequest& request, size_t body_max_bytes);
  // The body of a 2xx answer goes to `take` as it comes; that of another is in the answer, cut at
  // 64 KiB.
  Result<FetchAnswer> receive(const FetchRequest& request, const Take& take);

 private:
  class Exchange;
  Result<FetchAnswer> exchange(const FetchRequest& request, const Take& take);
  const FetchWay& way_to(const std::string& url) const;

  FetchPolicy policy_;
  std::unique_ptr<void, void (*)(void*)> easy_;
};

// "https://example.com" of "https://Example.com:443/a?b"; "" when it is no URL that can be asked.
std::string origin_of(std::string_view url);
// Invalid: no request goes to this URL.
Status check_fetch_url(std::string_view url);
// The URL without what could be the password in it, for messages: everything before the last "@".
std::string without_password(std::string_view url);

}  // namespace kvcs::http
