// When accounts are refreshed: the rules of due times, and the alarm list in KV, keys refresh_due:…
// in order of time. An alarm is a hint: the account's record alone decides, so that double or stale
// alarms do no harm. Functions without state.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/tokens/tokens.h"
#include "kv/kv.h"

namespace kvcs::gateway {

inline constexpr int64_t kRefreshLeadS = 600;
inline constexpr int64_t kRefreshLeaseS = 120;  // Longer than every exchange of one attempt.
inline constexpr int64_t kClockSetBackS = 300;  // Records from so far ahead are of a wrong clock.
inline constexpr size_t kRefreshRunMax = 100'000;  // Alarms of one run.

// True for the kinds of accounts that have something to refresh.
bool is_refreshable(AuthType type);
// Seconds when an account is to be refreshed next; nothing: never by itself. A record that was
// written in what is now the future is due at once: the clock has been set back since, and neither
// its expiry nor its next attempt can be believed.
std::optional<int64_t> refresh_due_at(const AccountView& account, int64_t now_s);
// min(2^failures · 2 s, 5 min) ± 20 % by `unit` in [0, 1), at least `retry_after_s`.
int64_t refresh_backoff_s(int failures, int64_t retry_after_s, double unit);

struct RefreshAlarm {
  std::string key;  // "" = none, asked for by an admin.
  AccountId id;
  bool now = false;  // Whatever the record says, refresh.
};
// Puts the alarm into a batch.
void add_refresh_alarm(KvBatch& batch, const AccountId& id, int64_t due_s, bool now = false);
// Those that are due, at most kRefreshRunMax, the earliest first; but providers take turns, so that
// one with ten thousand accounts, or one that hangs, does not keep the others waiting.
Result<std::vector<RefreshAlarm>> due_refresh_alarms(const KvStore& kv, int64_t now_s);
// Gives an alarm to every refreshable account that has none, or too late a one; how many. For
// records that came by import, and clocks that were set back.
Result<int64_t> add_missing_alarms(KvStore& kv, const TokenStore& tokens, int64_t now_s);

}  // namespace kvcs::gateway
