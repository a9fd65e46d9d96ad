// `kvcs show` and `open`: one artifact on a page, here or in the dashboard.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/counted.h"
#include "cli/browser.h"
#include "cli/commands.h"
#include "cli/dashboard_pages.h"
#include "cli/own_calls.h"

namespace kvcs::cli {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

// The members of an artifact in the order in which people ask.
struct Row {
  const char* title;
  const char* member;
};
constexpr Row kRows[] = {{"Name", "name"},
                         {"Description", "description"},
                         {"Tags", "tags"},
                         {"Artifact ID", "artifact_id"},
                         {"Project", "project"},
                         {"Status", "status"},
                         {"Visibility", "visibility"},
                         {"Public URL", "public_url"},
                         {"Size", "size_bytes"},
                         {"SHA-256", "sha256"},
                         {"Model", "model"},
                         {"Dtype", "dtype"},
                         {"Stored as", "storage_dtype"},
                         {"Quantized", "quantized"},
                         {"Tokens", "num_tokens"},
                         {"Layers", "num_layers"},
                         {"Created", "created_at"},
                         {"Downloads", "downloads"}};

std::string value_of(const Json& artifact, std::string_view member) {
  const auto found = artifact.find(member);
  const bool is_size = member == "size_bytes" && found != artifact.end();
  if (is_size && found->is_number_unsigned()) return format_exact_bytes(found->get<uint64_t>());
  return shown(artifact, member);
}

// A page of names and values. What the server leaves out has no place on it, and what the uploader
// sent along is one line: the whole of it is printed by --json.
Fields page_of(const Json& artifact) {
  Fields fields;
  for (const auto& [title, member] : kRows) {
    std::string value = value_of(artifact, member);
    if (value != "-" && !value.empty()) fields.emplace_back(title, std::move(value));
  }
  const auto metadata = artifact.find("metadata");
  if (metadata != artifact.end() && metadata->is_object() && metadata->contains("sidecar")) {
    fields.emplace_back("Sidecar", "yes; it comes with the download");
  }
  return fields;
}

Result<Json> look_up(const Invocation& in) {
  ApiClient api(find_api_settings(in));
  const std::string path = KVCS_TRY(artifact_path(api, in));
  Json artifact = KVCS_TRY(api.call("GET", path + "?shape=single"));
  if (!artifact.is_object()) return upstream_failed("The server's artifact is malformed.");
  return artifact;
}

int run_show(const Invocation& in, Console& console) {
  const Result<Json> artifact = look_up(in);
  if (!artifact.ok()) return console.fail(artifact.status());
  if (console.mode().json) {
    console.print_json(*artifact);
  } else {
    console.print_fields(page_of(*artifact));
  }
  return kExitOk;
}

// The dashboard is at the server's own root, with its pages behind '#'.
Result<std::string> page_url(const Invocation& in) {
  ApiClient api(find_api_settings(in));
  KVCS_TRY(Status(api.settings().fault));
  const std::string root = api.settings().url + "/";
  const auto called = in.optional_text("page");
  if (!called) return root;
  const std::string_view page = find_dashboard_page(*called);
  if (!page.empty()) return root + "#" + std::string(page);
  const Result<std::string> id = find_artifact(api, *called);
  if (id.ok()) return root + "#/artifacts/" + *id;
  if (id.code() != Code::kNotFound) return id.status();
  return not_found(id.status().message() + " Pages are: " + dashboard_words() + ".");
}

int run_open(const Invocation& in, Console& console) {
  const Result<std::string> url = page_url(in);
  if (!url.ok()) return console.fail(url.status());
  const bool is_opened = !in.flag("no-browser") && open_browser(*url);
  if (console.mode().json) {
    console.print_json({{"url", *url}, {"opened", is_opened}});
  } else {
    console.print(printable(*url, kShownWhole));
    if (is_opened) console.note("It opens in your browser.");
  }
  return kExitOk;
}

}  // namespace

std::vector<Command> show_commands() {
  Option artifact = artifact_argument();
  Option page{.name = "PAGE",
              .help =
                  "A page by its name, or that of an artifact (its id, 6 digits of it or more, "
                  "or its name); else the front."};
  return {{.name = "show",
           .summary = "Show one artifact: what it is, whose, and how large.",
           .options = {std::move(artifact)},
           .examples = {{"kvcs show demo", ""},
                        {"kvcs show demo --json", "With the sidecar, for scripts."}},
           .run = run_show,
           .details = "`kvcs inspect` looks into a file of this machine."},
          {.name = "open",
           .summary = "Print the address of a page of the dashboard, and open it.",
           .options = {std::move(page),
                       {.name = "--no-browser",
                        .kind = ValueKind::kFlag,
                        .help = "Print the address and open nothing."}},
           .examples = {{"kvcs open", "The dashboard of the server that commands use."},
                        {"kvcs open keys", "Its page of API keys."},
                        {"kvcs open demo --no-browser", "The page of an artifact, to send on."}},
           .run = run_open,
           .details = "It opens by the program that BROWSER names, else by xdg-open where there is "
                      "a desktop. Pages go before artifacts of the same name: " +
                      dashboard_words() + "."}};
}

}  // namespace kvcs::cli
