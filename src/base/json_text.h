// Writes one flat JSON object, member by member, into a string that the caller keeps from text to
// text: for the access log and the rows of usage, which every request pays for.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace kvcs {

// Usage:
//   JsonObjectText row(out, 640);
//   row.text("request_id", id).number("status", 200);
//   row.finish();  // Until then `out` holds no text.
// Names are written as they are: they need no escape. One thread; `out` outlives it.
class JsonObjectText final {
 public:
  // Drops what `out` held. A text that grows beyond `expected_bytes` costs an allocation more.
  JsonObjectText(std::string& out, size_t expected_bytes);

  JsonObjectText& text(std::string_view name, std::string_view value);  // As append_json_string.
  JsonObjectText& number(std::string_view name, int64_t value);
  JsonObjectText& flag(std::string_view name, bool value);
  void finish();

 private:
  char* begin_member(std::string_view name, size_t value_bytes);

  std::string& out_;
  size_t used_ = 0;
};

}  // namespace kvcs
