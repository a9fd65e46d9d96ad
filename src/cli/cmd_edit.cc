// `kvcs edit`: what an artifact is called, what it is about, who may download it, and the project
// that it is in. Its bytes stay.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/id.h"
#include "cli/commands.h"
#include "cli/own_calls.h"

namespace kvcs::cli {
namespace {

Result<Json> words_of(const Invocation& in) {
  const std::vector<std::string> tags = in.list("tag");
  if (!tags.empty() && in.flag("no-tags")) return invalid("--tag and --no-tags: give one of them.");
  Json words = KVCS_TRY(body_of(in, {{"name", "name"}, {"description", "description"}}));
  if (!tags.empty()) words["tags"] = tags;
  if (in.flag("no-tags")) words["tags"] = Json::array();
  return words;
}

// All is looked up before anything is changed. A change that is refused says which it was, as those
// before it stand.
Result<Json> edit(const Invocation& in) {
  const std::string id = lower_ascii(in.text("id"));
  if (!is_uuid(id)) {
    return invalid("'" + printable(id, kShownName) + "' is not an artifact id; see `kvcs list`.");
  }
  const Json words = KVCS_TRY(words_of(in));
  const auto visibility = in.optional_text("visibility"), project = in.optional_text("project");
  if (words.empty() && !visibility && !project) {
    return invalid(
        "Say what to change: --name, --description, --tag, --no-tags, --visibility, --project.");
  }
  ApiClient api(find_api_settings());
  const std::string path = "/api/v1/artifacts/" + id;
  std::string project_id;
  if (project) {
    project_id = is_uuid(*project) ? lower_ascii(*project)
                                   : KVCS_TRY(find_project(api, "/api/v1", *project));
  }
  if (!words.empty()) KVCS_TRY(api.call("PATCH", path, words).status());
  if (project) {
    Status moved = api.call("POST", path + "/move", Json{{"project_id", project_id}}).status();
    if (!moved.ok()) return std::move(moved).with_context("--project");
  }
  if (visibility) {
    Status shown =
        api.call("POST", path + "/visibility", Json{{"visibility", *visibility}}).status();
    if (!shown.ok()) return std::move(shown).with_context("--visibility");
  }
  const Json now = KVCS_TRY(api.call("GET", path + "?shape=single"));
  if (!now.is_object()) return upstream_failed("The server's artifact is malformed.");
  Json shown = Json::object();
  for (const char* const member :
       {"artifact_id", "name", "description", "tags", "visibility", "project", "public_url"}) {
    shown[member] = now.value(member, Json());
  }
  return shown;
}

int run_edit(const Invocation& in, Console& console) {
  return show_object(console, edit(in));
}

}  // namespace

std::vector<Command> edit_commands() {
  const std::string example = "kvcs edit 3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f ";
  return {{.name = "edit",
           .summary = "Change an artifact's name, description, tags, visibility or project.",
           .options = {{.name = "ID", .help = "The artifact.", .required = true},
                       {.name = "--name", .help = "A new name.", .never_empty = true},
                       {.name = "--description", .help = "What it is about; \"\" takes it away."},
                       {.name = "--tag",
                        .kind = ValueKind::kList,
                        .help = "In the place of the tags that it has; may be repeated.",
                        .never_empty = true},
                       {.name = "--no-tags", .kind = ValueKind::kFlag, .help = "It has none."},
                       {.name = "--visibility",
                        .help = "Who may download it.",
                        .choices = {"private", "public"}},
                       {.name = "--project",
                        .help = "Move it there (slug or id); not with a key of a project.",
                        .value_name = "PROJECT",
                        .never_empty = true}},
           .examples = {{example + "--name 'Annual report' --tag law --tag de", ""},
                        {example + "--visibility public", "Prints its public URL."},
                        {example + "--project default", "As somebody who has signed in."}},
           .run = run_edit,
           .details = "What is not named stays. The bytes are never changed: upload anew."}};
}

}  // namespace kvcs::cli
