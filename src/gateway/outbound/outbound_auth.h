// How a credential becomes headers, a query parameter or a signature of an outgoing request, and
// how templates of headers and base URLs are filled from an account's `meta` and `secrets`. Pure
// functions.
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

// Adds the credential: the one place where a secret becomes part of a request. NotFound with reason
// TOKEN_MISSING when it lacks what the rule needs, or with CONFIG_MISSING when a region or service
// is not known; Conflict with reason secret_origin_changed when it was not given for the request's
// origin.
Status apply_auth(const AuthRule& rule, const AccessCredential& credential, int64_t now_ms,
                  OutboundRequest& request);
// The last of these failures alone.
Status check_origin(const AccessCredential& credential, const OutboundRequest& request);
// True for the headers and query parameters that apply_auth writes.
bool is_auth_header(const AuthRule& rule, std::string_view name);

// What templates are filled from: an account's meta, else that of its tenant; an account's secrets,
// else those of its provider. The maps outlive it.
struct TemplateValues {
  const Meta& account;
  const Meta& tenant;
  const SecretMap* account_secrets = nullptr;
  const SecretMap* provider_secrets = nullptr;
};
enum class SecretOwner : uint8_t { kNobody, kAccount, kProvider };
// The secret of that name, and whose it is; null when there is none.
std::pair<const Secret*, SecretOwner> find_secret(const TemplateValues& values,
                                                  std::string_view name);

struct FilledTemplate {
  std::string text;
  bool account_secret = false, provider_secret = false;  // It holds one.
};
// "Bearer {meta.x}", "{secrets.x?}". A name that meta lacks is looked for among the secrets, where
// it may have been moved to. Nothing when an optional name is absent; NotFound with reason
// CONFIG_MISSING when a required one is; Invalid for control characters in the value or a template
// out of shape.
Result<std::optional<FilledTemplate>> fill_header_template(std::string_view text,
                                                           const TemplateValues& values);
bool has_template(std::string_view text);

// The same request for people: every secret of the credential, in clear, percent-encoded and
// base64, is "***".
std::string redact(std::string text, const AccessCredential& credential);
std::string redact(std::string text, const SecretMap& secrets);
// Moves what is secret by its name from the credential's meta to its secrets.
void move_secret_meta(AccessCredential& credential);

}  // namespace kvcs::gateway
