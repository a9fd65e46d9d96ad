// A client of the daemon's HTTP API, for the commands. Which server it asks, with which key,
// through which proxy and by whose certificates, is decided by the rules of client_settings.h over
// what is found here: the command line, the environment, the configuration file, the logins
// (credentials.h), and what a local daemon has left.
// The configuration file is config.json in $XDG_CONFIG_HOME/kvcs (else ~/.config/kvcs), mode 0600.
// A local daemon's credentials are initial-credentials.json in $KVCS_DATA_DIR, ./data or
// /var/lib/kvcs. One thread.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/repeat.h"
#include "http/client/fetch.h"

namespace kvcs::cli {

// The server to ask, the key to ask with, and the words for the user when the server refuses it.
struct ApiSettings {
  std::string url;
  std::string url_source = {};  // As ServerChoice has it.
  Secret key;
  std::string key_source;  // "environment", "configuration", "login", "local daemon" or "none"
  std::vector<std::string> key_variables = {};  // Of "environment": those that are set.
  // Said when there is no key, or the server refuses it.
  std::string key_advice =
      "Run `kvcs login`, set KVCS_API_KEY, or store a key with `kvcs api-key set`.";
  http::FetchPolicy policy = {};
  std::string ca_file = {}, ca_source = {};  // Of the server, as WayChoice has it; for people.
  std::string proxy = {}, proxy_source = {};
  // What is wrong with one of the sources. Nothing is asked then.
  Status fault = {};
};
ApiSettings find_api_settings(const ServerFlags& flags);
// The same server with the key of an administrator.
ApiSettings find_admin_settings(const ServerFlags& flags);
// The same with the key in a variable, and no other.
ApiSettings find_settings_of(const ServerFlags& flags, const std::string& variable);
inline ApiSettings find_api_settings(const Invocation& in) {
  return find_api_settings(in.server_flags());
}
inline ApiSettings find_admin_settings(const Invocation& in) {
  return find_admin_settings(in.server_flags());
}
// The server that the user named, or configured, and how servers are reached. What lies in the
// working directory names none here.
struct NamedServer {
  std::string url;
  http::FetchPolicy policy;
};
Result<NamedServer> find_named_server(const ServerFlags& flags);

std::string client_config_path();   // "" without a home.
Result<Json> read_client_config();  // {} when there is none.
Status write_client_config(const Json& config);

class ApiClient final {
 public:
  // Connects at the first request; connections are kept for the next ones.
  explicit ApiClient(ApiSettings settings);
  const ApiSettings& settings() const { return settings_; }

  // The answer's JSON; null for an empty one. Failures carry the server's own words.
  Result<Json> call(std::string_view method, const std::string& path);
  Result<Json> call(std::string_view method, const std::string& path, const Json& body);
  // A POST that does no more when it is sent twice; `idempotency_key` says so to the server, unless
  // it is "".
  Result<Json> post_repeatable(const std::string& path, const Json& body,
                               const std::string& idempotency_key = {});
  // A record that is read, changed and written back with the ETag that it came with, so that
  // another's change in between is not undone: the server refuses then.
  Result<Json> get_tagged(const std::string& path, std::string& etag);
  Result<Json> put_tagged(const std::string& path, const Json& body, const std::string& etag);
  // The answer as it came; a body of any kind.
  Result<std::string> call_bytes(std::string_view method, const std::string& path,
                                 std::string body = {}, const std::string& content_type = {});
  // The answer whatever its status. The request brings what it needs but for server and key.
  Result<http::FetchAnswer> exchange(http::FetchRequest request, const std::string& path);
  // An answer that is not 2xx as a failure: the server's words, and what to do about the key.
  Status refusal(const http::FetchAnswer& answer) const;
  // Gives a thing of the server's back while the command is ending: a short try, also after Ctrl-C.
  void drop(const std::string& path);

  // What lies at any URL. None of these sends the key; `authorization` is the value of that header,
  // or "".
  struct Remote {
    uint64_t size_bytes = 0;
    std::string etag;         // Without quotes; "" when there is none.
    std::string disposition;  // Content-Disposition.
  };
  Result<Remote> look_at(const std::string& url, const std::string& authorization = {});
  // Bytes from ≤ i < to; `to` 0 for all that follow.
  struct ByteRange {
    uint64_t from = 0, to = 0;
  };
  // A GET of a range; the bytes go to `take` with the head that they came behind. The reason of a
  // server that has none there (416) is range_refused.
  Status get_bytes(const std::string& url, ByteRange range, const std::string& etag,
                   const std::string& authorization, const http::Fetcher::Take& take);
  // A request as it is. A status that is not 2xx is a failure.
  Result<http::FetchAnswer> fetch(const http::FetchRequest& request);

 private:
  // Adds server and key to the request and returns the body of a 2xx answer; `etag`, when given,
  // takes that of the answer.
  Result<std::string> send(http::FetchRequest request, const std::string& path,
                           std::string* etag = nullptr);
  Result<Json> read_answer(const Result<std::string>& body, const std::string& path) const;
  Status moved(const http::FetchAnswer& answer, const std::string& path) const;

  const ApiSettings settings_;
  http::Fetcher fetcher_;
};

// Before a request is tried once more.
void pause_ms(int64_t ms);

// The rule for requests of a transfer: it notes what failed, waits, and ends at Ctrl-C.
Repeat::Hooks repeat_hooks(Console& console);
// The same without words, for the threads of a transfer.
Repeat::Hooks silent_repeat_hooks();

// Whether a signed URL was refused because its time is over: another is asked for then.
bool is_expired_url(const Status& failure);

// A response that is not 2xx as a failure: the server's message and its numbers, in words of the
// command line, and how long it asks to wait.
Status status_of_answer(int http_status, std::string_view body);
Status status_of_answer(const http::FetchAnswer& answer);

}  // namespace kvcs::cli
