// Makes owners over HTTP and searches the stores for what is left of them.
#include "support/owner_house.h"

#include <nlohmann/json.hpp>

#include <filesystem>

#include "ai/budget/budget.h"
#include "base/crypto.h"
#include "db/db.h"
#include "gateway/tokens/tokens.h"
#include "identity/identity.h"
#include "kv/kv.h"

namespace kvcs::test {
namespace {

std::string id_in(const Json& json, const char* name) {
  return json.at(name).get<std::string>();
}

}  // namespace

OwnerHouse::OwnerHouse(AppOptions options)
    : app([](Config& config) { config.gateway.limits.ip_requests_per_minute = 1'000'000; },
          std::move(options)),
      upstream_([this](LoopbackPeer& peer) {
        while (const auto request = peer.read_request()) {
          const size_t at = request->head.find("Bearer ");
          {
            const MutexLock lock(mutex_);
            credential_ = at == std::string::npos
                              ? ""
                              : request->head.substr(at, request->head.find('\r', at) - at);
          }
          if (!peer.answer("{}")) return;
        }
      }) {
  const std::string base = upstream_.url("");
  const Json provider{{"base_url", base.substr(0, base.find_last_not_of('/') + 1)},
                      {"allow_private_addresses", true},
                      {"allowed_path_prefixes", {"/v1/"}},
                      {"cache", {{"ttl_s", 600}}}};
  Json mock = provider, consent = provider;
  mock["auth_type"] = "bearer";
  consent["auth_type"] = "oauth2_refresh_token";
  consent["auth"] = {{"token_url", base + "/token"},
                     {"authorize_url", base + "/authorize"},
                     {"client_id", "c"},
                     {"client_secret", "s"}};
  made("PUT", "/admin/providers/mock", mock, 200);
  made("PUT", "/admin/providers/consent", consent, 200);
}

Json OwnerHouse::made(const std::string& method, const std::string& path, const Json& body,
                      int status) const {
  const RawResponse answer = admin(method, path, body.is_null() ? "" : dump_json(body));
  INFO(method << " " << path << ": " << answer.body);
  REQUIRE(answer.status == status);
  const Result<Json> json = parse_json(answer.body);
  return json.ok() ? json.value() : Json();
}

RawResponse OwnerHouse::call(const std::string& token, const std::string& tenant) const {
  return app.as(token, "POST", "/api/v1/" + tenant + "/mock", R"({"path":"/v1/whoami"})");
}

std::string OwnerHouse::last_credential() const {
  const MutexLock lock(mutex_);
  return credential_;
}

Owned OwnerHouse::make(const std::string& name) {
  Owned owned;
  owned.name = name;
  owned.organization_id =
      id_in(made("POST", "/admin/organizations", {{"name", name}, {"slug", name}}, 201), "org_id");
  owned.texts = {name, owned.organization_id};
  make_tenant(owned);
  make_user(owned);
  make_project(owned);
  const std::string org = "/admin/organizations/" + owned.organization_id;
  made("PUT", "/admin/ai/prices/some-model?org_id=" + owned.organization_id,
       {{"input_cost_per_token", 0.000001}, {"output_cost_per_token", 0.000002}}, 200);
  made("PUT", "/admin/ai/providers/openai", {{"kind", "openai"}, {"api_key", "sk-shared"}}, 200);
  made("PUT", org + "/ai-credentials/openai", {{"api_key", "sk-own"}}, 200);
  made("PUT", org + "/ai-objects/openai/file-of-" + name, Json::object(), 200);
  const Json key = made("POST", org + "/api-keys", {{"name", "k"}, {"scopes", {"read"}}}, 201);
  owned.organization_key = id_in(key, "api_key");
  owned.texts.insert(id_in(key, "key_id"));
  owned.texts.insert(sha256_hex(owned.organization_key));
  return owned;
}

void OwnerHouse::make_tenant(Owned& owned) {
  const std::string tenant = "/admin/tenants/" + owned.name;
  made("PUT", tenant, {{"name", owned.name}}, 200);
  const Json token = made("POST", tenant + "/tokens", {{"name", "agent"}}, 201);
  owned.tenant_token = id_in(token, "token");
  owned.imported_token = "bearer-of-an-agent-of-" + owned.name;
  const Json record{{"tenant_id", owned.name}, {"status", "active"}};
  made("PUT", "/admin/kv/bulk",
       Json::array({{{"key", "tenant_auth:" + sha256_hex(owned.imported_token)},
                     {"value", dump_json(record)}}}),
       200);
  made("PUT", tenant + "/providers/mock/accounts/main",
       {{"access_token", "SECRET-OF-" + owned.name}}, 201);
  made("PUT", tenant + "/providers/consent/accounts/main",
       {{"access_token", "a"}, {"refresh_token", "r"}, {"expires_at", "2099-01-01T00:00:00Z"}},
       201);
  made("POST", tenant + "/providers/consent/connect", {{"account_id", "other"}}, 201);
  made("PUT", "/admin/agent-schedules/" + owned.name,
       Json::array({{{"name", "a"}, {"agent_type", "s"}, {"message", "m"}, {"cadence", "daily"}}}),
       200);
  made("PUT", "/admin/kv/system/values/agent_state:" + owned.name + ":x", {{"a", 1}}, 204);
  CHECK(app.call("POST", "/api/v1/" + owned.name + "/mock",
                 {{"Authorization", "Bearer " + owned.tenant_token}, {"Idempotency-Key", "once-1"}},
                 R"({"path":"/v1/whoami","method":"POST","body":{}})")
            .status == 200);
  CHECK(call(owned.imported_token, owned.name).status == 200);
  CHECK(last_credential() == "Bearer SECRET-OF-" + owned.name);
  owned.texts.insert(id_in(token, "token_id"));
  owned.texts.insert(sha256_hex(owned.tenant_token));
  owned.texts.insert(sha256_hex(owned.imported_token));
}

void OwnerHouse::make_user(Owned& owned) {
  const Json user =
      made("POST", "/admin/users",
           {{"email", "ada@" + owned.name + ".example"}, {"org_id", owned.organization_id}}, 201);
  owned.user_id = id_in(user, "user_id");
  const std::string path = "/admin/users/" + owned.user_id;
  const Json key = made("POST", path + "/api-keys", {{"name", "k"}}, 201);
  owned.old_user_key = id_in(key, "api_key");
  const std::string key_id = id_in(key, "key_id");
  const Json rotated =
      made("POST", path + "/api-keys/" + key_id + "/rotate", {{"overlap_s", 3600}}, 200);
  owned.user_key = id_in(rotated, "api_key");
  // What a model call leaves: counters of key, user and organization.
  ai::BudgetAsk ask;
  ask.request_id = "request-of-" + owned.name;
  ask.key_id = key_id;
  ask.user_id = owned.user_id;
  ask.organization_id = owned.organization_id;
  ask.limits.user_nano_usd = ask.limits.organization_nano_usd = 1'000'000'000;
  ask.estimate_nano_usd = 1000;
  Result<ai::Reservation> reserved = app.parts().ai.budgets->reserve(ask);
  REQUIRE(reserved.ok());
  UsageRecord record;
  record.cost_nano_usd = 500;
  reserved->settle(record);
  made("POST", path + "/reset-quota", {{"reset_reason", "a test"}}, 200);
  CHECK(app.as(owned.user_key, "GET", "/v1/models").status == 200);
  CHECK(app.as(owned.old_user_key, "GET", "/v1/models").status == 200);
  for (std::string text : {owned.user_id, key_id, sha256_hex(owned.user_key),
                           sha256_hex(owned.old_user_key), std::string(ask.request_id)}) {
    owned.texts.insert(std::move(text));
  }
}

void OwnerHouse::make_project(Owned& owned) {
  const std::string org = "/admin/organizations/" + owned.organization_id;
  owned.project_id = id_in(made("POST", org + "/projects", {{"name", "p"}}, 201), "project_id");
  const Json key =
      made("POST", org + "/projects/" + owned.project_id + "/api-keys", {{"name", "k"}}, 201);
  owned.project_key = id_in(key, "api_key");
  const std::string bytes = "bytes of " + owned.name;
  owned.sha256 = sha256_hex(bytes);
  const Json ask{{"model_name", "demo"},
                 {"dtype", "F16"},
                 {"num_tokens", 7},
                 {"visibility", "public"},
                 {"size_bytes", bytes.size()},
                 {"checksum", owned.sha256}};
  const RawResponse announced =
      app.as(owned.project_key, "POST", "/api/v1/artifacts/upload-url", dump_json(ask));
  INFO(announced.body);
  REQUIRE(announced.status == 200);
  const std::string url = json_text(announced.body, "url");
  owned.artifact_id = json_text(announced.body, "artifact_id");
  CHECK(app.call("PUT", url.substr(url.find("/blobs/")), {}, bytes).status == 200);
  CHECK(app.as(owned.project_key, "POST",
               "/api/v1/artifacts/" + owned.artifact_id + "/confirm-upload", "{}")
            .status == 200);
  CHECK(app.call("GET", "/v1/artifacts/" + owned.artifact_id).status == 200);
  for (std::string text : {owned.project_id, id_in(key, "key_id"), sha256_hex(owned.project_key),
                           owned.artifact_id, owned.sha256}) {
    owned.texts.insert(std::move(text));
  }
}

bool OwnerHouse::has_blob(const std::string& sha256) const {
  return std::filesystem::exists(app.data_dir() + "/blobs/" + sha256.substr(0, 2) + "/" +
                                 sha256.substr(2, 2) + "/" + sha256);
}

std::vector<std::string> OwnerHouse::left_of(const std::set<std::string>& texts) const {
  std::vector<std::string> left = left_in_kv(texts);
  for (std::string& one : left_in_sql(texts)) left.push_back(std::move(one));
  return left;
}

// The outbox is history on its way; what a job noted of itself names no owner.
std::vector<std::string> OwnerHouse::left_in_kv(const std::set<std::string>& texts) const {
  std::vector<std::string> left;
  for (const KvFamily family : {KvFamily::kAuth, KvFamily::kConfig, KvFamily::kTokens,
                                KvFamily::kQuota, KvFamily::kSystem}) {
    const auto look = [&](const KvItem& item) -> Status {
      for (const std::string& text : texts) {
        const bool has = item.key.find(text) != item.key.npos ||
                         item.entry.value.find(text) != item.entry.value.npos ||
                         item.entry.metadata.find(text) != item.entry.metadata.npos;
        if (!has) continue;
        left.push_back(std::string(kv_family_name(family)) + " " + item.key);
        break;
      }
      return ok();
    };
    const KvStore& kv = *const_cast<TestApp&>(app).parts().kv;
    REQUIRE(kv_for_each(kv, family, "", look).ok());
  }
  return left;
}

// Every table that there is, whatever the schema says of it; records of the audit are history.
std::vector<std::string> OwnerHouse::left_in_sql(const std::set<std::string>& texts) const {
  std::vector<std::string> left, tables;
  const auto look = [&](Database& db) -> Status {
    auto names = KVCS_TRY(db.prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"));
    while (KVCS_TRY(names.step())) tables.push_back(names.text(0));
    for (const std::string& table : tables) {
      if (table == "audit_outbox") continue;
      std::vector<std::string> columns;
      auto info = KVCS_TRY(db.prepare("SELECT name FROM pragma_table_info('" + table + "')"));
      while (KVCS_TRY(info.step())) columns.push_back(info.text(0));
      for (const std::string& column : columns) {
        for (const std::string& text : texts) {
          auto found = KVCS_TRY(
              db.prepare("SELECT 1 FROM \"" + table + "\" WHERE \"" + column + "\" = ? LIMIT 1"));
          found.bind(1, text);
          if (KVCS_TRY(found.step())) left.push_back(table + "." + column + " " + text);
        }
      }
    }
    return ok();
  };
  REQUIRE(const_cast<TestApp&>(app).parts().portal_readers->run(look).ok());
  return left;
}

}  // namespace kvcs::test
