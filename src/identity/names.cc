// Looks at the bytes of names.
#include "identity/names.h"

#include "base/bytes.h"
#include "base/printable.h"

namespace kvcs {

Result<std::string> normal_name(std::string_view text) {
  std::string name(trim(text));
  if (name.empty() || name.size() > kDisplayNameMaxBytes || !is_valid_utf8(name)) {
    return invalid("name: 1 to " + std::to_string(kDisplayNameMaxBytes) + " bytes are allowed.");
  }
  if (!is_printable(name)) {
    return invalid("name: '" + printable(name, kShownName) +
                   "' holds control characters, or such that have no width or turn the direction "
                   "of text; leave them out.");
  }
  return name;
}

}  // namespace kvcs
