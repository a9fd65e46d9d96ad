// Service accounts: a signed assertion instead of a refresh token (RFC 7523, RFC 7515, RFC 7518).
// RSA keys sign RS256, P-256 keys ES256; other keys are refused. Pure functions.
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

// header.claims.signature. Invalid: the key cannot sign.
Result<Secret> sign_jwt(const Secret& private_key_pem, std::string_view key_id,
                        std::string_view claims_json);

inline constexpr int64_t kAssertionLifetimeS = 3600;  // Google's maximum.
// `audience` is used when the account names none; `scope` may be empty.
Result<Secret> make_assertion(const ServiceAccount& account, std::string_view audience,
                              std::string_view scope, int64_t now_s);

}  // namespace kvcs::oauth
