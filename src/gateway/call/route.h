// Whether a tenant may call a provider, and from a call, a provider and a credential the request
// that is sent. Pure functions.
#pragma once
#include <string>

#include "base/status.h"
#include "gateway/call/call_request.h"
#include "gateway/catalogue/provider_record.h"
#include "gateway/catalogue/tenants.h"
#include "gateway/outbound/outbound_auth.h"

namespace kvcs::gateway {

// Forbidden with reason PRIVATE_APIS_NOT_ALLOWED: the provider may reach private addresses, and no
// operator has allowed the tenant such ones.
Status check_reach(const Tenant& tenant, const Provider& provider);
// Everything but the credential itself. NotFound with reason CONFIG_MISSING when meta or secrets
// lack a name that base URL or headers need; Invalid when it does not fit there; Conflict with
// reason secret_origin_changed when a named secret was given for another origin.
Result<OutboundRequest> build_outbound(const Provider& provider, const CallRequest& call,
                                       const AccessCredential& credential, const Meta& tenant);
// The request as JSON for dry_run: the headers that the caller sent, and those of the record that
// are plain, in clear; every other value and every secret as ***. `request` is authenticated.
std::string describe_outbound(const OutboundRequest& request, const Provider& provider,
                              const CallRequest& call, const AccessCredential& credential);

}  // namespace kvcs::gateway
