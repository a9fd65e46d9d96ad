// Decodes UTF-8 and looks each character up in one short table.
#include "base/printable.h"

namespace kvcs {
namespace {

// What a terminal, a log viewer or a reader does not see as it is. Bidi marks can show a text in
// another order than it has, and what has no width makes two names of one. In order. Not here are
// variation selectors, by which emoji have their colours.
struct Range {
  uint32_t first, last;
};
constexpr Range kUnseen[] = {
    {0x0000, 0x001f},    // C0 controls
    {0x007f, 0x009f},    // DEL, C1 controls
    {0x00ad, 0x00ad},    // soft hyphen
    {0x034f, 0x034f},    // grapheme joiner
    {0x061c, 0x061c},    // Arabic letter mark
    {0x115f, 0x1160},    // Hangul fillers
    {0x17b4, 0x17b5},    // Khmer inherent vowels
    {0x180b, 0x180f},    // Mongolian selectors and vowel separator
    {0x200b, 0x200f},    // zero width space, joiners, direction marks
    {0x2028, 0x202e},    // separators, bidi
    {0x2060, 0x206f},    // word joiner, invisible operators, bidi isolates
    {0x3164, 0x3164},    // Hangul filler
    {0xfeff, 0xfeff},    // byte order mark
    {0xffa0, 0xffa0},    // Hangul filler
    {0xfff9, 0xfffb},    // interlinear annotation
    {0x1bca0, 0x1bca3},  // shorthand controls
    {0x1d173, 0x1d17a},  // musical controls
    {0xe0000, 0xe0fff},  // tags
};

}  // namespace

size_t utf8_length(const unsigned char* p, size_t left, uint32_t& code_point) {
  const unsigned char c = p[0];
  const auto tail = [&](size_t i) { return i < left && (p[i] & 0xc0) == 0x80; };
  if (c < 0x80) {
    code_point = c;
    return 1;
  }
  if (c >= 0xc2 && c <= 0xdf && tail(1)) {
    code_point = (c & 0x1fu) << 6 | (p[1] & 0x3fu);
    return 2;
  }
  if (c >= 0xe0 && c <= 0xef && tail(1) && tail(2)) {
    code_point = (c & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return code_point >= 0x800 && (code_point < 0xd800 || code_point > 0xdfff) ? 3 : 0;
  }
  if (c >= 0xf0 && c <= 0xf4 && tail(1) && tail(2) && tail(3)) {
    code_point = (c & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
    return code_point >= 0x10000 && code_point <= 0x10ffff ? 4 : 0;
  }
  return 0;
}

bool is_harmless(uint32_t code_point) {
  if (code_point >= 0x20 && code_point < 0x7f) return true;
  for (const Range& range : kUnseen) {
    if (code_point <= range.last) return code_point < range.first;
  }
  return true;
}

bool is_printable(std::string_view text) {
  const auto* const p = reinterpret_cast<const unsigned char*>(text.data());
  for (size_t i = 0; i < text.size();) {
    uint32_t code_point = 0;
    const size_t n = utf8_length(p + i, text.size() - i, code_point);
    if (n == 0 || !is_harmless(code_point)) return false;
    i += n;
  }
  return true;
}

}  // namespace kvcs
