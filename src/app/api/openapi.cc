#include "app/api/openapi.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "app/api/api_shapes.h"
#include "base/bytes.h"
#include "base/json.h"
#include "version.h"

namespace kvcs {
namespace {

Json reference(std::string_view type) {
  return Json{{"$ref", "#/components/schemas/" + std::string(type)}};
}

// "(1..254)" → {"minLength": 1, "maxLength": 254}
void add_range(std::string_view kind, const char* min, const char* max, Json& schema) {
  const size_t open = kind.find('('), dots = kind.find(".."), close = kind.find(')');
  if (open == kind.npos || dots == kind.npos || close == kind.npos) return;
  const auto number = [&](size_t begin, size_t end) {
    const auto value = parse_u64(kind.substr(begin, end - begin), "range");
    KVCS_ASSERT(value.ok());
    return value.value();
  };
  schema[min] = number(open + 1, dots);
  schema[max] = number(dots + 2, close);
}

Json schema_of(std::string_view kind) {
  if (kind.ends_with('?')) {
    Json schema = schema_of(kind.substr(0, kind.size() - 1));
    schema["type"] = Json::array({schema["type"], "null"});
    return schema;
  }
  if (kind.starts_with('[')) {
    return Json{{"type", "array"}, {"items", schema_of(kind.substr(1, kind.size() - 2))}};
  }
  if (kind.find('|') != kind.npos) {
    return Json{{"type", "string"}, {"enum", split(kind, '|')}};
  }
  const std::string_view word = kind.substr(0, kind.find('('));
  Json schema;
  if (word == "string") {
    schema = {{"type", "string"}};
    add_range(kind, "minLength", "maxLength", schema);
    return schema;
  }
  if (word == "integer") {
    schema = {{"type", "integer"}};
    add_range(kind, "minimum", "maximum", schema);
    return schema;
  }
  // What money is sent as; it is answered as a number.
  const Json decimal = Json::array({"number", "string"});
  if (kind == "number" || kind == "boolean" || kind == "object" || kind == "array") {
    return Json{{"type", kind}};
  }
  if (kind == "map")
    return Json{{"type", "object"}, {"additionalProperties", {{"type", "string"}}}};
  if (kind == "any") return Json::object();
  if (kind == "id") return Json{{"type", "string"}, {"format", "uuid"}};
  if (kind == "time") return Json{{"type", "string"}, {"format", "date-time"}};
  if (kind == "usd") return Json{{"type", decimal}, {"minimum", 0}, {"maximum", 10'000'000}};
  if (kind == "price") return Json{{"type", decimal}, {"minimum", 0}};
  if (kind == "limit") {
    return Json{{"type", Json::array({"integer", "null"})}, {"minimum", 0}};
  }
  return reference(kind);
}

// One line of a type; see api_shapes.h.
void add_member(std::string_view line, Json& properties, Json& required) {
  const size_t colon = line.find(':');
  KVCS_ASSERT(colon != line.npos);
  std::string_view name = line.substr(0, colon), rest = line.substr(colon + 1), what, example;
  if (const size_t mark = rest.find(" # "); mark != rest.npos) {
    what = trim(rest.substr(mark + 3));
    rest = rest.substr(0, mark);
  }
  if (const size_t mark = rest.find(" = "); mark != rest.npos) {
    example = trim(rest.substr(mark + 3));
    rest = rest.substr(0, mark);
  }
  if (name.ends_with('!')) {
    name.remove_suffix(1);
    required.push_back(name);
  }
  Json schema = schema_of(trim(rest));
  if (!what.empty()) schema["description"] = what;
  if (!example.empty()) {
    const auto value = parse_json(example);
    KVCS_ASSERT(value.ok());
    schema["examples"] = Json::array({value.value()});
  }
  properties[std::string(name)] = std::move(schema);
}

Json schema_of(const ApiType& type) {
  Json properties = Json::object(), required = Json::array();
  bool open = false;
  for (const std::string_view line : split(type.members, '\n')) {
    if (line.empty()) continue;
    if (line == "...") {
      open = true;
    } else {
      add_member(line, properties, required);
    }
  }
  Json schema{{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) schema["required"] = std::move(required);
  schema["additionalProperties"] = open;
  return schema;
}

Json parameters_of(const http::Route& route, const ApiShape* shape) {
  Json parameters = Json::array();
  const auto add = [&](std::string_view name, const char* where) {
    parameters.push_back(Json{{"name", name},
                              {"in", where},
                              {"required", std::string_view(where) == "path"},
                              {"schema", {{"type", "string"}}}});
  };
  for (const std::string_view segment : split(route.pattern, '/')) {
    if (segment.starts_with('{')) add(segment.substr(1, segment.size() - 2), "path");
  }
  if (shape == nullptr) return parameters;
  for (const std::string_view name : split(shape->query, ' ')) {
    if (!name.empty()) add(name, "query");
  }
  return parameters;
}

// A type's name, or a media type.
Json content_of(std::string_view what) {
  if (what.find('/') != what.npos) return Json{{what, Json::object()}};
  return Json{{"application/json", {{"schema", reference(what)}}}};
}

std::string_view error_type(http::Dialect dialect) {
  switch (dialect) {
    case http::Dialect::kPortal:
      return "PortalError";
    case http::Dialect::kAdmin:
      return "AdminError";
    case http::Dialect::kGateway:
      return "GatewayError";
    case http::Dialect::kOpenAi:
      return "OpenAiError";
    case http::Dialect::kAnthropic:
      return "AnthropicError";
  }
  return "PortalError";
}

const ApiShape* shape_of(const http::Route& route) {
  for (const ApiShape& shape : api_shapes()) {
    if (shape.method == route.method && route.pattern == shape.pattern) return &shape;
  }
  return nullptr;
}

Json operation_of(const http::Route& route) {
  Json operation{{"summary", route.summary}};
  const ApiShape* const shape = shape_of(route);
  if (Json parameters = parameters_of(route, shape); !parameters.empty()) {
    operation["parameters"] = std::move(parameters);
  }
  if (shape != nullptr && *shape->body != '\0') {
    operation["requestBody"] = {
        {"description", "At most " + format_bytes(route.body_max_bytes) + "."},
        {"content", content_of(shape->body)}};
  }
  Json responses = Json::object();
  if (shape != nullptr) {
    Json success{{"description", *shape->answer == '\0' ? "Done." : "Success."}};
    if (*shape->answer != '\0') success["content"] = content_of(shape->answer);
    responses[std::to_string(shape->status)] = std::move(success);
  }
  responses["default"] = {{"description", "An error, in the form of this door."},
                          {"content", content_of(error_type(route.dialect))}};
  operation["responses"] = std::move(responses);
  if (route.who == "public") {
    operation["security"] = Json::array();
  } else {
    operation["security"] = Json::array({Json{{"bearer", Json::array()}}});
    operation["x-kvcs-who"] = route.who;
  }
  return operation;
}

}  // namespace

std::string openapi_json(const std::vector<http::Route>& routes) {
  Json paths = Json::object(), schemas = Json::object();
  for (const http::Route& route : routes) {
    // Static pages are not API.
    if (route.summary.empty()) continue;
    paths[route.pattern][lower_ascii(http::method_name(route.method))] = operation_of(route);
  }
  for (const auto& types : {api_types_of_admin(), api_types_of_ai(), api_types_of_doors()}) {
    for (const ApiType& type : types) schemas[type.name] = schema_of(type);
  }
  return dump_json(
      Json{{"openapi", "3.1.0"},
           {"info", {{"title", "kvcs"}, {"version", KVCS_VERSION}}},
           {"paths", paths},
           {"components",
            {{"schemas", schemas},
             {"securitySchemes", {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}}}}}}});
}

}  // namespace kvcs
