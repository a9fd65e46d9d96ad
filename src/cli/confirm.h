// The question before something is destroyed. One thread.
#pragma once
#include <optional>
#include <string>

#include "cli/command.h"

namespace kvcs::cli {

// Asks on stderr and reads the answer from stdin; with --yes nobody is asked. Nothing: go on.
// Otherwise the command ends with this exit code: kExitOk for a person who declines, kExitFailed
// when nobody is there to answer, so that a script which forgot --yes does not take it for done.
std::optional<int> declined(const Invocation& in, Console& console, const std::string& question);
Option yes_option();

}  // namespace kvcs::cli
