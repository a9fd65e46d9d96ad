// How the .kv commands print and serialise error figures; geometry is kvfile/tools/figures.h's.
#pragma once
#include <string>

#include "base/json.h"
#include "cli/command.h"
#include "kvfile/kvfile.h"
#include "kvfile/tools/compare.h"
#include "kvfile/tools/figures.h"

namespace kvcs::cli {

Json compare_json(const kvfile::CompareReport& report);
// One row per layer when `each_layer`, then all keys and all values.
void print_compare(const kvfile::CompareReport& report, bool each_layer, Console& console);

}  // namespace kvcs::cli
