// How a credential becomes headers, a query parameter or a signature of an outgoing request, and
// how templates of headers and base URLs are filled from an account's `meta`. Pure functions.
//
//   bearer, oauth2_*, service_account_jwt  Authorization: Bearer <token> (or auth.header, prefix)
//   api_key_header                         <auth.header>: <auth.prefix><key>
//   api_key_query                          ?<auth.query_param>=<key>
//   basic                                  RFC 7617 with UTF-8
//   aws_sigv4                              AWS Signature Version 4
//   none                                   nothing
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/gateway.h"

namespace kvcs::gateway {

// A request on its way out, still in parts so that it can be signed.
struct OutboundRequest {
  std::string method;
  std::string origin;                                      // "https://api.example.com"
  std::string path;                                        // Encoded; begins with '/'.
  std::vector<std::pair<std::string, std::string>> query;  // Decoded.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  std::string url() const;
  // Replaces the header of that name, any case.
  void set_header(std::string_view name, std::string value);
};

// The part of a provider's record that says how calls authenticate.
struct AuthRule {
  AuthType type = AuthType::kBearer;
  std::string header, prefix, query_param;
  std::string aws_service;
};

using Meta = std::map<std::string, std::string>;

// Adds the credential. NotFound with reason TOKEN_MISSING when it lacks what the rule needs, or
// with CONFIG_MISSING when a region or service is not known.
Status apply_auth(const AuthRule& rule, const AccessCredential& credential, int64_t now_ms,
                  OutboundRequest& request);
// True for the headers and query parameters that apply_auth writes.
bool is_auth_header(const AuthRule& rule, std::string_view name);

// "Bearer {meta.x}", "{meta.x?}": fills in from `account`, else from `tenant`. Nothing when an
// optional name is absent; NotFound with reason CONFIG_MISSING when a required one is; Invalid for
// control characters in the value or a template out of shape.
Result<std::optional<std::string>> fill_header_template(std::string_view text, const Meta& account,
                                                        const Meta& tenant);
bool has_template(std::string_view text);

// The same request for people: every secret of the credential, in clear, percent-encoded and
// base64, is "***".
std::string redact(std::string text, const AccessCredential& credential);
// The secret header values of a dry run are shown as "***" whatever they hold.
bool is_secret_header(std::string_view name);

}  // namespace kvcs::gateway
