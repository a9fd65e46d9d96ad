// `kvcs admin org`, `admin user` and `admin key`: who may use the AI gateway, and how much. Each
// command is one request to a route below /admin; limits and defaults are the server's.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/admin_calls.h"
#include "cli/commands.h"
#include "cli/confirm.h"

namespace kvcs::cli {
namespace {

constexpr const char* kOrganizations = "/admin/organizations";
constexpr const char* kUsers = "/admin/users";

// Paths of one organization, one user and one key of a user; `rest` is what stands behind the id.
std::string organization_path(const Invocation& in, std::string_view rest = "") {
  return std::string(kOrganizations) + "/" + segment(in, "org_id") + std::string(rest);
}
std::string user_path(const Invocation& in, std::string_view rest = "") {
  return std::string(kUsers) + "/" + segment(in, "user_id") + std::string(rest);
}
std::string key_path(const Invocation& in, std::string_view rest = "") {
  return user_path(in, "/api-keys/" + segment(in, "key_id") + std::string(rest));
}

// Sends one request and shows the object that it answers. A body that could not be made is the
// command's failure, and nothing is sent.
int run_send(const Invocation& in, Console& console, const char* method, const std::string& path,
             const Result<Json>& body) {
  if (!body.ok()) return console.fail(body.status());
  ApiClient api(find_admin_settings(in));
  return show_object(console, api.call(method, path, *body));
}
int run_read(const Invocation& in, Console& console, const std::string& path) {
  ApiClient api(find_admin_settings(in));
  return show_object(console, api.call("GET", path));
}
// The body of a create or an update. Options that were not given are left out, so an update changes
// nothing else.
Result<Json> organization_body(const Invocation& in) {
  return body_of(in, {{"budget", "monthly_budget_usd"},
                      {"failure-mode", "failure_mode"},
                      {"fallback-daily-limit", "fallback_daily_limit"},
                      {"requests-per-minute", "requests_per_minute", MemberKind::kLimit},
                      {"tokens-per-minute", "tokens_per_minute", MemberKind::kLimit},
                      {"max-output-tokens", "max_output_tokens", MemberKind::kLimit},
                      {"allow-model", "allowed_models", MemberKind::kList},
                      {"log-bodies", "log_bodies", MemberKind::kBoolean},
                      {"output-fit", "output_fit", MemberKind::kBoolean},
                      {"unknown-input", "unknown_input_cost_per_token", MemberKind::kPrice},
                      {"unknown-output", "unknown_output_cost_per_token", MemberKind::kPrice},
                      {"name", "name"}});
}

// The same for a user; e-mail and organization are set at creation only.
Result<Json> user_body(const Invocation& in) {
  return body_of(in, {{"limit", "monthly_limit_usd"},
                      {"status", "status"},
                      {"requests-per-minute", "requests_per_minute", MemberKind::kLimit},
                      {"tokens-per-minute", "tokens_per_minute", MemberKind::kLimit},
                      {"allow-model", "allowed_models", MemberKind::kList}});
}

// Options that organizations, users and keys have alike. Each of the three holds by itself.
std::vector<Option> rate_options() {
  return {{.name = "--requests-per-minute", .help = "A number, or none.", .value_name = "N"},
          {.name = "--tokens-per-minute", .help = "A number, or none.", .value_name = "N"},
          {.name = "--allow-model",
           .kind = ValueKind::kList,
           .help = "Models that may be used; all lifts the list.",
           .value_name = "MODEL"}};
}

// Both lists, one behind the other, in the order of --help.
std::vector<Option> with(std::vector<Option> first, std::vector<Option> rest) {
  for (Option& option : rest) first.push_back(std::move(option));
  return first;
}

std::vector<Option> organization_options() {
  return with(
      {{.name = "--budget", .help = "USD a month; 0 blocks.", .value_name = "USD"},
       {.name = "--failure-mode",
        .help = "When the store is away: refuse, or allow a daily amount.",
        .choices = {"fail_closed", "fail_open"}},
       {.name = "--fallback-daily-limit", .help = "That amount.", .value_name = "USD"},
       {.name = "--max-output-tokens", .help = "A request's most, or none.", .value_name = "N"},
       {.name = "--log-bodies", .help = "Keep bodies, redacted.", .choices = {"true", "false"}},
       {.name = "--output-fit",
        .help = "Lower an output that a budget does not cover.",
        .choices = {"true", "false"}},
       {.name = "--unknown-input",
        .help = "USD per input token of models without a price; none: they are refused.",
        .value_name = "USD"},
       {.name = "--unknown-output", .help = "The same of output.", .value_name = "USD"}},
      rate_options());
}

// Arguments that several commands have, and the id that their examples use; the test of the
// examples puts a real id in its place.
const Option kOrganization{.name = "ORG_ID", .help = "The organization.", .required = true};
const Option kUser{.name = "USER_ID", .help = "The user.", .required = true};
const Option kKey{.name = "KEY_ID", .help = "The key's id.", .required = true};
const Option kLimitOption{
    .name = "--max", .kind = ValueKind::kNumber, .help = "At most N.", .min = 1, .max = 1'000'000};
constexpr const char* kId = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";

// A slug is for creation only, because it stands in URLs.
int run_organization_create(const Invocation& in, Console& console) {
  Result<Json> body = organization_body(in);
  if (body.ok() && in.optional_text("slug")) (*body)["slug"] = in.text("slug");
  return run_send(in, console, "POST", kOrganizations, body);
}

int run_organization_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto max = static_cast<uint64_t>(in.number("max"));
  return show_list(
      console, read_pages(api, kOrganizations + query_of(in, {kSearchQuery}), "organizations", max),
      {{"ORG ID", "org_id"},
       {"SLUG", "slug"},
       {"NAME", "name"},
       {"STATUS", "status"},
       {"BUDGET USD", "monthly_budget_usd"},
       {"FAILURE MODE", "failure_mode"}},
      "No organizations.");
}

// Without --give it shows the plan; the server knows which plans there are.
int run_organization_plan(const Invocation& in, Console& console) {
  const std::string path = organization_path(in, "/plan");
  const auto plan = in.optional_text("give");
  if (!plan) return run_read(in, console, path);
  return run_send(in, console, "PUT", path,
                  Json{{"plan", *plan == "none" ? Json(nullptr) : Json(*plan)}});
}

// The commands that read. An example without words explains itself.
std::vector<Command> organization_reads() {
  return {
      {.name = "admin org list",
       .summary = "List organizations.",
       .options = {search_option(), kLimitOption},
       .examples = {{"kvcs admin org list --max 20", "The first 20."},
                    {"kvcs admin org list --search acme", ""}},
       .run = run_organization_list},
      {.name = "admin org show",
       .summary = "Show one organization.",
       .options = {kOrganization},
       .examples = {{std::string("kvcs admin org show ") + kId, ""}},
       .run = [](const auto& in, auto& out) { return run_read(in, out, organization_path(in)); }},
      {.name = "admin org usage",
       .summary = "Show what an organization has used this month.",
       .options = {kOrganization,
                   {.name = "--history", .kind = ValueKind::kFlag, .help = "Month by month."}},
       .examples = {{std::string("kvcs admin org usage ") + kId + " --history", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_read(
                 in, console,
                 organization_path(in, in.flag("history") ? "/usage/history" : "/usage"));
           }},
  };
}

// The commands that change something. Suspending and resuming have routes of their own, beside the
// update of the record.
std::vector<Command> organization_writes() {
  const auto put_status = [](const char* verb) {
    return [verb](const Invocation& in, Console& console) {
      return run_send(in, console, "POST", organization_path(in, verb), Json::object());
    };
  };
  return {
      {.name = "admin org create",
       .summary = "Create an organization.",
       .options = with({{.name = "--name", .help = "Its name.", .required = true},
                        {.name = "--slug", .help = "Its name in URLs; else made from NAME."}},
                       organization_options()),
       .examples = {{"kvcs admin org create --name 'My Company' --budget 5000", ""},
                    {"kvcs admin org create --name Acme --budget 100 --failure-mode fail_open",
                     "Serves up to the daily fallback limit while the store is away."}},
       .run = run_organization_create},
      {.name = "admin org update",
       .summary = "Change an organization's budget, limits or failure mode.",
       .options =
           with({kOrganization, {.name = "--name", .help = "A new name."}}, organization_options()),
       .examples = {{std::string("kvcs admin org update ") + kId + " --budget 15000", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_send(in, console, "PATCH", organization_path(in), organization_body(in));
           }},
      {.name = "admin org plan",
       .summary = "Show an organization's plan, or give it one whatever it pays for.",
       .options = {kOrganization,
                   {.name = "--give",
                    .help = "Of the file of plans; none takes back what was given.",
                    .value_name = "PLAN"}},
       .examples = {{std::string("kvcs admin org plan ") + kId + " --give pro", ""}},
       .run = run_organization_plan},
      {.name = "admin org suspend",
       .summary = "Refuse an organization's keys from now on.",
       .options = {kOrganization},
       .examples = {{std::string("kvcs admin org suspend ") + kId, ""}},
       .run = put_status("/suspend")},
      {.name = "admin org resume",
       .summary = "Accept its keys again.",
       .options = {kOrganization},
       .examples = {{std::string("kvcs admin org resume ") + kId, ""}},
       .run = put_status("/resume")},
      {.name = "admin org delete",
       .summary = "Delete an organization with its tenant, keys, tokens and accounts.",
       .options = {kOrganization,
                   {.name = "--force",
                    .kind = ValueKind::kFlag,
                    .help = "Its users, projects and artifacts too."},
                   dry_run_option(),
                   yes_option()},
       .examples = {{std::string("kvcs admin org delete ") + kId + " --dry-run",
                     "How much would go with it."},
                    {std::string("kvcs admin org delete ") + kId + " -y", "Without asking."}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_delete_owner(
                 in, console,
                 {.path = organization_path(in),
                  .what = "organization " + printable(in.text("org_id"), kShownName),
                  .is_forced = in.flag("force")});
           }},
  };
}

// The e-mail is the user's name for people; the server refuses one that is taken.
int run_user_create(const Invocation& in, Console& console) {
  Result<Json> body = user_body(in);
  if (body.ok()) (*body)["email"] = in.text("email");
  if (body.ok()) (*body)["org_id"] = in.text("org");
  return run_send(in, console, "POST", kUsers, body);
}

// Users of all organizations, or of one.
int run_user_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const std::string path = kUsers + query_of(in, {{"org", "org_id"}, kSearchQuery});
  const auto max = static_cast<uint64_t>(in.number("max"));
  return show_list(console, read_pages(api, path, "users", max),
                   {{"USER ID", "user_id"},
                    {"EMAIL", "email"},
                    {"STATUS", "status"},
                    {"LIMIT USD", "monthly_limit_usd"},
                    {"USED USD", "current_usage_usd"}},
                   "No users.");
}

// As for organizations; --history has one row a month.
std::vector<Command> user_reads() {
  return {
      {.name = "admin user list",
       .summary = "List users.",
       .options = {{.name = "--org", .help = "Of this organization alone."},
                   search_option(),
                   kLimitOption},
       .examples = {{"kvcs admin user list --search @example.com", ""},
                    {std::string("kvcs admin user list --org ") + kId, ""}},
       .run = run_user_list},
      {.name = "admin user show",
       .summary = "Show one user.",
       .options = {kUser},
       .examples = {{std::string("kvcs admin user show ") + kId, ""}},
       .run = [](const auto& in, auto& out) { return run_read(in, out, user_path(in)); }},
      {.name = "admin user usage",
       .summary = "Show what a user has used this month.",
       .options = {kUser,
                   {.name = "--history", .kind = ValueKind::kFlag, .help = "Month by month."}},
       .examples = {{std::string("kvcs admin user usage ") + kId, ""}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_read(in, console,
                             user_path(in, in.flag("history") ? "/usage/history" : "/usage"));
           }},
  };
}

std::vector<Command> user_writes() {
  // Options of both create and update.
  const std::vector<Option> limits =
      with({{.name = "--limit", .help = "USD a month; 0 blocks.", .value_name = "USD"},
            {.name = "--status", .help = "Whether keys work.", .choices = {"active", "suspended"}}},
           rate_options());
  return {
      {.name = "admin user create",
       .summary = "Create a user of the AI gateway.",
       .options = with({{.name = "--email", .help = "Who it is.", .required = true},
                        {.name = "--org", .help = "The organization.", .required = true}},
                       limits),
       .examples = {{std::string("kvcs admin user create --email ada@example.com --org ") + kId +
                         " --limit 50",
                     ""}},
       .run = run_user_create},
      {.name = "admin user update",
       .summary = "Change a user's limits or status.",
       .options = with({kUser}, limits),
       .examples = {{std::string("kvcs admin user update ") + kId + " --limit 500", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_send(in, console, "PATCH", user_path(in), user_body(in));
           }},
      {.name = "admin user delete",
       .summary = "Delete a user and its keys.",
       .options = {kUser, dry_run_option(), yes_option()},
       .examples = {{std::string("kvcs admin user delete ") + kId + " -y", "Without asking."}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_delete_owner(in, console,
                                     {.path = user_path(in),
                                      .what = "user " + printable(in.text("user_id"), kShownName)});
           }},
      {.name = "admin user reset-quota",
       .summary = "Set a user's use of this month to zero.",
       .options = {kUser,
                   {.name = "--reason", .help = "Why; it is kept.", .required = true},
                   {.name = "--scope",
                    .help = "Whose counter.",
                    .choices = {"user", "user_and_org"}}},
       .examples = {{std::string("kvcs admin user reset-quota ") + kId +
                         " --reason 'Billing correction'",
                     ""}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_send(in, console, "POST", user_path(in, "/reset-quota"),
                             body_of(in, {{"reason", "reset_reason"}, {"scope", "scope"}}));
           }},
  };
}

// A key's own limit is beside those of its user and organization. The answer holds the key, which
// the server keeps only as a hash.
int run_key_create(const Invocation& in, Console& console) {
  const auto body = body_of(in, {{"name", "name"},
                                 {"limit", "monthly_limit_usd"},
                                 {"expires", "expires_at"},
                                 {"requests-per-minute", "requests_per_minute", MemberKind::kLimit},
                                 {"tokens-per-minute", "tokens_per_minute", MemberKind::kLimit},
                                 {"allow-model", "allowed_models", MemberKind::kList}});
  const int code = run_send(in, console, "POST", user_path(in, "/api-keys"), body);
  if (code == kExitOk) console.note("The key is shown this once.");
  return code;
}

// A revoked key stays in the list; only its status changes. So there is no question here.
int run_key_revoke(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  return show_object(console, api.call("DELETE", key_path(in)));
}

// The record keeps its id and limits and gets a new secret. Without --overlap the old secret ends
// at once.
int run_key_rotate(const Invocation& in, Console& console) {
  Json body = Json::object();
  if (const auto overlap_s = in.optional_number("overlap")) body["overlap_s"] = *overlap_s;
  return run_send(in, console, "POST", key_path(in, "/rotate"), body);
}

// null takes an expiry away.
int run_key_expire(const Invocation& in, Console& console) {
  const std::string when = in.text("when");
  const Json body{{"expires_at", when == "never" ? Json(nullptr) : Json(when)}};
  return run_send(in, console, "PATCH", key_path(in), body);
}

// The prefix is the part of a key that may be shown, so that people tell their keys apart.
int run_key_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  return show_list(
      console,
      read_pages(api, user_path(in, "/api-keys") + query_of(in, {kSearchQuery}), "api_keys"),
      {{"KEY ID", "key_id"},
       {"NAME", "name"},
       {"STATUS", "status"},
       {"PREFIX", "key_prefix"},
       {"LIMIT USD", "monthly_limit_usd"},
       {"EXPIRES", "expires_at"},
       {"LAST USED", "last_used_at"}},
      "No keys.");
}

std::vector<Command> key_commands() {
  // A user's id and a key's id, for the examples.
  const std::string both = std::string(kId) + " 9b1c8e52-2f43-4d0e-8f0a-5f2b6f6f0c11";
  return {
      {.name = "admin key create",
       .summary = "Create a key for a user; it is shown once.",
       .options = with({kUser,
                        {.name = "--name", .help = "What it is for.", .required = true},
                        {.name = "--limit", .help = "The key's own, a month.", .value_name = "USD"},
                        {.name = "--expires",
                         .help = "When it ends, like 2027-01-01T00:00:00Z.",
                         .value_name = "TIME"}},
                       rate_options()),
       .examples = {{std::string("kvcs admin key create ") + kId + " --name laptop", ""}},
       .run = run_key_create},
      {.name = "admin key list",
       .summary = "List a user's keys; never the keys themselves.",
       .options = {kUser, search_option()},
       .examples = {{std::string("kvcs admin key list ") + kId, ""}},
       .run = run_key_list},
      {.name = "admin key revoke",
       .summary = "Refuse a key from now on.",
       .options = {kUser, kKey},
       .examples = {{"kvcs admin key revoke " + both, ""}},
       .run = run_key_revoke},
      {.name = "admin key expire",
       .summary = "Set when a key ends.",
       .options = {kUser, kKey, {.name = "WHEN", .help = "A time, or never.", .required = true}},
       .examples = {{"kvcs admin key expire " + both + " 2027-01-01T00:00:00Z", ""}},
       .run = run_key_expire},
      {.name = "admin key rotate",
       .summary = "Replace a key by a new one.",
       .options = {kUser,
                   kKey,
                   {.name = "--overlap",
                    .kind = ValueKind::kNumber,
                    .help = "Seconds that the old one still works.",
                    .max = 2'592'000}},
       .examples = {{"kvcs admin key rotate " + both + " --overlap 3600", "An hour of both."}},
       .run = run_key_rotate},
  };
}

}  // namespace

std::vector<Command> admin_commands() {
  std::vector<Command> all;
  for (auto part :
       {organization_reads(), organization_writes(), user_reads(), user_writes(), key_commands()}) {
    for (Command& command : part) all.push_back(std::move(command));
  }
  return all;
}

}  // namespace kvcs::cli
