// `kvcs whoami` and `api-key`: which server and key commands use, whom they speak for, and the key
// that this machine keeps.
#include <nlohmann/json.hpp>

#include <iostream>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/own_calls.h"

namespace kvcs::cli {
namespace {

// The token of a session, in KVCS_TOKEN, and no key.
bool is_session(const ApiSettings& settings) {
  return settings.key.reveal().starts_with("ks_");
}

// Whom a key speaks for. A server of before has no /api/v1/me.
Result<Json> ask_who(ApiClient& api) {
  Result<Json> me = api.call("GET", "/api/v1/me");
  if (me.code() != Code::kNotFound) return me;
  return api.call("POST", "/api/v1/api-keys/verify");
}

// The slug of the active project beside its id. A server of before tells the id alone; who may list
// projects has the slug from there.
std::string project_of(ApiClient& api, const Json& about) {
  const std::string id = text_member(about, "project_id"), slug = text_member(about, "project");
  if (!slug.empty()) return printable(slug) + " (" + printable(id) + ")";
  if (id.empty() || text_member(about, "kind") != "person") return printable(id);
  const Result<Json> projects = read_list(api, "/api/v1/projects", "projects");
  if (!projects.ok()) return printable(id);
  for (const Json& project : *projects) {
    if (text_member(project, "project_id") == id) {
      return printable(text_member(project, "slug")) + " (" + printable(id) + ")";
    }
  }
  return printable(id);
}

using Fields = std::vector<std::pair<std::string, std::string>>;

void add_person(const Json& about, Fields& fields) {
  const std::string name = text_member(about, "name"), email = text_member(about, "email");
  fields.emplace_back("Signed in as",
                      printable(name + (email.empty() || email == name ? "" : " <" + email + ">")));
  if (const std::string role = text_member(about, "operator_role"); !role.empty()) {
    fields.emplace_back("Operator", printable(role));
  }
  const auto factor = about.find("second_factor");
  const bool is_on = factor != about.end() && factor->is_boolean() && factor->get<bool>();
  fields.emplace_back("Second factor", is_on ? "on" : "off (`kvcs totp on`)");
}

// The organization's slug, and of a person the role in it.
std::string organization_of(const Json& about) {
  std::string text = printable(text_member(about, "organization"));
  if (text.empty()) text = printable(text_member(about, "customer_id"));
  for (const Json& one : about.value("organizations", Json::array())) {
    if (text_member(one, "organization_id") != text_member(about, "organization_id")) continue;
    text += " (" + printable(text_member(one, "role")) + ")";
  }
  return text;
}

// Where the key came from: "environment: KVCS_API_KEY".
std::string source_of(const ApiSettings& settings) {
  if (settings.key_variables.empty()) return settings.key_source;
  return settings.key_source + ": " + settings.key_variables.front();
}

void add_key(const ApiSettings& settings, const Json& about, Fields& fields) {
  const std::string kind = text_member(about, "kind");
  const std::string whose = kind.empty()        ? "an API key"
                            : kind == "project" ? "of a project"
                                                : "of an " + printable(kind, kShownName);
  fields.emplace_back("Key", whose + " (" + source_of(settings) + ")");
}

// By whose word the server is believed, and through which proxy it is asked.
void add_way(const ApiSettings& settings, Fields& fields) {
  if (settings.ca_source != "system") {
    fields.emplace_back("Authorities",
                        printable(settings.ca_file, kShownWhole) + " (" + settings.ca_source + ")");
  }
  if (settings.proxy_source != "none") {
    fields.emplace_back("Proxy", printable(http::without_password(settings.proxy), kShownWhole) +
                                     " (" + settings.proxy_source + ")");
  }
}

void print_who(Console& console, ApiClient& api, const Json& about) {
  const ApiSettings& settings = api.settings();
  Fields fields = {
      {"Server", printable(settings.url, kShownWhole) + " (" + settings.url_source + ")"}};
  const bool is_person = text_member(about, "kind") == "person";
  if (settings.key.empty()) {
    fields.emplace_back("Key", "none: run `kvcs login`, or set KVCS_API_KEY");
  } else if (is_person) {
    add_person(about, fields);
    fields.emplace_back("By", source_of(settings));
  } else {
    add_key(settings, about, fields);
  }
  if (const std::string organization = organization_of(about); !organization.empty()) {
    fields.emplace_back("Organization", organization);
  } else if (is_person) {
    fields.emplace_back("Organization", "none is active: `kvcs org use ORG`");
  }
  if (const std::string project = project_of(api, about); !project.empty()) {
    fields.emplace_back("Project", project);
  }
  if (about.contains("permissions")) {
    fields.emplace_back("Permissions", shown(about, "permissions"));
  }
  add_way(settings, fields);
  console.print_fields(fields);
}

// Tells where the key was found, which is the first question when a server refuses it. The key
// itself is never printed.
int run_whoami(const Invocation& in, Console& console) {
  const ApiSettings settings = find_api_settings(in);
  if (!settings.fault.ok()) return console.fail(settings.fault);
  const bool is_login = settings.key_source == "login";
  Json about{{"api_url", settings.url},
             {"method", settings.key.empty() ? "none"
                        : is_login           ? "login"
                                             : "api_key"},
             {"key_source", settings.key_source},
             {"api_url_source", settings.url_source},
             {"ca_file", settings.ca_file.empty() ? Json(nullptr) : Json(settings.ca_file)},
             {"ca_source", settings.ca_source},
             {"proxy_source", settings.proxy_source}};
  ApiClient api(settings);
  if (!settings.key.empty()) {
    const Result<Json> answer = ask_who(api);
    if (!answer.ok()) return console.fail(answer.status());
    if (answer->is_object()) about.update(*answer);
  }
  if (console.mode().json) {
    console.print_json(about);
  } else {
    print_who(console, api, about);
  }
  return kExitOk;
}

// The form of project keys: "kv_" and at least 32 hex digits; kvcs makes 64.
bool is_api_key(std::string_view key) {
  return key.starts_with("kv_") && key.size() >= 35 && is_hex(key.substr(3), key.size() - 3);
}

// The key comes from stdin unless it was typed: arguments of a process are visible to others.
int run_key_set(const Invocation& in, Console& console) {
  std::string key = in.text("key");
  if (key.empty() || key == "-") std::getline(std::cin, key);
  key = std::string(trim(key));
  if (!is_api_key(key)) {
    return console.fail(invalid("That is not an API key: kv_ and at least 32 hex digits."));
  }
  auto config = read_client_config();
  if (!config.ok()) return console.fail(config.status());
  // The key is for one server, which is kept beside it: it goes to no other.
  ServerFlags flags = in.server_flags();
  if (!in.text("api-url").empty()) flags.server = in.text("api-url");
  const Result<NamedServer> named = find_named_server(flags);
  if (!named.ok()) return console.fail(named.status());
  (*config)["api_key"] = key;
  (*config)["api_key_url"] = named->url;
  if (!in.text("api-url").empty()) (*config)["api_url"] = named->url;
  const Status written = write_client_config(*config);
  if (!written.ok()) return console.fail(written);
  if (console.mode().json) {
    console.print_json({{"path", client_config_path()}, {"api_url", named->url}});
  } else {
    console.note("The key is stored in " + printable(client_config_path()) + ", for " +
                 printable(named->url, kShownValue) + " alone.");
  }
  return kExitOk;
}

// A refused key is an answer, "valid": false, and a failure: what stands behind `&&` must not go
// on.
int run_key_verify(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const ApiSettings& settings = api.settings();
  if (!settings.fault.ok()) return console.fail(settings.fault);
  if (settings.key.empty() || settings.key_source == "login" || is_session(settings)) {
    const bool is_signed_in = !settings.key.empty();
    return console.fail(unauthenticated(
        "There is no API key to verify for " + printable(settings.url, kShownValue) +
        (is_signed_in ? ": commands use a login (`kvcs whoami`)." : ".") +
        " Set KVCS_API_KEY, or store a key with `kvcs api-key set`."));
  }
  const auto answer = api.call("POST", "/api/v1/api-keys/verify");
  const bool refused = answer.code() == Code::kUnauthenticated;
  if (!answer.ok() && !refused) return console.fail(answer.status());
  if (console.mode().json) {
    Json result{{"valid", answer.ok()}};
    if (answer.ok() && (*answer).is_object()) result.update(*answer);
    console.print_json(result);
  } else if (refused) {
    console.print("The API key is invalid or revoked.");
  } else {
    const std::string place = place_words(api.call("GET", "/api/v1/me").value_or(Json::object()));
    console.print("The API key is valid" + (place.empty() ? "." : " (" + place + ")."));
  }
  return refused ? kExitFailed : kExitOk;
}

// Only the key is removed; the URL of the server stays in the configuration.
int run_key_clear(const Invocation&, Console& console) {
  auto config = read_client_config();
  if (!config.ok()) return console.fail(config.status());
  const bool had_key = (*config).erase("api_key") > 0;
  config->erase("api_key_url");
  if (had_key) {
    const Status written = write_client_config(*config);
    if (!written.ok()) return console.fail(written);
  }
  if (console.mode().json) {
    console.print_json({{"cleared", had_key}});
  } else {
    console.note(had_key ? "The stored key is removed." : "No key is stored.");
  }
  return kExitOk;
}

}  // namespace

std::vector<Command> whoami_commands() {
  return {
      {.name = "whoami",
       .summary = "Show which server and key are used, and whom they speak for.",
       .examples = {{"kvcs whoami", "Never prints the key."}},
       .run = run_whoami},
      {.name = "api-key set",
       .summary = "Store the API key that this machine uses.",
       .options = {{.name = "KEY", .help = "The key; \"-\" or nothing reads it from stdin."},
                   {.name = "--api-url", .help = "The server it belongs to.", .value_name = "URL"}},
       .examples = {{"kvcs api-key set < key.txt", "Keeps the key out of the process list."}},
       .run = run_key_set},
      {.name = "api-key verify",
       .summary = "Ask the server whether the key is good.",
       .examples = {{"kvcs api-key verify", "Prints what it is for; exit code 1 for a bad key."}},
       .run = run_key_verify},
      {.name = "api-key clear",
       .summary = "Forget the stored key.",
       .examples = {{"kvcs api-key clear", "The server's copy stays valid."}},
       .run = run_key_clear},
  };
}

}  // namespace kvcs::cli
