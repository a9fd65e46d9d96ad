// Which server a command asks, with which key, through which proxy and by whose certificates: the
// rules alone, as pure functions of what was found on this machine (api_settings.h finds it). A key
// goes only to the server that it is for:
//   - a key of the environment to the server that the user named: --server, KVCS_API_URL,
//     KVCDN_API_URL, the configuration, else http://127.0.0.1:8080;
//   - a stored key to the server that it was stored for, a login to the server of that login;
//   - a local daemon's key to the URL that stands beside it in the same file.
// So what lies in the working directory never decides where another key goes: a local daemon's URL
// is used only with that daemon's own key, and where no other key is at hand.
#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "base/status.h"
#include "http/client/fetch.h"

namespace kvcs::cli {

inline constexpr const char* kDefaultUrl = "http://127.0.0.1:8080";

// Of one server, by `kvcs server add`.
struct ServerSettings {
  std::string ca_file, proxy;
};
// The configuration file.
struct StoredSettings {
  std::string api_url, api_key, api_key_url;
  std::map<std::string, ServerSettings> servers = {};
};
// initial-credentials.json: one unit, of URL and keys.
struct LocalDaemon {
  std::string url, api_key, admin_key;
};
// All that was found, in the order in which it counts.
struct Sources {
  std::string named_url, named_ca_file;               // --server, --cacert
  std::map<std::string, std::string> variables = {};  // Of the environment, those that are not "".
  StoredSettings stored = {};
  std::set<std::string> logins = {};  // The servers with a login.
  LocalDaemon local = {};
};

// Which keys open the door that a command knocks at.
struct Door {
  std::vector<std::string> key_variables;  // The first that is set counts.
  bool takes_stored_key = false;
  bool takes_login = false;
  bool local_before_login = false;
  std::string LocalDaemon::*local_key = nullptr;
};
Door api_door();                           // Of organizations, projects and people.
Door admin_door();                         // Of the daemon's administrator.
Door variable_door(std::string variable);  // Of nobody but the key in this variable.

struct ServerChoice {
  std::string url;     // Without a slash at its end.
  std::string source;  // "--server", a variable, "configuration", "local daemon" or "default".
};
// Invalid: the URL is none that a server has; it is told without a password.
Result<ServerChoice> choose_server(const Sources& sources, const Door& door);
// One that is named by hand: http or https, a host, perhaps a port and a path. `source` is for the
// failure.
Result<std::string> read_server_url(std::string_view source, std::string_view text);

struct KeyChoice {
  Secret key;          // Empty: none, or that of the login.
  std::string source;  // "environment", "configuration", "login", "local daemon" or "none".
  std::vector<std::string> variables = {};  // Of "environment": those that are set.
};
KeyChoice choose_key(const Sources& sources, const Door& door, const ServerChoice& server);

struct WayChoice {
  http::FetchWay way;
  std::string ca_source;     // "--cacert", a variable, "configuration" or "system".
  std::string proxy_source;  // A variable, "configuration" or "none".
};
// To a server; "" for one that the configuration does not know.
WayChoice choose_way(const Sources& sources, const std::string& server);
// To all servers: the known ones by their own ways.
http::FetchPolicy fetch_policy(const Sources& sources);

}  // namespace kvcs::cli
