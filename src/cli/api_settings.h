// Which server a command asks, with which key, through which proxy and by whose certificates: the
// rules of client_settings.h over what is found here, which is the command line, the environment,
// the configuration file, the logins (credentials.h), and what a local daemon has left.
// The configuration file is config.json in $XDG_CONFIG_HOME/kvcs (else ~/.config/kvcs), mode 0600.
// A local daemon's credentials are initial-credentials.json in $KVCS_DATA_DIR, ./data or
// /var/lib/kvcs. One thread.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/command.h"
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

}  // namespace kvcs::cli
