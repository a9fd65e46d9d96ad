// Where the secrets of accounts may be sent, by the records of their provider and tenant, and the
// walk that binds stored ones anew. Functions without state; thread-safe.
#pragma once
#include <cstdint>
#include <string_view>

#include "gateway/catalogue/provider_directory.h"
#include "gateway/catalogue/tenants.h"
#include "gateway/tokens/tokens.h"

namespace kvcs::gateway {

// Calls go to base_url, filled from meta as a call fills it, and to revoke_url; what refreshes goes
// to token_url and revoke_url. A base_url whose host meta does not fill is no origin yet.
AccountOrigins account_origins(const Provider& provider, const Meta& account, const Meta& tenant);
// Both outlive what it returns.
AccountOriginSource make_account_origin_source(const ProviderDirectory& providers,
                                               const Tenants& tenants);

// Binds the secrets of every account of the provider ("" = of all) to the origins that its records
// give now; how many accounts were written. Records that do not open are passed over, and so are
// accounts of providers that are not known. Whoever repeats it goes on where it ended.
Result<int64_t> rebind_accounts(TokenStore& tokens, const AccountOriginSource& origins,
                                std::string_view provider, bool only_unbound,
                                const AuditContext& who);

}  // namespace kvcs::gateway
