// JsonReader (base/json.h) and the two lenient readers of one member. A name that was asked for is
// known from then on; finish() refuses every other one, and lists those that are known.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/json.h"

namespace kvcs {
namespace {

constexpr size_t kMembersMostly = 16;

// Null when the member is absent or the JSON null: no reader here tells the two apart.
const Json* find_member(const Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  for (const auto& [key, value] : object.get_ref<const Json::object_t&>()) {
    if (key == name) return value.is_null() ? nullptr : &value;
  }
  return nullptr;
}

// The names for a caller that mistyped one, in the order in which they were asked for.
std::string list_names(const std::vector<std::string>& all) {
  std::string list;
  for (auto name = all.begin(); name != all.end(); ++name) {
    if (std::find(all.begin(), name, *name) != name) continue;
    list += (list.empty() ? "known are: " : ", ") + *name;
  }
  return list.empty() ? "none is known here." : list + ".";
}

}  // namespace

std::string text_member(const Json& value, std::string_view name) {
  const Json* const member = find_member(value, name);
  return member != nullptr && member->is_string() ? member->get<std::string>() : std::string();
}

int64_t integer_member(const Json& value, std::string_view name) {
  const Json* const member = find_member(value, name);
  return member != nullptr && member->is_number_integer() ? member->get<int64_t>() : 0;
}

JsonReader::JsonReader(const Json& object, std::string path)
    : object_(object), path_(std::move(path)) {
  if (!object.is_object()) {
    fault_ = invalid((path_.empty() ? "The body" : path_) + " must be a JSON object.");
  }
}

const Json* JsonReader::find(std::string_view name) {
  if (known_.empty()) known_.reserve(kMembersMostly);
  known_.emplace_back(name);
  return find_member(object_, name);
}

bool JsonReader::has(std::string_view name) const {
  return find_member(object_, name) != nullptr;
}

void JsonReader::fail(std::string_view name, std::string_view why) {
  if (!fault_.ok()) return;
  const std::string where = path_.empty() ? std::string(name) : path_ + "." + std::string(name);
  fault_ = invalid(where + ": " + std::string(why)).with_reason("invalid_request");
}

std::optional<std::string> JsonReader::optional_string(std::string_view name, StringRule rule) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    fail(name, "must be a string.");
    return std::nullopt;
  }
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() < rule.min_bytes || text.size() > rule.max_bytes) {
    fail(name, "has " + std::to_string(text.size()) + " bytes; " + std::to_string(rule.min_bytes) +
                   " to " + std::to_string(rule.max_bytes) + " are allowed.");
    return std::nullopt;
  }
  return text;
}

std::string JsonReader::string(std::string_view name, StringRule rule) {
  std::optional<std::string> value = optional_string(name, rule);
  if (!value && !has(name)) fail(name, "required.");
  return value.value_or("");
}

std::optional<int64_t> JsonReader::optional_integer(std::string_view name, int64_t min,
                                                    int64_t max) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer()) {
    fail(name, "must be a whole number.");
    return std::nullopt;
  }
  const bool huge = value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX;
  const int64_t number = huge ? INT64_MAX : value->get<int64_t>();
  if (huge || number < min || number > max) {
    fail(name, dump_json(*value) + " is outside " + std::to_string(min) + " to " +
                   std::to_string(max) + ".");
    return std::nullopt;
  }
  return number;
}

int64_t JsonReader::integer(std::string_view name, int64_t min, int64_t max) {
  const std::optional<int64_t> value = optional_integer(name, min, max);
  if (!value && !has(name)) fail(name, "required.");
  return value.value_or(min);
}

std::optional<std::string> JsonReader::optional_decimal(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  // A number that kept its text is a binary value (json_decimal) and is printed as it came.
  if (value->is_number() || value->is_binary()) return dump_json(*value);
  if (value->is_string() && value->get_ref<const std::string&>().size() <= 64) {
    return value->get<std::string>();
  }
  fail(name, "must be a number.");
  return std::nullopt;
}
std::string JsonReader::decimal(std::string_view name) {
  std::optional<std::string> value = optional_decimal(name);
  if (!value && !has(name)) fail(name, "required.");
  return value.value_or("0");
}

std::optional<bool> JsonReader::optional_boolean(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) {
    fail(name, "must be true or false.");
    return std::nullopt;
  }
  return value->get<bool>();
}
bool JsonReader::boolean_or(std::string_view name, bool fallback) {
  return optional_boolean(name).value_or(fallback);
}

std::optional<std::string> JsonReader::optional_one_of(
    std::string_view name, std::initializer_list<std::string_view> allowed) {
  std::optional<std::string> value = optional_string(name);
  if (!value) return std::nullopt;
  if (std::find(allowed.begin(), allowed.end(), *value) != allowed.end()) return value;
  fail(name, "'" + printable(*value, kShownName) + "' is not one of: " + join(allowed, ", ") + ".");
  return std::nullopt;
}
std::string JsonReader::one_of(std::string_view name,
                               std::initializer_list<std::string_view> allowed) {
  std::optional<std::string> value = optional_one_of(name, allowed);
  if (!value && !has(name)) fail(name, "required.");
  return value.value_or("");
}

const Json* JsonReader::member(std::string_view name) {
  return find(name);
}
const Json* JsonReader::object(std::string_view name) {
  const Json* value = find(name);
  if (value != nullptr && !value->is_object()) {
    fail(name, "must be an object.");
    return nullptr;
  }
  return value;
}
const Json* JsonReader::array(std::string_view name) {
  const Json* value = find(name);
  if (value != nullptr && !value->is_array()) {
    fail(name, "must be an array.");
    return nullptr;
  }
  return value;
}

Status JsonReader::finish() {
  if (!fault_.ok() || allow_unknown_ || !object_.is_object()) return fault_;
  for (const auto& [name, value] : object_.items()) {
    if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
      fail(printable(name, kShownName), "unknown member; " + list_names(known_));
      return fault_;
    }
  }
  return fault_;
}

}  // namespace kvcs
