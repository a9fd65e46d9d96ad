// What /openapi.json says besides the members of bodies and answers, tried at the front door: the
// kinds of query parameters, whether a body must be there, and by which statuses a row refuses.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "app/api/api_house.h"
#include "app/api/api_schema.h"
#include "base/bytes.h"
#include "base/json.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

void make_names(ApiHouse& house) {
  REQUIRE(house.admin("PUT", "/admin/tenants/acme", "{}").status == 200);
  REQUIRE(house
              .admin("PUT", "/admin/providers/demo",
                     R"({"base_url":"https://api.example.com","auth_type":"bearer"})")
              .status == 200);
  REQUIRE(house
              .admin("PUT", "/admin/tenants/acme/providers/demo/accounts/default",
                     R"({"access_token":"t"})")
              .status == 201);
  house.names["tenant"] = "acme";
  house.names["provider"] = "demo";
  house.names["account"] = "default";
  house.names["id"] = "00000000-0000-4000-8000-000000000000";
}

bool is_type(const Json& schema, const char* word) {
  const Json type = schema.value("type", Json());
  return type == word ||
         (type.is_array() && std::find(type.begin(), type.end(), word) != type.end());
}

// Values that a parameter of this schema must not have.
std::vector<std::string> wrong_values(const std::string& name, const Json& schema) {
  std::vector<std::string> wrong;
  // Lists of artifacts take any limit, and cut it.
  if (name == "limit" && !schema.contains("maximum")) return wrong;
  const bool is_text = is_type(schema, "string") && !is_type(schema, "number");
  if (!is_text || schema.contains("enum")) wrong.emplace_back("zz");
  if (schema.contains("maximum")) {
    wrong.push_back(std::to_string(schema["maximum"].get<int64_t>() + 1));
  }
  if (is_type(schema, "integer") && schema.value("minimum", 0) > 0) wrong.emplace_back("0");
  if (schema.contains("maxLength")) {
    wrong.emplace_back(schema["maxLength"].get<size_t>() + 1, 'a');
    const size_t least = schema.value("minLength", size_t{0});
    if (least > 1) wrong.emplace_back(least - 1, 'a');
  }
  return wrong;
}

// Values of each kind that it may have, where there are words for them.
std::vector<std::string> right_values(const Json& schema) {
  std::vector<std::string> right;
  for (const Json& word : schema.value("enum", Json::array())) right.push_back(word);
  if (is_type(schema, "boolean")) right = {"true", "false"};
  if (schema.contains("maximum")) right.push_back(std::to_string(schema.value("minimum", 0)));
  return right;
}

}  // namespace

TEST_CASE("openapi: query parameters are what the handlers read", "[contract][app]") {
  ApiHouse house;
  make_names(house);
  size_t refused = 0, taken = 0;
  for (const http::Row& row : house.rows()) {
    if (row.need.owner == http::OwnerFrom::kSignature) continue;
    const Json& operation = house.operation(row);
    const Json body = body_schema(operation);
    const std::string minimal =
        body.is_null() ? "" : dump_json(house.minimal(resolve(house.api, body)));
    for (const Json& one : operation.value("parameters", Json::array())) {
      if (one["in"] != "query") continue;
      const std::string name = one["name"];
      const auto is_refused = [&](const std::string& value) {
        const RawResponse response = house.send(row, minimal, name + "=" + value);
        UNSCOPED_INFO(response.status << " " << response.body.substr(0, 300));
        return response.status == 400 && has(response.body, name);
      };
      for (const std::string& value : wrong_values(name, one["schema"])) {
        INFO(row.shape.id << "?" << name << "=" << value);
        CHECK(is_refused(value));
        refused++;
      }
      if (row.method != http::Method::kGet) continue;
      for (const std::string& value : right_values(one["schema"])) {
        INFO(row.shape.id << "?" << name << "=" << value);
        // Days alone are split.
        CHECK((!is_refused(value) || name == "split_by"));
        taken++;
      }
    }
  }
  CHECK(refused > 100);
  CHECK(taken > 80);
}

TEST_CASE("openapi: a body that is required is refused when it is missing, others are not",
          "[contract][app]") {
  ApiHouse house;
  make_names(house);
  size_t tried = 0;
  for (const http::Row& row : house.rows()) {
    const Json& operation = house.operation(row);
    if (body_schema(operation).is_null() || row.method == http::Method::kDelete) continue;
    if (row.dialect == http::Dialect::kGateway) continue;  // A tenant's token is asked for first.
    const RawResponse response = house.send(row);
    INFO(row.shape.id << ": " << response.status << " " << response.body);
    if (operation["requestBody"]["required"].get<bool>()) {
      // What is not there, or is not set up, is told before.
      CHECK((response.status == 400 || response.status == 404 || response.status == 501));
    } else {
      // What these need depends on the account and on the provider.
      const bool depends = row.shape.id == "startTotp" || row.shape.id == "createConnectLink";
      CHECK((depends || response.status != 400));
    }
    tried++;
  }
  CHECK(tried > 60);
}

TEST_CASE("openapi: the statuses of refusals are described", "[contract][app]") {
  ApiHouse house;
  make_names(house);
  for (const http::Row& row : house.rows()) {
    const Json& responses = house.operation(row)["responses"];
    const std::string method(http::method_name(row.method));
    const auto check = [&](const RawResponse& response) {
      INFO(method << " " << row.pattern << ": " << response.status << " " << response.body);
      CHECK(responses.contains(std::to_string(response.status)));
    };
    const RawResponse stranger = house.app.call(method, house.path(row.pattern));
    check(stranger);
    INFO(method << " " << row.pattern << ": " << stranger.status << " " << stranger.body);
    if (row.who != "public") {
      CHECK(stranger.status == (row.need.owner == http::OwnerFrom::kSignature ? 403 : 401));
    }
    if (row.shape.body.empty()) continue;
    check(house.send(row, "[1"));
    check(house.send(
        row, std::string(row.body_max_bytes < (1 << 20) ? row.body_max_bytes + 1 : 0, ' ')));
    const TestApp::Headers encoded{{"Authorization", "Bearer " + house.app.credential("admin_key")},
                                   {"Content-Encoding", "zip"}};
    check(house.app.call(method, house.path(row.pattern), encoded, "{}"));
  }
}

TEST_CASE("openapi: bytes are described whole, in part, and not at all", "[contract][app]") {
  ApiHouse house;
  for (const char* path : {"/blobs/{id}", "/v1/artifacts/{id}", "/{org}/{project}/{artifact_id}"}) {
    INFO(path);
    const Json& responses = house.api["paths"][path]["get"]["responses"];
    CHECK(resolve(house.api, responses["206"])["content"].contains("application/octet-stream"));
    for (const char* status : {"304", "412", "416"}) {
      CHECK_FALSE(responses.at(status).contains("content"));
    }
  }
  const Json& put = house.api["paths"]["/blobs/{id}"]["put"];
  CHECK(put["security"] == Json::array({Json{{"presigned", Json::array()}}}));
  CHECK_FALSE(put["responses"].contains("401"));
  const Json& scheme = house.api["components"]["securitySchemes"]["presigned"];
  CHECK(scheme["in"] == "query");
  CHECK(scheme["name"] == "signature");
}
