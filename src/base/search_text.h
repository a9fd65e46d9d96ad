// The text that a list is searched for, and whether a row fits it. A value; thread-safe.
#pragma once
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

inline constexpr size_t kSearchMaxCharacters = 100;
// A page of a search looks at so many rows at most. Whoever searches goes on by the cursor.
inline constexpr size_t kSearchedRowsMax = 5000;

class SearchText final {
 public:
  SearchText() = default;  // Fits every row.
  // Spaces around the text do not count. Invalid: not UTF-8, or over kSearchMaxCharacters.
  static Result<SearchText> read(std::string_view text);

  bool empty() const { return folded_.empty(); }
  // Whether one of the texts has it somewhere inside; small and large letters are the same.
  bool fits(std::initializer_list<std::string_view> texts) const;
  // The same of text members of a JSON object; false for what is no object.
  bool fits_members(std::string_view json, std::initializer_list<std::string_view> names) const;

 private:
  std::string folded_;
};

// The text with small letters for large ones, as far as the alphabets of Latin (to U+017F), Greek
// and Cyrillic go.
std::string fold_case(std::string_view text);

}  // namespace kvcs
