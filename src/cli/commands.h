// One function per command file; commands.cc calls each.
#pragma once
#include <vector>

#include "cli/command.h"

namespace kvcs::cli {

std::vector<Command> verify_commands();   // cmd_verify.cc
std::vector<Command> version_commands();  // cmd_version.cc

}  // namespace kvcs::cli
