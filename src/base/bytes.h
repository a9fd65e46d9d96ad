// Text forms of bytes (hex, base64, percent, little-endian) and small helpers for texts. Pure
// functions.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kvcs {

std::string to_hex(std::string_view bytes);              // lower case
Result<std::string> from_hex(std::string_view text);     // either case; Invalid
bool is_hex(std::string_view text, size_t length);       // exactly `length` hex digits
std::string to_base64(std::string_view bytes);           // RFC 4648 §4, padded
std::string to_base64url(std::string_view bytes);        // RFC 4648 §5, unpadded
Result<std::string> from_base64(std::string_view text);  // §4 or §5, padding optional

std::string percent_encode(std::string_view text);  // RFC 3986 unreserved kept
// `plus_is_space` for form and query values. Invalid on a bad escape.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space);

bool is_valid_utf8(std::string_view text);  // RFC 3629: no surrogates, no overlong forms.
// How much of a foreign text a message shows, by what the text is; printable() cuts there. Enough
// to recognise it, and little enough that no caller fills a log or a terminal.
inline constexpr size_t kShownWord = 40;     // A number, a verb, a date.
inline constexpr size_t kShownName = 80;     // The name of a member, key, file, model or provider.
inline constexpr size_t kShownValue = 120;   // A value, a URL or path.
inline constexpr size_t kShownText = 500;    // A sentence, such as another server's message.
inline constexpr size_t kShownWhole = 2000;  // A message of this program to the one who asked.

// Control characters, ESC, DEL, bidi marks, what has no width, and invalid UTF-8 become visible
// escapes (\x1b), and what is longer than `max_bytes` is cut with "…": safe for terminals, logs and
// error messages.
std::string printable(std::string_view text, size_t max_bytes = 200);
// Whether printable() would leave every character as it is. The rule for names of whatever kind.
bool is_printable(std::string_view text);

std::string lower_ascii(std::string_view text);
bool equal_ignore_case(std::string_view a, std::string_view b);
std::string_view trim(std::string_view text);  // spaces, tabs, CR, LF
std::vector<std::string_view> split(std::string_view text, char separator);
// "a, b, c": the texts of a range with the separator between them.
template <typename Texts>
std::string join(const Texts& texts, std::string_view separator) {
  std::string out;
  bool first = true;
  for (const std::string_view text : texts) {
    if (!first) out += separator;
    first = false;
    out += text;
  }
  return out;
}
// Decimal digits only, no sign, no space; Invalid on overflow, naming `what`.
Result<uint64_t> parse_u64(std::string_view text, std::string_view what);
std::string format_bytes(uint64_t n);  // "1.50 MiB"

// Little-endian loads and stores; `p` needs no alignment.
uint32_t load_u32le(const void* p);
uint64_t load_u64le(const void* p);
void append_u32le(std::string& out, uint32_t v);
void append_u64le(std::string& out, uint64_t v);
// Big-endian: keys built from these sort by number.
void append_u64be(std::string& out, uint64_t v);

}  // namespace kvcs
