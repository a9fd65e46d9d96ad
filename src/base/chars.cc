// The scans of chars.h, sixteen bytes at a time by the compiler's portable vectors: no instruction
// set is asked for, and the last bytes of a text are read together with some before them, never
// past the end.
#include "base/chars.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace kvcs {
namespace {

using Bytes = uint8_t __attribute__((vector_size(16)));
constexpr size_t kBlock = sizeof(Bytes), kHalf = kBlock / 2;

// The kinds of byte that a scan looks for: one() asks of one byte, all() of each byte of a block,
// whose answer has 0xff where the kind is and 0 elsewhere.
struct NotPlain {
  static bool one(uint8_t b) { return b < ' ' || b > '~' || b == '"' || b == '\\'; }
  static Bytes all(Bytes b) { return Bytes((b < ' ') | (b > '~') | (b == '"') | (b == '\\')); }
};
struct StringEnd {
  static bool one(uint8_t b) { return b < ' ' || b == '"' || b == '\\'; }
  static Bytes all(Bytes b) { return Bytes((b < ' ') | (b == '"') | (b == '\\')); }
};
struct LineEnd {
  static bool one(uint8_t b) { return b == '\n' || b == '\r'; }
  static Bytes all(Bytes b) { return Bytes((b == '\n') | (b == '\r')); }
};
struct Control {
  static bool one(uint8_t b) { return b < ' ' || b == 0x7f; }
  static Bytes all(Bytes b) { return Bytes((b < ' ') | (b == 0x7f)); }
};

// Where the first byte of the kind is in two runs of eight bytes, which may overlap in the text;
// null when it is in neither.
template <typename Kind>
const char* find_in(const char* low, const char* high) {
  std::array<uint64_t, 2> halves;
  std::memcpy(&halves[0], low, kHalf);
  std::memcpy(&halves[1], high, kHalf);
  Bytes block;
  std::memcpy(&block, halves.data(), kBlock);
  block = Kind::all(block);
  std::memcpy(halves.data(), &block, kBlock);
  // The first byte in memory is the lowest.
  if (halves[0] != 0) return low + std::countr_zero(halves[0]) / 8;
  if (halves[1] != 0) return high + std::countr_zero(halves[1]) / 8;
  return nullptr;
}

// Where the first byte of the kind is, or the size.
template <typename Kind>
size_t find(std::string_view text) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto place = [begin](const char* at) { return static_cast<size_t>(at - begin); };
  const char* at = begin;
  if (text.size() < kHalf) {
    while (at < end && !Kind::one(static_cast<uint8_t>(*at))) at++;
    return place(at);
  }
  for (; end - at > static_cast<ptrdiff_t>(kBlock); at += kBlock) {
    if (const char* found = find_in<Kind>(at, at + kHalf)) return place(found);
  }
  // The last bytes, with some of those before them if they are few.
  if (end - at < static_cast<ptrdiff_t>(kHalf)) at = end - kHalf;
  const char* const found = find_in<Kind>(at, end - kHalf);
  return found != nullptr ? place(found) : text.size();
}

}  // namespace

size_t plain_prefix(std::string_view text) {
  return find<NotPlain>(text);
}
size_t unescaped_prefix(std::string_view text) {
  return find<StringEnd>(text);
}
size_t line_prefix(std::string_view text) {
  return find<LineEnd>(text);
}
bool has_control(std::string_view text) {
  return find<Control>(text) < text.size();
}

}  // namespace kvcs
