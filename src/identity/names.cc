// Looks at the bytes of names. What misleads stands in two ranges of UTF-8 beside ASCII: C2 80 to
// C2 9F, and E2 80 A8 to AE with E2 81 A6 to A9.
#include "identity/names.h"

#include "base/bytes.h"

namespace kvcs {

bool misleads(std::string_view utf8) {
  const auto at = [&](size_t i) {
    return i < utf8.size() ? static_cast<unsigned char>(utf8[i]) : 0u;
  };
  for (size_t i = 0; i < utf8.size(); i++) {
    const unsigned byte = at(i), second = at(i + 1), third = at(i + 2);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && second >= 0x80 && second <= 0x9f) return true;
    if (byte == 0xe2 && second == 0x80 && third >= 0xa8 && third <= 0xae) return true;
    if (byte == 0xe2 && second == 0x81 && third >= 0xa6 && third <= 0xa9) return true;
  }
  return false;
}

Result<std::string> normal_name(std::string_view text) {
  std::string name(trim(text));
  if (name.empty() || name.size() > kDisplayNameMaxBytes || !is_valid_utf8(name)) {
    return invalid("name: 1 to " + std::to_string(kDisplayNameMaxBytes) + " bytes are allowed.");
  }
  if (misleads(name)) {
    return invalid("name: '" + printable(name, kShownName) +
                   "' holds control characters, or such that turn the direction of text; leave "
                   "them out.");
  }
  return name;
}

}  // namespace kvcs
