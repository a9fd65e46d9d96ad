// What an issuer publishes about itself, and the requests that fetch it. Inside of this module.
// Functions without state.
#pragma once
#include <string>
#include <string_view>

#include "base/secret.h"
#include "base/status.h"
#include "http/client/upstream.h"
#include "oauth/jose.h"
#include "oauth/oauth.h"
#include "oauth/oidc.h"

namespace kvcs::oauth {

inline constexpr size_t kMetadataMaxBytes = 256u << 10;
inline constexpr int kIssuerDeadlineMs = 10'000;  // One request to an issuer.
// The types (typ) of tokens that are no ID tokens: RFC 9068 §2.1, Back-Channel Logout 1.0 §2.4.
inline constexpr std::string_view kAccessTokenType = "at+jwt";
inline constexpr std::string_view kLogoutTokenType = "logout+jwt";

struct IssuerMetadata {
  std::string authorization_endpoint, token_endpoint, jwks_uri;
  std::string userinfo_endpoint, end_session_endpoint;  // "": it has none.
  bool sends_issuer = false;                            // Its answers name it (RFC 9207).
  ClientAuth client_auth = ClientAuth::kAuto;
};

// Whether the URL is http on this machine: what needs no TLS, and may name other such URLs.
bool is_plain_loopback(std::string_view url);
// Whether a request to this URL of the issuer may go to a private address.
bool may_be_private(const IssuerConfig& config, std::string_view url);

// Invalid says what is wrong with the document. Its issuer must be the one that was asked, and its
// endpoints https unless that one is http on a loopback address.
Result<IssuerMetadata> read_metadata(std::string_view json, std::string_view issuer);

struct IssuerText {
  int status = 0;
  std::string content_type, body;
};
// One GET; `bearer` may be empty. Unavailable: no answer, or one that is too long.
Result<IssuerText> fetch_from_issuer(http::HttpUpstream& upstream, const IssuerConfig& config,
                                     std::string_view url, const Secret& bearer = {});

// The metadata by OpenID Connect Discovery 1.0 §4, else by RFC 8414 §3. Unavailable.
Result<IssuerMetadata> discover(http::HttpUpstream& upstream, const IssuerConfig& config);
// The key set, of which at least one key can be used. Unavailable.
Result<JwkSet> fetch_keys(http::HttpUpstream& upstream, const IssuerConfig& config,
                          std::string_view jwks_uri);

// Unavailable with kIssuerUnavailable: "Sign-in by NAME: <why>".
Status issuer_unavailable(const IssuerConfig& config, std::string_view why,
                          std::string_view cause = {});

}  // namespace kvcs::oauth
