// `kvcs repair`, which runs while no daemon does.
#pragma once
#include "cli/command.h"

namespace kvcs {

cli::Command repair_command();

}  // namespace kvcs
