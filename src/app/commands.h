// The commands that need the daemon's own parts: serve, config check, config print,
// repair.
#pragma once
#include <vector>

#include "cli/command.h"

namespace kvcs {

std::vector<cli::Command> app_commands();

}  // namespace kvcs
