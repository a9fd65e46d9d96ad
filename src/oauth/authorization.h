// The authorization-code grant (RFC 6749 §4.1) with PKCE S256 (RFC 7636) and the check of the
// issuer (RFC 9207), from the link to the provider's consent page to the tokens. The caller keeps
// state and verifier between the two requests (see ticket_store.h) and binds them to the browser
// (see browser.h). Functions without state.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"
#include "oauth/oauth.h"

namespace kvcs::oauth {

// The challenge that the provider is shown for a verifier: base64url(SHA-256(verifier)).
std::string pkce_challenge(std::string_view verifier);

// The provider's consent page, with everything that it must be asked.
std::string authorization_url(const Client& client, std::string_view redirect_uri,
                              std::string_view state, std::string_view verifier);

// `issuer` is the parameter `iss` of the answer. Invalid when it names another issuer than the
// client's. A provider that sends none, or a client that names none, is not checked.
Status check_issuer(const Client& client, const std::optional<std::string>& issuer);

// Exchanges the code for tokens. `redirect_uri` and `verifier` must be those of the link.
TokenOutcome exchange_code(http::HttpUpstream& upstream, const Client& client,
                           std::string_view code, std::string_view redirect_uri,
                           std::string_view verifier, const Clock& clock);

}  // namespace kvcs::oauth
