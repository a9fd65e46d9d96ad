// Prices that admins set: `ai_price:{model}` for everybody, `ai_price:{org_id}:{model}` for one
// organization. Loaded into Pricing when a write has changed them, before the next request is
// priced; while the store is down the last good ones stay. Thread-safe.
#pragma once
#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "ai/prices/pricing.h"
#include "base/mutex.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"

namespace kvcs::ai {

class PriceOverrides final {
 public:
  // Reads what is stored, when the store answers; else the first refresh does.
  PriceOverrides(const KvStore& kv, AuditedKv& audited, WatchedKv& changes, Pricing& pricing);
  // Cheap when nothing has changed.
  void refresh_if_changed();
  Result<std::vector<Pricing::Override>> list() const;
  Status put(std::string_view organization_id, std::string_view model, const Price& price,
             const AuditContext& who);
  Status remove(std::string_view organization_id, std::string_view model, const AuditContext& who);

 private:
  const KvStore& kv_;
  AuditedKv& audited_;
  Pricing& pricing_;
  std::atomic<bool> changed_{true};
  Mutex loading_;  // One loader at a time; held over the store on purpose, nobody waits for it.
};

}  // namespace kvcs::ai
