// The cursor's grammar and the edits of one member. Recursion is as deep as the text nests, which
// the limit keeps far below what the stack of a request holds.
#include "base/json_cursor.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/chars.h"
#include "base/json.h"

namespace kvcs {
namespace {
constexpr size_t kDepthMax = 512;

// The first from `at` on that ends or interrupts a string.
size_t plain_end(std::string_view text, size_t at) {
  return at + unescaped_prefix(text.substr(at));
}
}  // namespace

void JsonCursor::skip_space() {
  while (position_ < text_.size()) {
    const char c = text_[position_];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    ++position_;
  }
}

bool JsonCursor::fail() {
  failed_ = true;
  position_ = text_.size();
  return false;
}

std::string_view JsonCursor::value() {
  const size_t begin = position_;
  if (failed_ || !skip_value(0)) return {};
  const std::string_view taken = text_.substr(begin, position_ - begin);
  skip_space();
  return taken;
}

void JsonCursor::enter() {
  if (peek() != '{' && peek() != '[') {
    fail();
    return;
  }
  ++position_;
  skip_space();
  first_ = true;
}

bool JsonCursor::next() {
  if (failed_) return false;
  const char c = peek();
  const bool was_first = first_;
  first_ = false;
  if (c == '}' || c == ']') {
    ++position_;
    skip_space();
    return false;
  }
  if (was_first) return !at_end() || fail();
  if (c != ',') return fail();
  ++position_;
  skip_space();
  // A closing bracket after a comma is a fault, which value() and key() will find.
  return !at_end() || fail();
}

std::string_view JsonCursor::key() {
  const size_t begin = position_;
  if (failed_ || !skip_string()) return {};
  const std::string_view quoted = text_.substr(begin, position_ - begin);
  skip_space();
  if (peek() != ':') {
    fail();
    return {};
  }
  ++position_;
  skip_space();
  return quoted;
}

bool JsonCursor::skip_value(size_t depth) {
  if (depth > kDepthMax) return fail();
  switch (peek()) {
    case '{':
      return skip_members(depth, '}');
    case '[':
      return skip_members(depth, ']');
    case '"':
      return skip_string();
    case 't':
      return skip_word("true");
    case 'f':
      return skip_word("false");
    case 'n':
      return skip_word("null");
    default:
      return skip_number();
  }
}

bool JsonCursor::skip_members(size_t depth, char close) {
  ++position_;
  skip_space();
  if (peek() == close) {
    ++position_;
    return true;
  }
  for (;;) {
    if (close == '}') {
      if (key().empty()) return fail();
    }
    if (!skip_value(depth + 1)) return false;
    skip_space();
    const char c = peek();
    if (c != ',' && c != close) return fail();
    ++position_;
    if (c == close) return true;
    skip_space();
  }
}

bool JsonCursor::skip_string() {
  if (peek() != '"') return fail();
  ++position_;
  while ((position_ = plain_end(text_, position_)) < text_.size()) {
    const char c = text_[position_++];
    if (c == '"') return true;
    if (c != '\\') return fail();  // A control character.
    const char escaped = peek();
    ++position_;
    if (escaped == 'u') {
      for (int i = 0; i < 4; ++i, ++position_) {
        if (!is_hex_digit(peek())) return fail();
      }
    } else if (escaped == '\0' ||
               std::string_view("\"\\/bfnrt").find(escaped) == std::string_view::npos) {
      return fail();
    }
  }
  return fail();
}

bool JsonCursor::skip_number() {
  const auto digits = [&] {
    const size_t begin = position_;
    while (is_digit(peek())) ++position_;
    return position_ > begin;
  };
  if (peek() == '-') ++position_;
  if (peek() == '0') {
    ++position_;
  } else if (!digits()) {
    return fail();
  }
  if (peek() == '.') {
    ++position_;
    if (!digits()) return fail();
  }
  if (peek() == 'e' || peek() == 'E') {
    ++position_;
    if (peek() == '+' || peek() == '-') ++position_;
    if (!digits()) return fail();
  }
  return true;
}

bool JsonCursor::skip_word(std::string_view word) {
  if (text_.substr(position_, word.size()) != word) return fail();
  position_ += word.size();
  return true;
}

bool is_json(std::string_view text) {
  JsonCursor cursor(text);
  cursor.value();
  return cursor.ok() && cursor.at_end() && is_valid_utf8(text);
}

std::string json_key_text(std::string_view quoted) {
  if (quoted.size() < 2) return {};
  const std::string_view inside = quoted.substr(1, quoted.size() - 2);
  if (inside.find('\\') == std::string_view::npos) return std::string(inside);
  const Result<Json> parsed = parse_json(quoted);
  return parsed.ok() && parsed.value().is_string() ? parsed.value().get<std::string>()
                                                   : std::string(inside);
}

std::optional<JsonSpan> find_json_member(std::string_view object_text, std::string_view name) {
  JsonCursor cursor(object_text);
  if (cursor.peek() != '{') return std::nullopt;
  cursor.enter();
  while (cursor.next()) {
    const std::string_view written = cursor.key();
    const size_t begin = cursor.position();
    const std::string_view value = cursor.value();
    if (!cursor.ok()) return std::nullopt;
    if (json_key_text(written) == name) return JsonSpan{begin, begin + value.size()};
  }
  return std::nullopt;
}

void set_json_member(std::string& object_text, std::string_view name, std::string_view value_json) {
  if (const auto span = find_json_member(object_text, name)) {
    object_text.replace(span->begin, span->end - span->begin, value_json);
    return;
  }
  const size_t inside = object_text.find('{') + 1;
  const size_t first = object_text.find_first_not_of(" \t\r\n", inside);
  const bool empty = first != object_text.npos && object_text[first] == '}';
  std::string member = "\"" + std::string(name) + "\":" + std::string(value_json);
  if (!empty) member += ',';
  object_text.insert(inside, member);
}

}  // namespace kvcs
