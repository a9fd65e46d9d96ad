// `kvcs show` and `open`: one artifact on a page, here or in the dashboard.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/browser.h"
#include "cli/commands.h"
#include "cli/own_calls.h"

namespace kvcs::cli {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

// What the server says of itself by members of its own has a place on the page, too; what it leaves
// out has none.
void add(Fields& fields, const std::string& title, const Json& object, const char* member) {
  const std::string text = shown(object, member);
  if (text != "-" && !text.empty()) fields.emplace_back(title, text);
}

// "4.00 MiB (4194304 bytes)".
void add_size(Fields& fields, const Json& artifact) {
  const auto size = artifact.find("size_bytes");
  if (size == artifact.end() || !size->is_number_unsigned()) return;
  const auto bytes = size->get<uint64_t>();
  fields.emplace_back("Size", format_bytes(bytes) + " (" + std::to_string(bytes) + " bytes)");
}

// A page of names and values, in the order in which people ask. What the uploader sent along is one
// line: the whole of it is printed by --json.
Fields page_of(const Json& artifact) {
  Fields fields;
  add(fields, "Name", artifact, "name");
  add(fields, "Description", artifact, "description");
  add(fields, "Tags", artifact, "tags");
  add(fields, "Artifact ID", artifact, "artifact_id");
  add(fields, "Project", artifact, "project");
  add(fields, "Status", artifact, "status");
  add(fields, "Visibility", artifact, "visibility");
  add(fields, "Public URL", artifact, "public_url");
  add_size(fields, artifact);
  add(fields, "SHA-256", artifact, "sha256");
  add(fields, "Model", artifact, "model");
  add(fields, "Dtype", artifact, "dtype");
  add(fields, "Stored as", artifact, "storage_dtype");
  add(fields, "Quantized", artifact, "quantized");
  add(fields, "Tokens", artifact, "num_tokens");
  add(fields, "Layers", artifact, "num_layers");
  add(fields, "Created", artifact, "created_at");
  add(fields, "Downloads", artifact, "downloads");
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
  const auto called = in.optional_text("artifact");
  if (!called) return root;
  return root + "#/artifacts/" + KVCS_TRY(find_artifact(api, *called));
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
  Option page = artifact;
  page.help = "The page of this one (its id, 6 digits of it or more, or its name); else the front.";
  page.required = false;
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
                        {"kvcs open demo --no-browser", "The page of an artifact, to send on."}},
           .run = run_open,
           .details = "It opens by the program that BROWSER names, else by xdg-open where there is "
                      "a desktop."}};
}

}  // namespace kvcs::cli
