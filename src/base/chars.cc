#include "base/chars.h"

#include <cstdint>
#include <cstring>

namespace kvcs {
namespace {

// Sixteen bytes at a time, by the compiler's portable vectors.
using Bytes = uint8_t __attribute__((vector_size(16)));

Bytes load(const char* from) {
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return bytes;
}

struct NotPlain {
  static bool one(char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte < ' ' || byte > '~' || byte == '"' || byte == '\\';
  }
  static Bytes all(Bytes b) { return Bytes((b < ' ') | (b > '~') | (b == '"') | (b == '\\')); }
};
struct Control {
  static bool one(char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte < ' ' || byte == 0x7f;
  }
  static Bytes all(Bytes b) { return Bytes((b < ' ') | (b == 0x7f)); }
};

template <typename Kind>
bool is_in(const char* block) {
  const Bytes found = Kind::all(load(block));
  uint64_t halves[2];
  std::memcpy(halves, &found, sizeof halves);
  return (halves[0] | halves[1]) != 0;
}

// The first byte of the kind, or the size; blocks of the text may overlap, so that no byte of one
// of at least a block is looked at alone, unless it is near the one that is found.
template <typename Kind>
size_t find(std::string_view text) {
  constexpr size_t kBlock = sizeof(Bytes);
  size_t i = 0;
  if (text.size() >= kBlock) {
    const size_t last = text.size() - kBlock;
    while (i < last && !is_in<Kind>(text.data() + i)) i += kBlock;
    if (i >= last && !is_in<Kind>(text.data() + last)) return text.size();
    if (i > last) i = last;
  }
  while (i < text.size() && !Kind::one(text[i])) i++;
  return i;
}

}  // namespace

size_t plain_prefix(std::string_view text) {
  return find<NotPlain>(text);
}
bool has_control(std::string_view text) {
  return find<Control>(text) < text.size();
}

}  // namespace kvcs
