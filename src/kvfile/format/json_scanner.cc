// A JSON reader that is pulled along by its caller, token by token, and builds no tree: a header of
// 16 MiB costs the memory of what is kept of it. Used for files that strangers made.
#include "kvfile/format/json_scanner.h"

#include "base/bytes.h"

namespace kvcs::kvfile {

JsonScanner::JsonScanner(std::string_view text, size_t depth_max, std::string what)
    : text_(text), depth_max_(depth_max), what_(std::move(what)) {}

Status JsonScanner::fault(std::string_view why) const {
  return invalid(what_ + ": byte " + std::to_string(at_) + ": " + std::string(why));
}

Status JsonScanner::check_utf8() const {
  if (is_valid_utf8(text_)) return ok();
  return invalid(what_ + ": not valid UTF-8");
}

void JsonScanner::skip_space() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    at_++;
  }
}

char JsonScanner::peek() {
  skip_space();
  return at_ < text_.size() ? text_[at_] : '\0';
}

Status JsonScanner::open(char c, bool is_object) {
  if (peek() != c) return fault(is_object ? "an object was expected" : "an array was expected");
  if (levels_.size() >= depth_max_) {
    return fault("nested deeper than " + std::to_string(depth_max_) + " levels");
  }
  at_++;
  levels_.push_back({is_object, true, {}});
  return ok();
}
Status JsonScanner::begin_object() {
  return open('{', true);
}
Status JsonScanner::begin_array() {
  return open('[', false);
}

// The separator before the next member or element, or the end of this level.
Result<bool> JsonScanner::next(char close) {
  Level& level = levels_.back();
  const char c = peek();
  if (c == close) {
    at_++;
    levels_.pop_back();
    return false;
  }
  if (!level.first) {
    if (c != ',') return fault(c == '\0' ? "the text ends too early" : "a comma was expected");
    at_++;
  }
  level.first = false;
  return true;
}

Result<bool> JsonScanner::next_element() {
  return next(']');
}

// Names are remembered for each level: of two equal ones readers keep the first or the last, so a
// file could mean two things.
Result<bool> JsonScanner::next_member(std::string& name) {
  if (!KVCS_TRY(next('}'))) return false;
  name = KVCS_TRY(string());
  if (!levels_.back().names.insert(name).second) {
    return fault("member \"" + printable(name, kShownName) + "\" appears twice");
  }
  if (peek() != ':') return fault("a colon was expected");
  at_++;
  return true;
}

// Runs without quotes, escapes and control characters are copied at once.
Result<std::string> JsonScanner::string() {
  if (peek() != '"') return fault("a string was expected");
  at_++;
  std::string out;
  while (at_ < text_.size()) {
    size_t end = at_;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' &&
           static_cast<unsigned char>(text_[end]) >= 0x20) {
      end++;
    }
    out.append(text_, at_, end - at_);
    at_ = end;
    if (at_ == text_.size()) break;
    if (text_[at_] == '"') {
      at_++;
      return out;
    }
    if (text_[at_] != '\\') return fault("a control character in a string");
    KVCS_TRY(append_escape(out));
  }
  return fault("a string without its end");
}

Result<uint32_t> JsonScanner::hex4() {
  if (text_.size() - at_ < 4) return fault("a string without its end");
  uint32_t value = 0;
  for (int i = 0; i < 4; i++) {
    const char c = text_[at_ + static_cast<size_t>(i)];
    uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint32_t>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<uint32_t>(c - 'A' + 10);
    } else {
      return fault("\\u without four hex digits");
    }
    value = value * 16 + digit;
  }
  at_ += 4;
  return value;
}

namespace {
// One code point as one to four bytes (RFC 3629).
void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}
}  // namespace

// RFC 8259, section 7. A character beyond the basic plane is two \u escapes, a high and a low
// surrogate; one of them alone is no character.
Status JsonScanner::append_escape(std::string& out) {
  if (text_.size() - at_ < 2) return fault("a string without its end");
  const char c = text_[at_ + 1];
  at_ += 2;
  static constexpr std::string_view kNames = "\"\\/bfnrt";
  static constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
  const size_t simple = kNames.find(c);
  if (simple != std::string_view::npos) {
    out += kValues[simple];
    return ok();
  }
  if (c != 'u') return fault("an unknown escape in a string");
  uint32_t code = KVCS_TRY(hex4());
  if (code >= 0xdc00 && code < 0xe000) return fault("a lone surrogate in a string");
  if (code >= 0xd800 && code < 0xdc00) {
    if (text_.size() - at_ < 2 || text_[at_] != '\\' || text_[at_ + 1] != 'u') {
      return fault("a lone surrogate in a string");
    }
    at_ += 2;
    const uint32_t low = KVCS_TRY(hex4());
    if (low < 0xdc00 || low >= 0xe000) return fault("a lone surrogate in a string");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  append_utf8(out, code);
  return ok();
}

// The limit of 2^63-1 lets callers add two numbers without an overflow.
Result<uint64_t> JsonScanner::integer() {
  const char first = peek();
  if (first == '-') return fault("a negative number");
  if (first < '0' || first > '9') return fault("a whole number was expected");
  const size_t start = at_;
  uint64_t value = 0;
  for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; at_++) {
    const uint64_t digit = static_cast<uint64_t>(text_[at_] - '0');
    if (value > (static_cast<uint64_t>(INT64_MAX) - digit) / 10) {
      return fault("a number over 2^63-1");
    }
    value = value * 10 + digit;
  }
  if (first == '0' && at_ - start > 1) return fault("a number with a leading zero");
  if (at_ < text_.size() && (text_[at_] == '.' || text_[at_] == 'e' || text_[at_] == 'E')) {
    return fault("a number with a fraction or an exponent");
  }
  return value;
}

Status JsonScanner::skip_word(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) return fault("not a JSON value");
  at_ += word.size();
  return ok();
}

Result<bool> JsonScanner::boolean() {
  const char c = peek();
  if (c != 't' && c != 'f') return fault("true or false was expected");
  KVCS_TRY(skip_word(c == 't' ? "true" : "false"));
  return c == 't';
}

bool JsonScanner::skip_null() {
  if (peek() != 'n' || text_.substr(at_, 4) != "null") return false;
  at_ += 4;
  return true;
}

// The number grammar of RFC 8259, section 6, without reading the value.
Status JsonScanner::skip_number() {
  const auto digits = [this] {
    const size_t start = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') at_++;
    return at_ - start;
  };
  if (text_[at_] == '-') at_++;
  const size_t start = at_;
  const size_t whole = digits();
  if (whole == 0 || (whole > 1 && text_[start] == '0')) return fault("not a JSON number");
  if (at_ < text_.size() && text_[at_] == '.') {
    at_++;
    if (digits() == 0) return fault("not a JSON number");
  }
  if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    at_++;
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) at_++;
    if (digits() == 0) return fault("not a JSON number");
  }
  return ok();
}

// Recursive, but no deeper than depth_max_: begin_object() and begin_array() refuse more levels.
Status JsonScanner::skip_value() {
  const char c = peek();
  if (c == '"') {
    KVCS_TRY(string());
    return ok();
  }
  if (c == '{') {
    KVCS_TRY(begin_object());
    std::string name;
    while (KVCS_TRY(next_member(name))) KVCS_TRY(skip_value());
    return ok();
  }
  if (c == '[') {
    KVCS_TRY(begin_array());
    while (KVCS_TRY(next_element())) KVCS_TRY(skip_value());
    return ok();
  }
  if (c == '-' || (c >= '0' && c <= '9')) return skip_number();
  if (c == 't') return skip_word("true");
  if (c == 'f') return skip_word("false");
  if (c == 'n') return skip_word("null");
  return fault(c == '\0' ? "the text ends too early" : "not a JSON value");
}

Status JsonScanner::finish(std::string_view padding) {
  const size_t stop = text_.find_first_not_of(padding, at_);
  if (stop == std::string_view::npos) return ok();
  at_ = stop;
  return fault("text behind the end of the JSON value");
}

}  // namespace kvcs::kvfile
