// JSON for the control plane (nlohmann, member order kept): values that are read member by member,
// changed and written again. Nothing here throws. To build values include <nlohmann/json.hpp> in
// the .cc.
//
// Texts for which a tree of values is too slow, or loses what must be kept, have readers and a
// writer of their own:
//   base/quick_json   simdjson, for requests and records of the hot path: read once, thrown away.
//   base/json_cursor  a cursor over the text, for what must keep its bytes (answers that are cut,
//                     requests of which one member is set).
//   kvfile's scanner  for untrusted headers (16 MiB at most) and sidecars (64 MiB at most), read
//                     in one pass into one kind of value; its faults name the byte.
//   base/json_text    a writer of flat objects, for the lines and rows that each request makes.
//
// Beside JsonReader, which reads the bodies of requests, stand two readers of stored records:
// RecordReader (identity/records.cc) and Fields (gateway/catalogue/provider_record.cc). An unknown
// member is a fault in a request; in a stored record it is passed over.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kvcs {

using Json = nlohmann::ordered_json;

// Strict RFC 8259; at most `depth_max` nested levels; duplicate members are refused. Invalid says
// at which byte; TooLarge beyond kJsonValuesMax values (base/json_size.h).
Result<Json> parse_json(std::string_view text, size_t depth_max = 64);
// The same, but a number with a fraction or exponent, or one beyond 64 bits, keeps its text for
// JsonReader::optional_decimal, so that money never passes through a double. dump_json prints it
// back as it came; get<double>() does not work on it.
Result<Json> parse_json_exact(std::string_view text, size_t depth_max = 64);
// A number that dump_json prints as it is written here. Precondition: a valid JSON number.
Json json_decimal(std::string_view number_text);
std::string dump_json(const Json& value);         // Compact; invalid UTF-8 becomes U+FFFD.
std::string dump_json_pretty(const Json& value);  // Two spaces.
void append_json_string(std::string& out, std::string_view text);  // With quotes and escapes.

// For records and answers of other servers, where a member that is missing is no fault: the text of
// the member, "" when `value` is no object or the member is absent or no string; and the whole
// number of the member, 0 likewise.
std::string text_member(const Json& value, std::string_view name);
int64_t integer_member(const Json& value, std::string_view name);

struct StringRule {
  size_t min_bytes = 1;
  size_t max_bytes = 256;
};

// Reads the members of one object and remembers the first fault; unknown members are a fault of
// finish(). Usage:
//   JsonReader r(body);
//   request.name = r.string("name", {.max_bytes = 200});
//   request.limit = r.optional_integer("limit", 0, 1000);
//   KVCS_TRY(r.finish());            // Invalid: "name: required", "limit: 5000 is over 1000", …
// `object` must outlive the reader. One thread.
class JsonReader final {
 public:
  explicit JsonReader(const Json& object, std::string path = {});

  std::string string(std::string_view name, StringRule rule = {});
  std::optional<std::string> optional_string(std::string_view name, StringRule rule = {});
  int64_t integer(std::string_view name, int64_t min, int64_t max);
  std::optional<int64_t> optional_integer(std::string_view name, int64_t min, int64_t max);
  // The text of a JSON number, or of a string that holds one ("12.50"), for base/money.h. Exact
  // when the body was read by parse_json_exact.
  std::optional<std::string> optional_decimal(std::string_view name);
  std::string decimal(std::string_view name);
  bool boolean_or(std::string_view name, bool fallback);
  std::optional<bool> optional_boolean(std::string_view name);
  // One of `allowed`; the fault lists them.
  std::string one_of(std::string_view name, std::initializer_list<std::string_view> allowed);
  std::optional<std::string> optional_one_of(std::string_view name,
                                             std::initializer_list<std::string_view> allowed);
  // The member as it is, or null when absent; counts as known.
  const Json* member(std::string_view name);
  const Json* object(std::string_view name);  // Absent, or a fault when not an object.
  const Json* array(std::string_view name);   // Absent, or a fault when not an array.

  bool has(std::string_view name) const;  // Present and not null.
  void fail(std::string_view name, std::string_view why);
  void ignore_unknown() { allow_unknown_ = true; }
  Status finish();

 private:
  const Json* find(std::string_view name);

  const Json& object_;
  std::string path_;
  std::vector<std::string> known_;
  bool allow_unknown_ = false;
  Status fault_;
};

}  // namespace kvcs
