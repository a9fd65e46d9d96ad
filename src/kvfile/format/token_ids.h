// Token ids as other programs write them; parse_token_ids() of kvfile.h takes every form. Pure.
#pragma once
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "kvfile/format/json_scanner.h"

namespace kvcs::kvfile {

// The array of numbers that the scanner stands before, no other form.
Result<std::vector<uint32_t>> scan_token_ids(JsonScanner& scanner);

}  // namespace kvcs::kvfile
