// The words of a command line in the order in which the parser takes them, which is not the only
// one that people may type. Pure functions; `root` is the parser of all commands.
#pragma once
#include <string>
#include <vector>

#include "cli/command.h"

namespace CLI {
class App;
}

namespace kvcs::cli {

// `kvcs --json list` means `kvcs list --json`: the flags that every command has may stand before
// its words. Without a command they are left out, for the parser to say what is missing.
std::vector<std::string> flags_behind_command(const CLI::App& root,
                                              const std::vector<std::string>& arguments);
// `kvcs help upload` means `kvcs upload --help`, and `kvcs help` alone `kvcs --help`. A word that
// is no command stands last, for the parser to say so; nothing that could be done is done.
std::vector<std::string> help_behind_command(const CLI::App& root,
                                             const std::vector<std::string>& arguments);
// The arguments of a command that takes words with a dash, with these behind "--", where the parser
// takes every word for an argument; other arguments as they are. Whoever types "--" has done so.
std::vector<std::string> with_dash_words(const std::vector<std::string>& arguments,
                                         const std::vector<Command>& all);

}  // namespace kvcs::cli
