// The background refresh of tokens: one thread waits for alarms, helpers ask the token endpoints,
// and every outcome is written by the account's mark, so that an admin's change is never undone.
#include "gateway/tokens/refresher.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/log.h"
#include "base/start_thread.h"
#include "kv/keyspace.h"
#include "ledger/alerts.h"

namespace kvcs::gateway {
namespace {

// A damaged record stays damaged until someone writes it, and is looked at once an hour.
constexpr int64_t kDamagedRetryS = 3600;
constexpr int64_t kTickMs = 1000;
// A refused token arms an alarm once in this time, however many calls meet the refusal.
constexpr int64_t kRejectedQuietS = 60;
constexpr size_t kRejectedMax = 10'000;

AuditContext refresher_context() {
  return {"refresher", "job", ""};
}

std::string subject_of(const AccountId& id) {
  return id.tenant + "/" + id.provider + "/" + id.account;
}

// Why an attempt is over for good, or "".
std::string give_up_reason(const AccountView& view, int failures, int64_t next_s) {
  const int64_t expires_s = view.expires_at_s;
  const bool too_late =
      expires_s != 0 ? next_s > expires_s + kGiveUpAfterS : failures >= kGiveUpFailures;
  return too_late ? "Given up a day after the token's expiry. " : "";
}

}  // namespace

Refresher::Refresher(KvStore& kv, TokenStore& tokens, http::HttpUpstream& upstream,
                     ProviderClientSource clients, const Clock& clock, Entropy& entropy,
                     int parallel, AccountCheck may_reach)
    : kv_(kv),
      tokens_(tokens),
      upstream_(upstream),
      clients_(std::move(clients)),
      clock_(clock),
      entropy_(entropy),
      parallel_(std::max(parallel, 1)),
      may_reach_(std::move(may_reach)) {}

Refresher::~Refresher() {
  stop();
}

void Refresher::start() {
  thread_.emplace("refresher", [this] { loop(); });
}

void Refresher::stop() {
  stopping_ = true;
  {
    const MutexLock lock(mutex_);
    wake_.notify_all();
  }
  thread_.reset();
  save_remaining();
}

// The last chance of tokens whose write failed: a rotated refresh token that is lost here needs a
// person's consent again.
void Refresher::save_remaining() {
  std::map<AccountId, Unsaved> remaining;
  {
    const MutexLock lock(mutex_);
    remaining.swap(unsaved_);
  }
  for (const auto& [id, unsaved] : remaining) {
    const Status saved = save(id, unsaved);
    if (!saved.ok()) {
      log::error("refresher.token_lost",
                 {{"account", subject_of(id)}, {"error", saved.to_string()}});
    }
  }
}

void Refresher::loop() {
  bool failing = false;
  while (!stopping_) {
    heartbeat_.long_work();
    const Result<int64_t> ran = run_due();
    heartbeat_.rest();
    if (!ran.ok() && !failing) {
      log::warn("refresher.run_failed", {{"error", ran.status().to_string()}});
    }
    failing = !ran.ok();
    const MutexLock lock(mutex_);
    if (!stopping_) wake_.wait_for_ms(mutex_, kTickMs);
  }
}

// The caller's thread works too, alone where the system has no thread for a helper. Helpers share
// one index into the list, so that a slow endpoint holds up one of them and not a share of the
// accounts.
Result<int64_t> Refresher::run_due() {
  const std::vector<RefreshAlarm> alarms = KVCS_TRY(due_refresh_alarms(kv_, clock_.unix_s()));
  {
    const MutexLock lock(mutex_);
    failing_.clear();
  }
  std::atomic<size_t> next{0};
  std::atomic<int64_t> asked{0}, faults{0};
  const auto work = [&] {
    for (size_t i = next++; i < alarms.size() && !stopping_; i = next++) {
      // Its alarms stay due; the next run begins with others of its accounts.
      if (is_failing(alarms[i].id)) continue;
      const Result<bool> done = process(alarms[i], alarms[i].now);
      ++processed_;
      if ((done.ok() && done.value()) || done.code() == Code::kUpstream) ++asked;
      if (done.code() == Code::kUnavailable) ++faults;
    }
  };
  {
    std::vector<Thread> helpers;
    const size_t wanted = std::min(alarms.size(), static_cast<size_t>(parallel_));
    Status refused;
    while (refused.ok() && helpers.size() + 1 < wanted) {
      Result<Thread> helper = start_thread("refresh", work);
      refused = helper.status();
      if (helper.ok()) helpers.push_back(std::move(helper).value());
    }
    if (!refused.ok()) {
      log::warn("refresher.helper_not_started",
                {{"wanted", static_cast<int64_t>(wanted) - 1}, {"error", refused.to_string()}});
    }
    work();
  }
  if (faults > 0) {
    return unavailable("The store failed for " + std::to_string(faults.load()) +
                       " of the accounts that are due; they stay due.");
  }
  return asked.load();
}

Status Refresher::drop_or_move(const RefreshAlarm& alarm, std::optional<int64_t> due_s) {
  if (alarm.key.empty()) return ok();
  KvBatch batch;
  batch.remove(KvFamily::kTokens, alarm.key);
  if (due_s) add_refresh_alarm(batch, alarm.id, *due_s);
  return kv_.write(batch, KvDurability::kSynced);
}

// Looks at the record and decides: drop the alarm, move it, or take the lease and attempt.
Result<bool> Refresher::process(const RefreshAlarm& alarm, bool forced) {
  const int64_t now_s = clock_.unix_s();
  const Result<AccountView> found = tokens_.find_view(alarm.id);
  if (found.code() == Code::kNotFound) {
    KVCS_TRY(drop_or_move(alarm, {}));
    return found.status();
  }
  // A damaged record stays damaged until someone writes it.
  if (found.code() == Code::kInternal) KVCS_TRY(drop_or_move(alarm, now_s + kDamagedRetryS));
  if (!found.ok()) return found.status();
  const AccountView& view = found.value();
  const std::optional<int64_t> due_s = refresh_due_at(view, now_s);
  const bool leased = view.health.state == TokenState::kRefreshing && due_s && *due_s > now_s;
  const bool terminal = view.health.state == TokenState::kReauthRequired;
  if (leased && alarm.key.empty()) return conflict("The account is being refreshed already.");
  if (leased || (!forced && (!due_s || *due_s > now_s)) || (terminal && !alarm.key.empty())) {
    KVCS_TRY(drop_or_move(alarm, leased ? view.health.next_attempt_at_s : due_s));
    return false;
  }
  // The lease: record and alarm in one batch, only if the record is what was read.
  TokenHealth lease = view.health;
  lease.state = TokenState::kRefreshing;
  lease.next_attempt_at_s = now_s + kRefreshLeaseS;
  KvBatch also;
  if (!alarm.key.empty()) also.remove(KvFamily::kTokens, alarm.key);
  add_refresh_alarm(also, alarm.id, lease.next_attempt_at_s);
  const Status taken = tokens_.set_health(alarm.id, lease, refresher_context(), also, view.mark());
  if (taken.code() == Code::kConflict) {
    if (alarm.key.empty()) return taken;
    return false;  // Another run has it; its alarm stands.
  }
  KVCS_TRY(Status(taken));
  AccountView leased_view = view;
  leased_view.version += 1;
  KVCS_TRY(attempt(leased_view, keyspace::refresh_due(lease.next_attempt_at_s, alarm.id.tenant,
                                                      alarm.id.provider, alarm.id.account)));
  return true;
}

// Holds the lease. No lock of this class is held over the exchange with the endpoint.
Status Refresher::attempt(const AccountView& view, const std::string& lease_key) {
  // Only this lease came since; otherwise an admin's newer credential counts.
  std::optional<Unsaved> unsaved = take_unsaved(view.id);
  AccountView before = view;
  before.version -= 1;
  if (unsaved && unsaved->mark == before.mark()) {
    unsaved->mark = view.mark();
    unsaved->lease_key = lease_key;
    return save(view.id, *unsaved);
  }
  const Status reach = may_reach_ ? may_reach_(view.id) : ok();
  Result<ProviderClient> provider =
      reach.ok() ? clients_(view.id.provider) : Result<ProviderClient>(reach);
  Result<oauth::Client> client =
      provider.ok() ? std::move(provider->client) : Result<oauth::Client>(provider.status());
  Result<oauth::Grant> material =
      client.ok() ? tokens_.find_refresh(view.id, {client->token_url}) : oauth::Grant{};
  if (material.code() == Code::kNotFound) material = oauth::Grant{};
  const bool moved = material.status().reason() == kSecretOriginChanged;
  if (!material.ok() && !moved) return material.status();
  oauth::TokenOutcome outcome;
  const Status refused = moved ? material.status() : client.status();
  if (refused.ok()) {
    // The account's own type counts: the provider's may have been changed since it was connected.
    client->grant_type = grant_type_of(view.type);
    outcome = oauth::refresh_token_grant(upstream_, std::move(*client), *material, clock_);
  } else {
    outcome.failure.failure_class = oauth::FailureClass::kRecoverable;
    outcome.failure.message = refused.message();
  }
  note_outcome(view.id,
               !outcome.answer && outcome.failure.failure_class == oauth::FailureClass::kTransient);
  if (outcome.answer) return store_answer(view, lease_key, *material, std::move(*outcome.answer));
  const Status stored = store_failure(view, lease_key, outcome.failure);
  return refused.reason() == kSecretOriginChanged && stored.code() == Code::kUpstream ? refused
                                                                                      : stored;
}

// The credential that is there keeps what the answer does not mention: scope, meta, region.
Status Refresher::store_answer(const AccountView& view, const std::string& lease_key,
                               const oauth::Grant& material, oauth::TokenAnswer answer) {
  Unsaved unsaved;
  unsaved.mark = view.mark();
  unsaved.lease_key = lease_key;
  const auto current = tokens_.find(view.id);
  if (current.ok()) {
    unsaved.credential = *current.value();
  } else {
    unsaved.credential.type = view.type;
    unsaved.credential.scope = view.scope;
    unsaved.credential.meta = view.meta;
  }
  AccessCredential& credential = unsaved.credential;
  credential.access_token = std::move(answer.access_token);
  credential.state = TokenState::kOk;
  credential.expires_at_s = answer.expires_in_s == 0 ? 0 : clock_.unix_s() + answer.expires_in_s;
  if (!answer.scope.empty()) credential.scope = answer.scope;
  for (auto& [name, value] : answer.meta) credential.meta[name] = value;
  if (!answer.refresh_token.empty()) {
    unsaved.refresh = material;
    unsaved.refresh->refresh_token = std::move(answer.refresh_token);
  }
  return save(view.id, unsaved);
}

// Writes by the mark that the lease left: Conflict means that an admin wrote since, whose
// credential counts.
Status Refresher::save(const AccountId& id, const Unsaved& unsaved) {
  KvBatch also;
  also.remove(KvFamily::kTokens, unsaved.lease_key);
  AccountView after;
  after.type = unsaved.credential.type;
  after.expires_at_s = unsaved.credential.expires_at_s;
  after.updated_at_s = clock_.unix_s();
  if (const auto due_s = refresh_due_at(after, after.updated_at_s))
    add_refresh_alarm(also, id, *due_s);
  Status stored =
      tokens_.put(id, unsaved.credential, unsaved.refresh, refresher_context(), also, unsaved.mark);
  if (stored.ok()) {
    ++refreshed_;
    return stored;
  }
  // Replaced or removed by an admin meanwhile: that one counts.
  if (stored.code() == Code::kConflict) return ok();
  keep_unsaved(id, unsaved);
  return stored;
}

// One alert for an incident: at the third failure in a row, and when it becomes final.
Status Refresher::store_failure(const AccountView& view, const std::string& lease_key,
                                const oauth::TokenFailure& failure) {
  const int64_t now_s = clock_.unix_s();
  TokenHealth health;
  health.failures = view.health.failures + 1;
  health.state = TokenState::kRetrying;
  health.last_error = failure.message;
  health.next_attempt_at_s =
      now_s + refresh_backoff_s(health.failures - 1, failure.retry_after_s, entropy_.unit());
  const std::string given_up = give_up_reason(view, health.failures, health.next_attempt_at_s);
  KvBatch also;
  also.remove(KvFamily::kTokens, lease_key);
  AlertEvent alert;
  alert.subject = subject_of(view.id);
  alert.message = printable(failure.message, kShownText);
  if (failure.failure_class == oauth::FailureClass::kTerminal || !given_up.empty()) {
    health.state = TokenState::kReauthRequired;
    health.next_attempt_at_s = 0;
    health.last_error = given_up + failure.message;
    alert.event = "token.reauth_required";
    ++terminal_;
  } else {
    add_refresh_alarm(also, view.id, health.next_attempt_at_s);
    if (health.failures == kFailuresBeforeAlert) alert.event = "token.refresh_failing";
    ++failed_;
  }
  const bool known = view.health.state == TokenState::kReauthRequired;
  if (!alert.event.empty() && !known) add_alert(also, alert, clock_, entropy_);
  const Status stored = tokens_.set_health(view.id, health, refresher_context(), also, view.mark());
  if (!stored.ok() && stored.code() != Code::kConflict) return stored;
  return upstream_failed(health.last_error);
}

// Counted within a run, for is_failing().
void Refresher::note_outcome(const AccountId& id, bool transient_failure) {
  const MutexLock lock(mutex_);
  int& failures = failing_[id.provider];
  failures = transient_failure ? failures + 1 : 0;
}

bool Refresher::is_failing(const AccountId& id) const {
  const MutexLock lock(mutex_);
  const auto found = failing_.find(id.provider);
  return found != failing_.end() && found->second >= kProviderFailuresMax;
}

void Refresher::keep_unsaved(const AccountId& id, Unsaved unsaved) {
  const MutexLock lock(mutex_);
  unsaved_.insert_or_assign(id, std::move(unsaved));
}

std::optional<Refresher::Unsaved> Refresher::take_unsaved(const AccountId& id) {
  const MutexLock lock(mutex_);
  const auto it = unsaved_.find(id);
  if (it == unsaved_.end()) return {};
  Unsaved unsaved = std::move(it->second);
  unsaved_.erase(it);
  return unsaved;
}

Status Refresher::refresh_now(const AccountId& id) {
  KVCS_TRY(check_account_id(id));
  const AccountView view = KVCS_TRY(tokens_.find_view(id));
  if (!is_refreshable(view.type)) {
    return invalid("An account of type " + std::string(auth_type_name(view.type)) +
                   " has nothing to refresh.");
  }
  return process({"", id, true}, true).status();
}

void Refresher::token_rejected(const AccountId& id) {
  const int64_t now_s = clock_.unix_s();
  {
    const MutexLock lock(mutex_);
    if (rejected_.size() >= kRejectedMax) rejected_.clear();
    int64_t& last_s = rejected_[id];
    if (last_s != 0 && now_s - last_s < kRejectedQuietS) return;
    last_s = now_s;
  }
  const Result<AccountView> view = tokens_.find_view(id);
  // An account with a known expiry has its alarm already, and one that is retrying has its own
  // time.
  if (!view.ok() || !is_refreshable(view.value().type) || view.value().expires_at_s != 0 ||
      view.value().health.state != TokenState::kOk) {
    return;
  }
  KvBatch batch;
  add_refresh_alarm(batch, id, now_s, true);
  // A failed write is no loss: the next refusal arms again.
  const Status armed = kv_.write(batch, KvDurability::kBuffered);
  if (!armed.ok()) log::warn("refresher.arm_failed", {{"error", armed.to_string()}});
}

Result<int64_t> Refresher::rearm() {
  return add_missing_alarms(kv_, tokens_, clock_.unix_s());
}

Result<int64_t> Refresher::take_leases_back() {
  std::vector<AccountView> leased;
  const auto collect = [&](const AccountView& view) -> Status {
    if (view.health.state == TokenState::kRefreshing) leased.push_back(view);
    return ok();
  };
  KVCS_TRY(tokens_.for_each_view("", "", collect));
  const int64_t now_s = clock_.unix_s();
  for (const AccountView& view : leased) {
    KvBatch also;
    also.remove(KvFamily::kTokens,
                keyspace::refresh_due(view.health.next_attempt_at_s, view.id.tenant,
                                      view.id.provider, view.id.account));
    add_refresh_alarm(also, view.id, now_s);
    TokenHealth ended = view.health;
    ended.next_attempt_at_s = now_s;
    KVCS_TRY(tokens_.set_health(view.id, ended, refresher_context(), also, view.mark()));
  }
  return static_cast<int64_t>(leased.size());
}

Pulse Refresher::pulse() const {
  Pulse pulse = heartbeat_.pulse();
  pulse.beats += processed_;
  return pulse;
}

Refresher::Stats Refresher::stats() const {
  const MutexLock lock(mutex_);
  return {refreshed_, failed_, terminal_, static_cast<int64_t>(unsaved_.size())};
}

}  // namespace kvcs::gateway
