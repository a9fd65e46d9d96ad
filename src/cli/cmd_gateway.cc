// gateway provider, tenant, token, schedule, mode, briefing, decision and call: the tool gateway's
// set-up and a call as an agent makes it. Accounts are in cmd_gateway_account.cc.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/admin_calls.h"
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/server_words.h"

namespace kvcs::cli {
namespace {

// Beyond these a file is refused before it is sent; a provider's record has some kilobytes.
constexpr uint64_t kRecordMaxBytes = 256u << 10;
constexpr uint64_t kCallMaxBytes = 4u << 20;

// Each of these is one request with the administrator's key, and shows what it answers.
int run_read(const Invocation& in, Console& console, const std::string& path) {
  ApiClient api(find_admin_settings(in));
  return show_object(console, api.call("GET", path));
}
int run_send(const Invocation& in, Console& console, const char* method, const std::string& path,
             const Json& body) {
  ApiClient api(find_admin_settings(in));
  return show_object(console, api.call(method, path, body));
}
// Shows a list that comes in one answer, without pages, under `member`.
int run_whole_list(const Invocation& in, Console& console, const std::string& path,
                   const char* member, const std::vector<Column>& columns, const char* when_empty) {
  ApiClient api(find_admin_settings(in));
  const auto answer = api.call("GET", path);
  if (!answer.ok()) return console.fail(answer.status());
  return show_list(console, (*answer).value(member, Json::array()), columns, when_empty);
}

// Reads a JSON object from a file, or from stdin for "-". Numbers keep their digits.
Result<Json> read_record(const std::string& file, uint64_t bytes_max) {
  const std::string text = KVCS_TRY(read_input(file, bytes_max));
  Json record = KVCS_TRY(parse_json_exact(text));
  if (!record.is_object()) return invalid(printable(file) + ": must hold a JSON object.");
  return record;
}

// Routes of a provider and of a tenant; `rest` is what stands behind the tenant's id.
std::string provider_path(const Invocation& in) {
  return "/admin/providers/" + segment(in, "provider");
}
std::string tenant_path(const Invocation& in, std::string_view rest = "") {
  return "/admin/tenants/" + segment(in, "tenant") + std::string(rest);
}

// Arguments that several commands have.
const Option kProvider{.name = "PROVIDER", .help = "Its name: hubspot, slack, …", .required = true};
const Option kTenant{.name = "TENANT", .help = "The tenant.", .required = true};

// The record comes from stdin unless --file names a file: it may hold a client secret.
int run_provider_set(const Invocation& in, Console& console) {
  const Result<Json> record = read_record(in.text("file"), kRecordMaxBytes);
  if (!record.ok()) return console.fail(record.status());
  return run_send(in, console, "PUT", provider_path(in), *record);
}

// A provider is an API that can be called. The catalogue ships many; a record of one's own adds
// one, or changes members of a shipped one.
std::vector<Command> provider_commands() {
  return {
      {.name = "gateway provider list",
       .summary = "List the APIs that can be called.",
       .examples = {{"kvcs gateway provider list", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_whole_list(in, console, "/admin/providers", "providers",
                                   {{"PROVIDER", "provider"},
                                    {"NAME", "display_name"},
                                    {"AUTH", "auth_type"},
                                    {"BASE URL", "base_url"},
                                    {"OWN RECORD", "stored"}},
                                   "No providers.");
           }},
      {.name = "gateway provider show",
       .summary = "Show one provider, without its client secret.",
       .options = {kProvider},
       .examples = {{"kvcs gateway provider show hubspot", ""}},
       .run = [](const auto& in, auto& out) { return run_read(in, out, provider_path(in)); }},
      {.name = "gateway provider set",
       .summary = "Add a provider, or change the catalogue's entry, by a JSON record.",
       .options = {kProvider,
                   {.name = "--file",
                    .help = "The record; - is stdin, which keeps a client secret out of files.",
                    .fallback = "-"}},
       .examples = {{"kvcs gateway provider set hubspot < client.json",
                     R"(With {"auth":{"client_id":"…","client_secret":"…"}}.)"}},
       .run = run_provider_set},
      {.name = "gateway provider remove",
       .summary = "Remove what was set; a catalogue entry counts again.",
       .options = {kProvider, yes_option()},
       .examples = {{"kvcs gateway provider remove hubspot -y", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_delete(
                 in, console,
                 {.path = provider_path(in),
                  .what = "the record of provider " + printable(in.text("provider"), kShownName),
                  .verb = "Remove"});
           }},
  };
}

// The tenant is made when it is new, and its organization with it. Of one that exists the record is
// read and written back, so that what was not given stays as it is.
int run_tenant_add(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  std::string etag;
  Result<Json> known = api.get_tagged(tenant_path(in), etag);
  if (!known.ok() && known.code() != Code::kNotFound) return console.fail(known.status());
  Json record = known.ok() ? std::move(known).value() : Json::object();
  if (const auto name = in.optional_text("name")) record["name"] = *name;
  if (const auto rate = in.optional_number("requests-per-minute")) {
    record["limits"]["requests_per_minute"] = *rate;
  }
  return show_object(console, api.put_tagged(tenant_path(in), record, etag));
}

int run_tenant_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  return show_list(
      console, read_pages(api, "/admin/tenants" + query_of(in, {kSearchQuery}), "tenants"),
      {{"TENANT", "tenant_id"}, {"NAME", "name"}, {"STATUS", "status"}}, "No tenants.");
}

// A tenant is an organization as the tool gateway sees it, named by its slug.
std::vector<Command> tenant_commands() {
  const auto put_status = [](const char* verb) {
    return [verb](const Invocation& in, Console& console) {
      return run_send(in, console, "POST", tenant_path(in, verb), Json::object());
    };
  };
  return {
      {.name = "gateway tenant add",
       .summary = "Set a tenant up, with its organization, or change what is given of one.",
       .options = {kTenant,
                   {.name = "--name", .help = "For people."},
                   {.name = "--requests-per-minute",
                    .kind = ValueKind::kNumber,
                    .help = "Its own limit."}},
       .examples = {{"kvcs gateway tenant add kahuna --name 'Kahuna Ltd'", ""}},
       .run = run_tenant_add},
      {.name = "gateway tenant list",
       .summary = "List the tenants.",
       .options = {search_option()},
       .examples = {{"kvcs gateway tenant list", ""}},
       .run = run_tenant_list},
      {.name = "gateway tenant show",
       .summary = "Show one tenant.",
       .options = {kTenant},
       .examples = {{"kvcs gateway tenant show kahuna", ""}},
       .run = [](const auto& in, auto& out) { return run_read(in, out, tenant_path(in)); }},
      {.name = "gateway tenant suspend",
       .summary = "Refuse a tenant's calls from now on.",
       .options = {kTenant},
       .examples = {{"kvcs gateway tenant suspend kahuna", ""}},
       .run = put_status("/suspend")},
      {.name = "gateway tenant resume",
       .summary = "Make its calls again.",
       .options = {kTenant},
       .examples = {{"kvcs gateway tenant resume kahuna", ""}},
       .run = put_status("/resume")},
      {.name = "gateway tenant remove",
       .summary = "Remove a tenant, its tokens, accounts and schedule; its organization stays.",
       .options = {kTenant, dry_run_option(), yes_option()},
       .examples = {{"kvcs gateway tenant remove kahuna -y", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_delete_owner(in, console,
                                     {.path = tenant_path(in),
                                      .what = "tenant " + printable(in.text("tenant"), kShownName),
                                      .verb = "Remove"});
           }},
  };
}

// The answer holds the token, which the server keeps only as a hash; the note reminds of that.
int run_token_create(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto body = body_of(in, {{"name", "name"}, {"expires", "expires_at"}});
  if (!body.ok()) return console.fail(body.status());
  const int code = show_object(console, api.call("POST", tenant_path(in, "/tokens"), *body));
  if (code == kExitOk) console.note("The token is shown this once.");
  return code;
}

// The prefix is the part of a token that may be shown.
int run_token_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  return show_list(
      console, read_pages(api, tenant_path(in, "/tokens") + query_of(in, {kSearchQuery}), "tokens"),
      {{"TOKEN ID", "token_id"},
       {"NAME", "name"},
       {"STATUS", "status"},
       {"PREFIX", "key_prefix"},
       {"EXPIRES", "expires_at"},
       {"LAST USED", "last_used_at"}},
      "No tokens.");
}

// Tokens are what agents of a tenant call with.
std::vector<Command> token_commands() {
  return {
      {.name = "gateway token create",
       .summary = "Create a token for a tenant's agent; it is shown once.",
       .options = {kTenant,
                   {.name = "--name", .help = "What it is for."},
                   {.name = "--expires", .help = "When it ends.", .value_name = "ISO TIME"}},
       .examples = {{"kvcs gateway token create kahuna --name crm-agent", ""}},
       .run = run_token_create},
      {.name = "gateway token list",
       .summary = "List a tenant's tokens, never the tokens themselves.",
       .options = {kTenant, search_option()},
       .examples = {{"kvcs gateway token list kahuna", ""}},
       .run = run_token_list},
      {.name = "gateway token revoke",
       .summary = "Revoke a token, at once.",
       .options = {kTenant,
                   {.name = "TOKEN_ID", .help = "The token's id.", .required = true},
                   yes_option()},
       .examples = {{"kvcs gateway token revoke kahuna 9b1c8e52-2f43-4d0e-8f0a-5f2b6f6f0c11 -y",
                     ""}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_delete(in, console,
                               {.path = tenant_path(in, "/tokens/" + segment(in, "token_id")),
                                .what = "token " + printable(in.text("token_id"), kShownName),
                                .verb = "Remove"});
           }},
  };
}

std::string schedule_path(const Invocation& in) {
  return "/admin/agent-schedules/" + segment(in, "tenant");
}

// The schedule of a tenant is one record, an array of entries.
int show_schedule(Console& console, const Result<Json>& entries) {
  return show_list(console, entries,
                   {{"NAME", "name"},
                    {"AGENT", "agent_type"},
                    {"CADENCE", "cadence"},
                    {"ENABLED", "enabled"},
                    {"MESSAGE", "message"}},
                   "Nothing is scheduled.");
}

// The index of the entry of that name, or the number of entries when there is none.
size_t find_entry(const Json& entries, const std::string& name) {
  size_t at = 0;
  while (at < entries.size() && entries[at].value("name", "") != name) ++at;
  return at;
}

int run_schedule_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  return show_schedule(console, api.call("GET", schedule_path(in)));
}

// Read, change, write back: the ETag makes the server refuse when another has written in between.
int run_schedule_add(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto entry = body_of(in, {{"name", "name"},
                                  {"agent", "agent_type"},
                                  {"message", "message"},
                                  {"cadence", "cadence"},
                                  {"callback-url", "callback_url"}});
  if (!entry.ok()) return console.fail(entry.status());
  std::string etag;
  auto schedule = api.get_tagged(schedule_path(in), etag);
  if (!schedule.ok()) return console.fail(schedule.status());
  Json& entries = *schedule;
  const size_t at = find_entry(entries, in.text("name"));
  if (at == entries.size()) entries.push_back(Json::object());
  entries[at] = *entry;
  entries[at]["enabled"] = !in.flag("disabled");
  return show_schedule(console, api.put_tagged(schedule_path(in), entries, etag));
}

// An entry that is not there is a failure, so that a misspelt name is noticed.
int run_schedule_remove(const Invocation& in, Console& console) {
  const std::string name = in.text("name");
  if (const auto exit = declined(in, console, "Remove " + printable(name, kShownValue) + "?"))
    return *exit;
  ApiClient api(find_admin_settings(in));
  std::string etag;
  auto schedule = api.get_tagged(schedule_path(in), etag);
  if (!schedule.ok()) return console.fail(schedule.status());
  Json& entries = *schedule;
  const size_t at = find_entry(entries, name);
  if (at == entries.size()) {
    return console.fail(
        not_found("Nothing named '" + printable(name, kShownValue) + "' is scheduled."));
  }
  entries.erase(at);
  return show_done(console, api.put_tagged(schedule_path(in), entries, etag).status(),
                   "Removed " + printable(name, kShownValue) + ".");
}

// An entry says which agent of a tenant is to run, when, and what it is told.
std::vector<Command> schedule_commands() {
  const Option name{.name = "NAME", .help = "The entry's name.", .required = true};
  return {
      {.name = "gateway schedule list",
       .summary = "List when a tenant's agents are to run.",
       .options = {kTenant},
       .examples = {{"kvcs gateway schedule list kahuna", ""}},
       .run = run_schedule_list},
      {.name = "gateway schedule add",
       .summary = "Have an agent run; an entry of the same name is replaced.",
       .options = {kTenant,
                   name,
                   {.name = "--agent", .help = "The agent's type.", .required = true},
                   {.name = "--message", .help = "What it is told.", .required = true},
                   {.name = "--cadence",
                    .help = "When.",
                    .fallback = "daily",
                    .choices = {"daily", "weekly_monday", "weekly_friday"}},
                   {.name = "--callback-url", .help = "Where the agent reports to."},
                   {.name = "--disabled",
                    .kind = ValueKind::kFlag,
                    .help = "Keep the entry, but do not run it."}},
       .examples = {{"kvcs gateway schedule add kahuna pipeline-review --agent sales "
                     "--message 'Which deals have not moved this week?' --cadence weekly_friday",
                     ""}},
       .run = run_schedule_add},
      {.name = "gateway schedule remove",
       .summary = "Remove one entry.",
       .options = {kTenant, name, yes_option()},
       .examples = {{"kvcs gateway schedule remove kahuna pipeline-review -y", ""}},
       .run = run_schedule_remove},
  };
}

// A name may come several times; its values become one array.
Status read_query(const Invocation& in, Json& body) {
  for (const std::string& pair : in.list("query")) {
    const size_t equals = pair.find('=');
    if (equals == pair.npos || equals == 0) {
      return invalid("--query: '" + printable(pair, kShownName) + "' is not NAME=VALUE.");
    }
    Json& values = body["query"][pair.substr(0, equals)];
    values.push_back(pair.substr(equals + 1));
  }
  return ok();
}

// The body of POST /api/v1/{tenant}/{provider}. --request gives it whole, and then the other
// options do not count.
Result<Json> call_body(const Invocation& in) {
  if (const auto file = in.optional_text("request")) return read_record(*file, kCallMaxBytes);
  Json body = KVCS_TRY(body_of(in, {{"path", "path"},
                                    {"method", "method"},
                                    {"account", "account_id"},
                                    {"field", "fields", MemberKind::kList},
                                    {"idempotency-key", "idempotency_key"}}));
  KVCS_TRY(read_query(in, body));
  if (const auto sent = in.optional_text("body")) {
    const Result<Json> parsed = parse_json_exact(*sent);
    if (!parsed.ok()) return invalid("--body: " + parsed.status().message());
    body["body"] = *parsed;
  }
  if (in.flag("compact")) body["format"] = "compact";
  if (in.flag("dry-run")) body["dry_run"] = true;
  return body;
}

// The call is made with the tenant's token and not with a key of the administrator, so that it
// shows what an agent would see. The token comes from a variable, never from an argument.
int run_call(const Invocation& in, Console& console) {
  const Result<Json> body = call_body(in);
  if (!body.ok()) return console.fail(body.status());
  const std::string variable = in.text("token-env");
  ApiSettings settings = find_settings_of(in.server_flags(), variable);
  if (settings.fault.ok() && settings.key.empty()) {
    return console.fail(invalid("The tenant's token belongs in " + printable(variable, kShownName) +
                                "; `kvcs gateway token create` makes one."));
  }
  settings.key_advice = "Set " + variable + " to a token of this tenant.";
  ApiClient api(std::move(settings));
  const std::string path = "/api/v1/" + segment(in, "tenant") + "/" + segment(in, "provider");
  // The bytes as they came, because an answer of a provider need not be JSON.
  const auto answer = api.call_bytes("POST", path, dump_json(*body), "application/json");
  if (!answer.ok()) return console.fail(answer.status());
  const Result<Json> parsed = parse_json(*answer);
  if (parsed.ok()) {
    console.print_json(*parsed);
  } else {
    console.write(*answer);
  }
  return kExitOk;
}

Command call_command() {
  return {.name = "gateway call",
          .summary = "Call a provider's API as an agent of a tenant does.",
          .options =
              {kTenant,
               kProvider,
               {.name = "--path", .help = "Of the API: /crm/v3/objects/contacts."},
               {.name = "--method",
                .help = "Else GET, or POST with a body.",
                .choices = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}},
               {.name = "--query",
                .kind = ValueKind::kList,
                .help = "Of the URL.",
                .value_name = "NAME=VALUE"},
               {.name = "--body", .help = "What is sent.", .value_name = "JSON"},
               {.name = "--account", .help = "Which account, when there are several."},
               {.name = "--field", .kind = ValueKind::kList, .help = "Only these of each item."},
               {.name = "--compact", .kind = ValueKind::kFlag, .help = "The API's answer alone."},
               {.name = "--dry-run", .kind = ValueKind::kFlag, .help = "Show what would be sent."},
               {.name = "--idempotency-key", .help = "A repeat with it has no second effect."},
               {.name = "--request", .help = "The whole body instead, from here; - is stdin."},
               {.name = "--token-env",
                .help = "The variable that holds the tenant's token.",
                .value_name = "VARIABLE",
                .fallback = "KVCS_GATEWAY_TOKEN"}},
          .examples = {{"kvcs gateway call kahuna hubspot --path /crm/v3/objects/contacts "
                        "--query limit=2 --field id --field properties.email",
                        ""},
                       {R"(echo '{"action":"list","object_type":"deals"}' | )"
                        "kvcs gateway call kahuna hubspot --request -",
                        "A curated verb."}},
          .run = run_call};
}

// Without an argument the mode is shown.
int run_mode(const Invocation& in, Console& console) {
  const auto mode = in.optional_text("mode");
  if (!mode) return run_read(in, console, "/admin/system/mode");
  return run_send(in, console, "PUT", "/admin/system/mode", Json{{"mode", *mode}});
}

// The summary is there when a model wrote one; the findings always are.
int run_briefing(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto answer = api.call("GET", "/admin/briefings/" + segment(in, "date"));
  if (!answer.ok() || console.mode().json) return show_object(console, answer);
  if ((*answer).contains("summary")) console.print(shown(*answer, "summary"));
  Json findings = (*answer).value("findings", Json::array());
  for (Json& finding : findings) {
    if (!finding.is_object()) continue;
    finding["suggested_action"] = in_commands(text_member(finding, "suggested_action"));
  }
  return show_list(console, findings,
                   {{"SEVERITY", "severity"},
                    {"TITLE", "title"},
                    {"SUBJECT", "subject"},
                    {"WHAT TO DO", "suggested_action"}},
                   "Nothing to mend.");
}

// Proposals of the daily briefing, at most a thousand.
int run_decision_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const std::string path = "/admin/decisions" + query_of(in, {{"status", "status"}});
  return show_list(console, read_pages(api, path, "decisions", 1000),
                   {{"ID", "id"},
                    {"STATUS", "status"},
                    {"SEVERITY", "severity"},
                    {"SUBJECT", "subject"},
                    {"SUGGESTION", "suggestion"}},
                   "No proposals.");
}

// The commands by which an operator looks at the gateway each day.
std::vector<Command> watch_commands() {
  return {
      {.name = "gateway mode",
       .summary = "Show the tool gateway's mode, or freeze it and make it active again.",
       .options = {{.name = "MODE", .help = "Nothing: show it.", .choices = {"active", "frozen"}}},
       .examples = {{"kvcs gateway mode frozen",
                     "Calls of tools answer FROZEN_GATEWAY; models answer."}},
       .run = run_mode},
      {.name = "gateway briefing",
       .summary = "Show what the daily briefing found.",
       .options = {{.name = "DATE", .help = "YYYY-MM-DD, or latest.", .fallback = "latest"}},
       .examples = {{"kvcs gateway briefing", ""}},
       .run = run_briefing},
      {.name = "gateway decision list",
       .summary = "List proposals and what became of them.",
       .options = {{.name = "--status",
                    .help = "Only these.",
                    .choices = {"proposed", "accepted", "rejected", "applied"}}},
       .examples = {{"kvcs gateway decision list --status proposed", ""}},
       .run = run_decision_list},
      {.name = "gateway decision set",
       .summary = "Accept or reject a proposal, or say that it was applied.",
       .options = {{.name = "ID", .help = "The proposal's id.", .required = true},
                   {.name = "STATUS",
                    .help = "What becomes of it.",
                    .required = true,
                    .choices = {"accepted", "rejected", "applied"}}},
       .examples = {{"kvcs gateway decision set 6a2f41a3c54c2a3b7d1e9f0011223344 accepted", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_send(in, console, "PATCH", "/admin/decisions/" + segment(in, "id"),
                             Json{{"status", in.text("status")}});
           }},
  };
}

}  // namespace

std::vector<Command> gateway_commands() {
  std::vector<Command> all = {call_command()};
  for (auto part : {provider_commands(), tenant_commands(), token_commands(), schedule_commands(),
                    watch_commands()}) {
    for (Command& command : part) all.push_back(std::move(command));
  }
  return all;
}

}  // namespace kvcs::cli
