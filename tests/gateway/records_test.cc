// Goal: no member of what the tool gateway keeps is lost between its writer and its reader:
// credentials, what refreshes them, how that goes, providers and tenants. Method: every member has
// a value of its own and goes through KV to objects that begin anew, so that no cache can help.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "gateway/catalogue/provider_directory.h"
#include "gateway/catalogue/tenants.h"
#include "gateway/tokens/token_world.h"
#include "support/members.h"

using namespace kvcs;
using namespace kvcs::gateway;
using namespace kvcs::test;

namespace {

Members members_of(const AccessCredential& credential) {
  const auto& [type, access_token, username, password, access_key_id, secret_access_key,
               session_token, region, service, expires_at_s, scope, state, meta, secrets, origins,
               authority] = credential;
  return name_members(
      "type access_token username password access_key_id secret_access_key session_token region "
      "service expires_at_s scope state meta secrets origins authority",
      type, access_token, username, password, access_key_id, secret_access_key, session_token,
      region, service, expires_at_s, scope, state, meta, secrets, origins, authority);
}

Members members_of(const oauth::Grant& refresh) {
  const auto& [refresh_token, service_account_json, client_id_override, client_secret_override,
               scope, origins] = refresh;
  return name_members(
      "refresh_token service_account_json client_id_override client_secret_override scope origins",
      refresh_token, service_account_json, client_id_override, client_secret_override, scope,
      origins);
}

Members members_of(const TokenHealth& health) {
  const auto& [state, failures, next_attempt_at_s, last_error] = health;
  return name_members("state failures next_attempt_at_s last_error", state, failures,
                      next_attempt_at_s, last_error);
}

Members members_of(const ActionRule& action) {
  const auto& [method, path, query, body, body_from, wrap_filters] = action;
  return name_members("method path query body body_from wrap_filters", method, path, query, body,
                      body_from, wrap_filters);
}

Members members_of(const AuthRule& auth) {
  const auto& [type, header, prefix, query_param, aws_service] = auth;
  return name_members("type header prefix query_param aws_service", type, header, prefix,
                      query_param, aws_service);
}

Members members_of(const OauthRule& oauth) {
  const auto& [token_url, authorize_url, revoke_url, issuer, authorize_params, client_auth,
               scope_separator, scopes, client_id, client_secret, client_secret_origins] = oauth;
  (void)client_secret_origins;  // The same as the provider's secrets_origins.
  return name_members(
      "token_url authorize_url revoke_url issuer authorize_params client_auth scope_separator "
      "scopes client_id client_secret",
      token_url, authorize_url, revoke_url, issuer, authorize_params, client_auth, scope_separator,
      scopes, client_id, client_secret);
}

Members members_of(const CanaryRule& canary) {
  const auto& [method, path, expect] = canary;
  return name_members("method path expect", method, path, expect);
}

Members members_of(const Provider& provider) {
  const auto& [id, display_name, base_url, version, note, auth, oauth, canary_endpoints,
               default_headers, timeout_ms, allowed_methods, allowed_path_prefixes,
               allow_private_addresses, cache_ttl_s, cache_entries_max, canary, requests_per_minute,
               actions, secrets, secrets_origins, digest] = provider;
  Members members = name_members(
      "id display_name note base_url version endpoints default_headers timeout_ms allowed_methods "
      "allowed_path_prefixes allow_private_addresses cache_ttl_s cache_entries_max "
      "requests_per_minute secrets secrets_origins",
      id, display_name, note, base_url, version, canary_endpoints, default_headers, timeout_ms,
      allowed_methods, allowed_path_prefixes, allow_private_addresses, cache_ttl_s,
      cache_entries_max, requests_per_minute, secrets, secrets_origins);
  members = with(members, "auth", members_of(auth));
  members = with(members, "oauth", members_of(oauth));
  members = with(members, "canary", members_of(canary));
  const auto find = actions.find("find");
  return with(members, "find", members_of(find == actions.end() ? ActionRule{} : find->second));
}

Members members_of(const Tenant& tenant) {
  const auto& [id, name, active, private_apis, requests_per_minute, provider_meta] = tenant;
  return name_members("id name active private_apis requests_per_minute provider_meta", id, name,
                      active, private_apis, requests_per_minute, provider_meta);
}

// What the catalogue's record below says, member by member.
Provider full_provider() {
  return {.id = "crm",
          .display_name = "The CRM",
          .base_url = "https://{meta.host}.crm.example/base",
          .version = "v7",
          .note = "No new keys since May.",
          .auth = {AuthType::kOauth2RefreshToken, "x-auth", "Token", "auth_key", "execute-api"},
          .oauth = {"https://crm.example/token",
                    "https://crm.example/authorize",
                    "https://crm.example/revoke",
                    "https://crm.example/issuer",
                    "prompt=consent",
                    "client_secret_post",
                    ",",
                    {"read", "write"},
                    "client-id",
                    Secret("client-secret"),
                    {"https://crm.example", "https://{meta.host}.crm.example"}},
          .endpoints = {{"contacts", "/contacts"}},
          .default_headers = {{"x-portal", "{meta.portal}"}},
          .timeout_ms = 1'111,
          .allowed_methods = {"GET", "POST"},
          .allowed_path_prefixes = {"/v7/"},
          .allow_private_addresses = true,
          .cache_ttl_s = 222,
          .cache_entries_max = 333,
          .canary = {"HEAD", "/ping", {204}},
          .requests_per_minute = 444,
          .actions = {{"find", ActionRule{"PATCH",
                                          "/objects/{object_type}",
                                          {"limit"},
                                          {"filters"},
                                          "payload",
                                          "filterGroups"}}},
          .secrets = {{"partner", Secret("partner secret")}},
          .secrets_origins = {"https://crm.example", "https://{meta.host}.crm.example"}};
}

constexpr const char* kFullProvider = R"({
  "provider": "crm", "display_name": "The CRM", "note": "No new keys since May.",
  "base_url": "https://{meta.host}.crm.example/base",
  "version": "v7", "auth_type": "oauth2_refresh_token",
  "auth": {"header": "x-auth", "prefix": "Token", "query_param": "auth_key",
    "aws_service": "execute-api", "token_url": "https://crm.example/token",
    "authorize_url": "https://crm.example/authorize", "revoke_url": "https://crm.example/revoke",
    "issuer": "https://crm.example/issuer", "authorize_params": "prompt=consent",
    "client_auth": "client_secret_post", "scope_separator": ",", "scopes": ["read", "write"],
    "client_id": "client-id", "client_secret": "client-secret"},
  "endpoints": {"contacts": "/contacts"}, "default_headers": {"x-portal": "{meta.portal}"},
  "timeout_ms": 1111, "allowed_methods": ["GET", "POST"], "allowed_path_prefixes": ["/v7/"],
  "allow_private_addresses": true, "cache": {"ttl_s": 222, "max_entries": 333},
  "canary": {"path": "/ping", "method": "HEAD", "expect": [204]},
  "rate_limit": {"requests_per_minute": 444}, "secrets": {"partner": "partner secret"},
  "actions": {"find": {"method": "PATCH", "path": "/objects/{object_type}", "query": ["limit"],
    "body": ["filters"], "body_from": "payload", "wrap_filters": "filterGroups"}}})";

}  // namespace

TEST_CASE("records: a credential, its refresh and its health are opened as they were sealed",
          "[unit][gateway][records]") {
  TokenWorld world;
  const AccessCredential credential{.type = AuthType::kAwsSigV4,
                                    .access_token = Secret("access token"),
                                    .username = Secret("user name"),
                                    .password = Secret("pass word"),
                                    .access_key_id = Secret("access key id"),
                                    .secret_access_key = Secret("secret access key"),
                                    .session_token = Secret("session token"),
                                    .region = "region",
                                    .service = "service",
                                    .expires_at_s = 1'800'000'001,
                                    .scope = "scope",
                                    .state = TokenState::kRetrying,
                                    .meta = {{"host", "eu1"}, {"portal", "77"}},
                                    .secrets = {{"developer", Secret("developer secret")}},
                                    .origins = {"https://a.example", "https://b.example"},
                                    .authority = "0123456789abcdef"};
  const oauth::Grant refresh{.refresh_token = Secret("refresh token"),
                             .service_account_json = Secret("{\"service\":1}"),
                             .client_id_override = "client id",
                             .client_secret_override = Secret("client secret"),
                             .scope = "scope of it",
                             .origins = {"https://c.example"}};
  const AccountId id = TokenWorld::kId;
  REQUIRE(world.tokens.put(id, credential, refresh, TokenWorld::kWho).ok());
  // Stores live as long as the key-value store tells them of changes.
  const TokenStore first(*world.kv, world.audited, *world.kv, world.sealer, world.clock);
  check_same(members_of(credential), members_of(*first.find(id).value()),
             members_of(AccessCredential{}));
  check_same(members_of(refresh), members_of(first.find_refresh(id, {}).value()),
             members_of(oauth::Grant{}));
  const AccountView view = first.find_view(id).value();
  CHECK(view.type == credential.type);
  CHECK(view.expires_at_s == credential.expires_at_s);
  CHECK(view.scope == credential.scope);
  CHECK(view.meta == credential.meta);
  CHECK(view.updated_at_s == world.clock.unix_s());
  CHECK(view.created_at_s == world.clock.unix_s());
  CHECK(view.version == 1);
  CHECK(view.sealed);
  const TokenHealth health{TokenState::kReauthRequired, 44, 1'800'000'002, "last error"};
  REQUIRE(world.tokens.set_health(id, health, TokenWorld::kWho).ok());
  const TokenStore fresh(*world.kv, world.audited, *world.kv, world.sealer, world.clock);
  check_same(members_of(health), members_of(fresh.find_view(id).value().health),
             members_of(TokenHealth{}));
  // The credential itself is as it was, sealed once and not again.
  AccessCredential now = credential;
  now.state = TokenState::kReauthRequired;
  check_same(members_of(now), members_of(*fresh.find(id).value()), members_of(AccessCredential{}));
}

TEST_CASE("records: a provider is read from the store with every member",
          "[unit][gateway][records]") {
  TokenWorld world;
  ProviderDirectory providers(*world.kv, world.audited, *world.kv, world.sealer, {});
  const Json record = parse_json(kFullProvider).value();
  const Status put = providers.put("crm", record, TokenWorld::kWho);
  INFO(put.to_string());
  REQUIRE(put.ok());
  const ProviderDirectory fresh(*world.kv, world.audited, *world.kv, world.sealer, {});
  const auto read = fresh.find("crm");
  INFO(read.status().to_string());
  REQUIRE(read.ok());
  Provider plain;
  plain.id = "";
  check_same(members_of(full_provider()), members_of(*read.value()), members_of(plain));
}

TEST_CASE("records: what an admin is shown of a provider can be put again and says the same",
          "[unit][gateway][records]") {
  Json shown = provider_json(full_provider());
  CHECK(shown["auth"]["client_secret_set"] == true);
  CHECK(shown["secrets_set"] == Json{"partner"});
  shown["auth"].erase("client_secret_set");
  const Result<Provider> read = parse_provider("crm", shown, true);
  INFO(read.status().to_string());
  REQUIRE(read.ok());
  Provider wanted = full_provider();
  wanted.oauth.client_secret = Secret();  // Never shown.
  wanted.secrets.clear();
  wanted.oauth.client_secret_origins = wanted.secrets_origins = {};
  check_same(members_of(wanted), members_of(*read), members_of(Provider{}),
             {"oauth.client_secret", "secrets", "secrets_origins"});
}

TEST_CASE("records: a tenant is read from the store with every member",
          "[unit][gateway][records]") {
  for (const bool active : {true, false}) {
    TokenWorld world;
    Tenants tenants(*world.kv, world.audited, *world.kv, *world.entropy, world.sealer);
    const Tenant wanted{.id = "acme",
                        .name = "Acme Inc.",
                        .active = active,
                        .private_apis = false,
                        .requests_per_minute = 77,
                        .provider_meta = {{"google_ads", {{"login_customer_id", "12"}}},
                                          {"hubspot", {{"portal", "34"}}}}};
    const Json record = parse_json(R"({"name":"Acme Inc.","providers":["hubspot"],)"
                                   R"("billing":{"plan":"x"},"limits":{"requests_per_minute":77},)"
                                   R"("private_apis":false,)"
                                   R"("google_ads":{"login_customer_id":"12"},)"
                                   R"("hubspot":{"portal":"34"}})")
                            .value();
    REQUIRE(tenants.put("acme", record, TokenWorld::kWho).ok());
    REQUIRE(tenants.set_active("acme", active, TokenWorld::kWho).ok());
    const Tenants fresh(*world.kv, world.audited, *world.kv, *world.entropy, world.sealer);
    check_same(members_of(wanted), members_of(*fresh.find("acme").value()), members_of(Tenant{}));
  }
}
