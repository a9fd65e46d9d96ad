// A provider: what `api_config:{provider}` and a file of config/providers/ say about an API.
// Members: provider, display_name, note, base_url, version, auth_type, auth{header, prefix,
// query_param, token_url, authorize_url, revoke_url, issuer, authorize_params, client_auth,
// scope_separator, scopes, client_id, client_secret, aws_service}, endpoints, default_headers,
// timeout_ms, allowed_methods, allowed_path_prefixes, allow_private_addresses, cache{ttl_s,
// max_entries}, canary{path, expect, method}, rate_limit{requests_per_minute}, actions{verb{method,
// path, query, body, body_from, wrap_filters}}, secrets{name}. Values; pure functions.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/secret.h"
#include "base/status.h"
#include "gateway/gateway.h"
#include "gateway/outbound/outbound_auth.h"

namespace kvcs::gateway {

inline constexpr int kTimeoutMsMax = 30'000;

// A curated verb: how {action, object_type, …} becomes a request.
struct ActionRule {
  std::string method = "GET";
  std::string path;                      // {object_type}, {id}, …: one path segment each.
  std::vector<std::string> query, body;  // Members of the call that go there.
  std::string body_from;                 // This member of the call is the whole body.
  std::string wrap_filters;  // "filterGroups": `filters` becomes [{"filters": filters}] there.
};

struct OauthRule {
  std::string token_url, authorize_url, revoke_url;
  std::string issuer;  // What `iss` of a consent's answer must be (RFC 9207); "" = not checked.
  std::string authorize_params;                     // "access_type=offline&prompt=consent"
  std::string client_auth = "client_secret_basic";  // client_secret_post, none
  std::string scope_separator = " ";
  std::vector<std::string> scopes;
  std::string client_id;
  Secret client_secret;
  Origins client_secret_origins;  // Where it may be sent; part of its seal.
};

struct CanaryRule {
  std::string method = "GET", path;  // "" = none.
  std::vector<int> expect;
};

struct Provider {
  std::string id, display_name, base_url, version;
  std::string note;  // What whoever connects an account has to know first; "" = nothing.
  AuthRule auth;
  OauthRule oauth;
  std::map<std::string, std::string> endpoints;
  // Values may hold {meta.x} and {secrets.x}.
  std::vector<std::pair<std::string, std::string>> default_headers;
  int timeout_ms = kTimeoutMsMax;
  std::vector<std::string> allowed_methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
  std::vector<std::string> allowed_path_prefixes;
  bool allow_private_addresses = false;
  int64_t cache_ttl_s = 0;  // 0: answers are not cached.
  int64_t cache_entries_max = 10'000;
  CanaryRule canary;
  int64_t requests_per_minute = -1;  // Per tenant; negative: no limit.
  std::map<std::string, ActionRule, std::less<>> actions;
  SecretMap secrets;        // For all accounts; write-only.
  Origins secrets_origins;  // Where they may be sent; part of their seal.
  std::string digest;       // Of the record that this was read from; "" for one that was not.
};

inline constexpr size_t kProviderSecretsMax = 32;

// Of every URL that a secret of the provider may be sent to: token_url, revoke_url and base_url, a
// hole of whose host stays one.
Origins provider_origins(const Provider& provider);

// `record` may have its scalars as strings (YAML). Strict: unknown members are a fault, too.
// Invalid names the member; `fault_path` then holds its place.
Result<Provider> parse_provider(std::string_view id, const Json& record, bool strict,
                                std::vector<std::string>* fault_path = nullptr);
// The record for people: everything but the client secret; it says only whether there is one.
Json provider_json(const Provider& provider);

}  // namespace kvcs::gateway
