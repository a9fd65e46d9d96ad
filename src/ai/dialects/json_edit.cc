#include "ai/dialects/json_edit.h"

#include <nlohmann/json.hpp>

#include <cstring>

#include "base/json.h"

namespace kvcs::ai {
namespace {

// Position after the string whose opening quote is at `at`.
size_t skip_string(std::string_view text, size_t at) {
  for (at++; at < text.size(); at++) {
    if (text[at] == '\\') {
      at++;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return text.size();
}

size_t skip_space(std::string_view text, size_t at) {
  while (at < text.size() && std::strchr(" \t\r\n", text[at]) != nullptr) at++;
  return at;
}

// Position after the value that begins at `at`.
size_t skip_value(std::string_view text, size_t at) {
  int depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
      if (depth == 0) return at;
      continue;
    }
    if (c == '{' || c == '[') depth++;
    if (c == '}' || c == ']') {
      if (depth == 0) return at;  // The end of the object around a bare number or word.
      if (--depth == 0) return at + 1;
    }
    if (depth == 0 && (c == ',' || std::strchr(" \t\r\n", c) != nullptr)) return at;
    at++;
  }
  return at;
}

// Whether a name, as it stands between its quotes, is `name`: "mod\u0065l" is "model" to everyone.
bool is_name(std::string_view written, std::string_view name) {
  if (written.find('\\') == written.npos) return written == name;
  const Result<Json> read = parse_json("[\"" + std::string(written) + "\"]");
  return read.ok() && (*read)[0].get_ref<const std::string&>() == name;
}

}  // namespace

std::optional<JsonSpan> find_member(std::string_view text, std::string_view name) {
  size_t at = skip_space(text, 0);
  if (at >= text.size() || text[at] != '{') return std::nullopt;
  at = skip_space(text, at + 1);
  while (at < text.size() && text[at] == '"') {
    const size_t name_end = skip_string(text, at);
    const std::string_view found = text.substr(at + 1, name_end - at - 2);
    at = skip_space(text, name_end);  // The colon.
    const size_t value = skip_space(text, at + 1);
    const size_t value_end = skip_value(text, value);
    if (is_name(found, name)) return JsonSpan{value, value_end};
    at = skip_space(text, value_end);
    if (at >= text.size() || text[at] != ',') break;
    at = skip_space(text, at + 1);
  }
  return std::nullopt;
}

void set_member(std::string& text, std::string_view name, std::string_view value_json) {
  if (const auto span = find_member(text, name)) {
    text.replace(span->begin, span->end - span->begin, value_json);
    return;
  }
  const size_t brace = text.find('{');
  const bool empty =
      skip_space(text, brace + 1) < text.size() && text[skip_space(text, brace + 1)] == '}';
  std::string member = "\"" + std::string(name) + "\":" + std::string(value_json);
  if (!empty) member += ',';
  text.insert(brace + 1, member);
}

}  // namespace kvcs::ai
