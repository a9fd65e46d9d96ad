// Renders the route table and the types of its rows as OpenAPI 3.1: what each row takes and gives
// is in the row itself, so that this file knows the notation of types and no single row.
#include "app/api/openapi.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>

#include "base/build_info.h"
#include "base/bytes.h"
#include "base/json.h"
#include "http/problem.h"

namespace kvcs {
namespace {

// Larger ones are bytes of artifacts; all others are read whole before their handlers run.
constexpr uint64_t kWholeBodyMaxBytes = 256 << 10;

// Types refer to one another by name; each is defined once, under components.
Json reference(std::string_view type) {
  return Json{{"$ref", "#/components/schemas/" + std::string(type)}};
}

// "(1..254)" → {"minLength": 1, "maxLength": 254}, "(1..)" → {"minLength": 1}; an integer may be
// negative.
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
  if (dots + 2 < close) schema[max] = number(dots + 2, close);
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

// Query parameters that mean the same wherever they stand, and their kind where a row states none.
// One with a word behind its name means this only where the row has the word.
// All others are texts that the summary of their row tells of.
struct QueryWords {
  const char *name, *kind, *words;
};
constexpr QueryWords kQueryWords[] = {
    {"limit", "integer(1..1000)", "How many at most."},
    {"cursor", "string", "Where the page begins: `cursor` of the page before."},
    {"q:inside", "string(0..100)",
     "Rows that have this text in one of the members that the summary names; small and large "
     "letters are the same. A page looks at 5,000 rows at most and may have fewer than `limit`, or "
     "none: the list ends where `cursor` is null."},
    {"format", "json|csv", "Default: json."},
    {"from", "string", "Not before this time (ISO 8601)."},
    {"to", "string", "Before this time (ISO 8601)."},
    {"tokens", "string", "A range a:b of tokens, from a and before b; either may be left out."},
    {"layers", "string", "A range x:y of layers, from x and before y; either may be left out."},
    {"force", "boolean", "Takes along what it holds."},
    {"while", "string", "`public`: the URL is good while the artifact is public."},
    {"dry_run", "boolean", "Tells what would be deleted, and deletes nothing."}};

// One word of RouteShape::query.
Json query_parameter(std::string_view parameter) {
  const std::string_view name = http::query_name(parameter);
  const size_t colon = parameter.find(':');
  const bool is_required = parameter.find('!') != parameter.npos;
  const auto* known = std::find_if(
      std::begin(kQueryWords), std::end(kQueryWords),
      [&](const QueryWords& words) { return name == words.name || parameter == words.name; });
  const bool is_known = known != std::end(kQueryWords);
  const bool has_kind = colon != parameter.npos && !(is_known && parameter == known->name);
  const std::string_view kind = has_kind   ? parameter.substr(colon + 1)
                                : is_known ? known->kind
                                           : "string";
  Json one{{"name", name}, {"in", "query"}, {"required", is_required}, {"schema", schema_of(kind)}};
  if (is_known) one["description"] = known->words;
  return one;
}

// Parameters of the path stand in the pattern, those of the query in the row's shape.
Json parameters_of(const http::Row& row) {
  Json parameters = Json::array();
  for (const std::string_view segment : split(row.pattern, '/')) {
    if (!segment.starts_with('{')) continue;
    parameters.push_back(Json{{"name", segment.substr(1, segment.size() - 2)},
                              {"in", "path"},
                              {"required", true},
                              {"schema", schema_of("string")}});
  }
  for (const std::string_view parameter : split(row.shape.query, ' ')) {
    if (!parameter.empty()) parameters.push_back(query_parameter(parameter));
  }
  if (row.shape.in_parts) {
    for (const char* name : {"Range", "If-Range", "If-Match", "If-None-Match"}) {
      parameters.push_back(Json{{"name", name}, {"in", "header"}, {"schema", schema_of("string")}});
    }
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

// Statuses of failures, and what they mean at every door.
struct FailureWords {
  int status;
  const char* words;
};
constexpr FailureWords kFailures[] = {
    {400, "The request is not as described."},
    {401, "There is no key or session, or it is not good any more."},
    {403, "The caller may not do this."},
    {404, "What the path or the request names is not there."},
    {405, "Not possible here; `Allow` has what is."},
    {408, "The body came too slowly."},
    {409, "What is there already stands against it."},
    {410, "It is over; begin anew."},
    {412, "A condition in the headers does not hold."},
    {413, "The body is too large."},
    {415, "This encoding or type of a body is not taken here."},
    {416, "The range lies outside of the bytes."},
    {422, "The bytes are not what they should be."},
    {423, "Another request works on the same upload."},
    {429, "Too many requests, or a quota is used up."},
    {460, "The bytes do not have the checksum that was sent."},
    {500, "A fault of the daemon."},
    {501, "The daemon is not set up for this."},
    {502, "The other server failed, or could not be reached."},
    {503, "The daemon cannot take this now; `Retry-After` says when."},
    {504, "The other server did not answer in time."},
    {507, "The disk is full."}};

std::string_view words_of(int status) {
  const auto* words = std::find_if(std::begin(kFailures), std::end(kFailures),
                                   [&](const FailureWords& one) { return one.status == status; });
  KVCS_ASSERT(words != std::end(kFailures));
  return words->words;
}

// The name under components of a failure with this status, or of "default", at a door.
std::string failure_name(http::Dialect dialect, std::string_view status) {
  const std::string type = http::problem_types(dialect).front().name;
  return status == "default" ? type : type + std::string(status);
}

// With the body that all failures of a door have.
Json failure_of(http::Dialect dialect, std::string_view status) {
  Json failure{{"description", "An error, in the form of this door."},
               {"content", content_of(http::problem_types(dialect).front().name)}};
  if (status == "default") return failure;
  failure["description"] = words_of(std::stoi(std::string(status)));
  if (status == "429" || status == "503") {
    failure["headers"]["Retry-After"] = {{"description", "Seconds, where they are known."},
                                         {"schema", schema_of("integer(0..)")}};
  }
  return failure;
}

void add_failure(const http::Row& row, std::string_view status, Json& responses) {
  responses[std::string(status)] = {
      {"$ref", "#/components/responses/" + failure_name(row.dialect, status)}};
}

// The failures that the answers of a row refer to.
void collect_failures(const http::Row& row, const Json& responses, Json& failures) {
  for (const auto& [status, answer] : responses.items()) {
    if (!answer.contains("$ref")) continue;
    failures[failure_name(row.dialect, status)] = failure_of(row.dialect, status);
  }
}

// The statuses that follow from who may call, the path and the body; with them those that any
// request may be answered with.
void add_plain_failures(const http::Row& row, Json& responses) {
  for (const char* status : {"default", "400", "429", "500", "503"}) {
    add_failure(row, status, responses);
  }
  const bool is_signed = row.need.owner == http::OwnerFrom::kSignature;
  if (row.who != "public") {
    if (!is_signed) add_failure(row, "401", responses);
    add_failure(row, "403", responses);
  }
  const bool names_user = row.need.family == PrincipalKind::kUserKey;  // A session's user.
  if (names_user || row.pattern.find('{') != row.pattern.npos) add_failure(row, "404", responses);
  if (takes_idempotency_key(row)) add_failure(row, "409", responses);
  if (row.shape.body.empty()) return;
  for (const char* status : {"408", "413", "415"}) add_failure(row, status, responses);
}

Json success_of(std::string_view answer, std::string_view summary) {
  Json success{{"description", answer.empty() ? "Done." : "Success."}};
  if (!answer.empty()) success["content"] = content_of(answer, summary);
  return success;
}

Json responses_of(const http::Row& row) {
  const http::RouteShape& shape = row.shape;
  Json responses = Json::object();
  responses[std::to_string(shape.status)] = success_of(shape.answer, row.summary);
  for (const std::string_view other : split(shape.also, ' ')) {
    if (other.empty()) continue;
    const std::string_view status = other.substr(0, 3);
    if (status >= "400") {
      add_failure(row, status, responses);
    } else {
      const std::string_view answer = other.substr(std::min<size_t>(4, other.size()));
      responses[std::string(status)] = success_of(answer, row.summary);
    }
  }
  add_plain_failures(row, responses);
  if (shape.in_parts) {
    responses["206"] = success_of(shape.answer, row.summary);
    responses["206"]["description"] = "The part that Range asks for.";
    responses["304"] = {{"description", "What the caller has is still good."}};
    for (const int status : {412, 416}) {
      responses[std::to_string(status)] = {{"description", words_of(status)}};
    }
  }
  return responses;
}

Json body_of(const http::Row& row) {
  std::string_view body = row.shape.body;
  const bool is_optional = body.ends_with('?');
  if (is_optional) body.remove_suffix(1);
  return {{"description", "At most " + format_bytes(row.body_max_bytes) + "."},
          {"required", !is_optional},
          {"content", content_of(body, row.summary)}};
}

Json operation_of(const http::Row& row) {
  Json operation{{"operationId", row.shape.id}, {"summary", row.summary}};
  if (Json parameters = parameters_of(row); !parameters.empty()) {
    operation["parameters"] = std::move(parameters);
  }
  if (!row.shape.body.empty()) operation["requestBody"] = body_of(row);
  operation["responses"] = responses_of(row);
  // An empty list says that no key is needed; to leave it out would say nothing.
  operation["security"] = Json::array();
  if (row.who != "public") {
    const bool is_signed = row.need.owner == http::OwnerFrom::kSignature;
    operation["security"].push_back(Json{{is_signed ? "presigned" : "bearer", Json::array()}});
    operation["x-kvcs-who"] = row.who;
  }
  return operation;
}

Json security_schemes() {
  return {{"bearer",
           {{"type", "http"},
            {"scheme", "bearer"},
            {"description", "A key, a token, or the token of a session, as x-kvcs-who says."}}},
          {"presigned",
           {{"type", "apiKey"},
            {"in", "query"},
            {"name", "signature"},
            {"description",
             "Comes with a URL that the daemon has signed, as its other parameters do; use the URL "
             "as it is."}}}};
}

}  // namespace

// Not those that only read, such as a search; nor uploads, whose bytes are not kept in memory; nor
// those under /auth that begin and end sessions, as an answer with a cookie is not for keeping.
bool takes_idempotency_key(const http::Row& row) {
  if (row.method != http::Method::kPost) return false;
  if (row.dialect != http::Dialect::kPortal) return true;
  const bool is_of_session =
      row.pattern.starts_with("/auth/") && !row.pattern.starts_with("/auth/totp");
  if (is_of_session || row.body_max_bytes > kWholeBodyMaxBytes) return false;
  return row.need.family == PrincipalKind::kPerson ||
         (row.need.family == PrincipalKind::kProjectKey && row.need.scope > Scope::kRead);
}

std::string openapi_json(const std::vector<http::Row>& table,
                         const std::vector<http::ApiType>& types, const std::string& url) {
  Json paths = Json::object(), schemas = Json::object(), failures = Json::object();
  for (const http::Row& row : table) {
    // Static pages are not API.
    if (row.summary.empty()) continue;
    Json operation = operation_of(row);
    collect_failures(row, operation["responses"], failures);
    paths[row.pattern][lower_ascii(http::method_name(row.method))] = std::move(operation);
  }
  for (const http::ApiType& type : types) schemas[type.name] = schema_of(type);
  return dump_json(Json{
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "kvcs"},
        {"version", version()},
        {"license", {{"name", "Apache License 2.0"}, {"identifier", "Apache-2.0"}}}}},
      {"servers", Json::array({Json{{"url", url}}})},
      {"paths", paths},
      {"components",
       {{"schemas", schemas}, {"responses", failures}, {"securitySchemes", security_schemes()}}}});
}

}  // namespace kvcs
