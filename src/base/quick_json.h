// simdjson for the hot path, with memory that is kept from text to text. Heavy: include it in .cc
// files alone, mostly as `thread_local QuickParser parser;` for texts up to kKeptMaxBytes.
#pragma once
#include <simdjson.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace kvcs {

// One thread. What parse() gives points into the parser and is gone with the next parse(), and a
// thread's parser may be another request's after anything that waits. Memory grows to some times
// the largest text so far and goes with the parser.
class QuickParser final {
 public:
  explicit QuickParser(size_t depth_max = simdjson::DEFAULT_MAX_DEPTH) : depth_max_(depth_max) {}

  simdjson::error_code parse(std::string_view text, simdjson::dom::element& root) {
    if (parser_.capacity() < text.size() || parser_.max_depth() != depth_max_) {
      const size_t capacity = std::max(text.size(), kBeginBytes);
      if (const auto error = parser_.allocate(capacity, depth_max_)) return error;
    }
    padded_.reserve(text.size() + simdjson::SIMDJSON_PADDING);
    padded_.assign(text);
    return parser_.parse(padded_.data(), padded_.size(), false).get(root);
  }
  simdjson::error_code parse(std::string_view text, simdjson::dom::object& root) {
    simdjson::dom::element value;
    const auto error = parse(text, value);
    return error ? error : value.get(root);
  }

  // What a thread should keep for good.
  static constexpr size_t kKeptMaxBytes = 256 << 10;

 private:
  static constexpr size_t kBeginBytes = 4 << 10;

  const size_t depth_max_;
  simdjson::dom::parser parser_;
  std::string padded_;  // simdjson reads some bytes past the end.
};

}  // namespace kvcs
