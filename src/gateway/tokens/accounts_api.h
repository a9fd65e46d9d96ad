// Accounts over the admin API: credentials go in and are never shown again. Stateless; thread-safe.
//
// The body of PUT has what the provider's auth type needs:
//   bearer, api_key_*          access_token or api_key
//   basic                      username, password
//   oauth2_refresh_token       refresh_token and/or access_token
//   oauth2_client_credentials  nothing, or client_id and client_secret of the account's own
//   service_account_jwt        service_account (the JSON object, or its text)
//   aws_sigv4                  access_key_id, secret_access_key, session_token?, region?, service?
//   none                       nothing
// and expires_at? (ISO 8601 or Unix seconds), scope?, meta? (strings).
#pragma once
#include <functional>
#include <string_view>

#include "base/json.h"
#include "gateway/tokens/refresher.h"
#include "gateway/tokens/tokens.h"
#include "http/client/upstream.h"
#include "http/route_rows.h"
#include "oauth/oauth.h"

namespace kvcs::gateway {

class TokenWatch;

inline constexpr size_t kAccountsListMax = 1000;

// NotFound when there is no such tenant. For ConnectApi also Forbidden when it is suspended.
using TenantCheck = std::function<Status(std::string_view tenant)>;
// The record by which a tenant is there; NotFound.
using TenantRecordSource = std::function<Result<TenantRecord>(std::string_view tenant)>;

// The account as the routes show it; it holds no secret.
Json account_json(const AccountView& account);

class AccountsApi final {
 public:
  // All outlive it.
  AccountsApi(TokenStore& tokens, Refresher& refresher, http::HttpUpstream& upstream,
              ProviderClientSource clients, AccountOriginSource origins, TenantCheck tenants,
              TokenWatch& watch, const Clock& clock);

  // The rows of these handlers, and the types that they read and answer.
  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  // PUT /admin/tenants/{tenant}/providers/{provider}/accounts/{account}: 201 or 200 with what may
  // be shown. Invalid names the member; If-Match: "<version>" makes it Conflict when the account
  // was changed. An account that has something to refresh but no access token gets one at once.
  Result<http::Response> put(http::Request& request);
  Result<http::Response> get(http::Request& request);          // GET …/accounts/{account}
  Result<http::Response> list(http::Request& request);         // GET …/accounts
  Result<http::Response> list_tenant(http::Request& request);  // GET /admin/tenants/{t}/accounts
  // GET /admin/accounts/attention: of all tenants for operators, else of the own one.
  Result<http::Response> list_attention(http::Request& request);
  // DELETE …/accounts/{account}; with ?revoke=1 the provider is told first (RFC 7009), and nothing
  // is removed when it refuses.
  Result<http::Response> remove(http::Request& request);
  // POST …/accounts/{account}/refresh: 200 with the account; Upstream with the provider's words.
  Result<http::Response> refresh(http::Request& request);

 private:
  Result<AccountId> account_of(const http::Request& request) const;
  Result<http::Response> list_views(std::string_view tenant, std::string_view provider) const;
  Json describe(const AccountView& account) const;  // With its last use.
  Result<http::Response> show(const AccountId& id, int status) const;

  TokenStore& tokens_;
  Refresher& refresher_;
  http::HttpUpstream& upstream_;
  const ProviderClientSource clients_;
  const AccountOriginSource origins_;
  const TenantCheck tenants_;
  TokenWatch& watch_;
  const Clock& clock_;
};

}  // namespace kvcs::gateway
