// From a call, a provider and a credential to the request that is sent. Pure functions.
#pragma once
#include <string>

#include "base/status.h"
#include "gateway/call/call_request.h"
#include "gateway/catalogue/provider_record.h"
#include "gateway/outbound/outbound_auth.h"

namespace kvcs::gateway {

// Everything but the credential. NotFound with reason CONFIG_MISSING when meta lacks a name that
// base URL or headers need; Invalid when it does not fit there.
Result<OutboundRequest> build_outbound(const Provider& provider, const CallRequest& call,
                                       const Meta& account, const Meta& tenant);
// The request as JSON with every secret as ***, for dry_run. `request` is authenticated.
std::string describe_outbound(const OutboundRequest& request, const Provider& provider,
                              const AccessCredential& credential);

}  // namespace kvcs::gateway
