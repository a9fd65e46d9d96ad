// Request bodies, lists and tables for the administrator's commands; see the header for what each
// function promises.
#include "cli/admin_calls.h"

#include <nlohmann/json.hpp>

#include <iostream>
#include <iterator>

#include "base/bytes.h"
#include "base/json.h"
#include "cli/confirm.h"
#include "kvfile/kvfile.h"

namespace kvcs::cli {
namespace {

// Items asked for in one request.
constexpr uint64_t kPageSize = 100;

// The server takes a number, or null for no limit. `option` is named in the failure.
Result<Json> limit_of(const std::string& option, const std::string& text) {
  if (text == "none") return Json(nullptr);
  const Result<uint64_t> number = parse_u64(text, option);
  if (!number.ok()) {
    return invalid("--" + option + ": '" + printable(text, kShownName) +
                   "' is neither a whole number nor none.");
  }
  return Json(*number);
}

// An empty array lifts a restriction, and a command line cannot give an empty list; the word "all"
// stands for it.
Json list_of(const std::vector<std::string>& words) {
  Json list = Json::array();
  if (words.size() == 1 && words.front() == "all") return list;
  for (const std::string& word : words) list.push_back(word);
  return list;
}

}  // namespace

int show_deleted(Console& console, const Result<Json>& answer, const std::string& deed) {
  if (!answer.ok()) return console.fail(answer.status());
  const bool goes_on = answer.value().is_object() && answer.value().contains("job");
  if (!goes_on) return show_done(console, ok(), deed + ".");
  if (console.mode().json) {
    console.print_json(answer.value());
  } else {
    console.note(deed + "; what belonged to it goes in the background, by the job owner-deletion.");
  }
  return kExitOk;
}

Result<Json> body_of(const Invocation& in, std::initializer_list<BodyMember> members) {
  Json body = Json::object();
  for (const BodyMember& one : members) {
    const std::vector<std::string> words = in.list(one.option);
    // An option that was not given leaves its member out, and PATCH keeps the stored value then.
    if (words.empty()) continue;
    switch (one.kind) {
      case MemberKind::kText:
        body[one.member] = words.back();
        break;
      case MemberKind::kLimit:
        body[one.member] = KVCS_TRY(limit_of(one.option, words.back()));
        break;
      case MemberKind::kPrice:
        body[one.member] = words.back() == "none" ? Json(nullptr) : Json(words.back());
        break;
      case MemberKind::kList:
        body[one.member] = list_of(words);
        break;
      case MemberKind::kBoolean:
        body[one.member] = words.back() == "true";
        break;
    }
  }
  return body;
}

std::string query_of(const Invocation& in, std::initializer_list<QueryOption> options) {
  std::string query;
  for (const QueryOption& one : options) {
    const std::string value = in.text(one.option);
    if (value.empty()) continue;
    query += (query.empty() ? "?" : "&") + std::string(one.parameter) + "=" + percent_encode(value);
  }
  return query;
}

// Follows the cursor of each page until there is none or `limit` items are there. The last page is
// asked for with what is still missing, so no item is fetched in vain.
Result<Json> read_pages(ApiClient& api, const std::string& path, const std::string& member,
                        uint64_t limit) {
  Json all = Json::array();
  std::string cursor;
  do {
    const uint64_t left = limit == 0 ? kPageSize : std::min(kPageSize, limit - all.size());
    const char* joint = path.find('?') == path.npos ? "?" : "&";
    std::string target = path + joint + "limit=" + std::to_string(left);
    if (!cursor.empty()) target += "&cursor=" + percent_encode(cursor);
    const Json page = KVCS_TRY(api.call("GET", target));
    if (!page.is_object() || !page.contains(member) || !page[member].is_array()) {
      return upstream_failed("The server's list of " + member + " is malformed.");
    }
    for (const Json& item : page[member]) all.push_back(item);
    cursor = text_member(page, "cursor");
  } while (!cursor.empty() && (limit == 0 || all.size() < limit));
  return all;
}

// Texts come from the server and may hold control characters, so all of them pass printable(). An
// array of texts is joined; every other value is printed as JSON.
std::string shown(const Json& object, std::string_view member) {
  const auto it = object.find(std::string(member));
  if (it == object.end() || it->is_null()) return "-";
  if (it->is_string()) return printable(it->get<std::string>());
  const bool words = it->is_array() && std::all_of(it->begin(), it->end(), [](const Json& word) {
                       return word.is_string();
                     });
  if (!words) return printable(dump_json(*it));
  std::string joined;
  for (const Json& word : *it) {
    joined += (joined.empty() ? "" : ", ") + printable(word.get<std::string>());
  }
  return joined.empty() ? "-" : joined;
}

namespace {

bool is_list_of_objects(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& one) { return one.is_object(); });
}

struct NamedList {
  std::string name;
  Json items;
};
// A row for each value. What is inside another object has its name before its own:
// "limits.requests". Lists of objects become tables.
void add_rows(const Json& object, const std::string& before,
              std::vector<std::pair<std::string, std::string>>& rows,
              std::vector<NamedList>& tables) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_object() && !value.empty()) {
      add_rows(value, before + name + ".", rows, tables);
    } else if (is_list_of_objects(value)) {
      tables.push_back({printable(before + name), value});
    } else {
      rows.emplace_back(printable(before + name), shown(object, name));
    }
  }
}

// A heading, and a column for each member that one of the objects has.
void print_named_list(Console& console, const NamedList& list) {
  std::vector<std::string> columns;
  for (const Json& item : list.items) {
    for (const auto& [name, value] : item.items()) {
      const bool is_there = std::find(columns.begin(), columns.end(), name) != columns.end();
      if (!is_there) columns.push_back(name);
    }
  }
  std::vector<std::vector<std::string>> rows(1);
  for (const std::string& column : columns) rows[0].push_back(printable(column));
  for (const Json& item : list.items) {
    rows.emplace_back();
    for (const std::string& column : columns) rows.back().push_back(shown(item, column));
  }
  console.print("");
  console.print(console.bold(list.name + ":"));
  console.print_table(rows);
}

}  // namespace

int show_object(Console& console, const Result<Json>& object) {
  if (!object.ok()) return console.fail(object.status());
  if (console.mode().json || !(*object).is_object()) {
    console.print_json(*object);
    return kExitOk;
  }
  std::vector<std::pair<std::string, std::string>> fields;
  std::vector<NamedList> tables;
  add_rows(*object, "", fields, tables);
  console.print_fields(fields);
  for (const NamedList& table : tables) print_named_list(console, table);
  return kExitOk;
}

// With --json the list is printed as it came, with members that have no column. An empty list is
// told on stderr, so that a script sees an empty stdout.
int show_list(Console& console, const Result<Json>& list, const std::vector<Column>& columns,
              std::string_view when_empty) {
  if (!list.ok()) return console.fail(list.status());
  if (console.mode().json) {
    console.print_json(*list);
    return kExitOk;
  }
  if ((*list).empty()) {
    console.note(when_empty);
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows(1);
  for (const Column& column : columns) rows[0].emplace_back(column.title);
  for (const Json& item : *list) {
    rows.emplace_back();
    for (const Column& column : columns) {
      const std::string cell = shown(item, column.member);
      const std::string mark = cell == "true" ? "*" : "";
      rows.back().push_back(column.is_mark ? mark : cell);
    }
  }
  console.print_table(rows);
  return kExitOk;
}

int show_done(Console& console, const Status& done, std::string_view note) {
  if (!done.ok()) return console.fail(done);
  if (console.mode().json) {
    console.print_json({{"done", true}});
  } else {
    console.note(note);
  }
  return kExitOk;
}

int run_delete(const Invocation& in, Console& console, const Deletion& deletion) {
  const auto& [path, what, verb, is_forced] = deletion;
  const std::string question = verb + " " + what + "? This cannot be undone.";
  if (const auto exit = declined(in, console, question)) return *exit;
  ApiClient api(find_admin_settings(in));
  const auto answer = api.call("DELETE", path + (is_forced ? "?force=true" : ""));
  return show_deleted(console, answer, verb + "d " + what);
}

int run_delete_owner(const Invocation& in, Console& console, const Deletion& deletion) {
  if (!in.flag("dry-run")) return run_delete(in, console, deletion);
  ApiClient api(find_admin_settings(in));
  return show_object(console, api.call("DELETE", deletion.path + "?dry_run=true"));
}

Option search_option() {
  return {.name = "--search",
          .help = "Only those with this text in a name, address or id, in small letters or large.",
          .value_name = "TEXT"};
}

Option dry_run_option() {
  return {.name = "--dry-run",
          .kind = ValueKind::kFlag,
          .help = "Show how much would go, and delete nothing."};
}

Result<std::string> read_input(const std::string& path, uint64_t bytes_max) {
  // A file is bounded before it is read; stdin cannot be, its length is known only afterwards.
  if (path != "-") return kvfile::read_small_file(path, bytes_max);
  std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  if (text.size() <= bytes_max) return text;
  return too_large("stdin has " + std::to_string(text.size()) + " bytes; the limit is " +
                   std::to_string(bytes_max) + ".");
}

// The slash is encoded too, so a value can never reach another route than the one meant.
std::string segment(const Invocation& in, std::string_view argument) {
  return percent_encode(in.text(argument));
}

}  // namespace kvcs::cli
