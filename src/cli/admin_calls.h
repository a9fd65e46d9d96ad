// Steps that the administrator's commands share: request bodies from options, lists by pages, and
// answers as tables or JSON. One thread.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "cli/api_client.h"
#include "cli/command.h"

namespace kvcs::cli {

// How the text of an option becomes a JSON value.
enum class MemberKind : uint8_t {
  kText,
  kLimit,    // A whole number, or "none" for no limit.
  kPrice,    // A decimal number, or "none".
  kList,     // An array of words; the one word "all" is the empty array.
  kBoolean,  // "true" or "false".
};

// An option and the member of the request that it becomes.
struct BodyMember {
  const char* option;
  const char* member;
  MemberKind kind = MemberKind::kText;
};
// The options that were given. Invalid names the option.
Result<Json> body_of(const Invocation& in, std::initializer_list<BodyMember> members);

// An option and the query parameter that it becomes.
struct QueryOption {
  const char* option;
  const char* parameter;
};
// "?a=b&c=d" of the options that were given; "" when none was.
std::string query_of(const Invocation& in, std::initializer_list<QueryOption> options);

// All pages of a list that answers {"<member>": […], "cursor"}, up to `limit` (0: all).
Result<Json> read_pages(ApiClient& api, const std::string& path, const std::string& member,
                        uint64_t limit = 0);
// --search TEXT of a list that the server searches, and the parameter that it becomes.
Option search_option();
inline constexpr QueryOption kSearchQuery{"search", "q"};

// A member as text for a table, foreign text made printable; "-" when absent or null.
std::string shown(const Json& object, std::string_view member);

// The heading of a table's column and the member that it shows.
struct Column {
  const char* title;
  const char* member;
  bool is_mark = false;  // "*" where the member is true, and nothing elsewhere.
};
// Which of a list is the one that commands use.
inline constexpr Column kCurrentColumn{"CURRENT", "current", true};
// Each prints the result or fails, and returns the exit code.
int show_object(Console& console, const Result<Json>& object);
int show_list(Console& console, const Result<Json>& list, const std::vector<Column>& columns,
              std::string_view when_empty);
int show_done(Console& console, const Status& done, std::string_view note);

// Of a DELETE whose end the server may not have waited for; `deed` is "Deleted user …".
int show_deleted(Console& console, const Result<Json>& answer, const std::string& deed);

struct Deletion {
  std::string path;
  std::string what;  // Named in the question: "user 3f0c…".
  std::string verb = "Delete";
  bool is_forced = false;  // Of an organization: its users, projects and artifacts too.
};
// Asks first, unless --yes was given.
int run_delete(const Invocation& in, Console& console, const Deletion& deletion);
// The same of what has things of its own, by a command with dry_run_option(): with that nobody is
// asked, and what would go is shown.
int run_delete_owner(const Invocation& in, Console& console, const Deletion& deletion);
Option dry_run_option();

// A file's bytes, or all of stdin for "-". TooLarge past the limit.
Result<std::string> read_input(const std::string& path, uint64_t bytes_max);
// One word as a path segment.
std::string segment(const Invocation& in, std::string_view argument);

}  // namespace kvcs::cli
