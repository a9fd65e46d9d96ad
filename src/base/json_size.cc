// The count of values in a text: one before each comma, bracket and brace that stands outside of
// strings. Strings are passed many bytes at a time.
#include "base/json_size.h"

#include <algorithm>

#include "base/chars.h"

namespace kvcs {
namespace {

// A member of an object, with its name and the room that a growing list keeps, takes the most.
constexpr uint64_t kTreeBytesPerValue = 96;

// Where the string ends whose first character is at `at`: behind its quote.
size_t string_end(std::string_view text, size_t at) {
  while ((at += unescaped_prefix(text.substr(at))) < text.size()) {
    const char c = text[at++];
    if (c == '"') return at;
    if (c == '\\' && at < text.size()) at++;
  }
  return text.size();
}

}  // namespace

size_t count_json_values(std::string_view text) {
  size_t values = 1;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at++];
    if (c == '"') {
      at = string_end(text, at);
    } else if (c == ',' || c == '[' || c == '{') {
      values++;
    }
  }
  return values;
}

uint64_t json_tree_bytes(std::string_view text) {
  return text.size() + std::min(count_json_values(text), kJsonValuesMax) * kTreeBytesPerValue;
}

}  // namespace kvcs
