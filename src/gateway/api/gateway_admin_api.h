// Handlers of the gateway's admin routes: providers, tenants and their tokens, the system's mode,
// the response cache. A tenant is an organization by its slug: setting up a tenant creates the
// organization when there is none; app/owners_api.h deletes tenants. Thread-safe.
#pragma once
#include "gateway/call/response_cache.h"
#include "gateway/catalogue/provider_directory.h"
#include "gateway/catalogue/tenants.h"
#include "http/route_rows.h"
#include "identity/keys.h"
#include "identity/orgs.h"

namespace kvcs::gateway {

class GatewayAdminApi final {
 public:
  // Binds the accounts of a provider to the URLs that its record has now; how many.
  using AccountRebind =
      std::function<Result<int64_t>(std::string_view provider, const AuditContext& who)>;
  // `callback_url`: where services send people back after their consent.
  GatewayAdminApi(ProviderDirectory& providers, Tenants& tenants, ResponseCache& cache,
                  OrganizationService& organizations, KeyService& keys, AuditedKv& audited,
                  AccountRebind rebind, std::function<std::string()> callback_url);

  // The rows of these handlers, and the types that they read and answer.
  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> list_providers(http::Request& request);   // GET /admin/providers
  Result<http::Response> get_provider(http::Request& request);     // GET …/{provider}
  Result<http::Response> put_provider(http::Request& request);     // PUT
  Result<http::Response> remove_provider(http::Request& request);  // DELETE

  Result<http::Response> list_tenants(http::Request& request);    // GET /admin/tenants
  Result<http::Response> get_tenant(http::Request& request);      // GET …/{tenant}
  Result<http::Response> put_tenant(http::Request& request);      // PUT
  Result<http::Response> suspend_tenant(http::Request& request);  // POST …/suspend
  Result<http::Response> resume_tenant(http::Request& request);   // POST …/resume

  // POST /admin/tenants/{tenant}/tokens {name?, expires_at?, token?} → {token_id, token, …}; the
  // token is shown once, and not at all when the caller brought it.
  Result<http::Response> create_token(http::Request& request);
  Result<http::Response> list_tokens(http::Request& request);   // GET
  Result<http::Response> revoke_token(http::Request& request);  // DELETE …/{token_id}

  Result<http::Response> get_mode(http::Request& request);     // GET /admin/system/mode
  Result<http::Response> put_mode(http::Request& request);     // PUT {"mode":"active"|"frozen"}
  Result<http::Response> purge_cache(http::Request& request);  // DELETE /admin/cache?provider=…

 private:
  Result<KeyOwner> owner_of(const http::Request& request) const;
  Json describe(const Provider& provider) const;
  Result<http::Response> set_active(http::Request& request, bool active);
  Status put_own(const std::string& slug, const Json& body, const AuditContext& who,
                 const std::string& if_match);

  ProviderDirectory& providers_;
  Tenants& tenants_;
  ResponseCache& cache_;
  OrganizationService& organizations_;
  KeyService& keys_;
  AuditedKv& audited_;
  const AccountRebind rebind_;
  const std::function<std::string()> callback_url_;
};

}  // namespace kvcs::gateway
