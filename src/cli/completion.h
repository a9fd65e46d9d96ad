// Completion of command lines in bash, zsh and fish. The scripts ask the program itself, by
// `kvcs __complete WORDS…`, so that what they offer is what it knows. Pure functions.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace kvcs::cli {

// The hidden word that the scripts call.
inline constexpr std::string_view kCompleteWord = "__complete";

// What the last of `words` (without the program's name) may become: words of commands, options,
// values to choose from. Nothing where a file or a value of the user's own stands.
std::vector<std::string> complete(const std::vector<Command>& commands,
                                  const std::vector<std::string>& words);

// "" for another shell than bash, zsh and fish.
std::string completion_script(std::string_view shell);

}  // namespace kvcs::cli
