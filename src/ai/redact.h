// Takes secrets and persons out of a body before it is kept in a log, and the provider's key out of
// what the provider says. Pure functions.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "base/secret.h"

namespace kvcs::ai {

// At most about `max_bytes` of `body`, without what looks like a secret or a person: values of
// members like "password" or "api_key" (also in JSON within JSON), keys and tokens by their
// prefixes, private keys, email addresses, card numbers; and without long base64 (pictures, sound),
// which becomes its size. A rule of thumb, not a promise: an organization that logs bodies
// logs what people write.
std::string redacted(std::string_view body, size_t max_bytes);

// Some providers quote the key that they are sent. It is the operator's key and not the caller's:
// each place in `text` that has it becomes "***", also where characters of it are written as JSON
// escapes (of JSON within JSON too). A key of fewer than 8 bytes may stand there by chance and is
// left.
void hide_credential(const Secret& credential, std::string& text);

}  // namespace kvcs::ai
