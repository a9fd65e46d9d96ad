// Looks at an address before it is put into an SMTP command or a header.
#include "base/mail_address.h"

#include <algorithm>

namespace kvcs {

bool is_mail_address(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return c > 0x20 && c < 0x7f && c != '<' && c != '>' && c != ',' && c != '"' && c != '\\';
  });
  const size_t at = text.find('@');
  return plain && at != std::string_view::npos && at > 0 && at + 1 < text.size();
}

}  // namespace kvcs
