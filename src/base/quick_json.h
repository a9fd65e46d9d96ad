// simdjson for the hot path, with memory that is kept from text to text, mostly as
// `thread_local QuickParser parser;` for texts up to kKeptMaxBytes. Who reads what it gives
// includes <simdjson.h> in the .cc.
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace simdjson::dom {
class element;
class object;
class parser;
}  // namespace simdjson::dom

namespace kvcs {

// One thread. What parse() gives points into the parser and is gone with the next parse(), and a
// thread's parser may be another request's after anything that waits. Memory grows to some times
// the largest text so far and goes with the parser.
class QuickParser final {
 public:
  static constexpr size_t kDepthMax = 1024;
  // What a thread should keep for good.
  static constexpr size_t kKeptMaxBytes = 256 << 10;

  explicit QuickParser(size_t depth_max = kDepthMax);
  ~QuickParser();

  // False: not JSON, or no object where one is wanted, or no memory; fault() says it.
  bool parse(std::string_view text, simdjson::dom::element& root);
  bool parse(std::string_view text, simdjson::dom::object& root);
  // Of the last parse() that gave false.
  std::string_view fault() const { return fault_; }
  bool too_deep() const { return too_deep_; }

 private:
  bool note(int error);

  const size_t depth_max_;
  const std::unique_ptr<simdjson::dom::parser> parser_;
  std::string padded_;  // simdjson reads some bytes past the end.
  std::string_view fault_;
  bool too_deep_ = false;
};

}  // namespace kvcs
