// `kvcs admin people` and `admin setup-link`: who may sign in to the portal.
#include <nlohmann/json.hpp>

#include "cli/admin_calls.h"
#include "cli/commands.h"

namespace kvcs::cli {
namespace {

int run_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings());
  const auto max = static_cast<uint64_t>(in.number("max"));
  return show_list(console, read_pages(api, "/admin/people", "people", max),
                   {{"PERSON ID", "person_id"},
                    {"NAME", "name"},
                    {"EMAIL", "email"},
                    {"STATUS", "status"},
                    {"OPERATOR", "operator_role"}},
                   "Nobody has signed in yet; the setup link makes the first.");
}

int run_setup_link(const Invocation&, Console& console) {
  ApiClient api(find_admin_settings());
  return show_object(console, api.call("POST", "/admin/setup-link", Json::object()));
}

}  // namespace

std::vector<Command> people_commands() {
  return {
      {.name = "admin setup-link",
       .summary = "Make a new setup link: whoever opens it becomes an owner, once.",
       .examples = {{"kvcs admin setup-link", "When the first one was lost or has ended."}},
       .run = run_setup_link},
      {.name = "admin people",
       .summary = "List who may sign in.",
       .options = {{.name = "--max",
                    .kind = ValueKind::kNumber,
                    .help = "At most N.",
                    .min = 1,
                    .max = 1'000'000}},
       .examples = {{"kvcs admin people --json", ""}},
       .run = run_list},
  };
}

}  // namespace kvcs::cli
