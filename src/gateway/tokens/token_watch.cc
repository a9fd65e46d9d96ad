// Counts accounts by their state, at a bounded cost however often it is asked.
#include "gateway/tokens/token_watch.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "gateway/tokens/accounts_api.h"
#include "gateway/tokens/refresh_alarms.h"
#include "gateway/tokens/refresher.h"
#include "kv/keyspace.h"

namespace kvcs::gateway {
namespace {
constexpr int64_t kFreshUs = 1'000'000;
// The pause after a count is this many times its duration: 2 % of one core.
constexpr int64_t kCostFactor = 50;
}  // namespace

bool needs_somebody(const AccountView& account, int64_t now_s) {
  const TokenHealth& health = account.health;
  if (health.state == TokenState::kRetrying || health.state == TokenState::kReauthRequired ||
      health.failures > 0) {
    return true;
  }
  if (account.expires_at_s == 0) return false;
  if (account.expires_at_s <= now_s) return true;
  return account.expires_at_s - now_s < kEndingS && !refresh_due_at(account, now_s);
}

Result<TokenSummary> summarize_tokens(const TokenStore& tokens, int64_t now_s,
                                      std::string_view tenant) {
  TokenSummary summary;
  summary.counted_at_s = now_s;
  const auto visit = [&](const AccountView& view) -> Status {
    ++summary.total;
    const bool expired = view.expires_at_s != 0 && view.expires_at_s <= now_s;
    const bool retrying = view.health.state == TokenState::kRetrying;
    const bool reauth = view.health.state == TokenState::kReauthRequired;
    // A token that the refresher renews in good time needs nobody.
    const bool renewed = is_refreshable(view.type) && !retrying && !reauth;
    const bool soon = !expired && !renewed && view.expires_at_s != 0 &&
                      view.expires_at_s - now_s < kExpiringSoonS;
    summary.expired += expired;
    summary.expiring_soon += soon;
    summary.retrying += retrying;
    summary.reauth_required += reauth;
    const bool troubled = expired || retrying || reauth;
    if (troubled && summary.troubled.size() < kTroubledMax) summary.troubled.push_back(view);
    if (!needs_somebody(view, now_s)) return ok();
    ++summary.in_need;
    if (summary.needing.size() < kTroubledMax) summary.needing.push_back(view);
    return ok();
  };
  KVCS_TRY(tokens.for_each_view(tenant, "", visit));
  return summary;
}

std::string token_health_json(const TokenSummary& summary, int64_t now_s) {
  Json troubled = Json::array();
  for (const AccountView& view : summary.troubled) troubled.push_back(account_json(view));
  return dump_json(Json{{"checked_at", format_iso8601_s(now_s * 1000)},
                        {"total", summary.total},
                        {"expiring_soon", summary.expiring_soon},
                        {"expired", summary.expired},
                        {"retrying", summary.retrying},
                        {"reauth_required", summary.reauth_required},
                        {"accounts", std::move(troubled)}});
}

Result<std::string> keep_token_health(KvStore& kv, const TokenStore& tokens, Refresher& refresher,
                                      const Clock& clock) {
  const int64_t now_s = clock.unix_s();
  const TokenSummary summary = KVCS_TRY(summarize_tokens(tokens, now_s));
  KvBatch batch;
  batch.put(KvFamily::kSystem, std::string(keyspace::kTokenHealth),
            token_health_json(summary, now_s));
  KVCS_TRY(kv.write(batch, KvDurability::kBuffered));
  const int64_t armed = KVCS_TRY(refresher.rearm());
  return dump_json(Json{{"total", summary.total},
                        {"expiring_soon", summary.expiring_soon},
                        {"expired", summary.expired},
                        {"retrying", summary.retrying},
                        {"reauth_required", summary.reauth_required},
                        {"armed", armed}});
}

TokenSummary TokenWatch::summary() {
  const int64_t started_us = clock_.mono_us();
  {
    const MutexLock lock(mutex_);
    if (started_us < next_us_) return last_;
    // Others get the last answer while this one reads.
    next_us_ = INT64_MAX;
  }
  Result<TokenSummary> fresh = summarize_tokens(tokens_, clock_.unix_s());
  const int64_t ended_us = clock_.mono_us();
  const MutexLock lock(mutex_);
  next_us_ = ended_us + std::max(kFreshUs, (ended_us - started_us) * kCostFactor);
  if (fresh.ok()) last_ = std::move(fresh).value();
  return last_;
}

}  // namespace kvcs::gateway
