// QuickParser: simdjson's DOM parser with its memory, and a padded copy of the text.
#include "base/quick_json.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>

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

bool QuickParser::note(int error) {
  const auto code = static_cast<simdjson::error_code>(error);
  too_deep_ = code == simdjson::DEPTH_ERROR;
  if (code != simdjson::SUCCESS) fault_ = simdjson::error_message(code);
  return code == simdjson::SUCCESS;
}

}  // namespace kvcs
