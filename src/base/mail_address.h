// Which addresses mail is sent to.
#pragma once
#include <string_view>

namespace kvcs {

// Stricter than RFC 5321, and plain ASCII (no SMTPUTF8): no quoting, no comment, nothing that could
// end an SMTP command or a header.
bool is_mail_address(std::string_view text);

}  // namespace kvcs
