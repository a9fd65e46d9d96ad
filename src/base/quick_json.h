// simdjson for the hot path, with memory that is kept from text to text, mostly as
// `thread_local QuickParser parser;` for texts up to kKeptMaxBytes. A file that reads the elements
// includes <simdjson.h> in its .cc; that header stays out of ours because it is large.
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

// One thread. The elements that parse() gives point into the parser and die with the next parse().
// A request that waits may go on while another has used its thread's parser: read everything that
// is needed before anything that waits. Memory grows to some times the largest text so far and is
// freed with the parser.
class QuickParser final {
 public:
  static constexpr size_t kDepthMax = 1024;
  // Larger texts get a parser of their own, so that one large request does not leave its memory
  // with a thread for good.
  static constexpr size_t kKeptMaxBytes = 256 << 10;

  explicit QuickParser(size_t depth_max = kDepthMax);
  ~QuickParser();

  // False when the text is not JSON, or no object where one is asked for, or when there is no
  // memory; fault() tells which.
  bool parse(std::string_view text, simdjson::dom::element& root);
  bool parse(std::string_view text, simdjson::dom::object& root);
  // The same for a text that may have halves of surrogate pairs ("\ud83d" of an emoji that was cut
  // in two): RFC 8259 §8.2 allows them and simdjson does not. Each is read as U+FFFD.
  bool parse_lenient(std::string_view text, simdjson::dom::object& root);
  // The same for a text that was meant to be JSON: a byte order mark is passed over, NaN, Infinity
  // and numbers that no double holds are read as 0.5, which is no count of anything, bytes that are
  // not UTF-8 as '?', and control characters in strings as spaces.
  bool parse_forgiving(std::string_view text, simdjson::dom::object& root);
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
