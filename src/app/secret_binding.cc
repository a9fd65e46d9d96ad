// Walks everything that is sealed and sent, once in the life of a data directory.
#include "app/secret_binding.h"

#include "ai/providers.h"
#include "app/parts.h"
#include "base/log.h"
#include "gateway/catalogue/provider_directory.h"
#include "gateway/catalogue/secret_binding.h"
#include "gateway/catalogue/tenants.h"
#include "gateway/tokens/tokens.h"
#include "kv/audited_kv.h"
#include "kv/keyspace.h"

namespace kvcs {

Status bind_secrets(Parts& parts) {
  const Status known = parts.kv->get(KvFamily::kSystem, keyspace::kSecretsBound).status();
  if (known.ok() || known.code() != Code::kNotFound) return known;
  const AuditContext who{"start", "job", ""};
  GatewayParts& gateway = parts.gateway;
  const int64_t ai_keys = KVCS_TRY(parts.ai.providers->bind_unbound(who));
  const int64_t clients = KVCS_TRY(gateway.providers->bind_unbound(who));
  const int64_t accounts = KVCS_TRY(gateway::rebind_accounts(
      *gateway.tokens, gateway::make_account_origin_source(*gateway.providers, *gateway.tenants),
      "", true, who));
  KvBatch batch;
  batch.put(KvFamily::kSystem, std::string(keyspace::kSecretsBound), "1");
  KVCS_TRY(parts.kv->write(batch, KvDurability::kSynced));
  if (ai_keys + clients + accounts > 0) {
    log::info("secrets.bound",
              {{"ai_keys", ai_keys}, {"client_secrets", clients}, {"accounts", accounts}});
  }
  return ok();
}

}  // namespace kvcs
