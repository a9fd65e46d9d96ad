// `kvcs completion SHELL`: prints the script that makes a shell complete command lines.
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/completion.h"

namespace kvcs::cli {

std::vector<Command> completion_commands() {
  return {
      {.name = "completion",
       .summary = "Print what makes a shell complete kvcs command lines.",
       .options = {{.name = "SHELL",
                    .help = "The shell that is to read it.",
                    .required = true,
                    .choices = {"bash", "zsh", "fish"}}},
       .examples = {{"kvcs completion bash > kvcs.bash", "For `source kvcs.bash` in ~/.bashrc."},
                    {"kvcs completion fish", ""}},
       .run =
           [](const Invocation& in, Console& console) {
             const std::string script = completion_script(in.text("shell"));
             if (console.mode().json) {
               console.print_json(Json{{"shell", in.text("shell")}, {"script", script}});
             } else {
               console.write(script);
             }
             return kExitOk;
           },
       .details = "The package installs the scripts where the shells find them. They ask the "
                  "program itself, so that they know what this version knows."}};
}

}  // namespace kvcs::cli
