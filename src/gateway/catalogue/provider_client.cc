// Copies a provider's OAuth rule into a client and takes its list of further parameters apart. It
// is called for every refresh, and reads the record through the providers' cache.
#include "gateway/catalogue/provider_client.h"

#include <string>

#include "base/bytes.h"
#include "oauth/oauth.h"

namespace kvcs::gateway {

Result<ProviderClient> find_provider_client(const ProviderDirectory& providers,
                                            std::string_view name) {
  const auto provider = KVCS_TRY(providers.find(name));
  const OauthRule& rule = provider->oauth;
  ProviderClient made{provider->auth.type, oauth::Client{}};
  // The secret may be sent to any of the record's URLs, so that all of them must be what it was
  // given for.
  if (!rule.client_secret.empty()) {
    for (const std::string& origin : provider_origins(*provider)) {
      if (may_go_to(rule.client_secret_origins, origin)) continue;
      made.client = secret_origin_changed(
          "The client secret of provider " + provider->id, origin, rule.client_secret_origins,
          "Send client_secret again, or let an owner confirm the move, with PUT "
          "/admin/providers/" +
              provider->id + " (?rebind=true).");
      return made;
    }
  }
  oauth::Client& client = *made.client;
  client.token_url = rule.token_url;
  client.authorize_url = rule.authorize_url;
  client.revoke_url = rule.revoke_url;
  client.issuer = rule.issuer;
  client.client_id = rule.client_id;
  client.client_secret = rule.client_secret;
  client.client_auth = KVCS_TRY(oauth::parse_client_auth(rule.client_auth));
  client.scopes = rule.scopes;
  client.scope_separator = rule.scope_separator;
  client.allow_private_addresses = provider->allow_private_addresses;
  for (const std::string_view pair : split(rule.authorize_params, '&')) {
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string value = KVCS_TRY(percent_decode(pair.substr(equals + 1), true));
    client.authorize_params[std::string(pair.substr(0, equals))] = value;
  }
  return made;
}

}  // namespace kvcs::gateway
