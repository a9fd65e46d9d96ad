// `kvcs login`, `logout` and `server`: signing in as a person, at one server or several. A server
// says how at GET /auth/providers: through its issuer where command lines have a client there, else
// by the server's own /auth/device.
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <array>
#include <ctime>
#include <filesystem>
#include <set>

#include "base/bytes.h"
#include "cli/admin_calls.h"
#include "cli/api_client.h"
#include "cli/browser.h"
#include "cli/client_settings.h"
#include "cli/commands.h"
#include "cli/credentials.h"
#include "cli/oauth_client.h"

namespace kvcs::cli {
namespace {

constexpr const char* kClientDefault = "kvcdn-cli";  // At an issuer that is named by hand.
constexpr const char* kScopes = "openid profile email";

// Where to sign in: "" for the server itself.
struct Way {
  std::string issuer, client_id;
};

std::string device_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unnamed";
  return name.data();
}

Result<Way> find_way(OauthClient& client, const Invocation& in, const std::string& server) {
  const OauthClient::Answer answer = KVCS_TRY(client.ask(server + "/auth/providers", nullptr));
  const Json& body = *answer.body;
  if (answer.status != 200 || !body.contains("providers") || !body["providers"].is_array()) {
    return upstream_failed(printable(server, kShownValue) +
                           " does not answer as a kvcs server does, of which people sign in.");
  }
  Way way{in.text("issuer"), in.text("client-id")};
  const bool is_named = !way.issuer.empty();
  for (const Json& provider : body["providers"]) {
    if (!provider.is_object()) continue;
    const std::string issuer = text_member(provider, "issuer");
    const std::string client_id = text_member(provider, "cli_client_id");
    if (client_id.empty() || (is_named && issuer != way.issuer)) continue;
    way.issuer = issuer;
    if (way.client_id.empty()) way.client_id = client_id;
    return way;
  }
  if (is_named && way.client_id.empty()) way.client_id = kClientDefault;
  return way;
}

// Signs in by the issuer. NotFound: it does not know the device grant.
Result<Tokens> sign_in_at_issuer(OauthClient& client, const Way& way,
                                 const std::function<void(const DevicePrompt&)>& show) {
  const IssuerOffer offer = KVCS_TRY(client.discover(way.issuer));
  if (offer.device_url.empty()) {
    return not_found("The issuer " + printable(way.issuer, kShownValue) +
                     " has no device authorization (RFC 8628).");
  }
  FormPairs form = {{"client_id", way.client_id}, {"scope", kScopes}};
  // OpenID Connect Core §11: an issuer gives no refresh token that was not consented to.
  if (offer.gives_offline_access) {
    form.back().second += " offline_access";
    form.emplace_back("prompt", "consent");
  }
  return client.sign_in_by_device(offer.device_url, offer.token_url, form, show);
}

Result<Tokens> sign_in_at_server(OauthClient& client, const std::string& server,
                                 const std::function<void(const DevicePrompt&)>& show) {
  return client.sign_in_by_device(server + "/auth/device", server + "/auth/device/token",
                                  {{"client_id", "kvcs-cli"}, {"device_name", device_name()}},
                                  show);
}

ApiSettings settings_of(const std::string& server, const Secret& token,
                        const http::FetchPolicy& policy) {
  ApiSettings settings;
  settings.url = server;
  settings.key = token;
  settings.key_advice = "";
  settings.policy = policy;
  return settings;
}

std::string account_of(const Json& me) {
  const std::string name = text_member(me, "name"), email = text_member(me, "email");
  return email.empty() || email == name ? name : name + " <" + email + ">";
}

// The server becomes the one that is used. A stored key stays with the server that it was for.
Status use_server(const std::string& server) {
  Json config = KVCS_TRY(read_client_config());
  const bool has_key = !text_member(config, "api_key").empty();
  if (has_key && text_member(config, "api_key_url").empty()) {
    const std::string before = text_member(config, "api_url");
    config["api_key_url"] = before.empty() ? kDefaultUrl : before;
  }
  config["api_url"] = server;
  return write_client_config(config);
}

void note_what_goes_before(Console& console, const std::string& server) {
  const ApiSettings settings = find_api_settings(ServerFlags{});
  if (settings.url != server) {
    console.note(settings.url_source + " names another server, " +
                 printable(settings.url, kShownValue) + ", which goes on being used.");
  } else if (settings.key_source != "login") {
    console.note(settings.key_advice);
  }
}

Result<Json> sign_in(const Invocation& in, Console& console, const NamedServer& named) {
  const std::string& server = named.url;
  OauthClient client(named.policy);
  const bool opens = !in.flag("no-browser");
  const auto show = [&](const DevicePrompt& prompt) {
    const std::string url = prompt.complete_url.empty() ? prompt.url : prompt.complete_url;
    console.write_error("Open " + printable(url, kShownText) + "\nand confirm the code " +
                        console.bold(printable(prompt.user_code, kShownName)) + "\n");
    if (opens && open_browser(url)) {
      console.write_error(
          "It opens in your browser: see that it shows the same code, and allow.\n");
    }
  };
  Way way = KVCS_TRY(find_way(client, in, server));
  Result<Tokens> tokens = not_found("no issuer");
  if (!way.issuer.empty()) tokens = sign_in_at_issuer(client, way, show);
  const bool has_no_device_grant = tokens.code() == Code::kNotFound && in.text("issuer").empty();
  if (has_no_device_grant) {
    way = {};
    tokens = sign_in_at_server(client, server, show);
  }
  KVCS_TRY(tokens.status());
  ApiClient api(settings_of(server, tokens->access_token, named.policy));
  const Json me = KVCS_TRY(api.call("GET", "/api/v1/me"));
  Login login;
  login.server = server;
  login.account = account_of(me);
  login.access_token = tokens->access_token;
  login.refresh_token = tokens->refresh_token;
  if (tokens->expires_in_s > 0) login.expires_at_s = std::time(nullptr) + tokens->expires_in_s;
  login.issuer = way.issuer;
  login.client_id = way.client_id;
  KVCS_TRY(keep_login(login));
  KVCS_TRY(use_server(server));
  return Json{{"server", server},
              {"account", login.account},
              {"person_id", text_member(me, "person_id")},
              {"issuer", way.issuer.empty() ? Json(nullptr) : Json(way.issuer)}};
}

int run_login(const Invocation& in, Console& console) {
  const Result<NamedServer> named = find_named_server(in.server_flags());
  if (!named.ok()) return console.fail(named.status());
  const std::string& server = named->url;
  const Result<Json> done = sign_in(in, console, *named);
  if (!done.ok()) return console.fail(done.status());
  if (console.mode().json) {
    console.print_json(*done);
    return kExitOk;
  }
  console.note("Signed in at " + printable(server, kShownValue) + " as " +
               printable(text_member(*done, "account"), kShownValue) + ".");
  note_what_goes_before(console, server);
  return kExitOk;
}

// The session at the server, or the token at the issuer. Here the login goes in any case.
Status end_there(const Login& login, const http::FetchPolicy& policy) {
  if (login.issuer.empty()) {
    ApiClient api(settings_of(login.server, login.access_token, policy));
    const Status ended = api.call("POST", "/auth/logout").status();
    return ended.code() == Code::kUnauthenticated ? ok() : ended;
  }
  OauthClient client(policy);
  const IssuerOffer offer = KVCS_TRY(client.discover(login.issuer));
  const Secret& token = login.refresh_token.empty() ? login.access_token : login.refresh_token;
  if (offer.revocation_url.empty()) return ok();
  return client.revoke(offer.revocation_url, login.client_id, token);
}

Result<std::optional<Login>> find_login(const std::string& server) {
  for (Login& login : KVCS_TRY(read_logins())) {
    if (login.server == server) return std::optional<Login>(std::move(login));
  }
  return std::optional<Login>();
}

int run_logout(const Invocation& in, Console& console) {
  const Result<NamedServer> named = find_named_server(in.server_flags());
  if (!named.ok()) return console.fail(named.status());
  const std::string& server = named->url;
  const Result<std::optional<Login>> login = find_login(server);
  if (!login.ok()) return console.fail(login.status());
  const Status ended = *login ? end_there(**login, named->policy) : ok();
  const Result<bool> forgotten = forget_login(server);
  if (!forgotten.ok()) return console.fail(forgotten.status());
  if (console.mode().json) {
    console.print_json({{"server", server}, {"signed_out", *forgotten}, {"ended", ended.ok()}});
    return kExitOk;
  }
  console.note(*forgotten ? "Signed out at " + printable(server, kShownValue) + "."
                          : "Nobody is signed in at " + printable(server, kShownValue) + ".");
  if (!ended.ok()) {
    console.note("It has not been ended there, and goes on until its end: " + ended.message());
  }
  return kExitOk;
}

// The known servers: those that were added, those with a login, and the one that is used.
Result<Json> list_servers(const ServerFlags& flags) {
  const std::vector<Login> logins = KVCS_TRY(read_logins());
  const Json config = KVCS_TRY(read_client_config());
  const std::string current = KVCS_TRY(find_named_server(flags)).url;
  const Json added = config.value("servers", Json::object());
  std::set<std::string> servers = {current};
  for (const Login& login : logins) servers.insert(login.server);
  if (added.is_object()) {
    for (const auto& [url, unused] : added.items()) servers.insert(url);
  }
  Json list = Json::array();
  for (const std::string& server : servers) {
    Json one{{"server", server},
             {"current", server == current},
             {"account", nullptr},
             {"issuer", nullptr}};
    for (const Login& login : logins) {
      if (login.server != server) continue;
      one["account"] = login.account;
      if (!login.issuer.empty()) one["issuer"] = login.issuer;
    }
    list.push_back(std::move(one));
  }
  return list;
}

int run_server_list(const Invocation& in, Console& console) {
  return show_list(
      console, list_servers(in.server_flags()),
      {{"SERVER", "server"}, kCurrentColumn, {"SIGNED IN AS", "account"}, {"ISSUER", "issuer"}},
      "No servers.");
}

// A path that holds wherever the command is run from.
Result<std::string> read_ca_file(const std::string& path) {
  std::error_code failed;
  const auto whole = std::filesystem::absolute(path, failed);
  if (!std::filesystem::is_regular_file(whole, failed)) {
    return invalid("--cacert: there is no file " + printable(path, kShownText) + ".");
  }
  return whole.string();
}

// What is not named again stays as it was.
Status add_server(const Invocation& in, const std::string& server) {
  Json config = KVCS_TRY(read_client_config());
  if (!config["servers"].is_object()) config["servers"] = Json::object();
  Json about = config["servers"].value(server, Json::object());
  if (!about.is_object()) about = Json::object();
  const std::string ca_file = in.server_flags().cacert, proxy = in.text("proxy");
  if (!ca_file.empty()) about["ca_file"] = KVCS_TRY(read_ca_file(ca_file));
  if (!proxy.empty() && proxy.find("://") == proxy.npos) {
    return invalid("--proxy: '" + printable(http::without_password(proxy), kShownValue) +
                   "' is no URL, as http://proxy.example.com:3128 is.");
  }
  if (!proxy.empty()) about["proxy"] = proxy;
  config["servers"][server] = std::move(about);
  return write_client_config(config);
}

int run_server_add(const Invocation& in, Console& console) {
  const Result<std::string> server = read_server_url("URL", in.text("url"));
  if (!server.ok()) return console.fail(server.status());
  return show_done(console, add_server(in, *server),
                   "Added " + printable(*server, kShownValue) + "; `kvcs server use` chooses it.");
}

int run_server_use(const Invocation& in, Console& console) {
  const Result<std::string> server = read_server_url("URL", in.text("url"));
  if (!server.ok()) return console.fail(server.status());
  return show_done(console, use_server(*server),
                   "Commands ask " + printable(*server, kShownValue) + " from now on.");
}

Status remove_server(const std::string& server) {
  Json config = KVCS_TRY(read_client_config());
  const bool is_current = text_member(config, "api_url") == server;
  const auto added = config.find("servers");
  const bool is_added = added != config.end() && added->is_object() && added->contains(server);
  if (is_current) config.erase("api_url");
  if (is_added) config["servers"].erase(server);
  return is_current || is_added ? write_client_config(config) : ok();
}

int run_server_remove(const Invocation& in, Console& console) {
  const Result<std::string> server = read_server_url("URL", in.text("url"));
  if (!server.ok()) return console.fail(server.status());
  const Result<bool> forgotten = forget_login(*server);
  if (!forgotten.ok()) return console.fail(forgotten.status());
  return show_done(console, remove_server(*server),
                   "Removed " + printable(*server, kShownValue) +
                       (*forgotten ? ", and the login there." : "; nobody was signed in there."));
}

}  // namespace

std::vector<Command> login_commands() {
  const Option url{.name = "URL", .help = "As `kvcs server list` shows it.", .required = true};
  return {
      {.name = "login",
       .summary = "Sign in as a person, in a browser here or elsewhere.",
       .options = {{.name = "--no-browser",
                    .kind = ValueKind::kFlag,
                    .help = "Print the address and open nothing."},
                   {.name = "--issuer",
                    .help = "Sign in by this issuer of OpenID Connect.",
                    .value_name = "URL"},
                   {.name = "--client-id",
                    .help = "The client at the issuer.",
                    .value_name = "ID"}},
       .examples = {{"kvcs login", "At the server that commands use."},
                    {"kvcs login --server https://kvcs.example.com --no-browser",
                     "Where there is no browser: open the address on another machine."}},
       .run = run_login,
       .details = "Where there is a desktop, the address opens by itself, with the code in it: "
                  "nothing is typed. The login is kept in credentials.json beside the "
                  "configuration file, for you "
                  "alone, and used by all commands where no key is set."},
      {.name = "logout",
       .summary = "End the login at a server.",
       .examples = {{"kvcs logout", ""}},
       .run = run_logout},
      {.name = "server list",
       .summary = "List the servers that are known here, and who is signed in there.",
       .examples = {{"kvcs server list", ""}},
       .run = run_server_list},
      {.name = "server add",
       .summary = "Make a server known: whose certificates it has, and the proxy on the way.",
       .options = {url,
                   {.name = "--proxy",
                    .help = "The way to this server, where the environment names none.",
                    .value_name = "URL"}},
       .examples = {{"kvcs server add https://kvcs.example.com --cacert company-ca.pem",
                     "From now on this authority alone is trusted there."}},
       .run = run_server_add,
       .details = "Of a server that is known already, what is not named again stays as it was; "
                  "`kvcs server remove` forgets all of it."},
      {.name = "server use",
       .summary = "Choose the server that commands ask.",
       .options = {url},
       .examples = {{"kvcs server use https://kvcs.example.com", ""}},
       .run = run_server_use},
      {.name = "server remove",
       .summary = "Forget a server and the login there.",
       .options = {url},
       .examples = {{"kvcs server remove https://kvcs.example.com",
                     "`kvcs logout` also ends the login at the server."}},
       .run = run_server_remove},
  };
}

}  // namespace kvcs::cli
