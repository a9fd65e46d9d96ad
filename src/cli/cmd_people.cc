// `kvcs admin people`, `admin setup-link` and `admin reset-link`: who may sign in to the portal.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/admin_calls.h"
#include "cli/commands.h"

namespace kvcs::cli {
namespace {

int run_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto max = static_cast<uint64_t>(in.number("max"));
  return show_list(console,
                   read_pages(api, "/admin/people" + query_of(in, {kSearchQuery}), "people", max),
                   {{"PERSON ID", "person_id"},
                    {"NAME", "name"},
                    {"EMAIL", "email"},
                    {"STATUS", "status"},
                    {"OPERATOR", "operator_role"}},
                   "Nobody has signed in yet; the setup link makes the first.");
}

int run_setup_link(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  return show_object(console, api.call("POST", "/admin/setup-link", Json::object()));
}

// The account is found by its address, which is how operators know people.
int run_reset_link(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const Result<Json> people = read_pages(api, "/admin/people", "people");
  if (!people.ok()) return console.fail(people.status());
  const std::string wanted = lower_ascii(in.text("email"));
  for (const Json& person : *people) {
    if (text_member(person, "email") != wanted) continue;
    return show_object(
        console,
        api.call("POST", "/admin/people/" + text_member(person, "person_id") + "/reset-link",
                 Json::object()));
  }
  return console.fail(not_found("Nobody with address '" + printable(wanted, kShownName) +
                                "' may sign in; `kvcs admin people` lists who may."));
}

}  // namespace

std::vector<Command> people_commands() {
  return {
      {.name = "admin reset-link",
       .summary = "Make a link by which somebody chooses a new password, once, within an hour.",
       .options = {{.name = "EMAIL", .help = "The account's address.", .required = true}},
       .examples = {{"kvcs admin reset-link ada@example.com", ""}},
       .run = run_reset_link},
      {.name = "admin setup-link",
       .summary = "Make a new setup link: whoever opens it becomes an owner, once.",
       .examples = {{"kvcs admin setup-link", "When the first one was lost or has ended."}},
       .run = run_setup_link},
      {.name = "admin people",
       .summary = "List who may sign in.",
       .options = {search_option(),
                   {.name = "--max",
                    .kind = ValueKind::kNumber,
                    .help = "At most N.",
                    .min = 1,
                    .max = 1'000'000}},
       .examples = {{"kvcs admin people --json", ""}, {"kvcs admin people --search ada", ""}},
       .run = run_list},
  };
}

}  // namespace kvcs::cli
