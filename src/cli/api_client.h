// A client of the daemon's HTTP API, for the commands. Where it finds server and key, first wins:
//   server  KVCS_API_URL, KVCDN_API_URL, the configuration file, a local daemon's credentials,
//           http://127.0.0.1:8080
//   key     KVCS_TOKEN (of a session), KVCS_API_KEY, KVCDN_API_KEY, the configuration file, a login
//           at this server (credentials.h), a local daemon's credentials
//   admin   KVCS_ADMIN_KEY, a local daemon's credentials, a login at this server
// The configuration file is $XDG_CONFIG_HOME/kvcs/config.json (else ~/.config/kvcs/config.json),
// mode 0600. A local daemon's credentials are initial-credentials.json in $KVCS_DATA_DIR, ./data or
// /var/lib/kvcs; their key is sent to the URL they name and to no other. One thread.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/status.h"
#include "http/client/upstream.h"

namespace kvcs::cli {

// The server to ask, the key to ask with, and the words for the user when the server refuses it.
struct ApiSettings {
  std::string url;
  Secret key;
  std::string key_source;  // "environment", "configuration", "login", "local daemon" or "none"
  std::vector<std::string> key_variables = {};  // Of "environment": those that are set.
  // Said when there is no key, or the server refuses it.
  std::string key_advice =
      "Run `kvcs login`, set KVCS_API_KEY, or store a key with `kvcs api-key set`.";
};
// The server alone.
std::string find_api_url(std::string_view named_url = {});
// `named_url`: a server named on the command line, before all that is configured.
ApiSettings find_api_settings(std::string_view named_url = {});
// The same server with the key of an administrator.
ApiSettings find_admin_settings();

std::string client_config_path();
Result<Json> read_client_config();  // {} when there is none.
Status write_client_config(const Json& config);

class ApiClient final {
 public:
  // Connects at the first request; one connection is kept for the next ones.
  explicit ApiClient(ApiSettings settings);
  const ApiSettings& settings() const { return settings_; }

  // The answer's JSON; null for an empty one. Failures carry the server's own words.
  Result<Json> call(std::string_view method, const std::string& path);
  Result<Json> call(std::string_view method, const std::string& path, const Json& body);
  // A record that is read, changed and written back with the ETag that it came with, so that
  // another's change in between is not undone: the server refuses then.
  Result<Json> get_tagged(const std::string& path, std::string& etag);
  Result<Json> put_tagged(const std::string& path, const Json& body, const std::string& etag);
  // The answer as it came; a body of any kind.
  Result<std::string> call_bytes(std::string_view method, const std::string& path,
                                 std::string body = {}, const std::string& content_type = {});
  // The answer whatever its status. The request brings what it needs but for server and key.
  Result<std::unique_ptr<http::UpstreamResponse>> exchange(http::UpstreamRequest request,
                                                           const std::string& path);
  // An answer that is not 2xx as a failure: the server's words, and what to do about the key.
  Status refusal(int http_status, std::string_view body) const;

  // What lies at any URL. Neither this nor get_bytes() sends the key; `authorization` is the value
  // of that header, or "".
  struct Remote {
    uint64_t size_bytes = 0;
    std::string etag;         // Without quotes; "" when there is none.
    std::string disposition;  // Content-Disposition.
  };
  Result<Remote> look_at(const std::string& url, const std::string& authorization = {});
  // A GET from `offset` on.
  Result<std::unique_ptr<http::UpstreamResponse>> get_bytes(const std::string& url, uint64_t offset,
                                                            const std::string& etag,
                                                            const std::string& authorization = {});

 private:
  // `etag`, when given, takes that of the answer.
  // Adds server and key to the request and returns the body of a 2xx answer.
  Result<std::string> send(http::UpstreamRequest request, const std::string& path,
                           std::string* etag = nullptr);
  Result<Json> read_answer(const Result<std::string>& body, const std::string& path) const;

  const ApiSettings settings_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<http::HttpUpstream> upstream_;
};

// Before a request is tried once more.
void pause_ms(int64_t ms);

// A response that is not 2xx as a failure: the server's message and its numbers, in words of the
// command line.
Status status_of_answer(int http_status, std::string_view body);

}  // namespace kvcs::cli
