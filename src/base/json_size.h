// How many values a JSON text has. A tree of values takes far more memory than its text ("[0]," is
// four bytes, and 96 in a tree), so that whoever builds one for a stranger looks at the size first.
// Pure functions.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/json.h"

namespace kvcs {

// What parse_json and parse_json_exact take: far more than any record or answer of the API has, and
// some 10 MB as a tree.
inline constexpr size_t kJsonValuesMax = 100'000;

// parse_json_exact for texts that may rightly have more, such as answers of our own server.
// TooLarge beyond `values_max`.
Result<Json> parse_long_json_exact(std::string_view text, size_t values_max = SIZE_MAX);

// Values, and as many more as there are empty arrays and objects; exact enough for a limit. Of a
// text that is no JSON any number. One pass, no memory.
size_t count_json_values(std::string_view text);
// About the memory that parse_json takes at most for the tree of such a text.
uint64_t json_tree_bytes(std::string_view text);

}  // namespace kvcs
