// Walks a whole body for members that name something which the provider has stored.
#include "ai/dialects/stored_ids.h"

#include <simdjson.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "base/bytes.h"

namespace kvcs::ai {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

// Bodies nest 64 levels deep at most.
constexpr std::string_view kIdMembers[] = {
    "previous_response_id", "conversation",     "conversation_id", "file_id", "file_ids",
    "vector_store_id",      "vector_store_ids",
};
// What a client writes there is its own, whatever it is called.
constexpr std::string_view kOwnData[] = {"parameters", "input_schema", "schema", "metadata",
                                         "arguments"};

template <size_t N>
bool is_one_of(std::string_view name, const std::string_view (&names)[N]) {
  return std::any_of(std::begin(names), std::end(names),
                     [&](std::string_view one) { return equal_ignore_case(name, one); });
}

class Walk final {
 public:
  explicit Walk(std::vector<std::string>& ids) : ids_(ids) {}

  void read(const object& from) {
    std::string_view type;
    const bool is_call = from["type"].get(type) == simdjson::SUCCESS && type.ends_with("tool_use");
    for (const auto [name, value] : from) {
      if (is_one_of(name, kOwnData) || (is_call && name == "input")) continue;
      if (is_one_of(name, kIdMembers)) note(value);
      read(value);
    }
  }

 private:
  void read(const element& value) {
    object inner;
    array list;
    if (value.get(inner) == simdjson::SUCCESS) {
      read(inner);
    } else if (value.get(list) == simdjson::SUCCESS) {
      for (const element one : list) read(one);
    }
  }

  // A text, a list of texts, or an object with an id.
  void note(const element& value) {
    std::string_view text;
    array list;
    if (value.get(text) == simdjson::SUCCESS || value["id"].get(text) == simdjson::SUCCESS) {
      if (!text.empty()) ids_.emplace_back(text);
    } else if (value.get(list) == simdjson::SUCCESS) {
      for (const element one : list) {
        if (one.get(text) == simdjson::SUCCESS && !text.empty()) ids_.emplace_back(text);
      }
    }
  }

  std::vector<std::string>& ids_;
};

}  // namespace

Status read_stored_ids(const object& root, std::vector<std::string>& ids) {
  Walk(ids).read(root);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  if (ids.size() <= kStoredIdsMax) return ok();
  return invalid("The request names " + std::to_string(ids.size()) +
                 " things that the provider has stored; at most " + std::to_string(kStoredIdsMax) +
                 " are allowed.")
      .with_reason("invalid_request_error");
}

}  // namespace kvcs::ai
