// The command line of the kvcs binary: parses argv by the commands' own descriptions and runs one.
// CLI11 is included by cli.cc, typed_words.cc and usage_fault.cc alone.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace kvcs::cli {

// Every command that this module owns (cli/commands.cc), and its groups.
std::vector<Command> commands();
std::vector<CommandGroup> command_groups();
// Under which heading of `kvcs --help` a command stands, by its first word.
std::string_view door_of(std::string_view name);
// What every command has beside its own options, and what those have that ask a server.
std::vector<Option> common_options();
std::vector<Option> server_options();
// What the option is called where it is asked for: "-n,--name" → "name"; "FILE" → "file".
std::string asked_name(const Option& option);
// How help calls the value: "DIR", "a|b", "N"; "" of a flag.
std::string value_word(const Option& option);

// Runs argv against commands() and those of `more`, and returns the exit code. `more` makes the
// commands that need the daemon's own parts (serve, config), which come from app/: cli may not
// include app.
using CommandMaker = std::vector<Command> (*)();
int run_cli(int argc, const char* const* argv, CommandMaker more);
// The same for arguments without the program's name, with `all` as the only commands and other
// writers than the process's streams; for tests, and for commands that run another command.
int run_cli(const std::vector<std::string>& arguments, const std::vector<Command>& all,
            const Console::Writer& out, const Console::Writer& error);

}  // namespace kvcs::cli
