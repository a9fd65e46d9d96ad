// Bearers of tenants that come from another system, as the record {"tenant_id", "status"} under
// their hash: in a bulk import, or written to the store by hand. Such a record has no id and stands
// in nobody's list, so that nobody could revoke it. Here it becomes a token like those of
// identity/keys.h: with an id, and an entry in the list of its tenant's organization, which is
// created when there is none. Thread-safe.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/entropy.h"
#include "identity/orgs.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"

namespace kvcs {

class TokenAdoption final {
 public:
  // All outlive it.
  TokenAdoption(const KvStore& kv, AuditedKv& audited, OrganizationService& organizations,
                const Clock& clock, Entropy& entropy);

  // The batch with such records made tokens, and their entries added. A record that was here
  // already keeps its id, and one that was revoked here stays revoked. What cannot be read, or
  // whose tenant's name is no slug that an organization may have, passes as it is.
  Result<KvBatch> adopt(const KvBatch& incoming, const AuditContext& who) const;
  // The same for what the store holds already; how many. A second run finds none. A bearer whose
  // tenant is not here (any more) is revoked: it would work for whoever has the name next.
  Result<int64_t> adopt_stored(const AuditContext& who) const;

 private:
  Result<std::optional<std::string>> without_tenant(const KvItem& item) const;
  Status take_over(const std::string& key, KeyRecord& token) const;
  Status adopt_one(const KvBatch::Op& op, const std::string& hash, KvBatch& out,
                   const AuditContext& who) const;
  Result<std::string> organization_of(std::string_view tenant, const AuditContext& who) const;

  const KvStore& kv_;
  AuditedKv& audited_;
  OrganizationService& organizations_;
  const Clock& clock_;
  Entropy& entropy_;
};

}  // namespace kvcs
