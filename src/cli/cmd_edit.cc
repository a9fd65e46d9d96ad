// `kvcs edit`, and `rename`, `describe`, `tag` and `visibility` for one thing at a time: what an
// artifact is called, what it is about, who may download it, and the project that it is in. Its
// bytes stay.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/own_calls.h"

namespace kvcs::cli {
namespace {

// What is to be changed; what is absent stays.
struct Change {
  Json words = Json::object();  // Members of a PATCH.
  std::optional<std::string> visibility, project;
};

Result<Json> words_of(const Invocation& in) {
  const std::vector<std::string> tags = in.list("tag");
  if (!tags.empty() && in.flag("no-tags")) return invalid("--tag and --no-tags: give one of them.");
  Json words = KVCS_TRY(body_of(in, {{"name", "name"}, {"description", "description"}}));
  if (!tags.empty()) words["tags"] = tags;
  if (in.flag("no-tags")) words["tags"] = Json::array();
  return words;
}

// A change that is refused says which it was, as those before it stand.
Status make_change(ApiClient& api, const std::string& path, const Change& change) {
  std::string project_id;
  if (change.project) project_id = KVCS_TRY(find_own_project(api, *change.project));
  if (!change.words.empty()) KVCS_TRY(api.call("PATCH", path, change.words).status());
  if (change.project) {
    Status moved = api.call("POST", path + "/move", Json{{"project_id", project_id}}).status();
    if (!moved.ok()) return std::move(moved).with_context("project");
  }
  if (!change.visibility) return ok();
  Status shown =
      api.call("POST", path + "/visibility", Json{{"visibility", *change.visibility}}).status();
  return shown.ok() ? ok() : std::move(shown).with_context("visibility");
}

Result<Json> shown_artifact(ApiClient& api, const std::string& path) {
  const Json now = KVCS_TRY(api.call("GET", path + "?shape=single"));
  if (!now.is_object()) return upstream_failed("The server's artifact is malformed.");
  Json shown = Json::object();
  for (const char* const member :
       {"artifact_id", "name", "description", "tags", "visibility", "project", "public_url"}) {
    shown[member] = now.value(member, Json());
  }
  return shown;
}

Result<Json> change_and_show(ApiClient& api, const std::string& path, const Change& change) {
  KVCS_TRY(make_change(api, path, change));
  return shown_artifact(api, path);
}

Result<Json> change_one(const Invocation& in, const Change& change) {
  ApiClient api(find_api_settings(in));
  const std::string path = KVCS_TRY(artifact_path(api, in));
  return change_and_show(api, path, change);
}

Result<Json> edit(const Invocation& in) {
  const Change change{.words = KVCS_TRY(words_of(in)),
                      .visibility = in.optional_text("visibility"),
                      .project = in.optional_text("project")};
  if (change.words.empty() && !change.visibility && !change.project) {
    return invalid(
        "Say what to change: --name, --description, --tag, --no-tags, --visibility, --project.");
  }
  return change_one(in, change);
}

// "+law" and "law" are added, "-law" is taken away, whatever the case of its letters. A tag that is
// there, or is gone, may be named again.
Result<Json> changed_tags(const Json& tags, const std::vector<std::string>& words) {
  std::vector<std::string> now;
  for (const Json& tag : tags) {
    if (tag.is_string()) now.push_back(tag.get<std::string>());
  }
  for (const std::string& word : words) {
    const bool is_removal = word.starts_with('-');
    const std::string tag = word.substr(is_removal || word.starts_with('+') ? 1 : 0);
    if (tag.empty()) return invalid("'" + word + "' names no tag: +TAG adds one, -TAG removes it.");
    const auto is_same = [&](const std::string& one) { return equal_ignore_case(one, tag); };
    const auto there = std::find_if(now.begin(), now.end(), is_same);
    if (is_removal) {
      std::erase_if(now, is_same);
    } else if (there == now.end()) {
      now.push_back(tag);
    }
  }
  return Json(now);
}

// Read, changed and written: of two who do so at once the later one's tags stand.
Result<Json> change_tags(const Invocation& in) {
  ApiClient api(find_api_settings(in));
  const std::string path = KVCS_TRY(artifact_path(api, in));
  const Json before = KVCS_TRY(shown_artifact(api, path));
  Change change;
  change.words["tags"] = KVCS_TRY(changed_tags(before.value("tags", Json()), in.list("tag")));
  return change_and_show(api, path, change);
}

int run_edit(const Invocation& in, Console& console) {
  return show_object(console, edit(in));
}
int run_rename(const Invocation& in, Console& console) {
  return show_object(console, change_one(in, {.words = Json{{"name", in.text("name")}}}));
}
int run_describe(const Invocation& in, Console& console) {
  return show_object(console, change_one(in, {.words = Json{{"description", in.text("text")}}}));
}
int run_tag(const Invocation& in, Console& console) {
  return show_object(console, change_tags(in));
}
int run_visibility(const Invocation& in, Console& console) {
  return show_object(console, change_one(in, {.visibility = in.text("visibility")}));
}

const std::string kExampleId = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";

// Each does one thing that edit does, by the words in their order.
std::vector<Command> short_commands() {
  return {
      {.name = "rename",
       .summary = "Give an artifact another name.",
       .options = {artifact_argument(), {.name = "NAME", .help = "The new one.", .required = true}},
       .examples = {{"kvcs rename " + kExampleId + " 'Annual report'", "Its id stays."}},
       .run = run_rename},
      {.name = "describe",
       .summary = "Say what an artifact is about.",
       .options = {artifact_argument(),
                   {.name = "TEXT", .help = "In the place of what it says.", .required = true}},
       .examples = {{"kvcs describe " + kExampleId + " 'All contracts of 2030.'", ""}},
       .run = run_describe,
       .details = "`kvcs edit ARTIFACT --description \"\"` takes the description away."},
      {.name = "tag",
       .summary = "Add tags to an artifact, or take some away.",
       .options = {artifact_argument(),
                   {.name = "TAG",
                    .kind = ValueKind::kList,
                    .help = "+TAG adds one, -TAG takes it away.",
                    .required = true}},
       .examples = {{"kvcs tag " + kExampleId + " +law -draft", "The other tags stay."}},
       .run = run_tag,
       .takes_dash_words = true},
      {.name = "visibility",
       .summary = "Make an artifact public or private.",
       .options = {artifact_argument(),
                   {.name = "VISIBILITY",
                    .help = "Who may download it: everybody, or the organization.",
                    .required = true,
                    .choices = {"public", "private"}}},
       .examples = {{"kvcs visibility " + kExampleId + " public", "Prints its public URL."}},
       .run = run_visibility},
  };
}

}  // namespace

std::vector<Command> edit_commands() {
  const std::string example = "kvcs edit " + kExampleId + " ";
  std::vector<Command> all = {
      {.name = "edit",
       .summary = "Change an artifact's name, description, tags, visibility or project.",
       .options = {artifact_argument(),
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
                    .help = "Move it there (slug, name or id); not with a key of a project.",
                    .value_name = "PROJECT",
                    .never_empty = true}},
       .examples = {{example + "--name 'Annual report' --tag law --tag de", ""},
                    {example + "--visibility public", "Prints its public URL."},
                    {example + "--project default", "As somebody who has signed in."}},
       .run = run_edit,
       .details = "What is not named stays. The bytes are never changed: upload anew. One thing "
                  "at a time is changed by `kvcs rename`, `describe`, `tag` and `visibility`."}};
  for (Command& command : short_commands()) all.push_back(std::move(command));
  return all;
}

}  // namespace kvcs::cli
