// One rule for the names of people and places, which other people read on their screens and in
// their terminals. A pure function.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

inline constexpr size_t kDisplayNameMaxBytes = 200;

// Trimmed. Invalid: empty or over kDisplayNameMaxBytes, not UTF-8, or with a character that
// changes how what stands around it is shown (misleads()).
Result<std::string> normal_name(std::string_view text);

// Whether valid UTF-8 holds a control character (C0, DEL, C1), the end of a line or a paragraph, or
// one that overrides or isolates the direction of text (UAX #9: U+202A to 202E, U+2066 to 2069).
bool misleads(std::string_view utf8);

}  // namespace kvcs
