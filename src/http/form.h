// Pairs of names and values as HTML forms and queries write them (WHATWG URL,
// application/x-www-form-urlencoded: a plus is a space). Functions without state.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace kvcs::http {

// The decoded value of the first pair with this name; nothing when there is none. Pairs with bad
// escapes are passed over.
std::optional<std::string> form_value(std::string_view pairs, std::string_view name);

}  // namespace kvcs::http
