// QuickParser: simdjson's DOM parser with its memory, and a padded copy of the text.
#include "base/quick_json.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <new>

#include "base/chars.h"

namespace kvcs {
namespace {
constexpr size_t kBeginBytes = 4 << 10;

// The code unit of the escape "\uXXXX" at `at`; -1 when there is none.
int escaped_unit(std::string_view text, size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return -1;
  int unit = 0;
  const char* const end = text.data() + at + 6;
  const auto read = std::from_chars(text.data() + at + 2, end, unit, 16);
  return read.ec == std::errc() && read.ptr == end ? unit : -1;
}
bool is_high_half(int unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}
bool is_low_half(int unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

// Writes "\ufffd" over each escape of half a pair; false when there is none.
bool replace_half_surrogates(std::string& text) {
  bool replaced = false;
  for (size_t at = text.find('\\'); at < text.size(); at = text.find('\\', at)) {
    const int unit = escaped_unit(text, at);
    if (unit < 0) {
      at += 2;  // Another escape: what follows the backslash is part of it.
    } else if (is_high_half(unit) && is_low_half(escaped_unit(text, at + 6))) {
      at += 12;
    } else {
      if (is_high_half(unit) || is_low_half(unit)) {
        text.replace(at, 6, "\\ufffd");
        replaced = true;
      }
      at += 6;
    }
  }
  return replaced;
}

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kNoCount = "0.5";
constexpr size_t kSafeDigits = 18;  // Of an integer that 64 bits hold.

// The length of the character of UTF-8 at `at`; 0 when it is none.
size_t character_length(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (at + length > text.size() || !simdjson::validate_utf8(text.data() + at, length)) return 0;
  return length;
}

// Passes a string and what stands before its end; `at` is behind its opening quote.
void mend_string(std::string& text, size_t& at) {
  while (at < text.size() && text[at] != '"') {
    if (text[at] == '\\') {
      at += 2;
    } else if (has_control({&text[at], 1})) {
      text[at++] = ' ';
    } else if (const size_t length = character_length(text, at); length > 0) {
      at += length;
    } else {
      text[at++] = '?';
    }
  }
  at++;
}

// A word of letters, digits and signs outside of strings: a number, or true, false, null and what
// is not JSON.
void mend_word(std::string& text, size_t& at) {
  constexpr std::string_view kEnds = " \t\r\n,:]}[{\"";
  const size_t end = std::min(text.find_first_of(kEnds, at), text.size());
  const std::string_view word = std::string_view(text).substr(at, end - at);
  double number;
  const auto read = std::from_chars(word.data(), word.data() + word.size(), number);
  const bool is_number = read.ptr == word.data() + word.size() && read.ec == std::errc() &&
                         (word.size() <= kSafeDigits || word.find_first_of(".eE") != word.npos);
  const bool is_finite = is_number && std::isfinite(number);
  if (!is_finite && word.size() >= kNoCount.size() && word != "true" && word != "false" &&
      word != "null") {
    text.replace(at, end - at, std::string(kNoCount).append(word.size() - kNoCount.size(), ' '));
  }
  at = end;
}

// Keeps the length of the text but for a byte order mark.
void mend(std::string& text) {
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      mend_string(text, ++at);
    } else if (std::string_view(" \t\r\n,:]}[{").find(text[at]) != std::string_view::npos) {
      at++;
    } else {
      mend_word(text, at);
    }
  }
}

}  // namespace

QuickParser::QuickParser(size_t depth_max)
    : depth_max_(depth_max), parser_(std::make_unique<simdjson::dom::parser>()) {}
QuickParser::~QuickParser() = default;

bool QuickParser::parse(std::string_view text, simdjson::dom::element& root) {
  if (parser_->capacity() < text.size() || parser_->max_depth() != depth_max_) {
    const size_t capacity = std::max(text.size(), kBeginBytes);
    if (!note(parser_->allocate(capacity, depth_max_))) return false;
  }
  // Reserved but not part of the text: simdjson may read these bytes and ignores what they are.
  padded_.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  padded_.assign(text);
  return note(parser_->parse(padded_.data(), padded_.size(), false).get(root));
}

bool QuickParser::parse(std::string_view text, simdjson::dom::object& root) {
  simdjson::dom::element value;
  return parse(text, value) && note(value.get(root));
}

bool QuickParser::parse_lenient(std::string_view text, simdjson::dom::object& root) {
  if (parse(text, root)) return true;
  std::string mended(text);
  if (!replace_half_surrogates(mended)) return false;
  return parse(mended, root);
}

bool QuickParser::parse_forgiving(std::string_view text, simdjson::dom::object& root) {
  if (parse_lenient(text, root)) return true;
  std::string mended(text);
  mend(mended);
  return parse_lenient(mended, root);
}

bool QuickParser::note(int error) {
  const auto code = static_cast<simdjson::error_code>(error);
  too_deep_ = code == simdjson::DEPTH_ERROR;
  if (code == simdjson::MEMALLOC) throw std::bad_alloc();  // No fault of the text.
  if (code != simdjson::SUCCESS) fault_ = simdjson::error_message(code);
  return code == simdjson::SUCCESS;
}

}  // namespace kvcs
