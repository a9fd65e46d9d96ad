// The bodies that /openapi.json describes, tried at the front door: members that are missing, of
// another type, outside their limits or unknown are refused in words that name them.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "app/api/api_house.h"
#include "base/bytes.h"
#include "base/json.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// What a handler must say when `name` is of another type than stated, or outside its limits.
struct Trial {
  Json value;
  std::string answer;
};
std::vector<Trial> trials(const std::string& name, const Json& schema) {
  const Json type = schema.value("type", Json());
  const auto is = [&](const char* word) {
    return type == word || (type.is_array() && type[0] == word);
  };
  std::vector<Trial> list;
  if (schema.contains("enum")) {
    std::string words;
    for (const Json& word : schema["enum"]) {
      if (word.is_null()) continue;
      if (word.is_null()) continue;
      words += (words.empty() ? "" : ", ") + word.get<std::string>();
    }
    list.push_back({"zz", name + ": 'zz' is not one of: " + words + "."});
  } else if (schema.value("format", "") == "date-time") {
    list.push_back({"zz", name + ": 'zz' is not a time"});
  } else if (is("number")) {
    list.push_back({"zz", name + ": "});
    list.push_back({-1, name + ": "});
  } else if (is("string")) {
    list.push_back({5, name + ": must be a string."});
    if (schema.contains("maxLength") && schema["maxLength"] < 100'000) {
      const size_t max = schema["maxLength"];
      list.push_back(
          {std::string(max + 1, 'x'), name + ": has " + std::to_string(max + 1) + " bytes; " +
                                          std::to_string(schema["minLength"].get<int>()) + " to " +
                                          std::to_string(max) + " are allowed."});
    }
  } else if (is("integer")) {
    list.push_back({"zz", name + ": must be a whole number"});
    list.push_back(
        {schema["minimum"].get<int64_t>() - 1,
         name + ": " + std::to_string(schema["minimum"].get<int64_t>() - 1) + " is outside " +
             std::to_string(schema["minimum"].get<int64_t>()) + " to " +
             (schema.contains("maximum") ? std::to_string(schema["maximum"].get<int64_t>()) + "."
                                         : "")});
  } else if (is("boolean")) {
    list.push_back({5, name + ": must be true or false."});
  } else if (is("object")) {
    list.push_back({5, name + ": must be an object."});
  } else if (is("array")) {
    list.push_back({5, name + ": must be an array."});
  }
  return list;
}

void try_members(const ApiHouse& house, const http::Row& row, const Json& schema) {
  const Json minimal = house.minimal(schema);
  const auto refused = [&](const Json& body, const std::string& why) {
    const RawResponse response = house.send(row, dump_json(body));
    INFO(dump_json(body).substr(0, 300) << " -> " << response.status << " " << response.body);
    CHECK(response.status == 400);
    // The AI door reads its bodies by another parser, whose words differ.
    CHECK(has(response.body, row.pattern[1] == 'v' ? why.substr(0, why.find(' ')) : why));
  };
  for (const Json& name : schema.value("required", Json::array())) {
    Json body = minimal;
    REQUIRE(body.erase(name.get<std::string>()) == 1);
    refused(body, name.get<std::string>() + ": ");
  }
  for (const auto& [name, member] : schema["properties"].items()) {
    for (const Trial& trial : trials(name, member)) {
      Json body = minimal;
      body[name] = trial.value;
      refused(body, trial.answer);
    }
  }
  if (schema["additionalProperties"].get<bool>()) return;
  std::set<std::string> stated, known;
  for (const auto& [name, member] : schema["properties"].items()) stated.insert(name);
  Json body = minimal;
  body["zz_unknown"] = 1;
  const RawResponse response = house.send(row, dump_json(body));
  INFO(response.body);
  CHECK(response.status == 400);
  const std::string mark = "zz_unknown: unknown member; known are: ";
  const size_t begin = response.body.find(mark);
  CHECK(begin != std::string::npos);
  if (begin == std::string::npos) return;
  const size_t from = begin + mark.size();
  const std::string list = response.body.substr(from, response.body.find('.', from) - from);
  for (const std::string_view name : split(list, ',')) known.emplace(trim(name));
  CHECK(known == stated);
}

}  // namespace

namespace {

// Objects that are read by the readers of base/json. Those of the gateway's own parser, of
// LiteLLM's table and of what speaks another backend's words (telemetry, keys of a seed) have their
// own tests.
bool is_tried(std::string_view body) {
  static constexpr std::string_view kOthers[] = {"GatewayProviderAsk", "CallAsk",   "PriceAsk",
                                                 "TelemetryAsk",       "DecideAsk", "SeededKeyAsk"};
  const bool is_type = !body.empty() && body.front() >= 'A' && body.front() <= 'Z';
  return is_type && std::find(std::begin(kOthers), std::end(kOthers), body) == std::end(kOthers);
}

}  // namespace

TEST_CASE("openapi: bodies are what the handlers read, member by member", "[contract][app]") {
  ApiHouse house;
  REQUIRE(house.admin("PUT", "/admin/tenants/acme", "{}").status == 200);
  REQUIRE(house
              .admin("PUT", "/admin/providers/demo",
                     R"({"base_url":"https://api.example.com","auth_type":"bearer"})")
              .status == 200);
  house.names["tenant"] = "acme";
  house.names["provider"] = "demo";
  house.names["account"] = "default";
  size_t tried = 0;
  for (const http::Row& row : house.rows()) {
    std::string_view type = row.shape.body;
    if (type.ends_with('?')) type.remove_suffix(1);
    if (!is_tried(type)) continue;
    INFO(http::method_name(row.method) << " " << row.pattern << " " << type);
    // An upload to confirm or change must not be found for the body to be looked at.
    house.names["id"] = "00000000-0000-4000-8000-000000000000";
    try_members(house, row, house.api["components"]["schemas"].at(std::string(type)));
    tried++;
  }
  CHECK(tried >= 25);
}
