// Keeps OAuth tokens fresh in the background, so that requests never wait for a token endpoint.
//
// Per account: ok → refreshing → ok | retrying(n) | reauth_required. Due at expires_at − 10 min, at
// half the lifetime where that is under 20 min. The alarm list are the keys refresh_due:… in KV, in
// order of time; an alarm is a hint: whoever takes it reads the account's record, which alone
// decides, so that double or stale alarms do no harm and a restart loses none. A run first takes
// the record's lease (state refreshing, by version) and moves the alarm to the lease's end in the
// same batch: two runs, in one process or two, cannot meet, and one that died is taken over.
// A rotated refresh token and its access token are written in one synced batch; when that write
// fails the answer waits in memory and is written before anything else is asked for the account.
//
// Failures: transient and recoverable ones are tried again after min(2^n · 2 s, 5 min) ± 20 %, or
// when the server says so, until 24 h after the expiry; terminal ones end in reauth_required at
// once. One alert per incident (token.refresh_failing, token.reauth_required), in the outbox batch
// of the change.
//
// Owned by App. start() makes one thread that waits for alarms and run_due() as many helpers as
// there is work for, at most `parallel`. Thread-safe.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "gateway/oauth.h"
#include "gateway/tokens.h"
#include "http/upstream.h"
#include "kv/kv.h"

namespace kvcs::gateway {

inline constexpr int64_t kRefreshLeadS = 600;
inline constexpr int64_t kGiveUpAfterS = 86'400;  // After the expiry.
inline constexpr int kGiveUpFailures = 300;       // Where no expiry is known: about a day.
inline constexpr int kFailuresBeforeAlert = 3;
inline constexpr int64_t kRefreshLeaseS = 120;     // Longer than every exchange of one attempt.
inline constexpr size_t kRefreshRunMax = 100'000;  // Alarms of one run.

// Seconds when an account is to be refreshed next; nothing: never by itself.
std::optional<int64_t> refresh_due_at(const AccountView& account);
// min(2^failures · 2 s, 5 min) ± 20 % by `unit` in [0, 1), at least `retry_after_s`.
int64_t refresh_backoff_s(int failures, int64_t retry_after_s, double unit);
// True for the kinds of accounts that have something to refresh.
bool is_refreshable(AuthType type);
// Puts the alarm into a batch; `now`: whatever the record says, refresh.
void add_refresh_alarm(KvBatch& batch, const AccountId& id, int64_t due_s, bool now = false);

class Refresher final {
 public:
  // All outlive it.
  Refresher(KvStore& kv, TokenStore& tokens, http::HttpUpstream& upstream,
            OAuthClientSource clients, const Clock& clock, Entropy& entropy, int parallel = 8);
  ~Refresher();  // stop()
  void start();
  // Nothing new is asked for; what is asked is finished, and what could not be written is tried
  // once more.
  void stop();

  // Takes every alarm that is due and returns how many token endpoints were asked. Unavailable when
  // the store cannot be read.
  Result<int64_t> run_due();
  // At once, whatever the expiry. NotFound; Conflict when a run has it; Upstream with the failure's
  // words (the state is stored then, too).
  Status refresh_now(const AccountId& id);
  // For the request path: the provider refused the token (401). Arms the alarm for accounts without
  // a known expiry; one buffered write, at most once a minute per account.
  void token_rejected(const AccountId& id);
  // Gives an alarm to every refreshable account that has none; how many were missing. At start, and
  // from time to time, since records may come by import.
  Result<int64_t> rearm();

  struct Stats {
    int64_t refreshed, failed, terminal, unsaved;
  };
  Stats stats() const;

 private:
  struct Alarm {
    std::string key;  // "" = none, asked for by an admin.
    AccountId id;
    bool now = false;
  };
  struct Unsaved {
    AccessCredential credential;
    std::optional<RefreshMaterial> refresh;
    int64_t version;
    std::string lease_key;
  };
  Result<std::vector<Alarm>> due_alarms() const;
  // True when a token endpoint was asked.
  Result<bool> process(const Alarm& alarm, bool forced);
  Status drop_or_move(const Alarm& alarm, std::optional<int64_t> due_s);
  Status attempt(const AccountView& view, const std::string& lease_key);
  Status store_answer(const AccountView& view, const std::string& lease_key,
                      const RefreshMaterial& material, TokenAnswer answer);
  Status store_failure(const AccountView& view, const std::string& lease_key,
                       const TokenFailure& failure);
  Status save(const AccountId& id, const Unsaved& unsaved);
  void save_remaining();
  void keep_unsaved(const AccountId& id, Unsaved unsaved);
  std::optional<Unsaved> take_unsaved(const AccountId& id);
  void loop();

  KvStore& kv_;
  TokenStore& tokens_;
  http::HttpUpstream& upstream_;
  const OAuthClientSource clients_;
  const Clock& clock_;
  Entropy& entropy_;
  const int parallel_;
  std::atomic<int64_t> refreshed_{0}, failed_{0}, terminal_{0};
  std::atomic<bool> stopping_{false};
  mutable Mutex mutex_;
  CondVar wake_;
  std::map<AccountId, Unsaved> unsaved_ KVCS_GUARDED_BY(mutex_);
  std::map<AccountId, int64_t> rejected_ KVCS_GUARDED_BY(mutex_);  // When last armed.
  std::optional<Thread> thread_;
};

}  // namespace kvcs::gateway
