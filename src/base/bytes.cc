// Encoders and decoders of text forms, by hand: each is a few lines, runs on every request, and
// refuses what a lenient library would let pass.
#include "base/bytes.h"

#include <simdjson.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "base/printable.h"

namespace kvcs {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// The value of a hex digit of either case; -1 for other characters.
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Three bytes become four characters of six bits each; a group that is cut short becomes one
// character more than it has bytes.
std::string encode64(std::string_view in, const char* alphabet, bool pad) {
  std::string out;
  out.reserve((in.size() + 2) / 3 * 4);
  for (size_t i = 0; i < in.size(); i += 3) {
    uint32_t v = static_cast<uint8_t>(in[i]) << 16;
    if (i + 1 < in.size()) v |= static_cast<uint8_t>(in[i + 1]) << 8;
    if (i + 2 < in.size()) v |= static_cast<uint8_t>(in[i + 2]);
    const size_t chars = std::min<size_t>(in.size() - i, 3) + 1;
    for (size_t c = 0; c < 4; c++) {
      if (c < chars) {
        out += alphabet[(v >> (18 - 6 * c)) & 63];
      } else if (pad) {
        out += '=';
      }
    }
  }
  return out;
}

// Both alphabets of RFC 4648 at once: "+/" of §4 and "-_" of §5 never mean different values.
int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

}  // namespace

std::string to_hex(std::string_view bytes) {
  std::string out(bytes.size() * 2, '\0');
  for (size_t i = 0; i < bytes.size(); i++) {
    out[2 * i] = kHex[static_cast<uint8_t>(bytes[i]) >> 4];
    out[2 * i + 1] = kHex[static_cast<uint8_t>(bytes[i]) & 15];
  }
  return out;
}

Result<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return invalid("Hex text must have an even number of digits.");
  std::string out(text.size() / 2, '\0');
  for (size_t i = 0; i < out.size(); i++) {
    const int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return invalid("Not a hex digit in '" + printable(text, kShownName) + "'.");
    out[i] = static_cast<char>(high << 4 | low);
  }
  return out;
}

bool is_hex(std::string_view text, size_t length) {
  if (text.size() != length) return false;
  for (const char c : text) {
    if (hex_value(c) < 0) return false;
  }
  return true;
}

std::string to_base64(std::string_view bytes) {
  return encode64(bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}
std::string to_base64url(std::string_view bytes) {
  return encode64(bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}

Result<std::string> from_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (text.size() % 4 == 1) return invalid("Base64 text has an impossible length.");
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = base64_value(c);
    if (value < 0) return invalid("Not base64 text.");
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xff);
    }
  }
  // Bits behind the last whole byte must be zero: else several texts would decode to one value, and
  // a signature or a cursor could be rewritten without a change of its meaning.
  if ((bits & ((1u << count) - 1)) != 0) return invalid("Base64 text has stray bits at its end.");
  return out;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += "0123456789ABCDEF"[static_cast<uint8_t>(c) >> 4];
      out += "0123456789ABCDEF"[static_cast<uint8_t>(c) & 15];
    }
  }
  return out;
}

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size() || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0) {
        return invalid("A '%' is not followed by two hex digits.");
      }
      out += static_cast<char>(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
      i += 2;
    }
  }
  return out;
}

bool is_valid_utf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  size_t i = 0;
  // Visible ASCII at the front is copied at once: most texts are nothing else.
  while (i < text.size() && i < max_bytes && p[i] >= 0x20 && p[i] < 0x7f) i++;
  out.assign(text, 0, i);
  while (i < text.size()) {
    if (out.size() >= max_bytes) return out + "…";
    uint32_t code_point = 0;
    const size_t n = utf8_length(p + i, text.size() - i, code_point);
    if (n != 0 && is_harmless(code_point)) {
      out.append(text.substr(i, n));
    } else {
      const size_t bad = n == 0 ? 1 : n;
      for (size_t k = 0; k < bad; k++) {
        out += "\\x";
        out += kHex[p[i + k] >> 4];
        out += kHex[p[i + k] & 15];
      }
    }
    i += n == 0 ? 1 : n;
  }
  return out;
}

std::string lower_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool equal_ignore_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  // Most pairs of header names differ in their first letter, whose cases are one bit apart.
  if (a.empty() || (a[0] | 0x20) != (b[0] | 0x20)) return a.empty();
  return strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trim(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t from = 0;;) {
    const size_t to = text.find(separator, from);
    parts.push_back(text.substr(from, to - from));
    if (to == text.npos) return parts;
    from = to + 1;
  }
}

Result<uint64_t> parse_u64(std::string_view text, std::string_view what) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
    return invalid(std::string(what) + " must be a whole number, not '" +
                   printable(text, kShownWord) + "'.");
  }
  return value;
}

std::string format_bytes(uint64_t n) {
  static constexpr std::array<const char*, 7> kUnits = {"B",   "KiB", "MiB", "GiB",
                                                        "TiB", "PiB", "EiB"};
  double value = static_cast<double>(n);
  size_t unit = 0;
  // From 1023.995 on two digits would say 1024.00, which is 1.00 of the next unit.
  while (value >= (unit == 0 ? 1024 : 1023.995) && unit + 1 < kUnits.size()) {
    value /= 1024;
    unit++;
  }
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, unit == 0 ? "%.0f %s" : "%.2f %s", value, kUnits[unit]);
  return buffer;
}

uint32_t load_u32le(const void* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
uint64_t load_u64le(const void* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
void append_u32le(std::string& out, uint32_t v) {
  out.append(reinterpret_cast<char*>(&v), 4);
}
void append_u64le(std::string& out, uint64_t v) {
  out.append(reinterpret_cast<char*>(&v), 8);
}
void append_u64be(std::string& out, uint64_t v) {
  append_u64le(out, __builtin_bswap64(v));
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "kvcs supports little-endian machines.");

}  // namespace kvcs
