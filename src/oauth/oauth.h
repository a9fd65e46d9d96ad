// The client's side of OAuth 2.0 token endpoints (RFC 6749 §2.3, §4.4, §5, §6; RFC 7009; RFC 7523):
// how requests are authenticated, how answers of many shapes are read, and what a failure means for
// the next attempt. The module knows neither accounts nor persons: a caller brings its own client
// (the registration at a provider) and grant (what the provider gave). Beside this face there are
//   authorization.h  consent: the provider's page and the exchange of the code, PKCE, issuer
//   ticket_store.h   one-time secrets of links and consents, in KV
//   browser.h        the cookie that binds a flow to a browser, plain pages
//   jwt.h            tokens that this daemon signs: assertions of service accounts, an own issuer
//   jose.h           tokens that others sign: signatures by their JWK Sets, claims
//   oidc.h           sign-in by an issuer of OpenID Connect
// Functions without state; thread-safe as the HttpUpstream is.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/origins.h"
#include "base/secret.h"
#include "base/status.h"
#include "http/client/upstream.h"

namespace kvcs::oauth {

inline constexpr int kTokenDeadlineMs = 15'000;          // One exchange with a token endpoint.
inline constexpr size_t kTokenAnswerMaxBytes = 1 << 20;  // Longer answers are garbage.
inline constexpr int64_t kRetryAfterMaxS = 86'400;       // A server that asks for more gets this.
inline constexpr int64_t kTokenLifetimeMaxS = 10LL * 366 * 86'400;
inline constexpr size_t kTokenMaxBytes = 64u << 10;  // Of an access or refresh token.
inline constexpr size_t kAnswerMetaMaxBytes = 512;   // Of a value in TokenAnswer::meta.

// kAuto: basic, and where that is refused as invalid_client, once more with post; none when there
// is no secret.
enum class ClientAuth : uint8_t { kAuto, kBasic, kPost, kNone };
Result<ClientAuth> parse_client_auth(std::string_view name);  // client_secret_basic, …; "" = kAuto

// How a token is asked for when the grant holds neither a refresh token nor a service account:
// kRefreshToken cannot go on without a person's consent, kClientCredentials asks in the client's
// own name (RFC 6749 §4.4).
enum class GrantType : uint8_t { kRefreshToken, kClientCredentials };

// The registration of this daemon at one provider: endpoints, client id and how it authenticates.
struct Client {
  GrantType grant_type = GrantType::kRefreshToken;
  std::string token_url, authorize_url, revoke_url, issuer;
  std::string client_id;
  Secret client_secret;
  ClientAuth client_auth = ClientAuth::kAuto;
  std::vector<std::string> scopes;
  std::string scope_separator = " ";
  std::map<std::string, std::string> authorize_params;  // access_type=offline, prompt=consent, …
  bool allow_private_addresses = false;
  // An exchange holds its thread to its end, since a new token is lost with an answer that is not
  // read. True: nothing is, so it waits as the request does, and ends when the server stops.
  bool may_be_cut_off = false;

  std::string scope_text() const;
};

// The credential that renews the tokens of one account without a person. At most one of
// refresh_token and service_account_json is set. The overrides replace the client's own
// registration for this account alone.
struct Grant {
  Secret refresh_token;
  Secret service_account_json;
  std::string client_id_override;
  Secret client_secret_override;
  std::string scope;  // "": as the client asks for.
  Origins origins;    // Where its keeper lets the secrets be sent.
};

struct TokenAnswer {
  Secret access_token;
  Secret refresh_token;                     // Empty: the old one stays.
  Secret id_token;                          // Of OpenID Connect, not verified. Empty: none.
  int64_t expires_in_s = 0;                 // 0: the answer did not say.
  std::string scope;                        // "": as asked for.
  std::map<std::string, std::string> meta;  // instance_url
};

// kTransient: network, 5xx, 429: again later. kRecoverable: the request was refused but the grant
// may be good: again later, too. kTerminal: a person must act.
enum class FailureClass : uint8_t { kTransient, kRecoverable, kTerminal };
struct TokenFailure {
  FailureClass failure_class = FailureClass::kTransient;
  std::string oauth_error;     // "invalid_grant", …; "" when there was none.
  std::string message;         // For an admin; holds nothing secret of the request.
  int64_t retry_after_s = 0;   // As the server asked; 0: it did not.
  int64_t server_clock_s = 0;  // Its Date header; 0: none.
};
struct TokenOutcome {
  std::optional<TokenAnswer> answer;
  TokenFailure failure;  // Means something when there is no answer.
};

using FormPairs = std::vector<std::pair<std::string, std::string>>;
std::string form_encode(const FormPairs& pairs);

// POSTs `form` and the client's authentication to client.token_url.
TokenOutcome request_token(http::HttpUpstream& upstream, const Client& client,
                           const FormPairs& form, const Clock& clock);
// The request that fits the grant: refresh_token, client_credentials or a signed assertion, with
// the grant's own client where it has one. Assertions that are refused while the server's clock is
// more than a minute from ours are signed once more by its clock.
TokenOutcome refresh_token_grant(http::HttpUpstream& upstream, Client client, const Grant& grant,
                                 const Clock& clock);
// RFC 7009. Ok when the provider says 200. Invalid when it offers no revocation.
Status revoke_token(http::HttpUpstream& upstream, Client client, const Grant& grant,
                    const Secret& access_token);

// Exposed for tests: reads one answer. `hide` takes what was sent out of the server's own words.
using Hide = std::function<void(std::string& text)>;
TokenOutcome read_token_answer(int status, std::string_view content_type, std::string_view body,
                               const Hide& hide = {});

}  // namespace kvcs::oauth
