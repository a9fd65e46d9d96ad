// /openapi.json as a document: every row of the route table stands in it with a name of its own,
// and says what it answers, member by member. What it says is tried in the two tests beside this
// one.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <functional>
#include <set>

#include "app/api/api_house.h"
#include "app/api/api_schema.h"
#include "app/routes.h"
#include "base/json.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("openapi: each row stands in the table once, and each type is used",
          "[unit][app][routes]") {
  TestApp app;
  std::set<std::pair<std::string, std::string>> rows;
  for (const http::Row& row : app.parts().route_table) {
    INFO(row.pattern);
    CHECK((row.shape.answer.empty() || row.shape.status != 204));
    CHECK(rows.emplace(http::method_name(row.method), row.pattern).second);
  }
  std::set<std::string> names;
  for (const http::ApiType& type : all_api_types()) {
    INFO(type.name);
    CHECK(names.insert(type.name).second);
  }
  const std::string text = app.call("GET", "/openapi.json").body;
  const Json api = *parse_json(text, 128);
  for (const auto& [name, schema] : api["components"]["schemas"].items()) {
    INFO(name);
    CHECK(has(text, "\"#/components/schemas/" + name + "\""));
    CHECK((schema.contains("required") || schema["properties"].empty() ||
           !schema["properties"].empty()));
  }
  // And each that is used is there.
  for (size_t at = 0; (at = text.find("\"#/components/schemas/", at)) != text.npos; at++) {
    const size_t begin = at + 22;
    const std::string name = text.substr(begin, text.find('"', begin) - begin);
    INFO(name);
    CHECK(api["components"]["schemas"].contains(name));
  }
}

namespace {

bool is_operation_id(const std::string& id) {
  const auto is_word = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
  return !id.empty() && std::isalpha(static_cast<unsigned char>(id[0])) != 0 &&
         std::all_of(id.begin(), id.end(), is_word);
}

bool is_type(const Json& schema, const char* word) {
  const Json type = schema.value("type", Json());
  return type == word ||
         (type.is_array() && std::find(type.begin(), type.end(), word) != type.end());
}

// Walks a schema of an answer; `visit` is called with each part that says too little and its place.
class Reader final {
 public:
  Reader(const Json& api, std::function<void(const std::string& place)> report)
      : api_(api), report_(std::move(report)) {}

  void read(const Json& schema, const std::string& place) {
    if (schema.contains("$ref")) return read_type(schema["$ref"].get<std::string>());
    if (schema.contains("anyOf")) {
      for (const Json& one : schema["anyOf"]) read(one, place);
      return;
    }
    const bool is_told = schema.contains("description");
    if (!schema.contains("type") && !is_told) report_(place + " has neither type nor words");
    if (is_type(schema, "array")) read_list(schema, place, is_told);
    if (is_type(schema, "object")) read_object(schema, place, is_told);
  }

 private:
  void read_type(const std::string& reference) {
    if (seen_.insert(reference).second) {
      read(resolve(api_, Json{{"$ref", reference}}), reference.substr(reference.rfind('/') + 1));
    }
  }
  void read_list(const Json& schema, const std::string& place, bool is_told) {
    if (!schema.contains("items")) return report_(place + " does not say its items");
    Json items = schema["items"];
    // The words about a list are about its items.
    if (is_told && !items.contains("$ref")) items["description"] = schema["description"];
    read(items, place + "[]");
  }
  void read_object(const Json& schema, const std::string& place, bool is_told) {
    const Json others = schema.value("additionalProperties", Json());
    if (others == Json(true) && !is_told) report_(place + " is open and says nothing of that");
    if (others.is_object()) read(others, place + "{}");
    const Json members = schema.value("properties", Json::object());
    for (const auto& [name, member] : members.items()) {
      read(member, place + "." + name);
    }
  }

  const Json& api_;
  const std::function<void(const std::string& place)> report_;
  std::set<std::string> seen_;
};

}  // namespace

TEST_CASE("openapi: every operation has a name of its own, and every answer its members",
          "[unit][app]") {
  TestApp app([](Config& config) { config.auth.dev_issuer = true; });
  const Json api = *parse_json(app.call("GET", "/openapi.json").body, 128);
  CHECK(api["openapi"] == "3.1.0");
  CHECK(api["servers"][0]["url"] == app.parts().public_url());
  std::set<std::string> ids;
  std::vector<std::string> faults;
  Reader reader(api, [&](const std::string& fault) { faults.push_back(fault); });
  size_t described = 0;
  for (const auto& [path, methods] : api["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      INFO(method << " " << path);
      const std::string id = operation.value("operationId", "");
      CHECK(is_operation_id(id));
      CHECK(ids.insert(id).second);
      for (const auto& [status, answer] : operation["responses"].items()) {
        const Json contents = resolve(api, answer).value("content", Json::object());
        for (const auto& [media, content] : contents.items()) {
          CHECK(content.contains("schema"));
          reader.read(content["schema"], id);
          described++;
        }
      }
    }
  }
  CHECK(faults == std::vector<std::string>());
  CHECK(described > 400);
}

TEST_CASE("openapi: what says too little is found", "[unit][app]") {
  const auto fault_of = [](const char* schema) {
    const Json api;
    std::string found;
    Reader reader(api, [&](const std::string& fault) { found = fault; });
    reader.read(*parse_json(schema), "it");
    return found;
  };
  CHECK(fault_of(R"({"type":"string"})") == "");
  CHECK(fault_of(R"({"description":"Any JSON."})") == "");
  CHECK(fault_of("{}") == "it has neither type nor words");
  CHECK(fault_of(R"({"type":"array"})") == "it does not say its items");
  CHECK(fault_of(R"({"type":"array","items":{}})") == "it[] has neither type nor words");
  CHECK(fault_of(R"({"type":"array","items":{},"description":"Any JSON."})") == "");
  CHECK(fault_of(R"({"type":["object","null"],"additionalProperties":true})") ==
        "it is open and says nothing of that");
  CHECK(fault_of(R"({"type":"object","additionalProperties":false,"properties":{"a":{}}})") ==
        "it.a has neither type nor words");
}
