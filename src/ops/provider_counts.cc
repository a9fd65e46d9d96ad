// Counts calls and failures by provider, under one lock that is held for an addition.
#include "ops/provider_counts.h"

namespace kvcs {

void ProviderCounts::record(std::string_view provider, bool failed) {
  const MutexLock lock(mutex_);
  auto it = counts_.find(provider);
  if (it == counts_.end()) {
    if (counts_.size() >= kProvidersMax) provider = kOtherProviders;
    it = counts_.emplace(provider, ProviderCount{std::string(provider)}).first;
  }
  it->second.requests++;
  it->second.failures += failed ? 1 : 0;
}

std::vector<ProviderCount> ProviderCounts::all() const {
  const MutexLock lock(mutex_);
  std::vector<ProviderCount> list;
  for (const auto& [name, count] : counts_) list.push_back(count);
  return list;
}

}  // namespace kvcs
