// The command line of the kvcs binary: parses argv by the commands' own descriptions and runs one.
// CLI11 is included by cli.cc alone.
#pragma once
#include <string>
#include <vector>

#include "cli/command.h"

namespace kvcs::cli {

// Every command that this module owns (cli/commands.cc), and its groups.
std::vector<Command> commands();
std::vector<CommandGroup> command_groups();

// Runs argv against commands() and `more` (the ones that need the daemon come from app/). Returns
// the exit code. `out` and `error` default to the process's own.
int run_cli(int argc, const char* const* argv, std::vector<Command> more = {});
int run_cli(const std::vector<std::string>& arguments, const std::vector<Command>& all,
            const Console::Writer& out, const Console::Writer& error);

}  // namespace kvcs::cli
