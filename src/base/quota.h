// The refusal of what would pass a limit of a plan: in words, and with the figures beside them, so
// that a program need not read the words. A function without state.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

// Forbidden with reason quota_exceeded and details {resource, used, requested, limit}. `resource`
// is a word of ours.
Status over_quota(std::string_view resource, std::string words, uint64_t used, uint64_t requested,
                  uint64_t limit);

}  // namespace kvcs
