// QuickParser: simdjson's DOM parser with its memory, and a padded copy of the text.
#include "base/quick_json.h"

#include <simdjson.h>

#include <algorithm>

namespace kvcs {
namespace {
constexpr size_t kBeginBytes = 4 << 10;
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

bool QuickParser::note(int error) {
  const auto code = static_cast<simdjson::error_code>(error);
  too_deep_ = code == simdjson::DEPTH_ERROR;
  if (code != simdjson::SUCCESS) fault_ = simdjson::error_message(code);
  return code == simdjson::SUCCESS;
}

}  // namespace kvcs
