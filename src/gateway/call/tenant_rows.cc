// Decides whether a failed call gets a row, under a lock that is held over a look into a small map.
#include "gateway/call/tenant_rows.h"

#include <utility>

namespace kvcs::gateway {
namespace {

constexpr int64_t kMinuteMs = 60'000, kDayMs = 86'400'000;

}  // namespace

std::optional<std::string> TenantRows::note(const std::string& tenant, int64_t unix_ms) {
  const int64_t day = unix_ms / kDayMs, minute = unix_ms / kMinuteMs;
  MutexLock lock(mutex_);
  Rows& rows = tenants_[tenant];
  if (std::exchange(rows.day, day) != day) rows.in_day = 0;
  if (std::exchange(rows.minute, minute) != minute) rows.in_minute = 0;
  if (rows.in_minute >= kTenantRowsPerMinute || rows.in_day >= rows_per_day_) {
    rows.unlisted++;
    return std::nullopt;
  }
  rows.in_minute++;
  rows.in_day++;
  std::string besides;
  if (const int64_t unlisted = std::exchange(rows.unlisted, 0); unlisted > 0) {
    besides = " Since the last row of this tenant " + std::to_string(unlisted) +
              " more calls failed and were only counted.";
  }
  if (rows.in_day == rows_per_day_) {
    besides += " This is the last row of this tenant on this day (UTC); more are only counted.";
  } else if (rows.in_minute == kTenantRowsPerMinute) {
    besides += " This is the last row of this tenant in this minute; more are only counted.";
  }
  return besides;
}

}  // namespace kvcs::gateway
