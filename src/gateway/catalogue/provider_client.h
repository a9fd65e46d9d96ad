// How a provider's record becomes the OAuth client that gets tokens for its accounts. Stateless.
#pragma once
#include <string_view>

#include "gateway/catalogue/provider_directory.h"
#include "gateway/gateway.h"

namespace kvcs::gateway {

// NotFound: there is no such provider. Invalid: a member of its record that no client can use.
Result<ProviderClient> find_provider_client(const ProviderDirectory& providers,
                                            std::string_view name);

}  // namespace kvcs::gateway
