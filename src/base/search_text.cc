// Compares texts without regard to case. Alphabets whose small letters stand at a fixed distance
// from the large ones are folded, and the C library's locales are not asked, so that every machine
// gives the same rows.
#include "base/search_text.h"

#include <simdjson.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/quick_json.h"

namespace kvcs {
namespace {

// Of a letter that takes two bytes in UTF-8; the small letter takes two as well.
uint32_t small_letter(uint32_t c) {
  if (c >= 0xc0 && c <= 0xde && c != 0xd7) return c + 32;  // À to Þ, without ×
  if (c == 0x178) return 0xff;                             // Ÿ
  // Latin Extended-A has large and small letters in turn; ĸ and ŉ, which have no large letter, lie
  // where the turn changes. İ is small i with a mark, and stays.
  if ((c >= 0x100 && c <= 0x137 && c != 0x130) || (c >= 0x14a && c <= 0x177)) return c | 1;
  if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e)) return c + (c & 1);
  if (c == 0x386) return 0x3ac;                 // Ά
  if (c >= 0x388 && c <= 0x38a) return c + 37;  // Έ to Ί
  if (c == 0x38c) return 0x3cc;                 // Ό
  if (c == 0x38e || c == 0x38f) return c + 63;  // Ύ, Ώ
  if (c >= 0x391 && c <= 0x3ab) return c + 32;  // Α to Ϋ
  if (c == 0x3c2) return 0x3c3;                 // ς at a word's end is σ.
  if (c >= 0x400 && c <= 0x40f) return c + 80;  // Ѐ to Џ
  if (c >= 0x410 && c <= 0x42f) return c + 32;  // А to Я
  return c;
}

}  // namespace

std::string fold_case(std::string_view text) {
  std::string folded = lower_ascii(text);
  for (size_t i = 0; i + 1 < folded.size(); i++) {
    const auto first = static_cast<unsigned char>(folded[i]);
    if ((first & 0xe0) != 0xc0) continue;
    const auto second = static_cast<unsigned char>(folded[i + 1]);
    const uint32_t c = small_letter((first & 0x1fU) << 6 | (second & 0x3fU));
    folded[i++] = static_cast<char>(0xc0 | c >> 6);
    folded[i] = static_cast<char>(0x80 | (c & 0x3f));
  }
  return folded;
}

Result<SearchText> SearchText::read(std::string_view text) {
  text = trim(text);
  if (!is_valid_utf8(text)) return invalid("q: is not UTF-8.");
  const auto characters = static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
  if (characters > kSearchMaxCharacters) {
    return invalid("q: " + std::to_string(characters) + " characters, over " +
                   std::to_string(kSearchMaxCharacters) + "; search for a part of the text.");
  }
  SearchText search;
  search.folded_ = fold_case(text);
  return search;
}

bool SearchText::fits(std::initializer_list<std::string_view> texts) const {
  if (empty()) return true;
  return std::any_of(texts.begin(), texts.end(), [&](std::string_view text) {
    return fold_case(text).find(folded_) != std::string::npos;
  });
}

bool SearchText::fits_members(std::string_view json,
                              std::initializer_list<std::string_view> names) const {
  if (empty()) return true;
  thread_local QuickParser parser;
  simdjson::dom::object object;
  if (!parser.parse(json, object)) return false;
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
    std::string_view text;
    return object[name].get(text) == simdjson::SUCCESS && fits({text});
  });
}

}  // namespace kvcs
