// /openapi.json against what the daemon does: the route table, the members that handlers read, of
// which type and within which limits, and the answers they give.
// Method: the description is read back, and every statement in it is tried at the front door.
#include <nlohmann/json.hpp>

#include <functional>
#include <map>
#include <set>

#include "app/api/api_house.h"
#include "app/routes.h"
#include "base/bytes.h"
#include "base/json.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const Json& resolve(const Json& api, const Json& schema) {
  if (!schema.contains("$ref")) return schema;
  const std::string name = schema["$ref"].get<std::string>().substr(21);
  return api["components"]["schemas"].at(name);
}

bool is_of(const std::string& type, const Json& value) {
  if (type == "null") return value.is_null();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

// Nothing when `value` is as `stated` says, or where it is not.
std::string find_fault(const Json& api, const Json& stated, const Json& value,
                       const std::string& where) {
  const Json& schema = resolve(api, stated);
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
  if (!value.is_object() || !schema.contains("properties")) return "";
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name)) return where + "." + name.get<std::string>() + " is missing";
  }
  for (const auto& [name, member] : value.items()) {
    if (schema["properties"].contains(name)) {
      const Json& inner = schema["properties"][name];
      if (auto fault = find_fault(api, inner, member, where + "." + name); !fault.empty()) {
        return fault;
      }
    } else if (!schema["additionalProperties"].get<bool>()) {
      return where + "." + name + " is not described";
    }
  }
  return "";
}

bool is_type(std::string_view what) {
  return !what.empty() && what.find('/') == what.npos;
}

}  // namespace

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
    // Those of the gateway's own parser, of LiteLLM's table and of what speaks another backend's
    // words (telemetry, keys of a seed) have their own tests.
    const std::string_view type = row.shape.body;
    if (!is_type(row.shape.body) || type == "GatewayProviderAsk" || type == "CallAsk" ||
        type == "PriceAsk" || type == "TelemetryAsk" || type == "DecideAsk" ||
        type == "SeededKeyAsk") {
      continue;
    }
    INFO(http::method_name(row.method) << " " << row.pattern << " " << type);
    // An upload to confirm or change must not be found for the body to be looked at.
    house.names["id"] = "00000000-0000-4000-8000-000000000000";
    try_members(house, row, house.api["components"]["schemas"].at(std::string(row.shape.body)));
    tried++;
  }
  CHECK(tried >= 25);
}

namespace {

struct Step {
  http::Method method;
  const char* pattern;
  std::string body = {};
  // Members of the answer that later paths need, by the name they have there.
  std::vector<std::pair<std::string, std::string>> keeps = {};
};

// In an order in which each finds what it needs.
std::vector<Step> walk(const ApiHouse& house) {
  using enum http::Method;
  const std::string key_body = R"({"name":"k"})", put_key = R"({"api_key":"sk-1"})";
  return {
      {kGet, "/health"},
      {kGet, "/api/v1/status"},
      {kGet, "/api/v1/me"},
      {kGet, "/admin/me"},
      {kGet, "/admin/health"},
      {kPost, "/v1/chat/completions", kHello},
      {kGet, "/v1/models"},
      {kGet, "/v1/models/{model}"},
      {kGet, "/admin/usage/requests", "", {{"requests", "request_id"}}},
      {kGet, "/v1/usage"},
      {kPost, "/admin/organizations", R"({"name":"Other"})", {{"org_id", "org_id"}}},
      {kPatch, "/admin/organizations/{org_id}",
       R"({"monthly_budget_usd":"12.5","requests_per_minute":5,)"
       R"("unknown_input_cost_per_token":1e-6,"unknown_output_cost_per_token":1e-6})"},
      {kGet, "/admin/organizations/{org_id}"},
      {kPost, "/admin/organizations/{org_id}/suspend"},
      {kPost, "/admin/organizations/{org_id}/resume"},
      {kGet, "/admin/organizations"},
      {kGet, "/admin/organizations/{org_id}/plan"},
      {kPut, "/admin/organizations/{org_id}/plan", R"({"plan":"pro"})"},
      {kGet, "/admin/organizations/{org_id}/usage"},
      {kGet, "/admin/organizations/{org_id}/usage/history"},
      {kPost, "/admin/organizations/{org_id}/projects", key_body, {{"project_id", "project_id"}}},
      {kGet, "/admin/organizations/{org_id}/projects"},
      {kPost,
       "/admin/organizations/{org_id}/projects/{project_id}/api-keys",
       key_body,
       {{"key_id", "key_id"}}},
      {kGet, "/admin/organizations/{org_id}/projects/{project_id}/api-keys"},
      {kPost,
       "/admin/organizations/{org_id}/projects/{project_id}/api-keys/{key_id}/rotate",
       "{}",
       {{"key_id", "key_id"}}},
      {kDelete, "/admin/organizations/{org_id}/projects/{project_id}/api-keys/{key_id}"},
      {kPost, "/admin/organizations/{org_id}/tokens", key_body, {{"key_id", "key_id"}}},
      {kGet, "/admin/organizations/{org_id}/tokens"},
      {kPost,
       "/admin/organizations/{org_id}/tokens/{key_id}/rotate",
       R"({"overlap_s":60})",
       {{"key_id", "key_id"}}},
      {kDelete, "/admin/organizations/{org_id}/tokens/{key_id}"},
      {kPut, "/admin/organizations/{org_id}/ai-credentials/{name}", put_key},
      {kPost,
       "/admin/users",
       R"({"email":"b@example.com","org_id":")" + house.org + R"(","tokens_per_minute":9})",
       {{"user_id", "user_id"}}},
      {kGet, "/admin/users/{user_id}"},
      {kPatch, "/admin/users/{user_id}", R"({"monthly_limit_usd":1})"},
      {kPost,
       "/admin/users/{user_id}/api-keys",
       R"({"name":"k","monthly_limit_usd":1})",
       {{"key_id", "key_id"}}},
      {kPatch, "/admin/users/{user_id}/api-keys/{key_id}", R"({"expires_at":null})"},
      {kPost, "/admin/users/{user_id}/api-keys/{key_id}/rotate", "{}", {{"key_id", "key_id"}}},
      {kGet, "/admin/users/{user_id}/api-keys"},
      {kDelete, "/admin/users/{user_id}/api-keys/{key_id}"},
      {kGet, "/admin/users/{user_id}/api-keys"},
      {kGet, "/admin/users/{user_id}/usage"},
      {kGet, "/admin/users/{user_id}/usage/history"},
      {kPost, "/admin/users/{user_id}/reset-quota", R"({"reset_reason":"x"})"},
      {kGet, "/admin/usage"},
      {kPost, "/admin/admin-keys", R"({"name":"k","role":"viewer"})", {{"key_id", "key_id"}}},
      {kGet, "/admin/admin-keys"},
      {kDelete, "/admin/admin-keys/{key_id}"},
      {kGet, "/admin/kv/{family}/keys"},
      {kGet, "/admin/kv/{family}/values/{key}"},
      {kPut, "/admin/kv/bulk", "[]"},
      {kGet, "/admin/errors"},
      {kGet, "/admin/audit"},
      {kGet, "/admin/audit/verify"},
      {kGet, "/admin/decisions"},
      {kGet, "/admin/job-runs"},
      {kGet, "/admin/alerts"},
      {kGet, "/admin/outbox-dead"},
      {kGet, "/admin/jobs"},
      {kPost, "/admin/jobs/{job}/run"},
      {kGet, "/admin/ai/bodies"},
      {kGet, "/admin/ai/prices"},
      {kPut, "/admin/ai/prices/{model}",
       R"({"input_cost_per_token":1e-6,"output_cost_per_token":"0.000002"})"},
      {kGet, "/admin/ai/prices/{model}"},
      {kPut, "/admin/ai/providers/{name}", R"({"kind":"openai","api_key":"sk-new"})"},
      {kGet, "/admin/ai/providers"},
      {kGet, "/admin/ai/providers/{name}"},
      {kPut, "/admin/providers/{provider}",
       R"({"base_url":"https://api.example.com","auth_type":"bearer"})"},
      {kGet, "/admin/providers"},
      {kGet, "/admin/providers/{provider}"},
      {kPut, "/admin/tenants/{tenant}", R"({"name":"Acme","limits":{"requests_per_minute":60}})"},
      {kGet, "/admin/tenants"},
      {kGet, "/admin/tenants/{tenant}"},
      {kPost, "/admin/tenants/{tenant}/suspend"},
      {kPost, "/admin/tenants/{tenant}/resume"},
      {kPost, "/admin/tenants/{tenant}/tokens", key_body},
      {kGet, "/admin/tenants/{tenant}/tokens"},
      {kPut, "/admin/tenants/{tenant}/providers/{provider}/accounts/{account}",
       R"({"access_token":"t","meta":{"a":"b"}})"},
      {kGet, "/admin/tenants/{tenant}/providers/{provider}/accounts/{account}"},
      {kGet, "/admin/tenants/{tenant}/providers/{provider}/accounts"},
      {kGet, "/admin/tenants/{tenant}/accounts"},
      {kDelete, "/admin/tenants/{tenant}/providers/{provider}/accounts/{account}"},
      {kGet, "/admin/system/mode"},
      {kPut, "/admin/system/mode", R"({"mode":"active"})"},
      {kDelete, "/admin/cache"},
  };
}

// Of the artifact doors.
std::vector<Step> walk_artifacts() {
  using enum http::Method;
  return {
      {kPost,
       "/api/v1/artifacts/upload-url",
       R"({"name":"demo","dtype":"F16"})",
       {{"artifact_id", "id"}}},
      {kGet, "/api/v1/artifacts"},
      {kGet, "/api/v1/artifacts/{id}"},
      {kPatch, "/api/v1/artifacts/{id}", R"({"description":"What it is about.","tags":["a"]})"},
      {kGet, "/api/v1/artifacts/{id}/shares"},
      {kGet, "/api/v1/catalogue"},
      {kPost, "/api/v1/orgs/{org}/projects/{project}/artifacts", R"({"name":"n","dtype":"F16"})"},
      {kGet, "/api/v1/orgs/{org}/projects/{project}/artifacts"},
      {kPost, "/v1/orgs/{org}/projects/{project}/artifacts", R"({"name":"n","dtype":"F16"})"},
      {kGet, "/v1/orgs/{org}/projects/{project}/artifacts"},
      {kPost, "/v1/api-keys/verify"},
      {kGet, "/v1/api-keys/verify"},
      {kGet, "/v1/quota"},
      {kPost, "/api/v1/artifacts/search", R"({"tokens":[1,2]})"},
      {kPost, "/api/v1/api-keys/verify"},
      {kGet, "/api/v1/api-keys/verify"},
      {kGet, "/api/v1/quota"},
      {kPost, "/v1/artifacts/upload-url", R"({"name":"demo","dtype":"F16"})"},
  };
}

// After that, with the names that it has left.
std::vector<Step> walk_keys() {
  using enum http::Method;
  const std::string key_body = R"({"name":"k"})", expiry = R"({"expires_at":null})";
  const char* const of_org = "/admin/organizations/{org_id}/api-keys";
  const char* const one_of_org = "/admin/organizations/{org_id}/api-keys/{key_id}";
  return {
      {kPost, of_org, key_body, {{"key_id", "key_id"}}},
      {kGet, of_org},
      {kPatch, one_of_org, R"({"expires_at":"2099-01-01T00:00:00Z"})"},
      {kPost,
       "/admin/organizations/{org_id}/api-keys/{key_id}/rotate",
       "{}",
       {{"key_id", "key_id"}}},
      {kDelete, one_of_org},
      {kPost,
       "/admin/organizations/{org_id}/projects/{project_id}/api-keys",
       key_body,
       {{"key_id", "key_id"}}},
      {kPatch, "/admin/organizations/{org_id}/projects/{project_id}/api-keys/{key_id}", expiry},
      {kPost, "/api/v1/api-keys", key_body, {{"id", "key_id"}}},
      {kGet, "/api/v1/api-keys"},
      {kPost, "/api/v1/api-keys/{key_id}/rotate", "{}", {{"id", "key_id"}}},
      {kDelete, "/api/v1/api-keys/{key_id}"},
  };
}

// Of people, in the organization of the path and in the active one.
std::vector<Step> walk_people() {
  using enum http::Method;
  const std::string role = R"({"role":"member"})", project = R"({"name":"Third"})";
  std::vector<Step> steps = {
      {kGet, "/auth/providers"},
      {kPost, "/auth/device", "device_name=box", {{"user_code", "user_code"}}},
      {kGet, "/auth/device/{user_code}"},
      {kPost, "/auth/device/{user_code}", R"({"allow":true})"},
      {kGet, "/admin/people"},
      {kPatch, "/admin/people/{person_id}", R"({"status":"active"})"},
      {kPost, "/admin/setup-link"},
      {kPost, "/admin/people/{person_id}/reset-link"},
      {kPost, "/auth/totp"},
      {kPatch, "/api/v1/me", R"({"name":"Ada"})"},
      {kGet, "/api/v1/me/sessions"},
      {kGet, "/api/v1/me/sign-ins"},
      {kGet, "/api/v1/plans"},
      {kGet, "/api/v1/usage"},
      {kPost, "/api/v1/billing/checkout", R"({"plan":"pro"})"},
      {kPost, "/api/v1/billing/portal"},
      {kGet, "/api/v1/billing/subscription"},
      {kPatch, "/api/v1/billing/subscription", R"({"plan":"pro","preview":true})"},
      {kPost, "/api/v1/billing/cancel"},
      {kDelete, "/api/v1/billing/cancel"},
      {kGet, "/api/v1/billing/invoices"},
      {kGet, "/api/v1/organizations"},
      {kPost, "/api/v1/organizations", R"({"name":"Mine"})"},
      {kGet, "/api/v1/organizations/{org_id}"},
      {kPatch, "/api/v1/organizations/{org_id}", R"({"name":"Renamed"})"},
      {kGet, "/api/v1/organizations/{org_id}/members"},
      {kGet, "/api/v1/members"},
      {kPatch, "/api/v1/organizations/{org_id}/members/{person_id}", role},
      {kPatch, "/api/v1/members/{person_id}", role},
      {kPost,
       "/api/v1/organizations/{org_id}/projects",
       R"({"name":"Second"})",
       {{"project_id", "project_id"}}},
      {kGet, "/api/v1/organizations/{org_id}/projects"},
      {kGet, "/api/v1/organizations/{org_id}/projects/{project_id}"},
      {kPost, "/api/v1/projects", project, {{"project_id", "project_id"}}},
      {kGet, "/api/v1/projects"},
      {kGet, "/api/v1/projects/{project_id}"},
      {kPatch, "/api/v1/organizations/{org_id}/projects/{project_id}", project},
      {kPatch, "/api/v1/projects/{project_id}", project},
      {kGet, "/api/v1/organizations/{org_id}/audit"},
      {kGet, "/api/v1/audit"},
      {kDelete, "/api/v1/organizations/{org_id}"},
      {kPost, "/api/v1/organizations/{org_id}/restore"},
  };
  for (const bool is_active : {false, true}) {
    steps.push_back(
        {kPost,
         is_active ? "/api/v1/invitations" : "/api/v1/organizations/{org_id}/invitations",
         role,
         {{"invitation_id", "invitation_id"}}});
    steps.push_back(
        {kGet, is_active ? "/api/v1/invitations" : "/api/v1/organizations/{org_id}/invitations"});
    steps.push_back(
        {kPost, is_active ? "/api/v1/invitations/{invitation_id}/resend"
                          : "/api/v1/organizations/{org_id}/invitations/{invitation_id}/resend"});
  }
  return steps;
}

const http::Row& row_of(ApiHouse& house, const Step& step) {
  for (const http::Row& row : house.rows()) {
    if (row.method == step.method && row.pattern == step.pattern) return row;
  }
  FAIL("no such row: " << step.pattern);
  return house.rows().front();
}

// Of what stands beside the other doors.
std::vector<Step> walk_beside(const ApiHouse& house) {
  using enum http::Method;
  // People first: later steps go to another organization.
  std::vector<Step> steps = walk_people();
  for (Step& step : walk(house)) steps.push_back(std::move(step));
  for (Step& step : walk_artifacts()) steps.push_back(std::move(step));
  for (Step& step : walk_keys()) steps.push_back(std::move(step));
  for (const Step& step :
       {Step{kGet, "/admin/master-keys"}, Step{kPost, "/admin/master-keys/rotate", "{}"},
        Step{kGet, "/admin/organizations/{org_id}/ai-objects"}}) {
    steps.push_back(step);
  }
  return steps;
}

}  // namespace

TEST_CASE("openapi: answers are as described, member by member", "[contract][app]") {
  ApiHouse house;
  house.names.insert({{"tenant", "acme"}, {"provider", "demo"}, {"account", "default"}});
  std::set<const http::Row*> seen;
  for (const Step& step : walk_beside(house)) {
    const http::Row& row = row_of(house, step);
    const RawResponse response = house.send(row, step.body);
    INFO(http::method_name(step.method) << " " << step.pattern << " " << response.body);
    CHECK(response.status == row.shape.status);
    seen.insert(&row);
    for (const auto& [member, name] : step.keeps) {
      house.names[name] = json_text(response.body, member == "requests" ? "request_id" : member);
    }
    if (!is_type(row.shape.answer)) continue;
    const auto answer = parse_json(response.body);
    REQUIRE(answer.ok());
    const Json stated{{"$ref", "#/components/schemas/" + std::string(row.shape.answer)}};
    CHECK(find_fault(house.api, stated, *answer, std::string(row.shape.answer)) == "");
  }
  const Json own =
      *parse_json(house.app.as(house.key, "GET", "/v1/usage/" + house.names["request_id"]).body);
  CHECK(find_fault(house.api, {{"$ref", "#/components/schemas/RequestUsage"}}, own,
                   "RequestUsage") == "");
  // What needs another service, bytes or a sign-in has its test beside it.
  std::set<std::string> unseen;
  for (const http::Row& row : house.rows()) {
    if (seen.count(&row) == 0 && is_type(row.shape.answer)) {
      unseen.insert(std::string(http::method_name(row.method)) + " " + row.pattern);
    }
  }
  for (const std::string& row : unseen) UNSCOPED_INFO(row);
  CHECK(unseen.size() <= 50);
}

TEST_CASE("openapi: errors are as described, at each door", "[contract][app]") {
  ApiHouse house;
  const auto check = [&](const RawResponse& response, const char* type) {
    INFO(response.body);
    CHECK(response.status >= 400);
    const auto body = parse_json(response.body);
    REQUIRE(body.ok());
    const Json stated{{"$ref", std::string("#/components/schemas/") + type}};
    CHECK(find_fault(house.api, stated, *body, type) == "");
  };
  check(house.admin("GET", "/admin/users/nobody"), "AdminError");
  check(house.app.call("GET", "/api/v1/artifacts"), "PortalError");
  check(house.chat("{}"), "OpenAiError");
  house.change_user(R"({"monthly_limit_usd":0})");
  check(house.chat(), "OpenAiError");  // With details.
  check(house.message("{}"), "AnthropicError");
  check(house.app.call("POST", "/api/v1/acme/demo"), "GatewayError");
}
