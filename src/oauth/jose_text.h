// The one spelling of bytes in tokens and keys (RFC 7515 §2). Pure.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs::oauth {

// base64url without padding, spaces, or the two characters of plain base64; of several texts that a
// lenient reader takes for the same bytes this takes one. Invalid otherwise.
Result<std::string> from_base64url_exact(std::string_view text);

}  // namespace kvcs::oauth
