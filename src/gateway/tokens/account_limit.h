// How many accounts a tenant may have, with all providers together. Stateless; thread-safe.
#pragma once
#include <string_view>

#include "kv/kv.h"

namespace kvcs::gateway {

inline constexpr size_t kAccountsPerTenantMax = 1000;

// Conflict with reason too_many_accounts when there is no room for one more.
Status check_account_room(const KvStore& kv, std::string_view tenant);

}  // namespace kvcs::gateway
