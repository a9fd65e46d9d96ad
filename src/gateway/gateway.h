// The tool gateway: agents call third-party APIs with credentials that kvcs keeps. This face holds
// the values that its parts exchange. The parts lie above one another, from the bottom up:
//   outbound/   how a credential becomes headers, query or a signature, and where a URL may lead
//   tokens/     sealed credentials of accounts, their refresh in the background, consent in the
//               browser (the protocol itself is in oauth/)
//   catalogue/  providers (api_config records over config/providers/*.yaml), tenants, canaries,
//               schedules of agents
//   call/       one call: auth → token → route → execute; kept answers
//   api/        /api/v1/{tenant}/{provider} and the admin routes
// The request path reads KV only (through caches), never refreshes a token and never retries.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/origins.h"
#include "base/secret.h"
#include "base/status.h"
#include "oauth/oauth.h"

namespace kvcs::gateway {

// How an account authenticates to its provider. The names are stored; see auth_type_name.
enum class AuthType : uint8_t {
  kBearer,
  kApiKeyHeader,
  kApiKeyQuery,
  kBasic,
  kOauth2RefreshToken,
  kOauth2ClientCredentials,
  kServiceAccountJwt,
  kAwsSigV4,
  kNone,
};
std::string_view auth_type_name(AuthType type);
Result<AuthType> parse_auth_type(std::string_view name);

// How the refresh of an account stands. kReauthRequired ends only when a person acts.
enum class TokenState : uint8_t { kOk, kRefreshing, kRetrying, kReauthRequired };
std::string_view token_state_name(TokenState state);  // "ok", "refreshing", …
TokenState parse_token_state(std::string_view name);  // What is not known counts as ok.

// The account that a record belongs to. Each part matches [A-Za-z0-9_.-]{1,64}; ':' never.
struct AccountId {
  std::string tenant, provider, account;
  auto operator<=>(const AccountId&) const = default;
};
bool is_id_part(std::string_view text);
Status check_account_id(const AccountId& id);  // Invalid, naming the part.

// Named secrets beside `meta`: what a provider wants besides the credential itself.
using SecretMap = std::map<std::string, Secret, std::less<>>;

// `tokens:{t}:{p}:{a}`, opened: what the request path needs. Never printed.
struct AccessCredential {
  AuthType type = AuthType::kBearer;
  Secret access_token;                                     // Bearer or API key.
  Secret username, password;                               // Basic.
  Secret access_key_id, secret_access_key, session_token;  // AWS.
  std::string region, service;                             // AWS.
  int64_t expires_at_s = 0;                                // 0 = never or unknown.
  std::string scope;
  TokenState state = TokenState::kOk;
  std::map<std::string, std::string> meta;  // instance_url, login_customer_id, …; not secret.
  SecretMap secrets;                        // developer_token, …; for {secrets.NAME}.
  Origins origins;                          // Where the secrets may be sent; part of their seal.
  // Names what the credential was given as: another one each time that somebody stores or connects
  // the account, the same while it is refreshed. "" on its way into the store: a new one is made.
  std::string authority;
};

// Where the secrets of an account may be sent: those of calls, and those of the refresher. Taken
// from the records of provider and tenant when the secrets are given.
struct AccountOrigins {
  Origins calls, refresh;
};
// NotFound: there is no such provider.
using AccountOriginSource = std::function<Result<AccountOrigins>(
    const AccountId& id, const std::map<std::string, std::string>& meta)>;

// How the accounts of a provider authenticate, and the OAuth client that serves them: Conflict with
// reason secret_origin_changed while its secret was given for other URLs than the record's.
struct ProviderClient {
  AuthType account_type = AuthType::kOauth2RefreshToken;
  Result<oauth::Client> client = oauth::Client{};
};
// NotFound: there is no such provider. It is called for every refresh and must be quick.
using ProviderClientSource = std::function<Result<ProviderClient>(std::string_view provider)>;

// Whether the account's tenant may reach what its provider does; Forbidden, as its calls are, where
// that may be private addresses and no operator has allowed the tenant such ones.
using AccountCheck = std::function<Status(const AccountId& id)>;

// The way in which the OAuth client gets tokens for accounts of this type.
oauth::GrantType grant_type_of(AuthType type);

}  // namespace kvcs::gateway
