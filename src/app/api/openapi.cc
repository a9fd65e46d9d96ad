// Renders the route table and the types of its rows as OpenAPI 3.1: what each row takes and gives
// is in the row itself, so that this file knows the notation of types and no single row.
#include "app/api/openapi.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>

#include "app/routes.h"
#include "base/build_info.h"
#include "base/bytes.h"
#include "base/json.h"
#include "http/problem.h"

namespace kvcs {
namespace {

// Types refer to one another by name; each is defined once, under components.
Json reference(std::string_view type) {
  return Json{{"$ref", "#/components/schemas/" + std::string(type)}};
}

// "(1..254)" → {"minLength": 1, "maxLength": 254}; an integer may be negative.
void add_range(std::string_view kind, const char* min, const char* max, Json& schema) {
  const size_t open = kind.find('('), dots = kind.find(".."), close = kind.find(')');
  if (open == kind.npos || dots == kind.npos || close == kind.npos) return;
  const auto number = [&](size_t begin, size_t end) {
    int64_t value = 0;
    const std::string_view text = kind.substr(begin, end - begin);
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    KVCS_ASSERT(read.ec == std::errc() && read.ptr == text.data() + text.size());
    return value;
  };
  schema[min] = number(open + 1, dots);
  schema[max] = number(dots + 2, close);
}

Json schema_of(std::string_view kind);

// The same schema, and null besides.
Json or_null(Json schema) {
  if (!schema.contains("type")) {
    return Json{{"anyOf", Json::array({std::move(schema), Json{{"type", "null"}}})}};
  }
  Json& type = schema["type"];
  if (!type.is_array()) type = Json::array({type});
  type.push_back("null");
  if (schema.contains("enum")) schema["enum"].push_back(nullptr);
  return schema;
}

// The schema of one kind, as http::ApiType lists them. What is none of the words is the name of
// another type; a name that no type has is found by the test of this file.
Json schema_of(std::string_view kind) {
  if (kind.ends_with('?')) return or_null(schema_of(kind.substr(0, kind.size() - 1)));
  const std::string_view inner = kind.substr(1, kind.size() - 2);
  if (kind.starts_with('[')) return Json{{"type", "array"}, {"items", schema_of(inner)}};
  if (kind.starts_with('{')) {
    return Json{{"type", "object"}, {"additionalProperties", schema_of(inner)}};
  }
  if (const size_t mark = kind.find(" or "); mark != kind.npos) {
    return Json{{"anyOf",
                 Json::array({schema_of(kind.substr(0, mark)), schema_of(kind.substr(mark + 4))})}};
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
  // Clients may send money as a number or as text; it is answered as a number.
  const Json decimal = Json::array({"number", "string"});
  if (kind == "number" || kind == "boolean" || kind == "array") return Json{{"type", kind}};
  if (kind == "object") return Json{{"type", kind}, {"additionalProperties", true}};
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

// One line of a type, in the notation of http::ApiType.
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

// An object with the type's members in the order in which they are written.
Json schema_of(const http::ApiType& type) {
  Json schema{{"type", "object"}}, properties = Json::object(), required = Json::array();
  bool open = false;
  for (const std::string_view line : split(type.members, '\n')) {
    if (line.empty()) continue;
    if (line == "...") {
      open = true;
    } else if (line.starts_with("# ")) {
      schema["description"] = line.substr(2);
    } else {
      add_member(line, properties, required);
    }
  }
  schema["properties"] = std::move(properties);
  if (!required.empty()) schema["required"] = std::move(required);
  schema["additionalProperties"] = open;
  return schema;
}

// Query parameters that mean the same wherever they stand. All others are texts that the summary of
// their row tells of.
struct QueryWords {
  const char *name, *kind, *words;
};
constexpr QueryWords kQueryWords[] = {
    {"limit", "integer", "How many at most."},
    {"cursor", "string", "Where the page begins: `cursor` of the page before."},
    {"format", "json|csv", "Default: json."},
    {"from", "string", "Not before this time (ISO 8601)."},
    {"to", "string", "Before this time (ISO 8601)."},
    {"dry_run", "true|false", "Tells what would be deleted, and deletes nothing."}};

// Parameters of the path stand in the pattern, those of the query in the row's shape.
Json parameters_of(const http::Row& row) {
  Json parameters = Json::array();
  const auto add = [&](std::string_view name, const char* where) {
    const bool in_path = std::string_view(where) == "path";
    Json one{{"name", name}, {"in", where}, {"required", in_path}, {"schema", schema_of("string")}};
    for (const QueryWords& query : kQueryWords) {
      if (in_path || name != query.name) continue;
      one["description"] = query.words;
      one["schema"] = schema_of(query.kind);
    }
    parameters.push_back(std::move(one));
  };
  for (const std::string_view segment : split(row.pattern, '/')) {
    if (segment.starts_with('{')) add(segment.substr(1, segment.size() - 2), "path");
  }
  for (const std::string_view name : split(row.shape.query, ' ')) {
    if (!name.empty()) add(name, "query");
  }
  if (takes_idempotency_key(row)) {
    parameters.push_back({{"name", "Idempotency-Key"},
                          {"in", "header"},
                          {"required", false},
                          {"schema", schema_of("string(1..255)")},
                          {"description",
                           "A request that is sent again with the same key has one effect: it gets "
                           "the first answer, or 409."}});
  }
  return parameters;
}

// Kinds and media types, separated by spaces: which of them it is depends on what was asked. An
// object without a type of its own is told of by `words`.
Json content_of(std::string_view what, std::string_view words = {}) {
  Json content = Json::object();
  for (const std::string_view one : split(what, ' ')) {
    const bool is_media = one.find('/') != one.npos;
    const bool is_form = one == "application/x-www-form-urlencoded";
    const std::string_view kind = is_form ? "{string}" : is_media ? "string" : one;
    Json schema = schema_of(kind);
    if (kind == "object") schema["description"] = words;
    content[std::string(is_media ? one : "application/json")] = {{"schema", std::move(schema)}};
  }
  return content;
}

Json operation_of(const http::Row& row) {
  const http::RouteShape& shape = row.shape;
  Json operation{{"operationId", shape.id}, {"summary", row.summary}};
  if (Json parameters = parameters_of(row); !parameters.empty()) {
    operation["parameters"] = std::move(parameters);
  }
  if (!shape.body.empty()) {
    operation["requestBody"] = {
        {"description", "At most " + format_bytes(row.body_max_bytes) + "."},
        {"content", content_of(shape.body, row.summary)}};
  }
  Json success{{"description", shape.answer.empty() ? "Done." : "Success."}};
  if (!shape.answer.empty()) success["content"] = content_of(shape.answer, row.summary);
  Json responses = Json::object();
  responses[std::to_string(shape.status)] = std::move(success);
  responses["default"] = {{"description", "An error, in the form of this door."},
                          {"content", content_of(http::problem_types(row.dialect).front().name)}};
  operation["responses"] = std::move(responses);
  // An empty list says that no key is needed; to leave it out would say nothing.
  if (row.who == "public") {
    operation["security"] = Json::array();
  } else {
    operation["security"] = Json::array({Json{{"bearer", Json::array()}}});
    operation["x-kvcs-who"] = row.who;
  }
  return operation;
}

}  // namespace

std::string openapi_json(const std::vector<http::Row>& table,
                         const std::vector<http::ApiType>& types) {
  Json paths = Json::object(), schemas = Json::object();
  for (const http::Row& row : table) {
    // Static pages are not API.
    if (row.summary.empty()) continue;
    paths[row.pattern][lower_ascii(http::method_name(row.method))] = operation_of(row);
  }
  for (const http::ApiType& type : types) schemas[type.name] = schema_of(type);
  return dump_json(
      Json{{"openapi", "3.1.0"},
           {"info", {{"title", "kvcs"}, {"version", version()}}},
           {"paths", paths},
           {"components",
            {{"schemas", schemas},
             {"securitySchemes", {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}}}}}}});
}

}  // namespace kvcs
