// How many rows of the error ledger the failed calls of one tenant make. A caller with a good token
// can fail as often as its rate lets it, so that rows must not follow from failures: so many a
// minute for each tenant, and so many a day, which keeps each within a share of all rows; the rest
// is counted here and in the metrics, and a later row tells how many there were. Thread-safe;
// memory is bounded by the tenants that there are, since a guard has known each of them.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/mutex.h"

namespace kvcs::gateway {

inline constexpr int64_t kTenantRowsPerMinute = 100;

class TenantRows final {
 public:
  explicit TenantRows(int64_t rows_per_day) : rows_per_day_(rows_per_day) {}
  // What the row's message says besides, often ""; nothing when the failure is only counted.
  std::optional<std::string> note(const std::string& tenant, int64_t unix_ms);

 private:
  struct Rows {
    int64_t day = -1, minute = -1;
    int64_t in_day = 0, in_minute = 0;
    int64_t unlisted = 0;  // Failures without a row since the last one.
  };

  const int64_t rows_per_day_;
  Mutex mutex_;
  std::map<std::string, Rows> tenants_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs::gateway
