// Reads single members of a request: each once, whatever the case of its letters, and in the few
// shapes that servers take; and the members that several APIs share.
#include <simdjson.h>

#include <algorithm>
#include <cmath>

#include "ai/dialects/json_members.h"
#include "ai/dialects/request_reader.h"
#include "base/bytes.h"

namespace kvcs::ai {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr size_t kWordMaxBytes = 64;
// The members whose "ttl" says how long a cache write is kept: Anthropic's, then OpenAI's.
constexpr std::string_view kCacheControls[] = {"cache_control", "prompt_cache_options",
                                               "prompt_cache_breakpoint"};

// 100, 100.0 and 1e2 are integers by JSON Schema.
bool whole_number(const element& value, int64_t& out) {
  if (value.get(out) == simdjson::SUCCESS) return true;
  double number;
  if (!value.is_double() || value.get(number) != simdjson::SUCCESS) return false;
  if (std::abs(number) > 9e15 || number != std::floor(number)) return false;
  out = static_cast<int64_t>(number);
  return true;
}

}  // namespace

Status bad_member(std::string_view member, std::string why) {
  return invalid(std::string(member) + ": " + std::move(why)).with_reason("invalid_request_error");
}

Status find_once(const Members& from, std::string_view name, std::string_view path, bool& found,
                 element& out) {
  found = false;
  if (!from.may_have(name)) return ok();
  bool seen = false;
  for (const auto& [key, value] : from) {
    if (key.size() != name.size() || !equal_ignore_case(key, name)) continue;
    if (seen) return bad_member(std::string(path) + std::string(name), "is given twice.");
    if (key != name) {
      return bad_member(std::string(path) + std::string(name),
                        "is written '" + printable(key, kShownName) +
                            "', which some providers take for it and others do not.");
    }
    seen = true;
    if (value.is_null()) continue;
    found = true;
    out = value;
  }
  return ok();
}

Status read_flag(const Members& from, std::string_view name, std::string_view path, bool& out) {
  element value;
  bool found;
  KVCS_TRY(find_once(from, name, path, found, value));
  if (found && value.get(out) != simdjson::SUCCESS) {
    return bad_member(std::string(path) + std::string(name), "must be true or false.");
  }
  return ok();
}

Status read_whole(const Members& from, std::string_view name, std::string_view path, int64_t min,
                  int64_t max, int64_t& out) {
  element value;
  bool found;
  KVCS_TRY(find_once(from, name, path, found, value));
  if (!found) return ok();
  const std::string member = std::string(path) + std::string(name);
  int64_t number;
  if (!whole_number(value, number)) {
    return bad_member(member, "must be a whole number from " + std::to_string(min) + " to " +
                                  std::to_string(max) + ".");
  }
  if (number < min || number > max) {
    return bad_member(member, std::to_string(number) + " is outside " + std::to_string(min) +
                                  " to " + std::to_string(max) + ".");
  }
  out = number;
  return ok();
}

Status read_word(const Members& from, std::string_view name, std::string_view path,
                 std::string& out) {
  element value;
  bool found;
  KVCS_TRY(find_once(from, name, path, found, value));
  if (!found) return ok();
  std::string_view text;
  const std::string member = std::string(path) + std::string(name);
  if (value.get(text) != simdjson::SUCCESS) return bad_member(member, "must be a string.");
  if (text.size() > kWordMaxBytes) {
    return bad_member(member, "must have at most " + std::to_string(kWordMaxBytes) + " bytes.");
  }
  out = text;
  return ok();
}

Status read_tier(const Members& root, ChatRequest& request) {
  std::string tier;
  KVCS_TRY(read_word(root, "service_tier", "", tier));
  request.asked.service_tier = service_tier(tier);
  return ok();
}

namespace {

Status read_cache_control(const element& value, CacheWrites& writes) {
  array list;
  if (value.get(list) == simdjson::SUCCESS) {
    for (const element one : list) KVCS_TRY(read_cache_control(one, writes));
    return ok();
  }
  object members;
  return value.get(members) == simdjson::SUCCESS ? read_cache_control(members, writes) : ok();
}

}  // namespace

Status read_cache_control(const object& members, CacheWrites& writes) {
  for (const auto& [name, member] : members) {
    const auto control_name =
        std::find_if(std::begin(kCacheControls), std::end(kCacheControls),
                     [&name = name](auto one) { return equal_ignore_case(name, one); });
    const bool is_control = control_name != std::end(kCacheControls);
    if (is_control && name != *control_name) {
      return bad_member(*control_name, "is written '" + printable(name, kShownName) + "'.");
    }
    object control;
    if (is_control && member.get(control) == simdjson::SUCCESS) {
      std::string ttl;
      KVCS_TRY(read_word(control, "ttl", std::string(*control_name) + ".", ttl));
      const bool is_short = ttl.empty() || ttl == "5m" || ttl == "30m";
      writes = std::max(writes, is_short ? CacheWrites::kShort : CacheWrites::kLong);
    } else {
      KVCS_TRY(read_cache_control(member, writes));
    }
  }
  return ok();
}

Status read_thinking(const Members& root, ChatRequest& request) {
  element value;
  bool found;
  KVCS_TRY(find_once(root, "thinking", "", found, value));
  object thinking;
  if (!found || value.get(thinking) != simdjson::SUCCESS) return ok();
  std::string type;
  KVCS_TRY(read_word(thinking, "type", "thinking.", type));
  request.asks_reasoning = type != "disabled";
  return read_whole(thinking, "budget_tokens", "thinking.", 0, 10'000'000, request.thinking_tokens);
}

Status note_search_size(std::string_view size, ChatRequest& request) {
  static constexpr std::string_view kByPrice[] = {"low", "medium", "preview", "high"};
  const auto rank = [](std::string_view name) {
    return std::find(std::begin(kByPrice), std::end(kByPrice), name.empty() ? "medium" : name);
  };
  if (rank(size) == std::end(kByPrice)) {
    return bad_member("search_context_size",
                      "'" + printable(size, kShownName) + "' is not one of: low, medium, high.");
  }
  std::string& known = request.asked.search_size;
  if (request.is_search_sized && rank(known) >= rank(size)) return ok();
  request.is_search_sized = true;
  known = size == "medium" ? std::string_view() : size;
  return ok();
}

}  // namespace kvcs::ai
