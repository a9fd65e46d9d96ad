// Reads what an authenticator app is given: base32 (RFC 4648 section 6) without padding.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace kvcs::test {

inline std::string from_base32(std::string_view text) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string bytes;
  uint32_t kept = 0;
  int bits = 0;
  for (const char c : text) {
    kept = kept << 5 | static_cast<uint32_t>(kLetters.find(c));
    if ((bits += 5) < 8) continue;
    bytes += static_cast<char>(kept >> (bits -= 8) & 0xff);
  }
  return bytes;
}

}  // namespace kvcs::test
