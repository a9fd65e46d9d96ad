// How many calls went to each of the APIs of others, and how many of these it failed. Owned by the
// door that makes the calls. Thread-safe.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"

namespace kvcs {

// Since the start.
struct ProviderCount {
  std::string name;
  int64_t requests = 0, failures = 0;
};

class ProviderCounts final {
 public:
  // Calls of providers beyond so many are counted under kOtherProviders.
  static constexpr size_t kProvidersMax = 256;
  void record(std::string_view provider, bool failed);
  // By name.
  std::vector<ProviderCount> all() const;

 private:
  mutable Mutex mutex_;
  std::map<std::string, ProviderCount, std::less<>> counts_ KVCS_GUARDED_BY(mutex_);
};

inline constexpr std::string_view kOtherProviders = "other";

}  // namespace kvcs
