// `kvcs admin usage`, `prices`, `requests`, `bodies`, `jobs`, `alerts` and `audit`: what was used,
// what models cost, what is to be looked at, and what the daemon does by itself. Each command is
// one request, or the pages of one list.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/admin_calls.h"
#include "cli/commands.h"
#include "cli/confirm.h"

namespace kvcs::cli {
namespace {

constexpr const char* kPrices = "/admin/ai/prices";

// Sums of the ledger, one row per group. CSV is made by the server and is written as it came, so
// that a large export is not parsed here.
int run_usage(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  std::string path = "/admin/usage" + query_of(in, {{"group-by", "group_by"},
                                                    {"split-by", "split_by"},
                                                    {"from", "from"},
                                                    {"to", "to"},
                                                    {"org", "org_id"},
                                                    {"user", "user_id"},
                                                    {"key", "key_id"},
                                                    {"model", "model"},
                                                    {"provider", "provider"}});
  if (in.flag("csv")) {
    const auto csv = api.call_bytes("GET", path + "&format=csv");
    if (!csv.ok()) return console.fail(csv.status());
    console.write(*csv);
    return kExitOk;
  }
  const auto answer = api.call("GET", path);
  if (!answer.ok()) return console.fail(answer.status());
  // The rows name their group and its part by the words that were asked for, and Column holds
  // pointers: both must outlive the table.
  const std::string group = in.text("group-by"), part = in.text("split-by");
  const Result<Json> list = (*answer).value("usage", Json::array());
  std::vector<Column> columns = {{"GROUP", group.c_str()},
                                 {"REQUESTS", "requests"},
                                 {"FAILURES", "failures"},
                                 {"INPUT TOKENS", "input_tokens"},
                                 {"OUTPUT TOKENS", "output_tokens"},
                                 {"COST USD", "cost_usd"},
                                 {"MEAN MS", "mean_ms"}};
  if (!part.empty()) columns.insert(columns.begin() + 1, {"PART", part.c_str()});
  return show_list(console, list, columns, "No requests.");
}

std::string price_path(const Invocation& in) {
  // The slash between provider and model is sent as %2F, because the route takes one segment and a
  // model's own name may hold more slashes.
  std::string path = std::string(kPrices) + "/" + segment(in, "model");
  return path + query_of(in, {{"org", "org_id"}});
}

// The answer has two lists: what was set here, and what came with the program. Overrides stand
// first because they win.
int run_price_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto answer = api.call("GET", kPrices);
  if (!answer.ok()) return console.fail(answer.status());
  if (console.mode().json) {
    console.print_json(*answer);
    return kExitOk;
  }
  const bool overrides_only = in.flag("overrides");
  Json list = (*answer).value("overrides", Json::array());
  if (!overrides_only) {
    for (const Json& price : (*answer).value("prices", Json::array())) list.push_back(price);
  }
  return show_list(console, list,
                   {{"MODEL", "model"},
                    {"ORG ID", "org_id"},
                    {"MODE", "mode"},
                    {"INPUT USD/TOKEN", "input_cost_per_token"},
                    {"OUTPUT USD/TOKEN", "output_cost_per_token"},
                    {"CACHE READ", "cache_read_input_token_cost"}},
                   "No prices.");
}

// Prices stay the texts that were typed: the server reads decimals, and no double stands between.
int run_price_set(const Invocation& in, Console& console) {
  auto body = body_of(in, {{"input", "input_cost_per_token"},
                           {"output", "output_cost_per_token"},
                           {"cache-read", "cache_read_input_token_cost"},
                           {"cache-write", "cache_creation_input_token_cost"},
                           {"max-input-tokens", "max_input_tokens"},
                           {"max-output-tokens", "max_output_tokens"},
                           {"mode", "mode"},
                           {"source", "source"}});
  if (!body.ok()) return console.fail(body.status());
  for (const std::string& member : in.list("member")) {
    const size_t equals = member.find('=');
    if (equals == member.npos) {
      return console.fail(
          invalid("--member: '" + printable(member, kShownName) + "' is not NAME=VALUE."));
    }
    (*body)[member.substr(0, equals)] = member.substr(equals + 1);
  }
  ApiClient api(find_admin_settings(in));
  return show_object(console, api.call("PUT", price_path(in), *body));
}

// A price of one organization stands before the general one.
Option for_organization() {
  return {.name = "--org",
          .help = "For this organization only.",
          .value_name = "ORG_ID",
          .never_empty = true};
}

std::vector<Command> price_commands() {
  const Option model{.name = "MODEL", .help = "Like openai/gpt-4.1-mini.", .required = true};
  return {
      {.name = "admin prices list",
       .summary = "List what models cost, overrides first.",
       .options = {{.name = "--overrides",
                    .kind = ValueKind::kFlag,
                    .help = "Only those set here, not the shipped ones."}},
       .examples = {{"kvcs admin prices list --overrides", ""}},
       .run = run_price_list},
      {.name = "admin prices get",
       .summary = "Show what a model costs.",
       .options = {model, for_organization()},
       .examples = {{"kvcs admin prices get openai/gpt-4.1-mini", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             ApiClient api(find_admin_settings(in));
             return show_object(console, api.call("GET", price_path(in)));
           }},
      {.name = "admin prices set",
       .summary =
           "Set what a model costs, in USD per token. The row is replaced: what is not given "
           "has no price.",
       .options =
           {model,
            {.name = "--input", .help = "An input token.", .required = true},
            {.name = "--output", .help = "An output token.", .required = true},
            {.name = "--cache-read", .help = "A token read from the cache."},
            {.name = "--cache-write", .help = "A token written to the cache."},
            {.name = "--max-input-tokens", .help = "What the model reads.", .value_name = "N"},
            {.name = "--max-output-tokens", .help = "What the model writes.", .value_name = "N"},
            {.name = "--member",
             .kind = ValueKind::kList,
             .help = "Any other member of a price row.",
             .value_name = "NAME=VALUE"},
            {.name = "--mode",
             .help = "What the model does.",
             .choices = {"chat", "embedding", "responses"}},
            {.name = "--source", .help = "Where the price was read."},
            for_organization()},
       .examples = {{"kvcs admin prices set local/llama --input 0.0000002 --output 6e-7",
                     "0.20 and 0.60 USD per million tokens."},
                    {"kvcs admin prices set local/llama --input 0 --output 0 --max-input-tokens "
                     "131072 --member web_search_cost_per_call=0.01",
                     ""}},
       .run = run_price_set},
      {.name = "admin prices delete",
       .summary = "Go back to the shipped price.",
       .options = {model, for_organization(), yes_option()},
       .examples = {{"kvcs admin prices delete local/llama -y", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_delete(
                 in, console,
                 {.path = price_path(in),
                  .what = "the price of " + printable(in.text("model"), kShownValue)});
           }},
  };
}

// A list of single requests may be very long, so it has a limit unless another one is asked for.
const Option kRequestsMax{.name = "--max",
                          .kind = ValueKind::kNumber,
                          .help = "At most N.",
                          .fallback = "100",
                          .min = 1,
                          .max = 1'000'000};

// The filters that requests and kept bodies have alike.
std::vector<Option> request_filters() {
  return {{.name = "--org", .help = "Only this organization.", .value_name = "ORG_ID"},
          {.name = "--user", .help = "Only this user.", .value_name = "USER_ID"},
          {.name = "--key", .help = "Only this key.", .value_name = "KEY_ID"},
          {.name = "--model", .help = "Only this model."},
          kRequestsMax};
}

std::string filtered_bodies(const Invocation& in) {
  return "/admin/ai/bodies" +
         query_of(in,
                  {{"org", "org_id"}, {"user", "user_id"}, {"key", "key_id"}, {"model", "model"}});
}

std::string filtered_requests(const Invocation& in) {
  return "/admin/usage/requests" + query_of(in, {{"org", "org_id"},
                                                 {"user", "user_id"},
                                                 {"key", "key_id"},
                                                 {"model", "model"},
                                                 {"provider", "provider"},
                                                 {"request", "request_id"},
                                                 {"status", "status"},
                                                 {"outcome", "outcome"},
                                                 {"from", "from"},
                                                 {"to", "to"},
                                                 {"min-cost", "min_cost_usd"},
                                                 {"max-cost", "max_cost_usd"}});
}

std::vector<Option> usage_filters() {
  std::vector<Option> options = request_filters();
  const std::vector<Option> more = {
      {.name = "--provider", .help = "Only this provider."},
      {.name = "--request", .help = "Only this request, with all its tries.", .value_name = "ID"},
      {.name = "--status", .help = "Only this status.", .value_name = "CODE"},
      {.name = "--outcome",
       .help = "Only those that ended so.",
       .choices = {"ok", "client_error", "rate_limited", "provider_error", "timeout", "client_gone",
                   "recovered", "failed"}},
      {.name = "--from", .help = "From this time on.", .value_name = "ISO_TIME"},
      {.name = "--to", .help = "Before this time.", .value_name = "ISO_TIME"},
      {.name = "--min-cost", .help = "At least this cost.", .value_name = "USD"},
      {.name = "--max-cost", .help = "At most this cost.", .value_name = "USD"}};
  options.insert(options.end(), more.begin(), more.end());
  return options;
}

// Single requests, newest first, page by page.
int run_request_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto max = static_cast<uint64_t>(in.number("max"));
  return show_list(console, read_pages(api, filtered_requests(in), "requests", max),
                   {{"REQUEST ID", "request_id"},
                    {"TIME", "ts"},
                    {"USER ID", "user_id"},
                    {"MODEL", "model"},
                    {"STATUS", "status"},
                    {"INPUT", "input_tokens"},
                    {"OUTPUT", "output_tokens"},
                    {"COST USD", "cost_usd"},
                    {"MS", "total_ms"}},
                   "No requests.");
}

// Sizes only: the bodies themselves are shown one request at a time.
int run_body_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto max = static_cast<uint64_t>(in.number("max"));
  return show_list(console, read_pages(api, filtered_bodies(in), "bodies", max),
                   {{"REQUEST ID", "request_id"},
                    {"TIME", "ts"},
                    {"ORG ID", "org_id"},
                    {"USER ID", "user_id"},
                    {"MODEL", "model"},
                    {"STATUS", "status"},
                    {"REQUEST BYTES", "request_bytes"},
                    {"RESPONSE BYTES", "response_bytes"}},
                   "No bodies are kept; an organization asks for it with --log-bodies true.");
}

std::vector<Command> request_commands() {
  return {
      {.name = "admin requests",
       .summary = "List single AI requests, newest first.",
       .options = usage_filters(),
       .examples = {{"kvcs admin requests --model gpt-6-luna --max 20", "The last 20."},
                    {"kvcs admin requests --outcome provider_error --min-cost 0.01",
                     "Failures that cost money."}},
       .run = run_request_list},
      {.name = "admin bodies list",
       .summary = "List requests whose bodies are kept.",
       .options = request_filters(),
       .examples = {{"kvcs admin bodies list --max 20", "The last 20."}},
       .run = run_body_list},
      {.name = "admin bodies show",
       .summary = "Show one request's bodies, cut and redacted.",
       .options = {{.name = "REQUEST_ID", .help = "As x-request-id said.", .required = true}},
       .examples = {{"kvcs admin bodies show 61204f5ad635151c", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             ApiClient api(find_admin_settings(in));
             return show_object(console,
                                api.call("GET", "/admin/ai/bodies/" + segment(in, "request_id")));
           }},
  };
}

// The answer is shown in any case; a chain that does not hold is exit code 1, for scripts that
// watch it.
int run_audit_verify(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto answer = api.call("GET", "/admin/audit/verify");
  const int code = show_object(console, answer);
  return code == kExitOk && !(*answer).value("ok", false) ? int{kExitFailed} : code;
}

// Without --run a list; with it one run is started, and the command does not wait for its end.
int run_jobs(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  if (const auto job = in.optional_text("run")) {
    const std::string path = "/admin/jobs/" + segment(in, "run") + "/run";
    return show_done(console, api.call("POST", path, Json::object()).status(),
                     "Started " + printable(*job, kShownName) + ".");
  }
  const auto answer = api.call("GET", "/admin/jobs");
  if (!answer.ok()) return console.fail(answer.status());
  return show_list(console, (*answer).value("jobs", Json::array()),
                   {{"JOB", "job"},
                    {"SCHEDULE (UTC)", "schedule"},
                    {"RUNNING", "running"},
                    {"LAST STARTED", "last_started_at"},
                    {"LAST RESULT", "last_result"},
                    {"NEXT", "next_at"},
                    {"FAILURES", "failures"}},
                   "No jobs.");
}

Command jobs_command() {
  return {.name = "admin jobs",
          .summary = "List scheduled jobs with their last and next runs, or start one.",
          .options = {{.name = "--run", .help = "Start this one now.", .value_name = "JOB"}},
          .examples = {{"kvcs admin jobs", ""}, {"kvcs admin jobs --run autoresearch", ""}},
          .run = run_jobs};
}

int run_alerts(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto alerts =
      read_pages(api, "/admin/alerts", "alerts", static_cast<uint64_t>(in.number("max")));
  return show_list(
      console, alerts,
      {{"TIME", "ts"}, {"EVENT", "event"}, {"SUBJECT", "subject"}, {"STATUS", "status"}},
      "No alerts.");
}

Command alerts_command() {
  return {.name = "admin alerts",
          .summary = "List the alerts that were raised, newest first; --json has their texts.",
          .options = {kRequestsMax},
          .examples = {{"kvcs admin alerts --max 20", "The last 20."}},
          .run = run_alerts};
}

Command usage_command() {
  return {.name = "admin usage",
          .summary = "Sum what was used by day, model, user, key, provider or organization.",
          .options = {{.name = "--group-by",
                       .help = "One row for each.",
                       .fallback = "day",
                       .choices = {"day", "model", "user", "key", "provider", "organization"}},
                      {.name = "--split-by",
                       .help = "Each day in parts, one row for each.",
                       .choices = {"model", "user", "key", "provider", "organization"}},
                      {.name = "--from", .help = "First day.", .value_name = "YYYY-MM-DD"},
                      {.name = "--to", .help = "Last day.", .value_name = "YYYY-MM-DD"},
                      {.name = "--org", .help = "Only this organization."},
                      {.name = "--user", .help = "Only this user."},
                      {.name = "--key", .help = "Only this key."},
                      {.name = "--model", .help = "Only this model."},
                      {.name = "--provider", .help = "Only this provider."},
                      {.name = "--csv", .kind = ValueKind::kFlag, .help = "Print CSV."}},
          .examples = {{"kvcs admin usage --group-by model --from 2026-11-01 --to 2026-11-30", ""},
                       {"kvcs admin usage --split-by provider", "Each day, by provider."},
                       {"kvcs admin usage --group-by user --csv > usage.csv", ""}},
          .run = run_usage};
}

}  // namespace

std::vector<Command> admin_ai_commands() {
  // The order of --help within `kvcs admin`.
  std::vector<Command> all = {usage_command()};
  for (auto part : {price_commands(), admin_provider_commands(), request_commands()}) {
    for (Command& command : part) all.push_back(std::move(command));
  }
  all.push_back(jobs_command());
  all.push_back(alerts_command());
  all.push_back({.name = "admin audit verify",
                 .summary = "Walk the audit's hash chain; exit code 1 when it is broken.",
                 .examples = {{"kvcs admin audit verify", ""}},
                 .run = run_audit_verify});
  return all;
}

}  // namespace kvcs::cli
