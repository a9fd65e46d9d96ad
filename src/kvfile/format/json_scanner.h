// A strict, linear reader of untrusted JSON: the container's header, the sidecar, token ids.
// RFC 8259 with these cuts: the text must be UTF-8, nesting is limited, no member name twice in an
// object, integers are unsigned and fit 63 bits, no lone surrogates. One thread; the text outlives
// the scanner. Every fault names the byte where it was found.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/status.h"

namespace kvcs::kvfile {

class JsonScanner final {
 public:
  // `what` opens every message: "header", "sidecar".
  JsonScanner(std::string_view text, size_t depth_max, std::string what);

  Status check_utf8() const;
  char peek();  // The next character behind white space; '\0' at the end.

  Status begin_object();
  // Moves to the next member's value; false at the end of the object.
  Result<bool> next_member(std::string& name);
  Status begin_array();
  Result<bool> next_element();

  Result<std::string> string();
  Result<uint64_t> integer();  // 0 … 2^63-1
  Result<bool> boolean();
  bool skip_null();     // True when the next value was null.
  Status skip_value();  // Any value, numbers with signs, fractions and exponents included.
  // Only `padding` characters may follow.
  Status finish(std::string_view padding);

  Status fault(std::string_view why) const;

 private:
  struct Level {
    bool is_object;
    bool first = true;
    std::unordered_set<std::string> names;
  };
  void skip_space();
  Status open(char c, bool is_object);
  Result<bool> next(char close);
  Status append_escape(std::string& out);
  Result<uint32_t> hex4();
  Status skip_number();
  Status skip_word(std::string_view word);

  std::string_view text_;
  size_t at_ = 0;
  size_t depth_max_;
  std::string what_;
  std::vector<Level> levels_;
};

}  // namespace kvcs::kvfile
