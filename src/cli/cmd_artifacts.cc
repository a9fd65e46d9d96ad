// `kvcs list` and `quota`: small questions to the server, each one request. Uploads, downloads and
// deletions have files of their own.
#include <nlohmann/json.hpp>

#include <cstdio>

#include "base/bytes.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/own_calls.h"
#include "cli/plan_use.h"

namespace kvcs::cli {
namespace {

// The members that --json prints of each artifact, in this order; a member that the server leaves
// out is null.
constexpr std::string_view kListMembers[] = {
    "artifact_id", "name",      "size_bytes", "sha256",     "dtype",  "storage_dtype", "num_tokens",
    "num_layers",  "quantized", "visibility", "created_at", "status", "project",       "model"};

// A member as text for a table. Texts of the server may hold control characters, so they pass
// printable().
std::string cell(const Json& object, std::string_view name) {
  const auto it = object.find(std::string(name));
  if (it == object.end() || it->is_null()) return "";
  return printable(it->is_string() ? it->get<std::string>() : dump_json(*it));
}

// A whole number, or 0 when it is absent.
uint64_t number(const Json& object, std::string_view name) {
  const auto it = object.find(std::string(name));
  return it != object.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}

// What a list is of, beside what was asked for by options.
struct ListPlace {
  std::string project;     // "" for all that the key or the session reaches.
  std::string words;       // For people.
  bool is_chosen = false;  // By an option: nobody need be told.
};

// Without --project and --all-projects somebody who has signed in means the active project. A key
// of a project reaches that alone, and one of an organization all of its projects.
Result<ListPlace> find_place(const Invocation& in, ApiClient& api) {
  ListPlace place;
  place.project = in.text("project");
  const bool is_everywhere = in.flag("all-projects");
  if (is_everywhere && !place.project.empty()) {
    return invalid("--project and --all-projects: give one of them.");
  }
  place.is_chosen = is_everywhere || !place.project.empty();
  if (place.is_chosen || !is_person(api.settings())) return place;
  const Json me = KVCS_TRY(api.call("GET", "/api/v1/me"));
  if (!me.is_object()) return upstream_failed("The server's answer is malformed.");
  place.project = text_member(me, "project_id");
  place.words = place_words(me);
  return place;
}

// Told beside the list, on stderr.
void note_place(Console& console, ApiClient& api, const ListPlace& place) {
  if (place.is_chosen || console.mode().quiet) return;
  std::string words = place.words;
  if (words.empty()) words = place_words(api.call("GET", "/api/v1/me").value_or(Json::object()));
  if (words.empty()) return;
  words[0] = words[0] == 'p' ? 'P' : 'A';
  const bool has_others = is_person(api.settings()) && !place.project.empty();
  console.note(words + (has_others ? "; --all-projects lists all of them." : "."));
}

// The server has two shapes of an artifact and chooses by the User-Agent header; shape=single names
// the one whose members are read here.
std::string list_query(const Invocation& in, const std::string& project) {
  std::string query = "?shape=single";
  for (const char* name : {"name", "model", "dtype", "visibility", "status", "sha256", "sort"}) {
    const std::string value = in.text(name);
    if (!value.empty()) query += std::string("&") + name + "=" + percent_encode(value);
  }
  if (!project.empty()) query += "&project=" + percent_encode(project);
  if (const std::string words = in.text("find"); !words.empty()) {
    query += "&q=" + percent_encode(words);
  }
  const auto limit = in.optional_number("limit");
  if (limit) query += "&limit=" + std::to_string(*limit);
  return query;
}

// A date is the first ten characters of an ISO time.
void print_list(const Json& items, bool is_long, bool of_one_project, Console& console) {
  if (items.empty()) {
    console.print("No artifacts.");
    return;
  }
  std::vector<std::vector<std::string>> rows = {
      {"ARTIFACT ID", "STATUS", "TOKENS", "SIZE", "NAME"}};
  const bool names_project = is_long || !of_one_project;
  if (names_project) rows[0].push_back("PROJECT");
  if (is_long) {
    rows[0].insert(rows[0].end(), {"VISIBILITY", "MODEL", "DTYPE", "CREATED", "SHA256"});
  }
  for (const Json& item : items) {
    rows.push_back({cell(item, "artifact_id"), cell(item, "status"), cell(item, "num_tokens"),
                    format_bytes(number(item, "size_bytes")), cell(item, "name")});
    if (names_project) rows.back().push_back(cell(item, "project"));
    if (!is_long) continue;
    rows.back().insert(rows.back().end(),
                       {cell(item, "visibility"), cell(item, "model"), cell(item, "dtype"),
                        cell(item, "created_at").substr(0, 10), cell(item, "sha256")});
  }
  console.print_table(rows);
}

int run_list(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const Result<ListPlace> place = find_place(in, api);
  if (!place.ok()) return console.fail(place.status());
  const auto answer = api.call("GET", kArtifacts + list_query(in, place->project));
  if (!answer.ok()) return console.fail(answer.status());
  const Json& body = *answer;
  const Json items = body.is_object() && body.contains("artifacts") ? body.at("artifacts") : Json();
  if (!items.is_array()) return console.fail(upstream_failed("The server's list is malformed."));
  if (const std::string named = in.text("project"); items.empty() && !named.empty()) {
    const Status reached = check_project_of_key(api, named);
    if (!reached.ok()) return console.fail(reached);
  }
  // --json and --format json are the same; the former is what all commands have.
  const std::string format = console.mode().json ? "json" : in.text("format");
  if (format == "json") {
    Json list = Json::array();
    for (const Json& item : items) {
      Json row = Json::object();
      for (const std::string_view name : kListMembers) {
        const auto it = item.find(std::string(name));
        row[std::string(name)] = it == item.end() ? Json() : *it;
      }
      list.push_back(std::move(row));
    }
    console.print_json(list);
  } else if (format == "ids") {
    for (const Json& item : items) console.print(cell(item, "artifact_id"));
  } else {
    note_place(console, api, *place);
    print_list(items, in.flag("long"), !in.flag("all-projects"), console);
  }
  return kExitOk;
}

// A server of before tells its limits and what is used apart, and no plan.
Json use_of_quota(const Json& body) {
  if (const auto plan = body.find("plan"); plan != body.end() && plan->is_object()) return *plan;
  const Json quota = body.value("quota", Json::object()), used = body.value("used", Json::object());
  Json use = Json::object();
  for (const char* const name : {"projects", "artifacts", "storage_bytes"}) {
    const uint64_t allowed = number(quota, name);
    use[name] = {{"used", number(used, name)},
                 {"allowed", allowed < INT64_MAX ? Json(allowed) : Json(nullptr)}};
  }
  return use;
}

int run_quota(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const auto answer = api.call("GET", "/api/v1/quota");
  if (!answer.ok()) return console.fail(answer.status());
  if (!answer->is_object()) {
    return console.fail(upstream_failed("The server's answer is malformed."));
  }
  if (console.mode().json || in.text("format") == "json") {
    console.print_json(*answer);
  } else {
    print_plan_use(console, use_of_quota(*answer));
  }
  return kExitOk;
}

}  // namespace

std::vector<Command> artifact_commands() {
  return {
      {.name = "list",
       .summary = "List the artifacts of the active project, the newest first.",
       .options = {{.name = "--format",
                    .help = "How to print.",
                    .fallback = "table",
                    .choices = {"table", "json", "ids"}},
                   {.name = "--long", .kind = ValueKind::kFlag, .help = "More columns."},
                   {.name = "--find", .help = "Only with these words; a last one may end in *."},
                   {.name = "--name", .help = "Only names that contain this."},
                   {.name = "--model", .help = "Only models that contain this."},
                   {.name = "--dtype", .help = "Only this dtype."},
                   {.name = "--project",
                    .help = "Of this project (slug or id) instead of the active one.",
                    .value_name = "PROJECT",
                    .never_empty = true},
                   {.name = "--all-projects",
                    .kind = ValueKind::kFlag,
                    .help = "Of every project of the organization."},
                   {.name = "--sha256", .help = "Only these bytes, by their digest."},
                   {.name = "--visibility",
                    .help = "Only these.",
                    .choices = {"public", "private"}},
                   {.name = "--status",
                    .help = "ready unless asked otherwise.",
                    .choices = {"ready", "pending", "all"}},
                   {.name = "--sort",
                    .help = "By what; a leading - is descending.",
                    .choices = {"created", "-created", "name", "-name", "size", "-size"}},
                   {.name = "--limit",
                    .kind = ValueKind::kNumber,
                    .help = "At most N.",
                    .min = 1,
                    .max = 1000}},
       .examples = {{"kvcs list --long",
                     "With project, visibility, model, dtype, date and digest."},
                    {"kvcs list --all-projects", "Of the organization."},
                    {"kvcs list --format ids", "For scripts."}},
       .run = run_list,
       .details =
           "The active project is that of `kvcs whoami`; `kvcs project use` chooses another. A "
           "key of a project reaches that project alone, a key of an organization all of its "
           "projects. Which it is stands on stderr."},
      {.name = "quota",
       .summary = "Show what the organization uses and may use.",
       .options = {{.name = "--format",
                    .help = "How to print.",
                    .fallback = "table",
                    .choices = {"table", "json"}}},
       .examples = {{"kvcs quota", "Used, allowed and free, of all its projects together."}},
       .run = run_quota},
  };
}

}  // namespace kvcs::cli
