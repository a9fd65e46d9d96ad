// The server tells its refusals to whoever speaks HTTP; here they become those of the command line.
// A pure function.
#pragma once
#include <string>

namespace kvcs::cli {

// The text with `kvcs org use` where it names PATCH /api/v1/me, and so on. What no command does
// stays as the server said it.
std::string in_commands(std::string text);

}  // namespace kvcs::cli
