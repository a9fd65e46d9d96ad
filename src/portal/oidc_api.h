// Sign-in through providers, over HTTP: the way to the issuer and back (OpenID Connect Core §3.1),
// and sign-out that an issuer tells (Back-Channel Logout 1.0). The state is a one-time ticket that
// a cookie binds to the browser. Where there are several providers each has a way back of its own,
// so that no answer of one is taken for another's (RFC 9700 §4.4.2). Stateless; thread-safe.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "http/http.h"
#include "http/route_rows.h"
#include "identity/browser_session.h"
#include "identity/identity.h"
#include "oauth/ticket_store.h"
#include "portal/arrivals.h"
#include "portal/providers.h"
#include "portal/sign_in.h"

namespace kvcs::portal {

inline constexpr int64_t kSignInFlowLifetimeS = 600;

class OidcApi final {
 public:
  struct Services {
    const Providers& providers;
    Arrivals& arrivals;
    SignInService& sign_in;
    const InvitationService& invitations;
    SessionService& sessions;
    PersonService& people;
    const Authenticator& auth;
    oauth::TicketStore tickets;
    Entropy& entropy;
    BrowserRules browser;
    std::function<std::string()> public_url;
    // As SignInService's.
    std::function<int64_t(std::string_view whose, int64_t per_minute)> take_try;
  };
  explicit OidcApi(Services services) : s_(std::move(services)) {}

  void add_routes(std::vector<http::Row>& table, const http::Access& person);
  static std::span<const http::ApiType> types();

  Result<http::Response> list_providers(http::Request& request);  // GET /auth/providers
  // GET /auth/login/{provider}?next=PATH[&invitation=TOKEN]
  Result<http::Response> begin(http::Request& request);
  // POST /auth/link/{provider}: another way to sign in, for the person of the session. Not a link
  // that another site's page could open.
  Result<http::Response> begin_link(http::Request& request);
  Result<http::Response> callback(http::Request& request);      // GET /auth/callback[/{provider}]
  Result<http::Response> back_channel(http::Request& request);  // POST /auth/backchannel/{provider}

 private:
  struct Flow;
  static std::string record_of(const Flow& flow);
  Result<Flow> take(std::string_view state);
  // Keeps the flow and binds it to the browser by a cookie of `response`; the issuer's address.
  Result<std::string> leave(const Provider& provider, Flow flow, http::Response& response);
  Result<http::Response> finish(const http::Request& request, const Flow& flow);
  // The person whose session this browser has; "" for none.
  std::string signed_in_person(const http::Request& request) const;
  std::string redirect_uri(const Provider& provider) const;
  std::string home() const;  // The path of the dashboard, as public_url says: "/" or "/kv/".
  // Where the browser goes once it is signed in.
  std::string destination(const Flow& flow, const Arrivals::Arrival& arrival) const;
  // RateLimited with reason too_many_tries.
  Status take_try(const char* of, int64_t per_minute, const http::Request& request) const;

  Services s_;
};

}  // namespace kvcs::portal
