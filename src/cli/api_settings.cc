// Finds what lies on this machine, and reads and writes the configuration file.
#include "cli/api_settings.h"

#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <optional>

#include "base/bytes.h"
#include "base/environment.h"
#include "cli/client_settings.h"
#include "cli/credentials.h"
#include "cli/interrupt.h"
#include "cli/state_paths.h"
#include "kvfile/kvfile.h"

namespace kvcs::cli {
namespace {

// The configuration and the credentials; both are some hundred bytes.
constexpr uint64_t kSmallFileMaxBytes = 64 << 10;

// The variables of the environment that have a say, beside those that hold keys (Door).
constexpr std::array<const char*, 12> kVariables = {
    "KVCS_API_URL",   "KVCDN_API_URL", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "CURL_CA_BUNDLE", "http_proxy",    "https_proxy",   "HTTPS_PROXY",
    "all_proxy",      "ALL_PROXY",     "no_proxy",      "NO_PROXY"};

// Whether the file is this user's or root's, and closed to others: anybody may lay one into a
// folder that others work in, and it names the server that bytes go to.
bool is_own_file(const std::string& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return false;
  const bool is_ours = facts.st_uid == ::geteuid() || facts.st_uid == 0;
  return is_ours && (facts.st_mode & 077) == 0;
}

// The credentials that a local daemon has left at its first start; nothing when there are none that
// this user may read. The first folder with a readable file wins.
LocalDaemon local_daemon() {
  for (const std::string& folder :
       {environment("KVCS_DATA_DIR"), std::string("data"), std::string("/var/lib/kvcs")}) {
    if (folder.empty() || !is_own_file(folder + "/initial-credentials.json")) continue;
    const auto text =
        kvfile::read_small_file(folder + "/initial-credentials.json", kSmallFileMaxBytes);
    if (!text.ok()) continue;
    const auto json = parse_json(*text);
    if (!json.ok() || !(*json).is_object()) continue;
    return {text_member(*json, "url"), text_member(*json, "api_key"),
            text_member(*json, "admin_key")};
  }
  return {};
}

StoredSettings read_stored(const Json& config) {
  StoredSettings stored{text_member(config, "api_url"), text_member(config, "api_key"),
                        text_member(config, "api_key_url")};
  const auto servers = config.find("servers");
  if (servers == config.end() || !servers->is_object()) return stored;
  for (const auto& [url, one] : servers->items()) {
    if (!one.is_object()) continue;
    stored.servers[url] = {text_member(one, "ca_file"), text_member(one, "proxy")};
  }
  return stored;
}

}  // namespace

std::string client_config_path() {
  const std::string folder = config_folder();
  return folder.empty() ? "" : folder + "/config.json";
}

Result<Json> read_client_config() {
  const std::string path = client_config_path();
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return Json::object();
  const std::string text = KVCS_TRY(kvfile::read_small_file(path, kSmallFileMaxBytes));
  auto config = parse_json(text);
  if (!config.ok() || !(*config).is_object()) {
    return invalid(printable(path, kShownText) + " is not a JSON object; correct or remove it.");
  }
  return config;
}

// Replaces the whole file. The umask is the process's, so no other thread may create files
// meanwhile; commands have one thread here.
Status write_client_config(const Json& config) {
  const std::filesystem::path path = client_config_path();
  if (path.empty()) return no_home();
  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  if (failed) return io_error("create", path.parent_path().string(), failed.value());
  // The file is created with the mode it must have, never readable to others in between.
  const mode_t before = ::umask(0077);
  const Status written =
      kvfile::write_file_atomically(path.string(), dump_json_pretty(config) + "\n");
  ::umask(before);
  KVCS_TRY(Status(written));
  if (::chmod(path.c_str(), 0600) != 0) return io_error("chmod", path.string(), errno);
  return ok();
}

namespace {

// The advice for a key that is used though somebody may have signed in.
std::string advice_before_login(const KeyChoice& choice) {
  if (choice.source == "configuration") {
    return "The stored key goes before a login: `kvcs api-key clear` forgets it.";
  }
  std::string options;
  for (const std::string& name : choice.variables) options += " -u " + name;
  return "The key of " + join(choice.variables, ", ") + " goes before a login: `env" + options +
         " kvcs …` leaves it out.";
}

// What lies on this machine. A configuration file that cannot be read, and logins that others can,
// are faults: going on without them would ask another server, or the same one as nobody.
Sources find_sources(const ServerFlags& flags, const Door& door, Status& fault,
                     Status& login_fault) {
  Sources sources{flags.server, flags.cacert};
  std::vector<std::string> names(kVariables.begin(), kVariables.end());
  names.insert(names.end(), door.key_variables.begin(), door.key_variables.end());
  for (const std::string& name : names) {
    std::string value = environment(name);
    if (!value.empty()) sources.variables[name] = std::move(value);
  }
  const Result<Json> config = read_client_config();
  if (config.ok()) {
    sources.stored = read_stored(*config);
  } else {
    fault = config.status();
  }
  const Result<std::vector<Login>> logins = read_logins();
  if (logins.ok()) {
    for (const Login& login : *logins) sources.logins.insert(login.server);
  } else {
    login_fault = logins.status();
  }
  sources.local = local_daemon();
  return sources;
}

http::FetchPolicy stoppable_policy(const Sources& sources) {
  http::FetchPolicy policy = fetch_policy(sources);
  policy.stopped = interrupted;
  return policy;
}

void take_way(const Sources& sources, ApiSettings& found) {
  const WayChoice way = choose_way(sources, found.url);
  found.policy = stoppable_policy(sources);
  found.ca_file = way.way.ca_file.empty() ? way.way.ca_folder : way.way.ca_file;
  found.ca_source = way.ca_source;
  found.proxy_source = way.proxy_source;
  if (way.proxy_source == "none") return;
  found.proxy = found.url.starts_with("https://") ? way.way.https_proxy : way.way.http_proxy;
}

// A login is renewed here when it is about to end.
void take_key(const Sources& sources, const Door& door, const ServerChoice& server,
              ApiSettings& found) {
  KeyChoice choice = choose_key(sources, door, server);
  found.key = choice.key;
  found.key_source = choice.source;
  if (!choice.key.empty() && choice.source != "local daemon") {
    found.key_advice = advice_before_login(choice);
  }
  found.key_variables = std::move(choice.variables);
  if (choice.source != "login") return;
  const Result<std::optional<Login>> login = fresh_login(found.url, found.policy);
  if (login.ok() && *login) {
    found.key = (*login)->access_token;
    found.key_advice = "Run `kvcs login` again.";
  } else {
    found.key_source = "none";
    if (!login.ok()) found.key_advice = login.status().message();
  }
}

ApiSettings find_settings(const ServerFlags& flags, const Door& door, std::string advice) {
  ApiSettings found;
  found.key_advice = std::move(advice);
  found.key_source = "none";
  Status login_fault;
  const Sources sources = find_sources(flags, door, found.fault, login_fault);
  if (!found.fault.ok()) return found;
  const Result<ServerChoice> server = choose_server(sources, door);
  if (!server.ok()) {
    found.fault = server.status();
    return found;
  }
  found.url = server->url;
  found.url_source = server->source;
  take_way(sources, found);
  take_key(sources, door, *server, found);
  if (found.key.empty() && !login_fault.ok()) found.key_advice = login_fault.message();
  const bool is_other = !sources.local.url.empty() && found.key_source != "local daemon" &&
                        http::origin_of(sources.local.url) != http::origin_of(found.url);
  if (is_other) {
    found.key_advice += " A daemon that keeps its data here answers at " +
                        printable(http::without_password(sources.local.url), kShownValue) +
                        ": `--server URL` asks it.";
  }
  return found;
}

}  // namespace

ApiSettings find_api_settings(const ServerFlags& flags) {
  return find_settings(flags, api_door(), ApiSettings().key_advice);
}

ApiSettings find_admin_settings(const ServerFlags& flags) {
  return find_settings(flags, admin_door(),
                       "Set KVCS_ADMIN_KEY, run `kvcs login` as an operator, or run this where "
                       "initial-credentials.json is.");
}

ApiSettings find_settings_of(const ServerFlags& flags, const std::string& variable) {
  return find_settings(flags, variable_door(variable), "Set " + variable + ".");
}

Result<NamedServer> find_named_server(const ServerFlags& flags) {
  Status fault, login_fault;
  const Sources sources = find_sources(flags, Door(), fault, login_fault);
  KVCS_TRY(std::move(fault));
  const ServerChoice server = KVCS_TRY(choose_server(sources, Door()));
  return NamedServer{server.url, stoppable_policy(sources)};
}

}  // namespace kvcs::cli
