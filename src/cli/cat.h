// An artifact's bytes to standard output, for `kvcs cat` and `kvcs download --output -`.
#pragma once
#include "cli/command.h"

namespace kvcs::cli {

// Prints what the invocation's ARTIFACT names and nothing else, and returns the exit code: 0 only
// when all bytes are the artifact's by its SHA-256. Refuses a terminal.
int cat(const Invocation& in, Console& console);

}  // namespace kvcs::cli
