// Tokens that this daemon signs (RFC 7515, RFC 7518): the assertions of service accounts, which
// stand instead of a refresh token (RFC 7523), and those of an issuer of its own, with the key that
// verifies them. RSA keys sign RS256, P-256 keys ES256; other keys are refused. Functions without
// state. What verifies tokens is in jose.h.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "base/status.h"

namespace kvcs::oauth {

// The members of a service account's JSON. Google's member names are known beside the generic ones:
// client_email = issuer, token_uri = token_url, private_key_id = key_id.
struct ServiceAccount {
  std::string issuer, subject, audience, token_url, key_id;
  Secret private_key;  // PEM
};
// Invalid names the member, never its value. The key is parsed, so that a bad one is refused when
// it is stored and not at the first refresh.
Result<ServiceAccount> parse_service_account(const Secret& json);

// header.claims.signature; `type` is the header's typ. Invalid: the key cannot sign.
Result<Secret> sign_jwt(const Secret& private_key_pem, std::string_view key_id,
                        std::string_view claims_json, std::string_view type = "JWT");

// A new RSA key of 2048 bits as PEM, for an issuer that lives as long as its process. Takes some
// tenths of a second.
Result<Secret> make_signing_key();
// The JWK Set (RFC 7517) with the public half of the key, which verifies what sign_jwt() signs.
Result<std::string> public_jwk_set(const Secret& private_key_pem, std::string_view key_id);

inline constexpr int64_t kAssertionLifetimeS = 3600;  // Google's maximum.
// `audience` is used when the account names none; `scope` may be empty.
Result<Secret> make_assertion(const ServiceAccount& account, std::string_view audience,
                              std::string_view scope, int64_t now_s);

}  // namespace kvcs::oauth
