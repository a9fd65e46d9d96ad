// admin usage, prices, provider, jobs and audit: what the daemon does and what models cost.
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <iostream>

#include "base/bytes.h"
#include "cli/admin_calls.h"
#include "cli/commands.h"
#include "cli/confirm.h"

namespace kvcs::cli {
namespace {

constexpr const char* kPrices = "/admin/ai/prices";
constexpr const char* kProviders = "/admin/ai/providers";

int run_usage(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings());
  std::string path = "/admin/usage" + query_of(in, {{"group-by", "group_by"},
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
  const std::string group = in.text("group-by");
  const Result<Json> list = (*answer).value("usage", Json::array());
  return show_list(console, list,
                   {{"GROUP", group.c_str()},
                    {"REQUESTS", "requests"},
                    {"FAILURES", "failures"},
                    {"INPUT TOKENS", "input_tokens"},
                    {"OUTPUT TOKENS", "output_tokens"},
                    {"COST USD", "cost_usd"},
                    {"MEAN MS", "mean_ms"}},
                   "No requests.");
}

std::string price_path(const Invocation& in) {
  // With %2F for the slash: a model's own name may hold more of them.
  std::string path = std::string(kPrices) + "/" + segment(in, "model");
  return path + query_of(in, {{"org", "org_id"}});
}

int run_price_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings());
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

int run_price_set(const Invocation& in, Console& console) {
  const auto body = body_of(in, {{"input", "input_cost_per_token"},
                                 {"output", "output_cost_per_token"},
                                 {"cache-read", "cache_read_input_token_cost"},
                                 {"cache-write", "cache_creation_input_token_cost"},
                                 {"mode", "mode"},
                                 {"source", "source"}});
  ApiClient api(find_admin_settings());
  return show_object(console, api.call("PUT", price_path(in), *body));
}

Option for_organization() {
  return {.name = "--org", .help = "For this organization only.", .value_name = "ORG_ID"};
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
             ApiClient api(find_admin_settings());
             return show_object(console, api.call("GET", price_path(in)));
           }},
      {.name = "admin prices set",
       .summary = "Set what a model costs, in USD per token.",
       .options = {model,
                   {.name = "--input", .help = "An input token.", .required = true},
                   {.name = "--output", .help = "An output token.", .required = true},
                   {.name = "--cache-read", .help = "A token read from the cache."},
                   {.name = "--cache-write", .help = "A token written to the cache."},
                   {.name = "--mode",
                    .help = "What the model does.",
                    .choices = {"chat", "embedding", "responses"}},
                   {.name = "--source", .help = "Where the price was read."},
                   for_organization()},
       .examples = {{"kvcs admin prices set local/llama --input 0.0000002 --output 6e-7",
                     "0.20 and 0.60 USD per million tokens."}},
       .run = run_price_set},
      {.name = "admin prices delete",
       .summary = "Go back to the shipped price.",
       .options = {model, for_organization(), yes_option()},
       .examples = {{"kvcs admin prices delete local/llama -y", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             const std::string what = "the price of " + printable(in.text("model"), 120);
             if (const auto exit = declined(in, console, "Delete " + what + "?")) return *exit;
             ApiClient api(find_admin_settings());
             return show_done(console, api.call("DELETE", price_path(in)).status(),
                              "Deleted " + what + ".");
           }},
  };
}

std::string provider_path(const Invocation& in) {
  return std::string(kProviders) + "/" + segment(in, "name");
}

// Never from an argument: other users see the process list.
Status read_api_key(const Invocation& in, Json& body) {
  const std::string variable = in.text("api-key-env");
  std::string key;
  if (!variable.empty()) {
    const char* const value = std::getenv(variable.c_str());
    if (value == nullptr || *value == '\0') {
      return invalid("--api-key-env: " + printable(variable, 80) + " is not set.");
    }
    key = value;
  } else if (in.flag("api-key-stdin")) {
    std::getline(std::cin, key);
    key = std::string(trim(key));
    if (key.empty()) return invalid("--api-key-stdin: there was no key on stdin.");
  }
  if (!key.empty()) body["api_key"] = key;
  return ok();
}

Status read_headers(const Invocation& in, Json& body) {
  for (const std::string& header : in.list("header")) {
    const size_t colon = header.find(':');
    if (colon == header.npos) {
      return invalid("--header: '" + printable(header, 80) + "' is not NAME: VALUE.");
    }
    const std::string_view text = header;
    body["headers"][std::string(trim(text.substr(0, colon)))] = trim(text.substr(colon + 1));
  }
  return ok();
}

int run_provider_set(const Invocation& in, Console& console) {
  Result<Json> body = body_of(in, {{"kind", "kind"},
                                   {"base-url", "base_url"},
                                   {"auth-header", "auth_header"},
                                   {"timeout-ms", "timeout_ms", MemberKind::kLimit},
                                   {"model", "models", MemberKind::kList}});
  if (!body.ok()) return console.fail(body.status());
  const Status headers = read_headers(in, *body);
  if (!headers.ok()) return console.fail(headers);
  const Status key = read_api_key(in, *body);
  if (!key.ok()) return console.fail(key);
  ApiClient api(find_admin_settings());
  return show_object(console, api.call("PUT", provider_path(in), *body));
}

int run_provider_list(const Invocation&, Console& console) {
  ApiClient api(find_admin_settings());
  const auto answer = api.call("GET", kProviders);
  if (!answer.ok()) return console.fail(answer.status());
  const Result<Json> list = (*answer).value("providers", Json::array());
  return show_list(console, list,
                   {{"NAME", "name"},
                    {"KIND", "kind"},
                    {"BASE URL", "base_url"},
                    {"KEY", "has_api_key"},
                    {"MODELS", "models"}},
                   "No providers.");
}

Command provider_set_command(const Option& name) {
  return {
      .name = "admin provider set",
      .summary = "Create or replace a provider; the stored key stays unless one is given.",
      .options = {name,
                  {.name = "--kind",
                   .help = "What it speaks.",
                   .required = true,
                   .choices = {"openai", "anthropic", "openai_compatible"}},
                  {.name = "--base-url", .help = "Where it is.", .value_name = "URL"},
                  {.name = "--api-key-stdin",
                   .kind = ValueKind::kFlag,
                   .help = "The key is on stdin."},
                  {.name = "--api-key-env", .help = "The key is there.", .value_name = "VARIABLE"},
                  {.name = "--auth-header", .help = "The header that carries it, bare."},
                  {.name = "--header",
                   .kind = ValueKind::kList,
                   .help = "Sent with every request.",
                   .value_name = "NAME: VALUE"},
                  {.name = "--timeout-ms", .kind = ValueKind::kNumber, .help = "Of a request."},
                  {.name = "--model", .kind = ValueKind::kList, .help = "Models it is asked for."}},
      .examples = {{"kvcs admin provider set openai --kind openai --api-key-env OPENAI_API_KEY",
                    ""},
                   {"kvcs admin provider set local --kind openai_compatible "
                    "--base-url http://127.0.0.1:8000/v1 --model llama",
                    "A server of one's own."},
                   {"kvcs admin provider set anthropic --kind anthropic --api-key-stdin < key",
                    "Keeps the key out of the process list."}},
      .run = run_provider_set};
}

std::string credential_path(const Invocation& in) {
  return "/admin/organizations/" + segment(in, "org_id") + "/ai-credentials/" + segment(in, "name");
}

int run_set_key(const Invocation& in, Console& console) {
  Json body = Json::object();
  const Status key = read_api_key(in, body);
  if (!key.ok()) return console.fail(key);
  if (body.empty()) return console.fail(invalid("Give --api-key-env or --api-key-stdin."));
  ApiClient api(find_admin_settings());
  return show_object(console, api.call("PUT", credential_path(in), body));
}

std::vector<Command> credential_commands(const Option& name) {
  const Option organization{.name = "ORG_ID", .help = "Whose key it is.", .required = true};
  return {
      {.name = "admin provider set-key",
       .summary = "Give an organization a key of its own at a provider.",
       .options =
           {organization,
            name,
            {.name = "--api-key-stdin", .kind = ValueKind::kFlag, .help = "The key is on stdin."},
            {.name = "--api-key-env", .help = "The key is there.", .value_name = "VARIABLE"}},
       .examples = {{"kvcs admin provider set-key 3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f openai "
                     "--api-key-stdin < key",
                     "Its requests carry this key from now on."}},
       .run = run_set_key},
      {.name = "admin provider delete-key",
       .summary = "Forget an organization's own key at a provider.",
       .options = {organization, name, yes_option()},
       .examples = {{"kvcs admin provider delete-key 3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f openai "
                     "-y",
                     "Its requests carry the shared key again."}},
       .run =
           [](const Invocation& in, Console& console) {
             const std::string what = "the key at " + printable(in.text("name"), 80);
             if (const auto code = declined(in, console, "Delete " + what + "?")) return *code;
             ApiClient api(find_admin_settings());
             return show_done(console, api.call("DELETE", credential_path(in)).status(),
                              "Deleted " + what + ".");
           }},
  };
}

std::vector<Command> provider_commands() {
  const Option name{.name = "NAME", .help = "The provider.", .required = true};
  return {
      {.name = "admin provider list",
       .summary = "List AI providers.",
       .examples = {{"kvcs admin provider list", ""}},
       .run = run_provider_list},
      {.name = "admin provider get",
       .summary = "Show one provider, without its key.",
       .options = {name},
       .examples = {{"kvcs admin provider get openai", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             ApiClient api(find_admin_settings());
             return show_object(console, api.call("GET", provider_path(in)));
           }},
      provider_set_command(name),
      {.name = "admin provider delete",
       .summary = "Delete a provider and its key.",
       .options = {name, yes_option()},
       .examples = {{"kvcs admin provider delete local -y", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             const std::string what = "provider " + printable(in.text("name"), 80);
             if (const auto exit = declined(in, console, "Delete " + what + "?")) return *exit;
             ApiClient api(find_admin_settings());
             return show_done(console, api.call("DELETE", provider_path(in)).status(),
                              "Deleted " + what + ".");
           }},
  };
}

const Option kRequestsMax{.name = "--max",
                          .kind = ValueKind::kNumber,
                          .help = "At most N.",
                          .fallback = "100",
                          .min = 1,
                          .max = 1'000'000};

std::vector<Option> request_filters() {
  return {{.name = "--org", .help = "Only this organization.", .value_name = "ORG_ID"},
          {.name = "--user", .help = "Only this user.", .value_name = "USER_ID"},
          {.name = "--key", .help = "Only this key.", .value_name = "KEY_ID"},
          {.name = "--model", .help = "Only this model."},
          kRequestsMax};
}

std::string filtered(const Invocation& in, const char* path) {
  return path +
         query_of(in,
                  {{"org", "org_id"}, {"user", "user_id"}, {"key", "key_id"}, {"model", "model"}});
}

int run_request_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings());
  const auto max = static_cast<uint64_t>(in.number("max"));
  return show_list(console, read_pages(api, filtered(in, "/admin/usage/requests"), "requests", max),
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

int run_body_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings());
  const auto max = static_cast<uint64_t>(in.number("max"));
  return show_list(console, read_pages(api, filtered(in, "/admin/ai/bodies"), "bodies", max),
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
       .options = request_filters(),
       .examples = {{"kvcs admin requests --model gpt-4o-mini --max 20", "The last 20."}},
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
             ApiClient api(find_admin_settings());
             return show_object(console,
                                api.call("GET", "/admin/ai/bodies/" + segment(in, "request_id")));
           }},
  };
}

int run_audit_verify(const Invocation&, Console& console) {
  ApiClient api(find_admin_settings());
  const auto answer = api.call("GET", "/admin/audit/verify");
  const int code = show_object(console, answer);
  return code == kExitOk && !(*answer).value("ok", false) ? int{kExitFailed} : code;
}

int run_jobs(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings());
  if (const auto job = in.optional_text("run")) {
    const std::string path = "/admin/jobs/" + segment(in, "run") + "/run";
    return show_done(console, api.call("POST", path, Json::object()).status(),
                     "Started " + printable(*job, 80) + ".");
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

Command usage_command() {
  return {.name = "admin usage",
          .summary = "Sum what was used by day, model, user, key, provider or organization.",
          .options = {{.name = "--group-by",
                       .help = "One row for each.",
                       .fallback = "day",
                       .choices = {"day", "model", "user", "key", "provider", "organization"}},
                      {.name = "--from", .help = "First day.", .value_name = "YYYY-MM-DD"},
                      {.name = "--to", .help = "Last day.", .value_name = "YYYY-MM-DD"},
                      {.name = "--org", .help = "Only this organization."},
                      {.name = "--user", .help = "Only this user."},
                      {.name = "--key", .help = "Only this key."},
                      {.name = "--model", .help = "Only this model."},
                      {.name = "--provider", .help = "Only this provider."},
                      {.name = "--csv", .kind = ValueKind::kFlag, .help = "Print CSV."}},
          .examples = {{"kvcs admin usage --group-by model --from 2026-11-01 --to 2026-11-30", ""},
                       {"kvcs admin usage --group-by user --csv > usage.csv", ""}},
          .run = run_usage};
}

}  // namespace

std::vector<Command> admin_ai_commands() {
  std::vector<Command> all = {usage_command()};
  const Option provider{.name = "NAME", .help = "The provider.", .required = true};
  for (auto part :
       {price_commands(), provider_commands(), credential_commands(provider), request_commands()}) {
    for (Command& command : part) all.push_back(std::move(command));
  }
  all.push_back(jobs_command());
  all.push_back({.name = "admin audit verify",
                 .summary = "Walk the audit's hash chain; exit code 1 when it is broken.",
                 .examples = {{"kvcs admin audit verify", ""}},
                 .run = run_audit_verify});
  return all;
}

}  // namespace kvcs::cli
