// A walk over the text of a JSON value that checks its grammar (RFC 8259) and never copies or
// converts: what is cut out of an answer keeps its bytes, so that large integers, decimals and
// escapes come through unchanged. Nesting is limited to 512 levels. One thread.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace kvcs::gateway {

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

}  // namespace kvcs::gateway
