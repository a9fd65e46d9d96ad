// Which characters a text has, asked many bytes at a time: for what every request pays for. Pure.
#pragma once
#include <cstddef>
#include <string_view>

namespace kvcs {

// How many bytes at the front need no escape between the quotes of JSON, nor on a terminal: visible
// ASCII and spaces, but no '"' and no '\\'.
size_t plain_prefix(std::string_view text);
// A byte below 0x20, or 0x7f: what ends a line, or what a terminal obeys.
bool has_control(std::string_view text);

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

 private:
  bool in_[256] = {};
};

}  // namespace kvcs
