// Reads and writes the price overrides in KV. Their keys do not say where an organization's id ends
// and a model begins, but for its shape: 36 characters of a UUID and a colon.
#include "ai/prices/price_overrides.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "kv/keyspace.h"

namespace kvcs::ai {
namespace {

std::string key_of(std::string_view organization_id, std::string_view model) {
  return organization_id.empty() ? keyspace::ai_price(model)
                                 : keyspace::ai_org_price(organization_id, model);
}

}  // namespace

PriceOverrides::PriceOverrides(const KvStore& kv, AuditedKv& audited, WatchedKv& changes,
                               Pricing& pricing)
    : kv_(kv), audited_(audited), pricing_(pricing) {
  changes.add_listener([this](KvFamily family, std::string_view key) {
    if (family == KvFamily::kConfig && key.starts_with(keyspace::kAiPricePrefix)) changed_ = true;
  });
  // Before the first request looks for its model: one that only an override names must be found.
  refresh_if_changed();
}

void PriceOverrides::refresh_if_changed() {
  if (!changed_.load(std::memory_order_relaxed) || !loading_.try_lock()) return;
  // Many requests may find the mark; one of them loads while the others go on with the old prices.
  // The mark is cleared first, so that a write during the load sets it again.
  if (changed_.exchange(false)) {
    Result<std::vector<Pricing::Override>> fresh = list();
    if (fresh.ok()) {
      pricing_.set_overrides(std::move(*fresh));
    } else {
      // The store is down: the old prices stay, and the next request tries again.
      changed_ = true;
    }
  }
  loading_.unlock();
}

Result<std::vector<Pricing::Override>> PriceOverrides::list() const {
  std::vector<Pricing::Override> all;
  const auto collect = [&](const KvItem& item) -> Status {
    const auto [org_id, model] = keyspace::parse_ai_price(item.key).value();
    Pricing::Override entry;
    entry.organization_id = org_id;
    entry.model = model;
    const Json json = KVCS_TRY(parse_json_exact(item.entry.value));
    entry.price = KVCS_TRY(parse_price(entry.model, json, UnknownMembers::kIgnore));
    all.push_back(std::move(entry));
    return ok();
  };
  KVCS_TRY(kv_for_each(kv_, KvFamily::kConfig, keyspace::kAiPricePrefix, collect));
  return all;
}

Status PriceOverrides::put(std::string_view organization_id, std::string_view model,
                           const Price& price, const AuditContext& who) {
  KvBatch batch;
  batch.put(KvFamily::kConfig, key_of(organization_id, model), dump_json(price_to_json(price)));
  return audited_.write(batch, who);
}

Status PriceOverrides::remove(std::string_view organization_id, std::string_view model,
                              const AuditContext& who) {
  const std::string key = key_of(organization_id, model);
  Result<KvEntry> present = kv_.get(KvFamily::kConfig, key);
  if (present.code() == Code::kNotFound) {
    return not_found("No price was set for '" + printable(model, kShownValue) + "'.");
  }
  KVCS_TRY(std::move(present).status());
  KvBatch batch;
  batch.remove(KvFamily::kConfig, key);
  return audited_.write(batch, who);
}

}  // namespace kvcs::ai
