// What an organization has used of its plan, as a table whose figures belong together. One thread.
#pragma once
#include "base/json.h"
#include "cli/command.h"

namespace kvcs::cli {

// `use` as /api/v1/usage answers it.
void print_plan_use(Console& console, const Json& use);

}  // namespace kvcs::cli
