// Fills the templates of a provider's record, and lets none of its named secrets into a request to
// another origin than they were given for.
#include "gateway/catalogue/record_request.h"

#include <optional>
#include <string>
#include <utility>

#include "gateway/outbound/url_guard.h"

namespace kvcs::gateway {
namespace {

Status variable_host(const Provider& provider) {
  return conflict("A secret of provider " + provider.id + " is not sent to " +
                  origin_of(provider.base_url) +
                  ", whose host differs from account to account. Put it into secrets of the "
                  "accounts, which are bound to the host of each, with PUT "
                  "/admin/tenants/{tenant}/providers/" +
                  provider.id + "/accounts/{account}.")
      .with_reason(kSecretOriginChanged);
}

TemplateValues values_of(const Provider& provider, const AccessCredential& credential,
                         const Meta& tenant) {
  return {credential.meta, tenant, &credential.secrets, &provider.secrets};
}

// A named secret goes where its record says, whatever the way in which calls authenticate. One of
// the provider is given for an address that the record itself names: where the host is filled in
// from an account or a tenant, the text that was sealed for stands for any host at all.
Status check_secrets(const Provider& provider, const AccessCredential& credential,
                     bool account_secret, bool provider_secret, const OutboundRequest& request) {
  if (account_secret) KVCS_TRY(check_origin(credential, request));
  if (!provider_secret) return ok();
  const std::string origin = origin_of(provider.base_url);
  if (has_template(origin)) return variable_host(provider);
  if (may_go_to(provider.secrets_origins, origin)) return ok();
  return secret_origin_changed("A secret of provider " + provider.id, origin,
                               provider.secrets_origins,
                               "Send the provider's secrets again, or let an owner confirm the "
                               "move, with PUT /admin/providers/" +
                                   provider.id + " (?rebind=true).");
}

}  // namespace

Status set_base_url(const Provider& provider, const AccessCredential& credential,
                    const Meta& tenant, OutboundRequest& request) {
  BaseUrl base =
      KVCS_TRY(fill_base_url(provider.base_url, values_of(provider, credential, tenant)));
  request.origin = std::move(base.origin);
  request.path = std::move(base.path);
  return check_secrets(provider, credential, base.account_secret, base.provider_secret, request);
}

Status add_default_headers(const Provider& provider, const AccessCredential& credential,
                           const Meta& tenant, OutboundRequest& request) {
  for (const auto& [name, value] : provider.default_headers) {
    if (!has_template(value)) {
      request.headers.emplace_back(name, value);
      continue;
    }
    std::optional<FilledTemplate> filled =
        KVCS_TRY(fill_header_template(value, values_of(provider, credential, tenant)));
    if (!filled) continue;
    KVCS_TRY(check_secrets(provider, credential, filled->account_secret, filled->provider_secret,
                           request));
    request.headers.emplace_back(name, std::move(filled->text));
  }
  return ok();
}

}  // namespace kvcs::gateway
