// How the stored credentials fare: counts for /health and the token health snapshot. Reads only.
// A credential that fails is its organization's, so that the counts say nothing of the daemon's own
// state: alerts tell of it (token.reauth_required, token.refresh_failing).
// TokenWatch is thread-safe and keeps its last answer so long that watching costs at most 2 % of
// one core, however many accounts there are and however often it is asked.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "gateway/tokens/tokens.h"
#include "kv/kv.h"

namespace kvcs::gateway {

class Refresher;

inline constexpr int64_t kExpiringSoonS = 900;
inline constexpr size_t kTroubledMax = 100;

// A credential that nothing renews needs somebody so long before its end.
inline constexpr int64_t kEndingS = 7 * 86'400;

struct TokenSummary {
  int64_t counted_at_s = 0;
  int64_t total = 0, expiring_soon = 0, expired = 0, retrying = 0, reauth_required = 0;
  int64_t in_need = 0;
  std::vector<AccountView> needing;   // The first kTroubledMax of these, in order of key.
  std::vector<AccountView> troubled;  // Retrying, expired or in need of consent; the first ones.
};
// Of a tenant, or of all ("").
Result<TokenSummary> summarize_tokens(const TokenStore& tokens, int64_t now_s,
                                      std::string_view tenant = {});
// Whether somebody should look at the account: its credential has ended, a refresh failed, or it
// ends within kEndingS and nothing renews it. A failed refresh is tried again by itself, and told
// all the same.
bool needs_somebody(const AccountView& account, int64_t now_s);
// The snapshot `system:token_health`.
std::string token_health_json(const TokenSummary& summary, int64_t now_s);
// Counts the accounts, keeps the snapshot and arms alarms for records without one, as an import
// leaves them. Returns the counts as JSON. A job calls it.
Result<std::string> keep_token_health(KvStore& kv, const TokenStore& tokens, Refresher& refresher,
                                      const Clock& clock);

class TokenWatch final {
 public:
  TokenWatch(const TokenStore& tokens, const Clock& clock) : tokens_(tokens), clock_(clock) {}
  // The last good answer while the store fails.
  TokenSummary summary();

 private:
  const TokenStore& tokens_;
  const Clock& clock_;
  Mutex mutex_;
  TokenSummary last_ KVCS_GUARDED_BY(mutex_);
  int64_t next_us_ KVCS_GUARDED_BY(mutex_) = 0;
};

}  // namespace kvcs::gateway
