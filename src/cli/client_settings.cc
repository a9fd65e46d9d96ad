// The rules by which a command chooses server, key, proxy and certificates.
#include "cli/client_settings.h"

#include <algorithm>
#include <initializer_list>

#include "base/bytes.h"
#include "base/loopback.h"

namespace kvcs::cli {
namespace {

std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::string value_of(const Sources& sources, const std::string& name) {
  const auto found = sources.variables.find(name);
  return found == sources.variables.end() ? "" : found->second;
}

// The first of these variables that is set, as its name.
std::string first_set(const Sources& sources, std::initializer_list<const char*> names) {
  for (const char* const name : names) {
    if (!value_of(sources, name).empty()) return name;
  }
  return {};
}

bool has_environment_key(const Sources& sources, const Door& door) {
  return std::any_of(door.key_variables.begin(), door.key_variables.end(),
                     [&](const std::string& name) { return !value_of(sources, name).empty(); });
}

bool has_own_key(const Sources& sources, const Door& door) {
  return has_environment_key(sources, door) ||
         (door.takes_stored_key && !sources.stored.api_key.empty());
}

// The configured server: the one that was chosen, else the one that the stored key is for.
std::string configured_url(const StoredSettings& stored) {
  return stored.api_url.empty() ? stored.api_key_url : stored.api_url;
}

// A key of before `api_key_url` was kept is for the server that was configured with it.
std::string stored_key_url(const StoredSettings& stored) {
  const std::string url = stored.api_key_url.empty() ? stored.api_url : stored.api_key_url;
  return without_slash(url.empty() ? kDefaultUrl : url);
}

std::string local_key(const Sources& sources, const Door& door) {
  return door.local_key == nullptr ? "" : sources.local.*door.local_key;
}

Result<ServerChoice> chosen(std::string_view source, std::string_view url) {
  std::string read = KVCS_TRY(read_server_url(source, url));
  return ServerChoice{std::move(read), std::string(source)};
}

}  // namespace

Door api_door() {
  return {.key_variables = {"KVCS_TOKEN", "KVCS_API_KEY", "KVCDN_API_KEY"},
          .takes_stored_key = true,
          .takes_login = true,
          .local_before_login = false,
          .local_key = &LocalDaemon::api_key};
}

// An administrator's key is never taken from the configuration: it is there for everyday keys.
Door admin_door() {
  return {.key_variables = {"KVCS_ADMIN_KEY"},
          .takes_stored_key = false,
          .takes_login = true,
          .local_before_login = true,
          .local_key = &LocalDaemon::admin_key};
}

Door variable_door(std::string variable) {
  Door door;
  door.key_variables.push_back(std::move(variable));
  return door;
}

Result<std::string> read_server_url(std::string_view source, std::string_view text) {
  const auto refused = [&](std::string_view why) {
    return invalid(std::string(source) + ": '" +
                   printable(http::without_password(text), kShownValue) + "' " + std::string(why));
  };
  const std::string lower = lower_ascii(text.substr(0, 8));
  if (!lower.starts_with("http://") && !lower.starts_with("https://")) {
    return refused("does not begin with http:// or https://.");
  }
  if (text.find('@') != text.npos) {
    return refused("has a user name or a password in it; a key belongs in KVCS_API_KEY.");
  }
  if (text.find_first_of("?#") != text.npos) {
    return refused("has a '?' or a '#'; a server's URL ends with its path.");
  }
  if (!http::check_fetch_url(text).ok()) return refused("is no URL of a server.");
  return without_slash(std::string(text));
}

Result<ServerChoice> choose_server(const Sources& sources, const Door& door) {
  if (!sources.named_url.empty()) return chosen("--server", sources.named_url);
  const std::string variable = first_set(sources, {"KVCS_API_URL", "KVCDN_API_URL"});
  if (!variable.empty()) return chosen(variable, value_of(sources, variable));
  const std::string configured = configured_url(sources.stored);
  if (!configured.empty()) return chosen("configuration", configured);
  const bool is_local = !sources.local.url.empty() && !local_key(sources, door).empty() &&
                        !has_own_key(sources, door);
  if (is_local) return chosen("local daemon", sources.local.url);
  return ServerChoice{kDefaultUrl, "default"};
}

KeyChoice choose_key(const Sources& sources, const Door& door, const ServerChoice& server) {
  const std::string local = local_key(sources, door);
  // What names the server here gives the key too, and no other key goes there.
  if (server.source == "local daemon") return {Secret(local), "local daemon"};
  KeyChoice choice{Secret(), "none"};
  for (const std::string& name : door.key_variables) {
    const std::string value = value_of(sources, name);
    if (value.empty()) continue;
    if (choice.key.empty()) choice.key = Secret(value);
    choice.variables.push_back(name);
  }
  if (!choice.key.empty()) {
    choice.source = "environment";
    return choice;
  }
  if (door.takes_stored_key && !sources.stored.api_key.empty() &&
      stored_key_url(sources.stored) == server.url) {
    return {Secret(sources.stored.api_key), "configuration"};
  }
  const bool is_local = !local.empty() && without_slash(sources.local.url) == server.url;
  const bool has_login = door.takes_login && sources.logins.contains(server.url);
  if (is_local && (door.local_before_login || !has_login)) return {Secret(local), "local daemon"};
  if (has_login) return {Secret(), "login"};
  return choice;
}

WayChoice choose_way(const Sources& sources, const std::string& server) {
  WayChoice choice{{}, "system", "none"};
  const auto known = sources.stored.servers.find(server);
  const ServerSettings own =
      known == sources.stored.servers.end() ? ServerSettings() : known->second;
  const std::string ca_variable =
      first_set(sources, {"SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"});
  if (!sources.named_ca_file.empty()) {
    choice.way.ca_file = sources.named_ca_file;
    choice.ca_source = "--cacert";
  } else if (ca_variable == "SSL_CERT_FILE" || ca_variable == "SSL_CERT_DIR") {
    choice.way.ca_file = value_of(sources, "SSL_CERT_FILE");
    choice.way.ca_folder = value_of(sources, "SSL_CERT_DIR");
    choice.ca_source = ca_variable;
  } else if (!ca_variable.empty()) {
    choice.way.ca_file = value_of(sources, ca_variable);
    choice.ca_source = ca_variable;
  } else if (!own.ca_file.empty()) {
    choice.way.ca_file = own.ca_file;
    choice.ca_source = "configuration";
  }
  // HTTP_PROXY is not read: a CGI script would have it from a request (httpoxy, CVE-2016-5388).
  const std::string plain = first_set(sources, {"http_proxy", "all_proxy", "ALL_PROXY"});
  const std::string tls =
      first_set(sources, {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"});
  choice.way.http_proxy = plain.empty() ? own.proxy : value_of(sources, plain);
  choice.way.https_proxy = tls.empty() ? own.proxy : value_of(sources, tls);
  choice.way.no_proxy = value_of(sources, first_set(sources, {"no_proxy", "NO_PROXY"}));
  if (is_loopback_url(server)) return choice;
  const std::string& used = server.starts_with("https://") ? tls : plain;
  if (!used.empty()) {
    choice.proxy_source = used;
  } else if (!own.proxy.empty()) {
    choice.proxy_source = "configuration";
  }
  return choice;
}

http::FetchPolicy fetch_policy(const Sources& sources) {
  http::FetchPolicy policy{choose_way(sources, "").way};
  for (const auto& [server, unused] : sources.stored.servers) {
    policy.ways_of[http::origin_of(server)] = choose_way(sources, server).way;
  }
  return policy;
}

}  // namespace kvcs::cli
