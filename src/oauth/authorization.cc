// The two messages of the authorization-code grant: the address of the consent page, and the
// request that makes tokens of the code which came back.
#include "oauth/authorization.h"

#include "base/bytes.h"
#include "base/crypto.h"

namespace kvcs::oauth {

std::string pkce_challenge(std::string_view verifier) {
  const Sha256Digest digest = sha256(verifier);
  return to_base64url({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string authorization_url(const Client& client, std::string_view redirect_uri,
                              std::string_view state, std::string_view verifier) {
  FormPairs query = {{"response_type", "code"},
                     {"client_id", client.client_id},
                     {"redirect_uri", std::string(redirect_uri)},
                     {"state", std::string(state)},
                     {"code_challenge", pkce_challenge(verifier)},
                     {"code_challenge_method", "S256"}};
  if (!client.scopes.empty()) query.emplace_back("scope", client.scope_text());
  for (const auto& pair : client.authorize_params) query.push_back(pair);
  const bool has_query = client.authorize_url.find('?') != std::string::npos;
  return client.authorize_url + (has_query ? "&" : "?") + form_encode(query);
}

Status check_issuer(const Client& client, const std::optional<std::string>& issuer) {
  if (!issuer || client.issuer.empty() || *issuer == client.issuer) return ok();
  return invalid("The answer came from another issuer than the provider's.");
}

TokenOutcome exchange_code(http::HttpUpstream& upstream, const Client& client,
                           std::string_view code, std::string_view redirect_uri,
                           std::string_view verifier, const Clock& clock) {
  const FormPairs form = {{"grant_type", "authorization_code"},
                          {"code", std::string(code)},
                          {"redirect_uri", std::string(redirect_uri)},
                          {"code_verifier", std::string(verifier)}};
  return request_token(upstream, client, form, clock);
}

}  // namespace kvcs::oauth
