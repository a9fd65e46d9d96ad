// LastUsed: a striped map of names and times that a job empties into the store.
#include "kv/last_used.h"

#include <functional>

#include "base/bytes.h"
#include "kv/keyspace.h"

namespace kvcs {

void LastUsed::note(const std::string& name) {
  Stripe& stripe = stripes_[std::hash<std::string>{}(name) % kStripes];
  const MutexLock lock(stripe.mutex);
  const auto it = stripe.used_ms.find(name);
  if (it != stripe.used_ms.end()) {
    it->second = clock_.unix_ms();
  } else if (stripe.used_ms.size() < kLastUsedMax / kStripes) {
    stripe.used_ms.emplace(name, clock_.unix_ms());
  }
}

Status LastUsed::flush() {
  for (Stripe& stripe : stripes_) {
    std::unordered_map<std::string, int64_t> used;
    {
      const MutexLock lock(stripe.mutex);
      used.swap(stripe.used_ms);
    }
    if (used.empty()) continue;
    KvBatch batch;
    for (const auto& [name, unix_ms] : used) {
      batch.put(KvFamily::kSystem, keyspace::last_used(name), std::to_string(unix_ms));
    }
    // Lost on failure: the next use writes it again.
    KVCS_TRY(kv_.write(batch, KvDurability::kBuffered));
  }
  return ok();
}

int64_t find_last_used_ms(const KvStore& kv, std::string_view name) {
  const Result<KvEntry> entry = kv.get(KvFamily::kSystem, keyspace::last_used(name));
  if (!entry.ok()) return 0;
  const Result<uint64_t> unix_ms = parse_u64(entry.value().value, "last_used");
  return unix_ms.ok() ? static_cast<int64_t>(unix_ms.value()) : 0;
}

}  // namespace kvcs
