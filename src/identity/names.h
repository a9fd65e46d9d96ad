// One rule for the names of people and places, which other people read on their screens and in
// their terminals. A pure function.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

inline constexpr size_t kDisplayNameMaxBytes = 200;

// Without the blanks around it, of whatever width. Invalid: nothing is left or over
// kDisplayNameMaxBytes, not UTF-8, or with a character that is not seen as it is
// (base/printable.h), or with a variation selector behind what has no variants: two names that look
// alike would be two.
Result<std::string> normal_name(std::string_view text);

}  // namespace kvcs
