// Which characters a person sees as they are: the rule of printable() in base/bytes.h, for names of
// whatever kind, of which two that look alike must not be two. Pure functions.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kvcs {

// Whether the text is UTF-8 and every character of it is seen as it is: no control character, none
// that turns the direction of text, none without width.
bool is_printable(std::string_view text);
// The same of one character.
bool is_harmless(uint32_t code_point);
// Length of the valid UTF-8 sequence at `p` (RFC 3629: no surrogates, no overlong), 0 if none.
size_t utf8_length(const unsigned char* p, size_t left, uint32_t& code_point);

}  // namespace kvcs
