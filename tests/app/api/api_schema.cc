// Reads schemas of the few kinds that the daemon writes (app/api/openapi.cc), and no others.
#include "app/api/api_schema.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace kvcs::test {

const Json& resolve(const Json& api, const Json& schema) {
  if (!schema.contains("$ref")) return schema;
  return api.at(nlohmann::json_pointer<std::string>(schema["$ref"].get<std::string>().substr(1)));
}

namespace {

bool is_of(const std::string& type, const Json& value) {
  if (type == "null") return value.is_null();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

std::string find_fault_of_any(const Json& api, const Json& schema, const Json& value,
                              const std::string& where) {
  std::string faults;
  for (const Json& one : schema["anyOf"]) {
    const std::string fault = find_fault(api, one, value, where);
    if (fault.empty()) return "";
    faults += fault + "; ";
  }
  return faults;
}

std::string find_fault_of_members(const Json& api, const Json& schema, const Json& value,
                                  const std::string& where) {
  const Json any = Json::object();
  const Json& known = schema.contains("properties") ? schema["properties"] : any;
  const Json others = schema.value("additionalProperties", Json(true));
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name)) return where + "." + name.get<std::string>() + " is missing";
  }
  for (const auto& [name, member] : value.items()) {
    if (!known.contains(name) && others == Json(false)) {
      return where + "." + name + " is not described";
    }
    const Json& inner = known.contains(name) ? known[name] : others.is_object() ? others : any;
    if (auto fault = find_fault(api, inner, member, where + "." + name); !fault.empty()) {
      return fault;
    }
  }
  return "";
}

}  // namespace

std::string find_fault(const Json& api, const Json& stated, const Json& value,
                       const std::string& where) {
  const Json& schema = resolve(api, stated);
  if (schema.contains("anyOf")) return find_fault_of_any(api, schema, value, where);
  if (schema.contains("type")) {
    const Json& type = schema["type"];
    bool fits = false;
    for (const Json& one : type.is_array() ? type : Json::array({type})) {
      fits = fits || is_of(one.get<std::string>(), value);
    }
    if (!fits) return where + " is no " + dump_json(type) + ": " + dump_json(value);
  }
  if (schema.contains("enum") && !value.is_null()) {
    const Json& words = schema["enum"];
    if (std::find(words.begin(), words.end(), value) == words.end()) {
      return where + " is none of its words: " + dump_json(value);
    }
  }
  if (value.is_array() && schema.contains("items")) {
    for (const Json& item : value) {
      if (auto fault = find_fault(api, schema["items"], item, where + "[]"); !fault.empty()) {
        return fault;
      }
    }
  }
  return value.is_object() ? find_fault_of_members(api, schema, value, where) : "";
}

namespace {

Json json_schema(const Json& owner) {
  const auto content = owner.find("content");
  if (content == owner.end() || !content->contains("application/json")) return nullptr;
  return content->at("application/json").at("schema");
}

}  // namespace

Json answer_schema(const Json& operation, int status) {
  return json_schema(operation.at("responses").at(std::to_string(status)));
}

Json body_schema(const Json& operation) {
  return operation.contains("requestBody") ? json_schema(operation["requestBody"]) : Json();
}

}  // namespace kvcs::test
