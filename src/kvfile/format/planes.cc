// The loops that split values into byte planes and join them again; the inner loop over the planes
// is unrolled by the compiler, since its length is the width of the word.
#include "kvfile/format/planes.h"

#include <cstring>

namespace kvcs::kvfile {
namespace {

template <typename Word>
Word turn_left(Word word) {
  return static_cast<Word>((word << 1) | (word >> (8 * sizeof(Word) - 1)));
}
template <typename Word>
Word turn_right(Word word) {
  return static_cast<Word>((word >> 1) | (word << (8 * sizeof(Word) - 1)));
}

template <typename Word, bool rotate>
void split_words(const char* from, size_t n, char* to) {
  for (size_t i = 0; i < n; i++) {
    Word word;
    std::memcpy(&word, from + i * sizeof(Word), sizeof(Word));
    if (rotate) word = turn_left(word);
    for (size_t plane = 0; plane < sizeof(Word); plane++) {
      to[plane * n + i] = static_cast<char>(word >> (8 * plane));
    }
  }
}

template <typename Word, bool rotate>
void join_words(const char* from, size_t n, char* to) {
  for (size_t i = 0; i < n; i++) {
    Word word = 0;
    for (size_t plane = 0; plane < sizeof(Word); plane++) {
      const auto byte = static_cast<unsigned char>(from[plane * n + i]);
      word = static_cast<Word>(word | static_cast<Word>(Word{byte} << (8 * plane)));
    }
    if (rotate) word = turn_right(word);
    std::memcpy(to + i * sizeof(Word), &word, sizeof(Word));
  }
}

}  // namespace

void split_planes(PlaneSplit split, const char* from, size_t size_bytes, char* to) {
  const size_t n = size_bytes / split.width;
  if (split.width == 1) {
    std::memcpy(to, from, size_bytes);
  } else if (split.width == 2) {
    split.rotate ? split_words<uint16_t, true>(from, n, to)
                 : split_words<uint16_t, false>(from, n, to);
  } else {
    split.rotate ? split_words<uint32_t, true>(from, n, to)
                 : split_words<uint32_t, false>(from, n, to);
  }
}

void join_planes(PlaneSplit split, const char* from, size_t size_bytes, char* to) {
  const size_t n = size_bytes / split.width;
  if (split.width == 1) {
    std::memcpy(to, from, size_bytes);
  } else if (split.width == 2) {
    split.rotate ? join_words<uint16_t, true>(from, n, to)
                 : join_words<uint16_t, false>(from, n, to);
  } else {
    split.rotate ? join_words<uint32_t, true>(from, n, to)
                 : join_words<uint32_t, false>(from, n, to);
  }
}

}  // namespace kvcs::kvfile
