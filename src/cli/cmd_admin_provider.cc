// admin provider: where models live, and the keys that open them. Secrets come from stdin or a
// variable, never from an argument.
#include <nlohmann/json.hpp>

#include <iostream>

#include "base/bytes.h"
#include "base/environment.h"
#include "cli/admin_calls.h"
#include "cli/commands.h"
#include "cli/confirm.h"

namespace kvcs::cli {
namespace {

constexpr const char* kProviders = "/admin/ai/providers";

std::string provider_path(const Invocation& in) {
  return std::string(kProviders) + "/" + segment(in, "name");
}

// Puts the provider's key into `body` when one was given, from a variable or from the first line of
// stdin. There is no option that takes the key itself, because every user of the machine can read
// the arguments of a process.
Status read_api_key(const Invocation& in, Json& body) {
  const std::string variable = in.text("api-key-env");
  std::string key;
  if (!variable.empty()) {
    key = environment(variable);
    if (key.empty()) {
      return invalid("--api-key-env: " + printable(variable, kShownName) + " is not set.");
    }
  } else if (in.flag("api-key-stdin")) {
    std::getline(std::cin, key);
    key = std::string(trim(key));
    if (key.empty()) return invalid("--api-key-stdin: there was no key on stdin.");
  }
  if (!key.empty()) body["api_key"] = key;
  return ok();
}

// "NAME: VALUE" as in HTTP: the first colon separates, and spaces around both parts are dropped.
Status read_headers(const Invocation& in, Json& body) {
  for (const std::string& header : in.list("header")) {
    const size_t colon = header.find(':');
    if (colon == header.npos) {
      return invalid("--header: '" + printable(header, kShownName) + "' is not NAME: VALUE.");
    }
    const std::string_view text = header;
    body["headers"][std::string(trim(text.substr(0, colon)))] = trim(text.substr(colon + 1));
  }
  return ok();
}

// A PUT of the whole record. The server keeps the stored key when the body has none.
int run_provider_set(const Invocation& in, Console& console) {
  Result<Json> body =
      body_of(in, {{"kind", "kind"},
                   {"base-url", "base_url"},
                   {"auth-header", "auth_header"},
                   {"timeout-ms", "timeout_ms", MemberKind::kLimit},
                   {"stream-options", "stream_options", MemberKind::kBoolean},
                   {"cancel-stops-billing", "cancel_stops_billing", MemberKind::kBoolean},
                   {"model", "models", MemberKind::kList}});
  if (!body.ok()) return console.fail(body.status());
  const Status headers = read_headers(in, *body);
  if (!headers.ok()) return console.fail(headers);
  const Status key = read_api_key(in, *body);
  if (!key.ok()) return console.fail(key);
  ApiClient api(find_admin_settings(in));
  return show_object(console, api.call("PUT", provider_path(in), *body));
}

// The answer says of a key only whether there is one.
int run_provider_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
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

// A provider is where models live; the kind says in which dialect it is spoken to.
Command provider_set_command(const Option& name) {
  return {
      .name = "admin provider set",
      .summary =
          "Create or replace a provider; what is not given goes back to its default, but "
          "the stored key stays.",
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
                  {.name = "--stream-options",
                   .help = "Whether streams are asked for their usage.",
                   .choices = {"true", "false"}},
                  {.name = "--cancel-stops-billing",
                   .help = "Whether a request that is cut off costs nothing more.",
                   .choices = {"true", "false"}},
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

// An organization's own key at a provider is used in place of the shared one.
std::string credential_path(const Invocation& in) {
  return "/admin/organizations/" + segment(in, "org_id") + "/ai-credentials/" + segment(in, "name");
}

// A request without a key would delete nothing and set nothing, so it is refused here.
int run_set_key(const Invocation& in, Console& console) {
  Json body = Json::object();
  const Status key = read_api_key(in, body);
  if (!key.ok()) return console.fail(key);
  if (body.empty()) return console.fail(invalid("Give --api-key-env or --api-key-stdin."));
  ApiClient api(find_admin_settings(in));
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
             return run_delete(in, console,
                               {.path = credential_path(in),
                                .what = "the key at " + printable(in.text("name"), kShownName)});
           }},
  };
}

}  // namespace

std::vector<Command> admin_provider_commands() {
  const Option name{.name = "NAME", .help = "The provider.", .required = true};
  std::vector<Command> all = {
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
             ApiClient api(find_admin_settings(in));
             return show_object(console, api.call("GET", provider_path(in)));
           }},
      provider_set_command(name),
      {.name = "admin provider delete",
       .summary = "Delete a provider and its key.",
       .options = {name, yes_option()},
       .examples = {{"kvcs admin provider delete local -y", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             return run_delete(in, console,
                               {.path = provider_path(in),
                                .what = "provider " + printable(in.text("name"), kShownName)});
           }},
  };
  for (Command& command : credential_commands(name)) all.push_back(std::move(command));
  return all;
}

}  // namespace kvcs::cli
