// `kvcs list`, `delete` and `quota`: small questions to the server, each one request. Uploads and
// downloads have files of their own.
#include <nlohmann/json.hpp>

#include <cstdio>

#include "base/bytes.h"
#include "base/id.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/confirm.h"

namespace kvcs::cli {
namespace {

// The members that --json prints of each artifact, in this order; a member that the server leaves
// out is null.
constexpr std::string_view kListMembers[] = {
    "artifact_id", "name",       "size_bytes", "sha256",     "dtype",      "storage_dtype",
    "num_tokens",  "num_layers", "quantized",  "visibility", "created_at", "status"};

// A member as text for a table. Texts of the server may hold control characters, so they pass
// printable().
std::string shown(const Json& object, std::string_view name) {
  const auto it = object.find(std::string(name));
  if (it == object.end() || it->is_null()) return "";
  return printable(it->is_string() ? it->get<std::string>() : dump_json(*it));
}

// A whole number, or 0 when it is absent.
uint64_t number(const Json& object, std::string_view name) {
  const auto it = object.find(std::string(name));
  return it != object.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}

// The server has two shapes of an artifact and chooses by the User-Agent header; shape=single names
// the one whose members are read here.
std::string list_query(const Invocation& in) {
  std::string query = "?shape=single";
  for (const char* name : {"name", "model", "dtype", "project", "visibility", "status", "sort"}) {
    const std::string value = in.text(name);
    if (!value.empty()) query += std::string("&") + name + "=" + percent_encode(value);
  }
  if (const std::string words = in.text("find"); !words.empty()) {
    query += "&q=" + percent_encode(words);
  }
  const auto limit = in.optional_number("limit");
  if (limit) query += "&limit=" + std::to_string(*limit);
  return query;
}

// A date is the first ten characters of an ISO time.
void print_list(const Json& items, bool is_long, Console& console) {
  if (items.empty()) {
    console.print("No artifacts.");
    return;
  }
  std::vector<std::vector<std::string>> rows = {
      {"ARTIFACT ID", "STATUS", "TOKENS", "SIZE", "NAME"}};
  if (is_long) rows[0].insert(rows[0].end(), {"DTYPE", "CREATED", "SHA256"});
  for (const Json& item : items) {
    rows.push_back({shown(item, "artifact_id"), shown(item, "status"), shown(item, "num_tokens"),
                    format_bytes(number(item, "size_bytes")), shown(item, "name")});
    if (!is_long) continue;
    rows.back().insert(
        rows.back().end(),
        {shown(item, "dtype"), shown(item, "created_at").substr(0, 10), shown(item, "sha256")});
  }
  console.print_table(rows);
}

int run_list(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings());
  const auto answer = api.call("GET", "/api/v1/artifacts" + list_query(in));
  if (!answer.ok()) return console.fail(answer.status());
  const Json& body = *answer;
  const Json items = body.is_object() && body.contains("artifacts") ? body.at("artifacts") : Json();
  if (!items.is_array()) return console.fail(upstream_failed("The server's list is malformed."));
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
    for (const Json& item : items) console.print(shown(item, "artifact_id"));
  } else {
    print_list(items, in.flag("long"), console);
  }
  return kExitOk;
}

// The id is checked here, so that a slip does not become a question about something else.
int run_delete(const Invocation& in, Console& console) {
  const std::string id = in.text("id");
  if (!is_uuid(id)) {
    return console.fail(invalid("'" + printable(id, kShownName) + "' is not an artifact id."));
  }
  const std::string question = "Delete artifact " + id + "? This cannot be undone.";
  if (const auto exit = declined(in, console, question)) return *exit;
  ApiClient api(find_api_settings());
  const auto answer = api.call("DELETE", "/api/v1/artifacts/" + lower_ascii(id));
  if (!answer.ok()) return console.fail(answer.status());
  if (console.mode().json) {
    console.print_json({{"artifact_id", id}, {"deleted", true}});
  } else {
    console.note("Deleted " + id + ".");
  }
  return kExitOk;
}

// Limit, use and their ratio of each thing that is counted. A limit of 0 has no ratio.
int run_quota(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings());
  const auto answer = api.call("GET", "/api/v1/quota");
  if (!answer.ok()) return console.fail(answer.status());
  if (console.mode().json || in.text("format") == "json") {
    console.print_json(*answer);
    return kExitOk;
  }
  const Json& body = *answer;
  const Json quota = body.value("quota", Json::object()), used = body.value("used", Json::object());
  console.print("Customer: " + shown(body, "customer_id"));
  std::vector<std::vector<std::string>> rows = {{"RESOURCE", "LIMIT", "USED", "UTILIZATION"}};
  const std::pair<const char*, const char*> resources[] = {{"Organizations", "organizations"},
                                                           {"Projects", "projects"},
                                                           {"Artifacts", "artifacts"},
                                                           {"Storage", "storage_bytes"}};
  for (const auto& [title, name] : resources) {
    const uint64_t limit = number(quota, name), taken = number(used, name);
    char percent[32] = "-";
    if (limit > 0) {
      std::snprintf(percent, sizeof percent, "%.2f%%", 100.0 * double(taken) / double(limit));
    }
    const bool bytes = std::string_view(name) == "storage_bytes";
    rows.push_back({title, bytes ? format_bytes(limit) : std::to_string(limit),
                    bytes ? format_bytes(taken) : std::to_string(taken), percent});
  }
  console.print_table(rows);
  return kExitOk;
}

}  // namespace

std::vector<Command> artifact_commands() {
  const Option id{.name = "ID", .help = "The artifact.", .required = true};
  return {
      {.name = "list",
       .summary = "List the organization's artifacts, the newest first.",
       .options = {{.name = "--format",
                    .help = "How to print.",
                    .fallback = "table",
                    .choices = {"table", "json", "ids"}},
                   {.name = "--long", .kind = ValueKind::kFlag, .help = "More columns."},
                   {.name = "--find", .help = "Only with these words; a last one may end in *."},
                   {.name = "--name", .help = "Only names that contain this."},
                   {.name = "--model", .help = "Only models that contain this."},
                   {.name = "--dtype", .help = "Only this dtype."},
                   {.name = "--project", .help = "Only this project (slug or id)."},
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
       .examples = {{"kvcs list --long", "With dtype, date and digest."},
                    {"kvcs list --format ids", "For scripts."}},
       .run = run_list},
      {.name = "delete",
       .summary = "Delete an artifact for good.",
       .options = {id, yes_option()},
       .examples = {{"kvcs delete 3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f -y", "Without asking."}},
       .run = run_delete},
      {.name = "quota",
       .summary = "Show what the organization uses and may use.",
       .options = {{.name = "--format",
                    .help = "How to print.",
                    .fallback = "table",
                    .choices = {"table", "json"}}},
       .examples = {{"kvcs quota", "Limits, use and utilization."}},
       .run = run_quota},
  };
}

}  // namespace kvcs::cli
