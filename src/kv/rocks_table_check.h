// Whether one table on disk is whole. Internal to kv/.
#pragma once
#include <string>

#include "base/status.h"

namespace kvcs {

// "" = whole, or gone; else what is wrong with it, in words that name it.
Result<std::string> damage_of_table(const std::string& path);

}  // namespace kvcs
