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
    "previous_response_id", "conversation",     "conversation_id", "file_id",      "file_ids",
    "vector_store_id",      "vector_store_ids", "collection_ids",  "container_id", "container",
    "cached_content",       "cachedContent",
};
// What a client writes there is its own, whatever it is called.
constexpr std::string_view kOwnData[] = {"parameters", "input_schema", "schema", "metadata",
                                         "arguments"};
// What stands in Google's ids before the id.
constexpr std::string_view kCachedContents = "cachedContents/";

template <size_t N>
bool is_one_of(std::string_view name, const std::string_view (&names)[N]) {
  return std::any_of(std::begin(names), std::end(names),
                     [&](std::string_view one) { return equal_ignore_case(name, one); });
}

// Whether any member of the name is such a text, should it be given twice.
bool has_text(const object& from, std::string_view name, bool (*is_it)(std::string_view)) {
  for (const auto [member, value] : from) {
    std::string_view text;
    if (equal_ignore_case(member, name) && value.get(text) == simdjson::SUCCESS && is_it(text)) {
      return true;
    }
  }
  return false;
}

bool is_any(std::string_view text) {
  return !text.empty();
}

class Walk final {
 public:
  explicit Walk(std::vector<std::string>& ids) : ids_(ids) {}

  void read_root(const object& root) {
    read(root, false);
    for (const auto [name, value] : root) {
      if (equal_ignore_case(name, "input")) read_items(value);
      // A template with its version; a text of that name is what a model goes on with.
      if (equal_ignore_case(name, "prompt") && value.is_object()) note(value);
    }
  }

 private:
  // `is_block`: one of the list `content` of a message, where a model's call of a tool stands.
  void read(const object& from, bool is_block) {
    std::string_view type;
    const bool is_call =
        is_block && from["type"].get(type) == simdjson::SUCCESS && type.ends_with("tool_use");
    for (const auto [name, value] : from) {
      if (is_one_of(name, kOwnData) || (is_call && name == "input")) continue;
      if (is_one_of(name, kIdMembers)) note(value);
      if (equal_ignore_case(name, "skill_id") && !is_public_skill(from, value)) note(value);
      read(value, name == "content");
    }
  }

  void read(const element& value, bool is_content) {
    object inner;
    array list;
    if (value.get(inner) == simdjson::SUCCESS) {
      read(inner, false);
    } else if (value.get(list) == simdjson::SUCCESS) {
      for (const element one : list) {
        if (one.get(inner) == simdjson::SUCCESS) {
          read(inner, is_content);
        } else {
          read(one, false);
        }
      }
    }
  }

  // Items of the Responses API that are not in the request: the provider takes what it has stored
  // under their ids.
  void read_items(const element& input) {
    array list;
    if (input.get(list) != simdjson::SUCCESS) return;
    for (const element one : list) {
      object item;
      if (one.get(item) != simdjson::SUCCESS || !is_reference(item)) continue;
      for (const auto [name, value] : item) {
        if (equal_ignore_case(name, "id")) note(value);
      }
    }
  }

  static bool is_reference(const object& item) {
    const auto has_type = [&item](bool (*is_it)(std::string_view)) {
      return has_text(item, "type", is_it);
    };
    if (has_type([](std::string_view type) { return type == "item_reference"; })) return true;
    // The type of a reference may be left out.
    if (!has_type(is_any)) return !has_text(item, "role", is_any);
    if (has_type([](std::string_view type) { return type == "reasoning"; })) {
      return !has_text(item, "encrypted_content", is_any);
    }
    return has_type([](std::string_view type) { return type == "image_generation_call"; }) &&
           !has_text(item, "result", is_any);
  }

  // Those that every customer of the provider has.
  static bool is_public_skill(const object& skill, const element& id) {
    std::string_view text;
    if (id.get(text) != simdjson::SUCCESS) return false;
    return text.starts_with("openai-") ||
           has_text(skill, "type", [](std::string_view type) { return type == "anthropic"; });
  }

  // A text, a list of texts, or an object with an id.
  void note(const element& value) {
    object with_id;
    array list;
    if (value.get(with_id) == simdjson::SUCCESS) {
      for (const auto [name, id] : with_id) {
        if (equal_ignore_case(name, "id")) note_text(id);
      }
    } else if (value.get(list) == simdjson::SUCCESS) {
      for (const element one : list) note_text(one);
    } else {
      note_text(value);
    }
  }

  void note_text(const element& value) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS || text.empty()) return;
    if (text.starts_with(kCachedContents)) text.remove_prefix(kCachedContents.size());
    ids_.emplace_back(text);
  }

  std::vector<std::string>& ids_;
};

}  // namespace

Status read_stored_ids(const object& root, std::vector<std::string>& ids) {
  Walk(ids).read_root(root);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  if (ids.size() <= kStoredIdsMax) return ok();
  return invalid("The request names " + std::to_string(ids.size()) +
                 " things that the provider has stored; at most " + std::to_string(kStoredIdsMax) +
                 " are allowed.")
      .with_reason("invalid_request_error");
}

}  // namespace kvcs::ai
