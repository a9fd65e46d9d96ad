// JSON that must keep its bytes: a walk over the text of a value, and edits of one member. Neither
// copies nor converts what it passes, so that large integers, decimals, escapes and the order of
// members reach the other side as they were sent. One thread; the text outlives the cursor.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace kvcs {

// Checks the grammar (RFC 8259) of all that it passes, and refuses more than 512 nested levels.
// After a fault ok() is false for good, at_end() true, and every step gives nothing. UTF-8 is not
// checked; is_json() does.
class JsonCursor final {
 public:
  explicit JsonCursor(std::string_view text) : text_(text) { skip_space(); }

  bool ok() const { return !failed_; }
  bool at_end() const { return position_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[position_]; }
  size_t position() const { return position_; }

  // Passes one value and returns its text without the space around it; "" on a fault.
  std::string_view value();
  // Steps into an object or array; then, while next() is true, key() (objects) and value() or
  // another step in. next() passes the comma and, at the end, the bracket.
  void enter();
  bool next();
  std::string_view key();  // As written, with quotes; passes the colon.

 private:
  void skip_space();
  bool fail();
  bool skip_value(size_t depth);
  bool skip_members(size_t depth, char close);
  bool skip_string();
  bool skip_number();
  bool skip_word(std::string_view word);

  std::string_view text_;
  size_t position_ = 0;
  bool first_ = false, failed_ = false;
};

// True when `text` is one JSON value in valid UTF-8 and nothing else.
bool is_json(std::string_view text);
// A key as written ("\"na\\u006de\"") → its characters.
std::string json_key_text(std::string_view quoted);

// Where a value stands in the text around it.
struct JsonSpan {
  size_t begin = 0, end = 0;
};
// The value of the first member of the object that is called `name`, however the name is escaped
// ("mod\u0065l" is "model" to every reader). Precondition of both: `object_text` is valid JSON.
std::optional<JsonSpan> find_json_member(std::string_view object_text, std::string_view name);
// Replaces the member's value by `value_json`; an absent member is inserted first. Every other byte
// stays. `name` needs no escape.
void set_json_member(std::string& object_text, std::string_view name, std::string_view value_json);

}  // namespace kvcs
