// Which characters a text has, asked many bytes at a time: the scans of texts that every request
// pays for (headers, JSON strings, log lines). Pure functions; ASCII alone is looked for, so that
// UTF-8 passes as it is.
#pragma once
#include <cstddef>
#include <string_view>

namespace kvcs {

// How many bytes at the front need no escape between the quotes of JSON, nor on a terminal: visible
// ASCII and spaces, but no '"' and no '\\'.
size_t plain_prefix(std::string_view text);
// How many bytes at the front may stand between the quotes of JSON as they are (RFC 8259 §7).
size_t unescaped_prefix(std::string_view text);
// How many bytes come before the first LF or CR.
size_t line_prefix(std::string_view text);
// Whether a byte is below 0x20, or 0x7f: one that ends a line, or that a terminal obeys.
bool has_control(std::string_view text);

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// A set of ASCII characters, asked with one load.
class CharSet final {
 public:
  constexpr explicit CharSet(std::string_view members) {
    for (const char c : members) in_[static_cast<unsigned char>(c)] = true;
  }
  constexpr bool has(char c) const { return in_[static_cast<unsigned char>(c)]; }
  constexpr bool has_all(std::string_view text) const {
    for (const char c : text) {
      if (!has(c)) return false;
    }
    return true;
  }
  // Where the first of them is in `text`, or its size.
  constexpr size_t find_in(std::string_view text) const {
    size_t at = 0;
    while (at < text.size() && !has(text[at])) at++;
    return at;
  }

 private:
  bool in_[256] = {};
};

}  // namespace kvcs
