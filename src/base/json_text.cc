// JsonObjectText writes into memory that is grown ahead and cut to size once, at finish():
// appending piece by piece would check the capacity for each.
#include "base/json_text.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/chars.h"
#include "base/json.h"

namespace kvcs {
namespace {

constexpr size_t kDigitsMax = 20;  // Of an int64_t with its sign.

char* put(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

}  // namespace

JsonObjectText::JsonObjectText(std::string& out, size_t expected_bytes) : out_(out) {
  out_.resize(std::max<size_t>(expected_bytes, 2));
}

// Writes the name of the next member and returns the place of its value, with room for
// `value_bytes` and for the end of the object. The 5 bytes beside are '{' or ',', two quotes, ':'
// and the final '}'.
char* JsonObjectText::begin_member(std::string_view name, size_t value_bytes) {
  const size_t needed = used_ + name.size() + value_bytes + 5;
  if (needed > out_.size()) out_.resize(2 * needed);
  char* at = out_.data() + used_;
  *at++ = used_ == 0 ? '{' : ',';
  *at++ = '"';
  at = put(at, name);
  *at++ = '"';
  *at++ = ':';
  return at;
}

JsonObjectText& JsonObjectText::text(std::string_view name, std::string_view value) {
  if (plain_prefix(value) < value.size()) {
    std::string quoted;
    append_json_string(quoted, value);
    char* const end = put(begin_member(name, quoted.size()), quoted);
    used_ = static_cast<size_t>(end - out_.data());
    return *this;
  }
  char* at = begin_member(name, value.size() + 2);
  *at++ = '"';
  at = put(at, value);
  *at++ = '"';
  used_ = static_cast<size_t>(at - out_.data());
  return *this;
}

JsonObjectText& JsonObjectText::number(std::string_view name, int64_t value) {
  char* const at = begin_member(name, kDigitsMax);
  used_ = static_cast<size_t>(std::to_chars(at, at + kDigitsMax, value).ptr - out_.data());
  return *this;
}

JsonObjectText& JsonObjectText::flag(std::string_view name, bool value) {
  const std::string_view word = value ? "true" : "false";
  used_ = static_cast<size_t>(put(begin_member(name, word.size()), word) - out_.data());
  return *this;
}

void JsonObjectText::finish() {
  if (used_ == 0) out_[used_++] = '{';
  out_.resize(used_);
  out_ += '}';
}

}  // namespace kvcs
