// OAuth consent in the browser (RFC 6749 §4.1, RFC 7636 PKCE S256, RFC 9207):
//   POST /admin/tenants/{tenant}/providers/{provider}/connect → a link that works once
//   GET  /connect/{provider}?tenant=…&account=…&ticket=…      → the provider's consent page
//   GET  /connect/callback?code=…&state=…                     → tokens stored, a plain page
// Ticket and state are one-time tickets of oauth/ticket_store.h and last ten minutes. The state is
// bound to the browser by a cookie. A consent is for the tenant that the link was made for, and for
// none that has its name later; it ends with the rights of who made its link. Stateless;
// thread-safe.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "gateway/tokens/accounts_api.h"
#include "gateway/tokens/tokens.h"
#include "http/client/upstream.h"
#include "http/route_rows.h"
#include "identity/maker.h"
#include "kv/kv.h"
#include "oauth/oauth.h"
#include "oauth/ticket_store.h"

namespace kvcs::gateway {

inline constexpr int64_t kConnectLifetimeS = 600;

class ConnectApi final {
 public:
  // All outlive it. `public_url`: what links begin with, without a trailing slash. Links end by
  // `link_clock`, the tokens that they bring by `clock`.
  ConnectApi(KvStore& kv, AuditedKv& audited, TokenStore& tokens, http::HttpUpstream& upstream,
             ProviderClientSource clients, AccountOriginSource origins, TenantCheck tenants,
             TenantRecordSource tenant_records, const Sealer& sealer, const Clock& link_clock,
             const Clock& clock, Entropy& entropy, std::function<std::string()> public_url);

  // Asked at each step of a consent; before the server starts.
  void set_maker_look(MakerLook may_still) { may_still_ = std::move(may_still); }
  // The rows of these handlers, and the types that they read and answer.
  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  // {"account"?: "default", "meta"?: {…}} → 201 {"url", "expires_at"}. Invalid when the provider
  // has no authorize_url or no client_id.
  Result<http::Response> create_link(http::Request& request);
  Result<http::Response> begin(http::Request& request);
  Result<http::Response> callback(http::Request& request);

  // Where a service sends the browser back; registered there with the client.
  std::string redirect_uri() const { return public_url_() + "/connect/callback"; }

 private:
  struct Flow;
  static std::string record_of(const Flow& flow);
  static Result<Flow> flow_of(const Secret& record);
  // NotFound when it never was, has expired or was used. `exchange` is asked before it is used up,
  // for what is written in the same write: a failure leaves it good, and is in `refused`, too.
  using Exchange = std::function<Result<KvBatch>(Flow& flow)>;
  static Result<Flow> take(oauth::TicketStore& from, std::string_view secret,
                           const Exchange& exchange, Status& refused);
  Result<oauth::Client> client_of(const Flow& flow) const;
  // The state that the link becomes, and the way to the provider's page.
  Result<KvBatch> redirect(const http::Request& request, Flow flow, http::Response& response);
  Result<std::string> finish(const http::Request& request, const Flow& flow,
                             const oauth::Client& client);
  // Fails unless the flow's tenant is there, is active and is the one of its link, and who made the
  // link might make it now.
  Result<TenantRecord> check(const Flow& flow) const;
  Status keep(const Flow& flow, const AccessCredential& credential, const oauth::Grant& refresh,
              const std::string& request_id);

  AuditedKv& audited_;
  oauth::TicketStore links_, states_;
  TokenStore& tokens_;
  http::HttpUpstream& upstream_;
  const ProviderClientSource clients_;
  const AccountOriginSource origins_;
  const TenantCheck tenants_;
  const TenantRecordSource tenant_records_;
  MakerLook may_still_ = [](std::string_view maker) -> Result<bool> { return maker.empty(); };
  const Clock& link_clock_;
  const Clock& clock_;
  Entropy& entropy_;
  const std::function<std::string()> public_url_;
};

}  // namespace kvcs::gateway
