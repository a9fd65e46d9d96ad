// Tenants of the gateway, `tenant_config:{tenant}`: the name is the slug of an organization. The
// record is JSON with tenant_id, name, status (active, suspended), providers[], billing{},
// limits{requests_per_minute} and, per provider, an object whose strings fill header templates of
// that provider (google_ads.login_customer_id), and `incarnation`, which is random and made when
// the tenant is: who has the name after it is deleted has another; `private_apis`, which operators
// alone set: false refuses providers that may reach private addresses, absent is true, as operators
// made the record; secrets belong to accounts and
// providers, and those of before are sealed (tenant_secrets.h) and not shown. Also the system's
// mode, `system_state:mode`.
//
// Owned by App; thread-safe. Reads are cached and dropped by the write.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/entropy.h"
#include "base/json.h"
#include "gateway/outbound/outbound_auth.h"
#include "gateway/tokens/tokens.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"
#include "kv/list_walk.h"
#include "kv/record_cache.h"

namespace kvcs {
class Directory;
}

namespace kvcs::gateway {

struct Tenant {
  std::string id, name;
  bool active = true;
  bool private_apis = true;          // May call providers that reach private addresses.
  int64_t requests_per_minute = -1;  // Negative: the default.
  std::map<std::string, Meta, std::less<>> provider_meta;
};

// Records as stored; the cursor is "" on the last page.
struct TenantPage {
  std::vector<Json> records;
  std::string cursor;
};

class Tenants final {
 public:
  Tenants(const KvStore& kv, AuditedKv& audited, WatchedKv& changes, Entropy& entropy,
          const Sealer& sealer);

  // NotFound with reason TENANT_NOT_FOUND.
  using Pointer = std::shared_ptr<const Tenant>;  // The cache and the request.
  Result<Pointer> find(std::string_view tenant) const;
  Result<Json> find_record(std::string_view tenant) const;  // As stored. NotFound.
  // The record for people: what is secret by its name is "***".
  Result<Json> find_shown(std::string_view tenant) const;
  static Json shown(Json record);
  // What the record says of private_apis, or what it means by saying nothing.
  static bool has_private_apis(const Json& record);
  // In order of id, without those that are no JSON. A search looks at id and name.
  Result<TenantPage> list(const ListAsk& ask) const;
  static bool fits(const SearchText& search, std::string_view record);
  // Invalid names the member that does not fit. tenant_id and a missing status are filled in;
  // without private_apis, what is stored of it stays.
  // `if_match`: see kv/if_match.h.
  Result<Json> put(std::string_view tenant, Json record, const AuditContext& who,
                   std::string_view if_match = {});
  // Seals what stands in clear in records and is secret by its name; how many records. Those that
  // have come since the last walk are looked at. Each is written by compare-and-swap, so that it
  // may stop anywhere and be repeated.
  Result<int64_t> seal_secrets(const AuditContext& who, const std::function<bool()>& cancelled);
  Result<std::string> etag(std::string_view tenant) const;
  // The record by which the tenant is there: its own, or else the slug of its organization.
  // NotFound with reason TENANT_NOT_FOUND.
  Result<TenantRecord> find_root(std::string_view tenant) const;
  Status set_active(std::string_view tenant, bool active, const AuditContext& who);  // NotFound

  // True in mode "frozen". While the store is down, the mode that was last read.
  bool frozen() const;
  Status set_frozen(bool frozen, const AuditContext& who);

 private:
  void keep_members(std::string_view tenant, bool names_apis, Json& record) const;

  const KvStore& kv_;
  AuditedKv& audited_;
  Entropy& entropy_;
  const Sealer& sealer_;
  std::atomic<bool> may_hold_clear_{true};  // A record was written since the last whole walk.
  mutable RecordCache<Tenant> tenants_;
  mutable RecordCache<bool> modes_;
};

// Ok when there is such a tenant: it has a record of its own, or is an organization's slug.
// NotFound with reason TENANT_NOT_FOUND.
Status check_tenant(const Tenants& tenants, const Directory& directory, std::string_view tenant);
// The same; Forbidden with reason TENANT_SUSPENDED when the tenant or its organization is
// suspended.
Status check_tenant_active(const Tenants& tenants, const Directory& directory,
                           std::string_view tenant);

}  // namespace kvcs::gateway
