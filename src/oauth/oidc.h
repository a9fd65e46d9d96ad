// Sign-in by an issuer of OpenID Connect, from the address that the browser is led to until the
// identity that came back, and whatever else an issuer says: bearers that it gave to other clients,
// and the ends of its sessions. An Issuer learns its endpoints by discovery (OpenID Connect
// Discovery 1.0, or RFC 8414) and keeps them and its keys (issuer_cache.h). It knows no sessions,
// no cookies and no persons: the caller keeps what begin_sign_in() gave (ticket_store.h) and binds
// it to the browser (browser.h).
//
// Failures: Unauthenticated with a reason of jose.h, the token is refused. Unavailable with
// kIssuerUnavailable, the issuer is away, or what it publishes is wrong; nothing else in the daemon
// is touched by that. Upstream with kIssuerRefused, it does not accept this daemon's registration.
// Invalid with kCodeRefused, the code is old, used or not for this sign-in.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/mutex.h"
#include "base/secret.h"
#include "base/status.h"
#include "http/client/upstream.h"
#include "oauth/jose.h"

namespace kvcs::oauth {

class IssuerCache;
struct IssuerMetadata;

inline constexpr std::string_view kIssuerUnavailable = "issuer_unavailable";
inline constexpr std::string_view kIssuerRefused = "issuer_refused";
inline constexpr std::string_view kCodeRefused = "code_refused";
inline constexpr std::string_view kNoEndSession = "no_end_session";
inline constexpr size_t kLogoutTokensMax = 4'096;             // Remembered at once.
inline constexpr int64_t kLogoutTokenAgeMaxMs = 10 * 60'000;  // Whatever its exp says.

// What an operator says about one issuer.
struct IssuerConfig {
  std::string name;    // Of the provider in the configuration; for messages.
  std::string issuer;  // Its URL, exactly as it writes it itself.
  std::string client_id;
  Secret client_secret;                                              // Empty: a public client.
  std::vector<std::string> scopes = {"openid", "email", "profile"};  // openid is always asked for.
  std::string audience;  // Of bearers, beside client_id; "": none.
  // The public client that command lines sign in as, for whom bearers count too; "": none.
  std::string cli_client_id;
  // The issuer itself may be at a private address, since the operator named it. This allows that
  // also for endpoints that it names on other origins.
  bool allow_private_addresses = false;
};
// Invalid names the member. An issuer is https, or http on a loopback address.
Status check_issuer_config(const IssuerConfig& config);

// What a sign-in begins with. The browser goes to url; the other three stay here.
struct SignInStart {
  std::string url, state, nonce, verifier;
};

// What came back, and what the sign-in began with. That `state` is the one that was given to this
// browser is for the caller to know.
struct SignInAnswer {
  std::string code;
  std::optional<std::string> issuer;  // The parameter iss (RFC 9207).
  std::string redirect_uri, nonce, verifier;
};

// Who signed in, or whose a bearer is. A person is issuer and subject; an address is no identity.
struct Identity {
  std::string issuer, subject;
  std::string email;            // "": none that can be shown.
  bool email_verified = false;  // The issuer says so, of this address.
  std::string name;
  Claims claims;  // Of the token; at a sign-in with those of the UserInfo endpoint.
};

// A session that has ended at the issuer, or all of a subject. At least one of the two is there.
struct Logout {
  std::string subject, session_id;
};

// One issuer. Thread-safe. Requests to it wait with the current waiter, and no lock is held
// meanwhile.
class Issuer final {
 public:
  // All outlive it. Precondition: check_issuer_config().
  Issuer(IssuerConfig config, http::HttpUpstream& upstream, const Clock& clock, Entropy& entropy);
  ~Issuer();

  const IssuerConfig& config() const { return config_; }
  Result<SignInStart> begin_sign_in(std::string_view redirect_uri);
  Result<Identity> finish_sign_in(const SignInAnswer& answer);
  // A JWT that the issuer gave for this daemon's client_id or audience, to whichever client. Costs
  // a verification of its signature each time. ID tokens are refused where they can be told, since
  // they travel in the addresses of sign-outs.
  Result<Identity> verify_bearer(std::string_view token);
  // Where a browser goes to end its session at the issuer too (OpenID Connect RP-Initiated Logout
  // 1.0), and is led back to from there; "": nowhere. NotFound with kNoEndSession: the issuer
  // offers none.
  Result<std::string> end_session_url(std::string_view post_logout_redirect_uri);
  // OpenID Connect Back-Channel Logout 1.0. A token counts once while this process lives.
  Result<Logout> verify_logout_token(std::string_view token);

 private:
  Result<VerifiedJws> verify_signature(std::string_view token);
  Result<Claims> verify_id_token(std::string_view token, std::string_view nonce);
  Result<Claims> add_user_info(const IssuerMetadata& metadata, const Secret& access_token,
                               Claims claims);
  Status remember_logout(const std::string& token_id, int64_t end_ms);

  const IssuerConfig config_;
  http::HttpUpstream& upstream_;
  const Clock& clock_;
  Entropy& entropy_;
  const std::unique_ptr<IssuerCache> cache_;
  Mutex mutex_;
  // The ids of logout tokens, and when each of them ends.
  std::map<std::string, int64_t> logouts_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs::oauth
