// gateway account: credentials of a tenant at a provider. Secrets come from stdin or a variable,
// never from an argument, which other users see in the process list.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/environment.h"
#include "cli/admin_calls.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/confirm.h"

namespace kvcs::cli {
namespace {

// A key file has some kilobytes.
constexpr uint64_t kSecretMaxBytes = 256u << 10;

// Routes of a tenant's accounts with a provider, and of one of them.
std::string accounts_path(const Invocation& in) {
  return "/admin/tenants/" + segment(in, "tenant") + "/providers/" + segment(in, "provider");
}
std::string account_path(const Invocation& in, std::string_view rest = "") {
  return accounts_path(in) + "/accounts/" + segment(in, "account") + std::string(rest);
}

// The credential: the value of a variable, one line typed at a terminal, or all of stdin in a pipe,
// because the key file of a service account has many lines.
Result<std::string> read_secret(const Invocation& in, Console& console) {
  std::string secret;
  if (const auto variable = in.optional_text("secret-env")) {
    secret = environment(*variable);
    if (secret.empty()) {
      return invalid("--secret-env: " + printable(*variable, kShownName) + " is not set.");
    }
  } else if (can_ask()) {
    secret = ask_secret(console, "Credential (not shown): ").value_or(Secret()).reveal();
  } else {
    secret = KVCS_TRY(read_input("-", kSecretMaxBytes));
  }
  secret = std::string(trim(secret));
  if (secret.empty()) return invalid("There was no credential on stdin.");
  return secret;
}

// The member of the account's record that a plain credential becomes, by the provider's way to
// authenticate. "a:b" stands for two members whose values a colon separates.
std::string member_of(const std::string& auth_type) {
  if (auth_type == "oauth2_refresh_token") return "refresh_token";
  if (auth_type == "api_key_header" || auth_type == "api_key_query") return "api_key";
  if (auth_type == "basic") return "username:password";
  if (auth_type == "aws_sigv4") return "access_key_id:secret_access_key";
  if (auth_type == "service_account_jwt") return "service_account";
  if (auth_type == "oauth2_client_credentials") return "client_id:client_secret";
  return "access_token";
}

// The body of the request. A credential that is a JSON object is taken as the whole record, except
// for the key file of a service account, which is JSON itself.
Result<Json> account_body(const std::string& secret, const std::string& member) {
  if (secret.front() == '{' && member != "service_account") {
    Result<Json> record = parse_json_exact(secret);
    if (!record.ok()) return invalid("The credential begins as JSON and is none.");
    return record;
  }
  Json body = Json::object();
  const size_t colon = member.find(':');
  if (colon == member.npos) {
    body[member] = secret;
    return body;
  }
  const size_t split_at = secret.find(':');
  if (split_at == secret.npos) return invalid("The credential must be " + member + ".");
  body[member.substr(0, colon)] = secret.substr(0, split_at);
  body[member.substr(colon + 1)] = secret.substr(split_at + 1);
  return body;
}

// Reads the facts that a provider needs beside the credential, such as a shop's name that stands in
// its URL.
Status read_meta(const Invocation& in, Json& body) {
  for (const std::string& pair : in.list("meta")) {
    const size_t equals = pair.find('=');
    if (equals == pair.npos || equals == 0) {
      return invalid("--meta: '" + printable(pair, kShownName) + "' is not NAME=VALUE.");
    }
    body["meta"][pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return ok();
}

// Without --as the provider is asked how it authenticates. This comes before the credential is
// read, so that a misspelt provider is told first.
Result<Json> make_account(const Invocation& in, Console& console, ApiClient& api) {
  std::string member = in.text("as");
  if (member.empty()) {
    const Json provider = KVCS_TRY(api.call("GET", "/admin/providers/" + segment(in, "provider")));
    member = member_of(provider.value("auth_type", std::string()));
  }
  const std::string secret = KVCS_TRY(read_secret(in, console));
  Json body = KVCS_TRY(account_body(secret, member));
  const Json options =
      KVCS_TRY(body_of(in, {{"expires", "expires_at"}, {"scope", "scope"}, {"region", "region"}}));
  body.update(options);
  KVCS_TRY(read_meta(in, body));
  return body;
}

int run_add(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const Result<Json> body = make_account(in, console, api);
  if (!body.ok()) return console.fail(body.status());
  return show_object(console, api.call("PUT", account_path(in), *body));
}

int run_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto answer = api.call("GET", "/admin/tenants/" + segment(in, "tenant") + "/accounts");
  if (!answer.ok()) return console.fail(answer.status());
  return show_list(console, (*answer).value("accounts", Json::array()),
                   {{"PROVIDER", "provider"},
                    {"ACCOUNT", "account_id"},
                    {"TYPE", "type"},
                    {"STATE", "state"},
                    {"EXPIRES", "expires_at"},
                    {"LAST USED", "last_used_at"},
                    {"LAST ERROR", "last_error"}},
                   "No accounts.");
}

// The link leads a person through the provider's consent; the daemon gets the tokens by itself.
int run_connect(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  Json body = {{"account_id", in.text("account")}};
  const Status meta = read_meta(in, body);
  if (!meta.ok()) return console.fail(meta);
  const auto link = api.call("POST", accounts_path(in) + "/connect", body);
  if (!link.ok() || console.mode().json) return show_object(console, link);
  console.print(shown(*link, "url"));
  console.note("Open it in a browser within ten minutes; it works once.");
  return kExitOk;
}

// With --revoke the provider is told first; if it refuses, the account stays.
int run_remove(const Invocation& in, Console& console) {
  const std::string what = "account " + printable(in.text("account"), kShownName);
  if (const auto exit = declined(in, console, "Remove " + what + " and its credential?")) {
    return *exit;
  }
  ApiClient api(find_admin_settings(in));
  const std::string query = in.flag("revoke") ? "?revoke=1" : "";
  return show_object(console, api.call("DELETE", account_path(in) + query));
}

const Option kTenant{.name = "TENANT", .help = "The tenant.", .required = true};
const Option kProvider{.name = "PROVIDER", .help = "Its name: hubspot, slack, …", .required = true};
const Option kAccount{
    .name = "ACCOUNT", .help = "The account's id.", .fallback = "default", .never_empty = true};
const Option kMeta{.name = "--meta",
                   .kind = ValueKind::kList,
                   .help = "What the provider needs beside.",
                   .value_name = "NAME=VALUE"};

// The choices of --as are the members that a plain credential may become.
Command add_command() {
  return {
      .name = "gateway account add",
      .summary = "Store or replace a credential, read from stdin; it is never shown again.",
      .options = {kTenant,
                  kProvider,
                  kAccount,
                  {.name = "--as",
                   .help = "What the credential is; else what the provider asks for.",
                   .choices = {"access_token", "refresh_token", "api_key", "username:password",
                               "access_key_id:secret_access_key", "client_id:client_secret",
                               "service_account"}},
                  {.name = "--secret-env",
                   .help = "The credential is there instead.",
                   .value_name = "VARIABLE"},
                  kMeta,
                  {.name = "--expires", .help = "When it ends.", .value_name = "ISO TIME"},
                  {.name = "--scope", .help = "What it may do."},
                  {.name = "--region", .help = "Of AWS."}},
      .examples = {{"kvcs gateway account add kahuna notion < token", "As account default."},
                   {"kvcs gateway account add kahuna google_drive reports < tokens.json",
                    "With {\"refresh_token\":\"…\"}."},
                   {"kvcs gateway account add kahuna aws_ses --region eu-west-1 < keys",
                    "With access_key_id:secret_access_key in the file."}},
      .run = run_add,
      .details =
          "A JSON object on stdin is taken as the whole record: access_token, refresh_token, "
          "api_key, username, password, expires_at, scope, meta and the rest.",
  };
}

}  // namespace

std::vector<Command> gateway_account_commands() {
  return {
      add_command(),
      {.name = "gateway account list",
       .summary = "List a tenant's accounts, never their credentials.",
       .options = {kTenant},
       .examples = {{"kvcs gateway account list kahuna", ""}},
       .run = run_list},
      {.name = "gateway account show",
       .summary = "Show how one account fares.",
       .options = {kTenant, kProvider, kAccount},
       .examples = {{"kvcs gateway account show kahuna hubspot", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             ApiClient api(find_admin_settings(in));
             return show_object(console, api.call("GET", account_path(in)));
           }},
      {.name = "gateway account connect",
       .summary = "Make a link that asks for consent in the browser.",
       .options = {kTenant, kProvider, kAccount, kMeta},
       .examples = {{"kvcs gateway account connect kahuna hubspot", ""}},
       .run = run_connect},
      {.name = "gateway account refresh",
       .summary = "Refresh an account's token now.",
       .options = {kTenant, kProvider, kAccount},
       .examples = {{"kvcs gateway account refresh kahuna hubspot", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             ApiClient api(find_admin_settings(in));
             return show_object(console,
                                api.call("POST", account_path(in, "/refresh"), Json::object()));
           }},
      {.name = "gateway account remove",
       .summary = "Remove an account and its credential.",
       .options = {kTenant,
                   kProvider,
                   kAccount,
                   {.name = "--revoke",
                    .kind = ValueKind::kFlag,
                    .help = "Tell the provider first; nothing is removed when it refuses."},
                   yes_option()},
       .examples = {{"kvcs gateway account remove kahuna hubspot --revoke -y", ""}},
       .run = run_remove},
  };
}

}  // namespace kvcs::cli
