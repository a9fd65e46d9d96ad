// The characters of names and values of header fields (RFC 9110 §5). Pure functions.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/chars.h"

namespace kvcs::http {

// RFC 9110 §5.6.2.
inline constexpr CharSet kTokenChars(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&'*+-.^_`|~");

inline bool is_token(std::string_view text) {
  return !text.empty() && kTokenChars.has_all(text);
}
// RFC 9110 §5.5: no control character but the tab.
inline bool is_field_value(std::string_view text) {
  if (!has_control(text)) return true;
  for (const char c : text) {
    if (c != '\t' && has_control({&c, 1})) return false;
  }
  return true;
}

// RFC 9110 §5.3: several lines of one header are one list, joined by a comma.
inline void append_to_list(std::optional<std::string>& list, std::string_view value) {
  list = list ? *list + ", " + std::string(value) : std::string(value);
}

}  // namespace kvcs::http
