// Refuses an account beyond what one tenant may have.
#include "gateway/tokens/account_limit.h"

#include <string>

#include "kv/keyspace.h"
#include "kv/room.h"

namespace kvcs::gateway {

Status check_account_room(const KvStore& kv, std::string_view tenant) {
  const std::string prefix = keyspace::token_prefix(tenant, "");
  const bool full = KVCS_TRY(is_full(kv, KvFamily::kTokens, prefix, kAccountsPerTenantMax));
  if (!full) return ok();
  return conflict("Tenant " + std::string(tenant) + " has " +
                  std::to_string(kAccountsPerTenantMax) +
                  " accounts, which is as many as a tenant may have; remove some first.")
      .with_reason("too_many_accounts");
}

}  // namespace kvcs::gateway
