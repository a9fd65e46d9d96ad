// How the .kv commands print and serialise error figures and geometry. Used by cmd_quant.cc,
// cmd_inspect.cc.
#pragma once
#include <string>

#include "base/json.h"
#include "cli/command.h"
#include "kvfile/kvfile.h"
#include "kvfile/tools/compare.h"

namespace kvcs::cli {

Json geometry_json(const kvfile::KvHeader& header);
Json compare_json(const kvfile::CompareReport& report);
// One row per layer when `each_layer`, then all keys and all values.
void print_compare(const kvfile::CompareReport& report, bool each_layer, Console& console);

}  // namespace kvcs::cli
