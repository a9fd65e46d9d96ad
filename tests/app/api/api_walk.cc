// The steps of the walk, door by door. Some things are made beside the API: a decision, a briefing
// and the bytes of an upload.
#include "app/api/api_walk.h"

#include "briefing/briefing.h"
#include "ledger/rows.h"
#include "support/tiny_kv.h"

namespace kvcs::test {
namespace {

// To the URL that an announced upload has answered.
void put_bytes(ApiHouse& house, const RawResponse& answer) {
  std::string url = json_text(answer.body, "url");
  if (url.empty()) url = json_text(answer.body, "upload_url");
  CHECK(house.app.call("PUT", url.substr(url.find("/blobs/")), {}, "bytes").status == 200);
}

void put_kv(ApiHouse& house, const RawResponse& answer) {
  const std::string url = json_text(answer.body, "url");
  const std::string kv = tiny_kv({0x3c00});
  CHECK(house.app.call("PUT", url.substr(url.find("/blobs/")), {}, kv).status == 200);
}

// A finding of the briefing, and its decision.
void make_findings(ApiHouse& house, const RawResponse&) {
  DecisionRecord decision;
  decision.id = "d1";
  decision.subject = "slack fails";
  const auto insert = [&](Database& db) { return insert_decision(db, decision); };
  REQUIRE(house.app.parts().ledger->write(insert).ok());
  REQUIRE(house.app.parts().briefing->run().ok());
}

// In an order in which each finds what it needs.
std::vector<Step> walk_admin(const ApiHouse& house) {
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
      {kGet, "/admin/usage/requests", "", {{"request_id", "request_id"}}},
      {kGet, "/v1/usage"},
      {kGet, "/v1/usage/{request_id}"},
      {kGet, "/admin/ai/bodies/{request_id}"},
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
      {kGet, "/admin/users"},
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
  };
}

// Of the stores, the ledger, jobs and models.
std::vector<Step> walk_operations() {
  using enum http::Method;
  return {
      {kGet, "/admin/kv"},
      {kGet, "/admin/kv/bulk"},
      {kGet, "/admin/kv/{family}/keys"},
      {kGet, "/admin/kv/{family}/values/{key}"},
      {kPut, "/admin/kv/bulk", "[]"},
      {kGet, "/admin/errors"},
      {kGet, "/admin/audit"},
      {kGet, "/admin/audit/verify"},
      {.method = kGet, .pattern = "/admin/decisions", .after = make_findings},
      {kGet, "/admin/decisions"},
      {kPatch, "/admin/decisions/{id}", R"({"status":"accepted"})", {}, {{"id", "d1"}}},
      {kGet, "/admin/briefings/{date}", "", {}, {{"date", "latest"}}},
      {kGet, "/admin/job-runs"},
      {kGet, "/admin/alerts"},
      {kGet, "/admin/outbox-dead"},
      {kGet, "/admin/jobs"},
      {kGet, "/admin/backups"},
      {kGet, "/admin/config"},
      {kGet, "/admin/metrics/history"},
      {kGet, "/admin/metrics/summary"},
      {kPost, "/admin/jobs/{job}/run"},
      {kGet, "/admin/ai/bodies"},
      {kGet, "/admin/ai/prices"},
      {kPut, "/admin/ai/prices/{model}",
       R"({"input_cost_per_token":1e-6,"output_cost_per_token":"0.000002"})"},
      {kGet, "/admin/ai/prices/{model}"},
      {kPut, "/admin/ai/providers/{name}", R"({"kind":"openai","api_key":"sk-new"})"},
      {kGet, "/admin/ai/providers"},
      {kGet, "/admin/ai/providers/{name}"},
      // One that is on loopback.
      {kPost, "/admin/ai/providers/{name}/test", "", {}, {{"name", "anthropic"}}},
  };
}

// Of the tool gateway.
std::vector<Step> walk_gateway() {
  using enum http::Method;
  const std::string key_body = R"({"name":"k"})";
  return {
      {kPut, "/admin/providers/{provider}",
       R"({"base_url":"https://api.example.com","auth_type":"bearer"})"},
      {kGet, "/admin/providers"},
      {kGet, "/admin/providers/{provider}"},
      {kPut, "/admin/tenants/{tenant}", R"({"name":"Acme","limits":{"requests_per_minute":60}})"},
      {kGet, "/admin/tenants"},
      {kPut, "/admin/agent-schedules/{tenant}",
       R"([{"name":"a","agent_type":"crm","message":"go","cadence":"daily"}])"},
      {kGet, "/admin/agent-schedules/{tenant}"},
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
      {kGet, "/admin/accounts/attention"},
      {kDelete, "/admin/tenants/{tenant}/providers/{provider}/accounts/{account}"},
      {kGet, "/admin/system/mode"},
      {kPut, "/admin/system/mode", R"({"mode":"active"})"},
      {kDelete, "/admin/cache"},
  };
}

// Models whose names hold their provider, and what a provider keeps.
std::vector<Step> walk_models() {
  using enum http::Method;
  const std::string price = R"({"input_cost_per_token":1e-6,"output_cost_per_token":1e-6})";
  const std::map<std::string, std::string> of_openai = {{"provider", "openai"},
                                                        {"model", "gpt-4o-mini"}};
  return {
      {kPut,
       "/admin/ai/providers/{name}",
       R"({"kind":"openai_compatible","base_url":"https://api.example.com","api_key":"sk-1",)"
       R"("models":["meta/llama"]})",
       {},
       {{"name", "router"}}},
      {kPut, "/admin/ai/prices/{model}", price, {}, {{"model", "router/meta/llama"}}},
      {kPut, "/admin/ai/prices/{provider}/{model}", price, {}, of_openai},
      {kGet, "/admin/ai/prices/{provider}/{model}", "", {}, of_openai},
      {kGet, "/v1/models/{provider}/{model}", "", {}, of_openai},
      {kGet,
       "/v1/models/{provider}/{vendor}/{model}",
       "",
       {},
       {{"provider", "router"}, {"vendor", "meta"}, {"model", "llama"}}},
      {kPut,
       "/admin/organizations/{org_id}/ai-objects/{provider}/{id}",
       "",
       {},
       {{"provider", "openai"}, {"id", "file-1"}}},
      {kGet, "/admin/organizations/{org_id}/ai-objects"},
  };
}

// Artifacts under labels of their owner's.
std::vector<Step> walk_labels(const std::string& root) {
  using enum http::Method;
  const std::string all = root + "/orgs/{org}/projects/{project}/artifacts";
  return {
      {kPost,
       all,
       R"({"name":"n","dtype":"F16","visibility":"public"})",
       {{"artifact_id", "id"}},
       {},
       put_bytes},
      {kPost, all + "/{id}/complete"},
      {kGet, all},
      {kGet, all + "/{id}/download"},
  };
}

// Of the artifact doors.
std::vector<Step> walk_artifacts() {
  using enum http::Method;
  const std::string ask = R"({"name":"demo","dtype":"F16","visibility":"public"})";
  std::vector<Step> steps = {
      {kPost, "/v1/artifacts/upload-url", ask},
      {kPost, "/api/v1/artifacts/upload-url", ask, {{"artifact_id", "id"}}, {}, put_bytes},
      {kPost, "/api/v1/artifacts/{id}/confirm-upload"},
      {kPost, "/api/v1/artifacts/{id}/download-url"},
      {kGet, "/api/v1/artifacts"},
      {kGet, "/api/v1/artifacts/{id}"},
      {kPatch, "/api/v1/artifacts/{id}", R"({"description":"What it is about.","tags":["a"]})"},
      {kPost, "/api/v1/artifacts/{id}/shares", "{}"},
      {kGet, "/api/v1/artifacts/{id}/shares"},
      {kGet, "/api/v1/catalogue"},
      {kPost, "/api/v1/artifacts/search", R"({"tokens":[1,2]})"},
      {kPost, "/api/v1/artifacts/upload-url", ask, {{"artifact_id", "id"}}, {}, put_kv},
      {kPost, "/api/v1/artifacts/{id}/confirm-upload"},
      {kGet, "/api/v1/artifacts/{id}/inspect"},
      {kGet, "/api/v1/artifacts/{id}/history"},
      {kGet, "/api/v1/artifacts/models"},
      {kDelete, "/api/v1/artifacts/{id}"},
      {kGet, "/api/v1/artifacts/deleted"},
      {kPost, "/api/v1/artifacts/{id}/restore"},
  };
  for (const std::string root : {"/api/v1", "/v1"}) {
    for (Step& step : walk_labels(root)) steps.push_back(std::move(step));
    for (const char* path : {"/api-keys/verify", "/quota"}) steps.push_back({kGet, root + path});
    steps.push_back({kPost, root + "/api-keys/verify"});
  }
  return steps;
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
      {kGet, "/auth/session"},
      {kPost, "/auth/setup/look-up", R"({"token":"spent"})"},
      {kPost, "/auth/reset/look-up", R"({"token":"spent"})"},
      {kPost, "/auth/device", "device_name=box", {{"user_code", "user_code"}}},
      {kGet, "/auth/device/{user_code}"},
      {kPost, "/auth/device/{user_code}", R"({"allow":true})"},
      {kGet, "/admin/people"},
      {kPatch, "/admin/people/{person_id}", R"({"status":"active"})"},
      {kPost, "/admin/setup-link"},
      {kPost, "/admin/people/{person_id}/reset-link"},
      {kPatch, "/api/v1/me", R"({"name":"Ada"})"},
      {kGet, "/api/v1/me/sessions"},
      {kGet, "/api/v1/me/sign-ins"},
      {kGet, "/api/v1/first-steps"},
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

// What changes who may do the rest.
std::vector<Step> walk_last(const ApiHouse& house) {
  using enum http::Method;
  return {
      {kGet, "/openapi.json"},
      {kPost, "/api/v1/owner", R"({"person_id":")" + house.names.at("person_id") + R"("})"},
      {kGet, "/admin/master-keys"},
      {kPost, "/admin/master-keys/rotate", "{}"},
      {kPost, "/auth/logout"},
  };
}

}  // namespace

std::vector<Step> walk_api(const ApiHouse& house) {
  // People first: later steps go to another organization.
  std::vector<Step> all;
  for (const std::vector<Step>& part :
       {walk_people(), walk_admin(house), walk_operations(), walk_gateway(), walk_models(),
        walk_artifacts(), walk_keys(), walk_last(house)}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

RawResponse take(ApiHouse& house, const http::Row& row, const Step& step) {
  const std::map<std::string, std::string> lasting = house.names;
  for (const auto& [name, value] : step.names) house.names[name] = value;
  const RawResponse response = house.send(row, step.body);
  house.names = lasting;
  for (const auto& [member, name] : step.keeps) {
    house.names[name] = json_text(response.body, member);
  }
  if (step.after) step.after(house, response);
  return response;
}

const http::Row& row_of(ApiHouse& house, const Step& step) {
  for (const http::Row& row : house.rows()) {
    if (row.method == step.method && row.pattern == step.pattern) return row;
  }
  FAIL("no such row: " << step.pattern);
  return house.rows().front();
}

}  // namespace kvcs::test
