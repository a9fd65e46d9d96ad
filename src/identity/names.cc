// Looks at the characters of names.
#include "identity/names.h"

#include <algorithm>
#include <iterator>

#include "base/bytes.h"
#include "base/printable.h"

namespace kvcs {
namespace {

// What takes room and shows nothing: Unicode's spaces, and the empty pattern of Braille.
bool is_blank(uint32_t c) {
  constexpr uint32_t kSingle[] = {' ',    '\t',   '\r',   '\n',   0xa0,
                                  0x1680, 0x202f, 0x205f, 0x2800, 0x3000};
  const bool is_wide = c >= 0x2000 && c <= 0x200a;
  return is_wide || std::find(std::begin(kSingle), std::end(kSingle), c) != std::end(kSingle);
}

bool is_selector(uint32_t c) {
  return c >= 0xfe00 && c <= 0xfe0f;
}

// Emoji and letters of some scripts have variants, and of ASCII the signs of key caps.
bool has_variants(uint32_t c) {
  const bool is_key_cap = (c >= '0' && c <= '9') || c == '#' || c == '*';
  return is_key_cap || (c >= 0x80 && !is_blank(c) && !is_selector(c));
}

struct Seen {
  std::string_view name;
  bool selects_nothing = false;
};

// Of valid UTF-8.
Seen look(std::string_view text) {
  const auto* const p = reinterpret_cast<const unsigned char*>(text.data());
  Seen seen;
  size_t begin = text.size(), end = 0;
  uint32_t before = ' ', c = 0;
  for (size_t i = 0; i < text.size(); before = c) {
    const size_t at = i;
    i += std::max<size_t>(utf8_length(p + i, text.size() - i, c), 1);
    if (is_selector(c) && !has_variants(before)) seen.selects_nothing = true;
    if (is_blank(c)) continue;
    begin = std::min(begin, at);
    end = i;
  }
  if (begin < end) seen.name = text.substr(begin, end - begin);
  return seen;
}

}  // namespace

Result<std::string> normal_name(std::string_view text) {
  const bool is_text = is_valid_utf8(text);
  const Seen seen = is_text ? look(text) : Seen{};
  if (seen.name.empty() || seen.name.size() > kDisplayNameMaxBytes) {
    return invalid("name: 1 to " + std::to_string(kDisplayNameMaxBytes) +
                   " bytes are allowed, and not blanks alone.");
  }
  if (seen.selects_nothing || !is_printable(seen.name)) {
    return invalid("name: '" + printable(seen.name, kShownName) +
                   "' holds control characters, or such that have no width or turn the direction "
                   "of text; leave them out.");
  }
  return std::string(seen.name);
}

}  // namespace kvcs
