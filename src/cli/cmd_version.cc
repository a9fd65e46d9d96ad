// `kvcs version`: the version and the commit that the build wrote into it. `kvcs --version`
// prints the version alone.
#include <nlohmann/json.hpp>

#include "base/build_info.h"
#include "cli/commands.h"

namespace kvcs::cli {

std::vector<Command> version_commands() {
  return {{.name = "version",
           .summary = "Print the version of this binary.",
           .examples = {{"kvcs version", "One line."}, {"kvcs version --json", "For scripts."}},
           .run = [](const Invocation&, Console& console) {
             if (console.mode().json) {
               console.print_json(Json{{"version", version()}, {"commit", commit()}});
             } else {
               console.print(std::string("kvcs ") + version() + " (" + commit() + ")");
             }
             return kExitOk;
           }}};
}

}  // namespace kvcs::cli
