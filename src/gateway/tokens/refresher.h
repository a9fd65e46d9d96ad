// Keeps OAuth tokens fresh in the background, so that requests never wait for a token endpoint.
//
// Per account: ok → refreshing → ok | retrying(n) | reauth_required. Due at expires_at − 10 min, at
// half the lifetime where that is under 20 min; refresh_alarms.h keeps the list. A run first takes
// the record's lease (state refreshing, by mark) and moves the alarm to the lease's end in the
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
#include "base/heartbeat.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "gateway/tokens/refresh_alarms.h"
#include "gateway/tokens/tokens.h"
#include "http/client/upstream.h"
#include "kv/kv.h"
#include "oauth/oauth.h"

namespace kvcs::gateway {

inline constexpr int64_t kGiveUpAfterS = 86'400;  // After the expiry.
inline constexpr int kGiveUpFailures = 300;       // Where no expiry is known: about a day.
inline constexpr int kFailuresBeforeAlert = 3;
// Transient failures in a row after which a run leaves the provider's other accounts to the next.
inline constexpr int kProviderFailuresMax = 3;

class Refresher final {
 public:
  // All outlive it. An account that `may_reach` refuses is tried again later, as after a failure
  // that somebody can mend.
  Refresher(KvStore& kv, TokenStore& tokens, http::HttpUpstream& upstream,
            ProviderClientSource clients, const Clock& clock, Entropy& entropy, int parallel,
            AccountCheck may_reach = {});
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
  // add_missing_alarms(), at start and from time to time.
  Result<int64_t> rearm();
  // Makes every lease end now; how many. Only the daemon may call it, before start() and while it
  // holds the lock of the data directory: then nobody else refreshes, and the runs that took the
  // leases died with their process.
  Result<int64_t> take_leases_back();

  struct Stats {
    int64_t refreshed, failed, terminal, unsaved;
  };
  Stats stats() const;
  // Of its thread; a run is long work, for each token endpoint may take its time.
  Pulse pulse() const;

 private:
  struct Unsaved {
    AccessCredential credential;
    std::optional<oauth::Grant> refresh;
    std::string mark;  // What the lease left; see AccountView::mark().
    std::string lease_key;
  };
  // True when a token endpoint was asked.
  Result<bool> process(const RefreshAlarm& alarm, bool forced);
  Status drop_or_move(const RefreshAlarm& alarm, std::optional<int64_t> due_s);
  Status attempt(const AccountView& view, const std::string& lease_key);
  Status store_answer(const AccountView& view, const std::string& lease_key,
                      const oauth::Grant& material, oauth::TokenAnswer answer);
  Status store_failure(const AccountView& view, const std::string& lease_key,
                       const oauth::TokenFailure& failure);
  Status save(const AccountId& id, const Unsaved& unsaved);
  void save_remaining();
  void keep_unsaved(const AccountId& id, Unsaved unsaved);
  std::optional<Unsaved> take_unsaved(const AccountId& id);
  void note_outcome(const AccountId& id, bool transient_failure);
  bool is_failing(const AccountId& id) const;
  void loop();

  KvStore& kv_;
  TokenStore& tokens_;
  http::HttpUpstream& upstream_;
  const ProviderClientSource clients_;
  const Clock& clock_;
  Entropy& entropy_;
  const int parallel_;
  const AccountCheck may_reach_;
  Heartbeat heartbeat_;
  std::atomic<uint64_t> processed_{0};  // Alarms, by whichever thread.
  std::atomic<int64_t> refreshed_{0}, failed_{0}, terminal_{0};
  std::atomic<bool> stopping_{false};
  mutable Mutex mutex_;
  CondVar wake_;
  std::map<AccountId, Unsaved> unsaved_ KVCS_GUARDED_BY(mutex_);
  std::map<AccountId, int64_t> rejected_ KVCS_GUARDED_BY(mutex_);  // When last armed.
  // Provider → transient failures in a row, in this run.
  std::map<std::string, int> failing_ KVCS_GUARDED_BY(mutex_);
  std::optional<Thread> thread_;
};

}  // namespace kvcs::gateway
