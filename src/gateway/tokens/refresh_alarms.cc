// Computes when an account is due and keeps the list of alarms in KV, in order of time.
#include "gateway/tokens/refresh_alarms.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/bytes.h"
#include "kv/keyspace.h"
#include "oauth/oauth.h"

namespace kvcs::gateway {
namespace {

constexpr std::string_view kByTime = "time", kNow = "now";  // Values of an alarm.
constexpr int64_t kBackoffMaxS = 300;
// Alarms of one write, when an import brought many accounts.
constexpr size_t kBatchMax = 1000;

struct AlarmKey {
  AccountId id;
  int64_t due_s = 0;
};
// Nothing for keys of another shape.
std::optional<AlarmKey> parse_alarm(std::string_view key) {
  const auto due = keyspace::parse_refresh_due(key);
  if (!due) return {};
  const auto& [tenant, provider, account] = due->account;
  return AlarmKey{{std::string(tenant), std::string(provider), std::string(account)},
                  due->due_unix_s};
}

// The first alarm of each provider, then the second of each, and so on; within a provider the order
// of time stays.
std::vector<RefreshAlarm> in_turns(std::vector<RefreshAlarm> alarms) {
  std::map<std::string, int64_t> turns;
  std::vector<std::pair<int64_t, size_t>> order;
  order.reserve(alarms.size());
  for (size_t i = 0; i < alarms.size(); ++i) order.emplace_back(turns[alarms[i].id.provider]++, i);
  std::sort(order.begin(), order.end());
  std::vector<RefreshAlarm> out;
  out.reserve(alarms.size());
  for (const auto& [turn, i] : order) out.push_back(std::move(alarms[i]));
  return out;
}

}  // namespace

bool is_refreshable(AuthType type) {
  return type == AuthType::kOauth2RefreshToken || type == AuthType::kOauth2ClientCredentials ||
         type == AuthType::kServiceAccountJwt;
}

std::optional<int64_t> refresh_due_at(const AccountView& account, int64_t now_s) {
  const TokenHealth& health = account.health;
  if (!is_refreshable(account.type) || health.state == TokenState::kReauthRequired) return {};
  if (account.updated_at_s > now_s + kClockSetBackS) return now_s;
  if (health.state != TokenState::kOk) {
    // No lease and no wait of ours ends later than this; a later time is of a clock that was wrong.
    const bool leased = health.state == TokenState::kRefreshing;
    const int64_t latest_s = now_s + (leased ? kRefreshLeaseS : oauth::kRetryAfterMaxS);
    return health.next_attempt_at_s > latest_s ? now_s : health.next_attempt_at_s;
  }
  if (account.expires_at_s == 0) return {};
  // A token that lives for less than two leads is renewed at half its life.
  const int64_t lifetime_s = std::max<int64_t>(account.expires_at_s - account.updated_at_s, 0);
  const bool is_short = account.updated_at_s != 0 && lifetime_s < 2 * kRefreshLeadS;
  return account.expires_at_s - (is_short ? lifetime_s / 2 : kRefreshLeadS);
}

int64_t refresh_backoff_s(int failures, int64_t retry_after_s, double unit) {
  // Doubling is clamped before the shift: 2 << 63 is not defined.
  const int64_t full_s = std::min<int64_t>(int64_t{2} << std::clamp(failures, 0, 20), kBackoffMaxS);
  const auto jittered_s = static_cast<int64_t>(static_cast<double>(full_s) * (0.8 + 0.4 * unit));
  return std::max({jittered_s, retry_after_s, int64_t{1}});
}

void add_refresh_alarm(KvBatch& batch, const AccountId& id, int64_t due_s, bool now) {
  batch.put(KvFamily::kTokens,
            keyspace::refresh_due(std::max<int64_t>(due_s, 0), id.tenant, id.provider, id.account),
            std::string(now ? kNow : kByTime));
}

Result<std::vector<RefreshAlarm>> due_refresh_alarms(const KvStore& kv, int64_t now_s) {
  const std::string bound = keyspace::refresh_due_before(now_s + 1);
  std::vector<RefreshAlarm> alarms;
  std::string cursor;
  do {
    KvPage page =
        KVCS_TRY(kv.scan(KvFamily::kTokens, keyspace::kRefreshDuePrefix, cursor, kKvScanMax));
    for (KvItem& item : page.items) {
      // Keys are in order of time, so that the first key past the bound ends the scan.
      if (item.key >= bound || alarms.size() >= kRefreshRunMax) return in_turns(std::move(alarms));
      std::optional<AlarmKey> parsed = parse_alarm(item.key);
      if (!parsed) continue;
      alarms.push_back({std::move(item.key), std::move(parsed->id), item.entry.value == kNow});
    }
    cursor = std::move(page.cursor);
  } while (!cursor.empty());
  return in_turns(std::move(alarms));
}

Result<int64_t> add_missing_alarms(KvStore& kv, const TokenStore& tokens, int64_t now_s) {
  std::map<AccountId, int64_t> armed_s;  // The earliest of each.
  KVCS_TRY(kv_for_each(kv, KvFamily::kTokens, keyspace::kRefreshDuePrefix,
                       [&](const KvItem& item) -> Status {
                         if (std::optional<AlarmKey> alarm = parse_alarm(item.key)) {
                           armed_s.emplace(std::move(alarm->id), alarm->due_s);
                         }
                         return ok();
                       }));
  int64_t missing = 0;
  size_t in_batch = 0;
  KvBatch batch;
  const auto visit = [&](const AccountView& view) -> Status {
    const std::optional<int64_t> due_s = refresh_due_at(view, now_s);
    if (!due_s) return ok();
    const auto armed = armed_s.find(view.id);
    if (armed != armed_s.end() && armed->second <= std::max<int64_t>(*due_s, 0)) return ok();
    add_refresh_alarm(batch, view.id, *due_s);
    ++missing;
    if (++in_batch < kBatchMax) return ok();
    in_batch = 0;
    return kv.write(std::exchange(batch, {}), KvDurability::kSynced);
  };
  KVCS_TRY(tokens.for_each_view("", "", visit));
  if (!batch.empty()) KVCS_TRY(kv.write(batch, KvDurability::kSynced));
  return missing;
}

}  // namespace kvcs::gateway
