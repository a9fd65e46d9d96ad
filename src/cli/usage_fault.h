// What is said of a command line that the parser has refused. A pure function.
#pragma once
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace kvcs::cli {

// `root` is the parser of all commands, `what` its own message. Names the command that was meant,
// and what is near the word that is none.
std::string usage_fault(const CLI::App& root, const std::vector<std::string>& arguments,
                        const std::string& what);

}  // namespace kvcs::cli
