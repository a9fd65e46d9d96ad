// The part of an outgoing request that the provider's record gives, for calls and canaries: origin,
// base path and default headers. Pure functions.
#pragma once
#include "base/status.h"
#include "gateway/catalogue/provider_record.h"
#include "gateway/outbound/outbound_auth.h"

namespace kvcs::gateway {

// Both fail with NotFound and reason CONFIG_MISSING when meta or secrets lack a name that is
// needed, with Invalid when a value does not fit where it stands, and with Conflict and reason
// secret_origin_changed when a named secret was given for another origin.
//
// Sets origin and base path.
Status set_base_url(const Provider& provider, const AccessCredential& credential,
                    const Meta& tenant, OutboundRequest& request);
// Adds the headers to a request that has its origin.
Status add_default_headers(const Provider& provider, const AccessCredential& credential,
                           const Meta& tenant, OutboundRequest& request);

}  // namespace kvcs::gateway
