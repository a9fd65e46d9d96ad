// Takes secrets and persons out of a body before it is kept in a log. Pure function.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace kvcs::ai {

// At most about `max_bytes` of `body`, without what looks like a secret or a person: values of
// members like "password" or "api_key" (also in JSON within JSON), keys and tokens by their
// prefixes, private keys, email addresses, card numbers; and without long base64 (pictures, sound),
// which becomes its size. A rule of thumb, not a promise: an organization that logs bodies
// logs what people write.
std::string redacted(std::string_view body, size_t max_bytes);

}  // namespace kvcs::ai
