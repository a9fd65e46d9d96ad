// `kvcs help exit-codes`: how commands end, and the error codes of --json.
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/error_codes.h"

namespace kvcs::cli {
namespace {

int run_exit_codes(const Invocation&, Console& console) {
  if (console.mode().json) {
    Json codes = Json::array();
    for (const ErrorCode& one : error_codes()) {
      codes.push_back({{"code", one.word}, {"exit_code", one.exit_code}, {"means", one.means}});
    }
    console.print_json(codes);
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows = {{"CODE", "EXIT", "MEANS"}};
  for (const ErrorCode& one : error_codes()) {
    rows.push_back({std::string(one.word), std::to_string(one.exit_code), std::string(one.means)});
  }
  console.print_table(rows);
  return kExitOk;
}

}  // namespace

std::vector<Command> help_commands() {
  return {{.name = "help exit-codes",
           .summary = "Show how commands end, and the error codes that --json prints.",
           .examples = {{"kvcs help exit-codes", ""}},
           .run = run_exit_codes,
           .details =
               "A command ends with 0 when it is done, 1 when it failed and 2 when it was called "
               "wrongly; what a command adds to these its own help says (`kvcs verify --help`). "
               "With --json a failure is one line on stderr: {\"error\", \"code\"}, where the "
               "server has a word of its own with it as \"reason\", and \"retry_after_s\" where "
               "it says when to come back."}};
}

}  // namespace kvcs::cli
