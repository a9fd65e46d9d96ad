// `kvcs version`: the version and the commit that the build wrote into version.h. `kvcs --version`
// prints the version alone.
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "version.h"

namespace kvcs::cli {

std::vector<Command> version_commands() {
  return {{.name = "version",
           .summary = "Print the version of this binary.",
           .examples = {{"kvcs version", "One line."}, {"kvcs version --json", "For scripts."}},
           .run = [](const Invocation&, Console& console) {
             if (console.mode().json) {
               console.print_json(Json{{"version", KVCS_VERSION}, {"commit", KVCS_COMMIT}});
             } else {
               console.print(std::string("kvcs ") + KVCS_VERSION + " (" + KVCS_COMMIT + ")");
             }
             return kExitOk;
           }}};
}

}  // namespace kvcs::cli
