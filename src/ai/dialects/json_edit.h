// Edits of one top-level member of a JSON object's text that leave every other byte as it was: what
// a client sent must reach the provider unchanged. Pure functions. The text must be valid JSON
// (simdjson has checked it).
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace kvcs::ai {

struct JsonSpan {
  size_t begin = 0, end = 0;  // Of the member's value.
};
// The value of the top-level member `name` (compared as written, without escapes).
std::optional<JsonSpan> find_member(std::string_view object_text, std::string_view name);
// Sets the member to `value_json`; inserted first when absent.
void set_member(std::string& object_text, std::string_view name, std::string_view value_json);

}  // namespace kvcs::ai
