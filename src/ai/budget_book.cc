#include "ai/budget_book.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "base/id.h"
#include "base/json.h"
#include "base/money.h"
#include "kv/keyspace.h"

namespace kvcs::ai {
namespace {

constexpr int64_t kGraceShareOfMonth = 15;
constexpr int64_t kSaturated = INT64_MAX / 4;

int64_t add(int64_t a, int64_t b) {
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? kSaturated : sum;
}

struct LimitCheck {
  std::string_view kind, id, reason, words;
  int64_t limit;
};

Status refusal(const LimitCheck& check, int64_t used, int64_t reserved, int64_t estimate,
               std::string_view month) {
  const int64_t remaining = std::max<int64_t>(0, check.limit - add(used, reserved));
  return Status(Code::kQuotaExceeded,
                "The monthly budget of this " + std::string(check.words) +
                    " does not cover the request: $" + format_usd_fixed(used, 4) + " used and $" +
                    format_usd_fixed(reserved, 4) + " reserved of $" +
                    format_usd_fixed(check.limit, 2) + ", and up to $" +
                    format_usd_fixed(estimate, 4) +
                    " more is asked. Lower max_tokens, or ask an admin to raise the limit.")
      .with_reason(check.reason)
      .with_details_json("{\"usage_usd\":" + format_usd_fixed(used, 4) +
                         ",\"limit_usd\":" + format_usd(check.limit) +
                         ",\"remaining_usd\":" + format_usd_fixed(remaining, 4) +
                         ",\"requested_usd\":" + format_usd_fixed(estimate, 6) +
                         ",\"current_month\":\"" + std::string(month) + "\"}");
}

// Notes the highest threshold that the counter has passed and not been told of.
void note_threshold(std::string_view kind, std::string_view id, std::string_view month,
                    int64_t limit, bool refused, BudgetCounter& counter,
                    std::vector<BudgetThreshold>& reached) {
  if (limit <= 0) return;
  int percent = counter.used >= limit - limit / 5 ? 80 : 0;
  if (counter.used >= limit || (refused && counter.used >= limit - limit / 20)) percent = 100;
  if (percent <= counter.alerted_percent) return;
  counter.alerted_percent = percent;
  reached.push_back({kind, std::string(id), std::string(month), percent, counter.used, limit});
}

}  // namespace

BudgetBook::BudgetBook(std::string organization_id, KvStore& kv, const Clock& clock,
                       const BudgetNames& names, BudgetJournal* journal)
    : organization_id_(std::move(organization_id)),
      kv_(kv),
      clock_(clock),
      names_(names),
      journal_(journal) {}

std::string BudgetBook::counter_key(std::string_view kind, std::string_view id,
                                    std::string_view month) {
  return keyspace::quota(kind, id, month);
}

Status BudgetBook::load(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    {
      MutexLock lock(mutex_);
      const auto it = counters_.find(key);
      if (it != counters_.end() && it->second.loaded) continue;
    }
    BudgetCounter stored;
    Result<KvEntry> entry = kv_.get(KvFamily::kQuota, key);
    if (entry.ok()) {
      const Json value = KVCS_TRY(parse_json(entry->value));
      JsonReader reader(value, key);
      stored.used = reader.integer("used_nano_usd", INT64_MIN, INT64_MAX);
      stored.request_count = reader.integer("request_count", 0, INT64_MAX);
      stored.error_count = reader.integer("error_count", 0, INT64_MAX);
      reader.ignore_unknown();
      // A counter that cannot be read is not zero: the failure mode decides, not a free month.
      if (const Status bad = reader.finish(); !bad.ok()) {
        return unavailable("A budget counter is unreadable.", key + ": " + bad.message());
      }
    } else if (entry.code() != Code::kNotFound) {
      return std::move(entry).status();
    }
    MutexLock lock(mutex_);
    BudgetCounter& counter = counters_[key];
    if (counter.loaded) continue;
    counter.loaded = true;
    counter.used = add(counter.used, stored.used);
    counter.request_count += stored.request_count;
    counter.error_count += stored.error_count;
  }
  return ok();
}

// The day's grace spending of before a restart, read while the store still answers.
Status BudgetBook::load_grace(const std::string& day) {
  {
    MutexLock lock(mutex_);
    if (grace_.count(day) > 0) return ok();
  }
  int64_t used = 0;
  Result<KvEntry> entry = kv_.get(KvFamily::kQuota, keyspace::grace(organization_id_, day));
  if (entry.ok()) {
    const Json value = KVCS_TRY(parse_json(entry->value));
    JsonReader reader(value, "grace");
    used = reader.integer("used_nano_usd", 0, INT64_MAX);
    KVCS_TRY(reader.finish());
  } else if (entry.code() != Code::kNotFound) {
    return std::move(entry).status();
  }
  MutexLock lock(mutex_);
  grace_.try_emplace(day, Grace{used, 0});
  return ok();
}

void BudgetBook::forget_old_months(const std::string& month) {
  if (month_ == month) return;
  month_ = month;
  for (auto it = counters_.begin(); it != counters_.end();) {
    const auto& [key, counter] = *it;
    const bool done =
        !key.ends_with(month) && counter.loaded && counter.reserved == 0 && dirty_.count(key) == 0;
    it = done ? counters_.erase(it) : std::next(it);
  }
}

Result<BudgetBook::Admission> BudgetBook::admit(const BudgetAsk& ask) {
  const int64_t now_ms = clock_.unix_ms();
  OpenReservation open{.request_id = ask.request_id,
                       .key_id = ask.key_id,
                       .user_id = ask.user_id,
                       .organization_id = organization_id_,
                       .month = format_month(now_ms),
                       .estimate = std::clamp<int64_t>(ask.estimate_nano_usd, 0, kSaturated),
                       .input_only = std::clamp<int64_t>(ask.input_only_nano_usd, 0, kSaturated),
                       .created_ms = now_ms,
                       .provider = ask.provider,
                       .model = ask.model,
                       .price_version = ask.price_version,
                       .limits = ask.limits};
  Status loaded = load({counter_key("key", ask.key_id, open.month),
                        counter_key("user", ask.user_id, open.month),
                        counter_key("org", organization_id_, open.month)});
  if (loaded.ok() && ask.limits.failure_mode == FailureMode::kFailOpen) {
    loaded = load_grace(format_day(now_ms));
  }
  if (!loaded.ok()) {
    return admit_in_failure(ask, std::move(open), loaded);
  }
  return admit_counted(ask, std::move(open));
}

Status BudgetBook::check_limits(const BudgetAsk& ask, const std::string& month,
                                std::vector<BudgetThreshold>& reached) {
  const std::array<LimitCheck, 3> checks = {
      {{"key", ask.key_id, "key_quota_exceeded", "API key", ask.limits.key_nano_usd},
       {"user", ask.user_id, "user_quota_exceeded", "user", ask.limits.user_nano_usd},
       {"org", organization_id_, "organization_quota_exceeded", "organization",
        ask.limits.organization_nano_usd}}};
  for (const LimitCheck& check : checks) {
    if (check.limit < 0) continue;
    BudgetCounter& counter = counters_[counter_key(check.kind, check.id, month)];
    const int64_t committed = add(counter.used, counter.reserved);
    // Equality is allowed; a limit of 0 blocks even what costs nothing.
    if (check.limit == 0 || add(committed, ask.estimate_nano_usd) > check.limit) {
      if (check.kind != "key") {
        note_threshold(check.kind, check.id, month, check.limit, true, counter, reached);
      }
      return refusal(check, counter.used, counter.reserved, ask.estimate_nano_usd, month);
    }
  }
  return ok();
}

void BudgetBook::hold(const OpenReservation& open, int64_t sign) {
  add_reserved(open, sign * open.estimate);
  open_ += sign;
}

Status BudgetBook::extend(OpenReservation& open, int64_t more) {
  if (open.grace) {
    return Status(Code::kQuotaExceeded,
                  "While the budget store does not answer, a request gets no more than was set "
                  "aside for it.")
        .with_reason("organization_quota_exceeded");
  }
  const BudgetAsk ask{.request_id = open.request_id,
                      .key_id = open.key_id,
                      .user_id = open.user_id,
                      .organization_id = open.organization_id,
                      .limits = open.limits,
                      .estimate_nano_usd = more};
  std::vector<BudgetThreshold> none;  // The settlement tells.
  MutexLock lock(mutex_);
  KVCS_TRY(check_limits(ask, open.month, none));
  add_reserved(open, more);
  open.estimate = add(open.estimate, more);
  return ok();
}

void BudgetBook::add_reserved(const OpenReservation& open, int64_t amount) {
  for (const auto& [kind, id] : std::array<std::pair<std::string_view, std::string_view>, 3>{
           {{"key", open.key_id}, {"user", open.user_id}, {"org", organization_id_}}}) {
    BudgetCounter& counter = counters_[counter_key(kind, id, open.month)];
    counter.reserved = std::max<int64_t>(0, add(counter.reserved, amount));
  }
}

Result<BudgetBook::Admission> BudgetBook::admit_counted(const BudgetAsk& ask,
                                                        OpenReservation open) {
  Admission admission;
  Status refused;
  std::vector<BudgetThreshold> reached;
  {
    MutexLock lock(mutex_);
    forget_old_months(open.month);
    refused = check_limits(ask, open.month, reached);
    const BudgetCounter& user = counters_[counter_key("user", open.user_id, open.month)];
    admission.user = {user.used, user.reserved, user.request_count + 1, user.error_count,
                      open.month};
    if (refused.ok()) hold(open, +1);
  }
  if (!refused.ok()) {
    Entry entry;
    entry.ts_ms = open.created_ms;
    add_alerts(reached, entry);
    // A store that fails keeps it queued.
    if (!entry.alerts.empty()) (void)enqueue_and_flush(std::move(entry));
    return refused;
  }
  KvBatch batch;
  batch.put(KvFamily::kQuota, keyspace::reservation(open.request_id), reservation_json(open));
  if (Status stored = kv_.write(batch, KvDurability::kBuffered); !stored.ok()) {
    {
      MutexLock lock(mutex_);
      hold(open, -1);
    }
    return admit_in_failure(ask, std::move(open), std::move(stored));
  }
  admission.open = std::move(open);
  return admission;
}

Result<BudgetBook::Admission> BudgetBook::admit_in_failure(const BudgetAsk& ask,
                                                           OpenReservation open, Status failure) {
  if (ask.limits.failure_mode == FailureMode::kFailClosed) {
    return unavailable("The budget store does not answer; try again shortly.", failure.to_string())
        .with_reason("quota_unavailable")
        .with_retry_after_s(5);
  }
  open.grace = true;
  open.grace_day = format_day(open.created_ms);
  MutexLock lock(mutex_);
  Grace& day = grace_[open.grace_day];
  Grace& user = user_grace_[open.grace_day + "/" + open.user_id];
  // Two days' share of a month for one user; and what is blocked stays blocked.
  const int64_t user_limit = ask.limits.user_nano_usd / kGraceShareOfMonth;
  const bool blocked =
      user_limit == 0 || ask.limits.organization_nano_usd == 0 || ask.limits.key_nano_usd == 0;
  const int64_t limit = blocked ? 0 : ask.limits.fallback_daily_nano_usd;
  if (add(add(user.used, user.reserved), open.estimate) > user_limit || limit == 0 ||
      add(add(day.used, day.reserved), open.estimate) > limit) {
    return Status(Code::kQuotaExceeded,
                  "The budget store does not answer, and what is allowed today without it ($" +
                      format_usd(std::min(limit, user_limit)) + ") does not cover the request.",
                  failure.to_string())
        .with_reason("organization_quota_exceeded")
        .with_retry_after_s(60);
  }
  day.reserved = add(day.reserved, open.estimate);
  user.reserved = add(user.reserved, open.estimate);
  grace_requests_++;
  hold(open, +1);
  return Admission{std::move(open), BudgetView{0, 0, 1, 0, format_month(clock_.unix_ms())}};
}

void BudgetBook::charge(const OpenReservation& open, const UsageRecord& record,
                        std::vector<BudgetThreshold>& reached) {
  for (const auto& [kind, id] : std::array<std::pair<std::string_view, std::string_view>, 3>{
           {{"key", open.key_id}, {"user", open.user_id}, {"org", organization_id_}}}) {
    BudgetCounter& counter = counters_[counter_key(kind, id, open.month)];
    counter.used = add(counter.used, record.cost_nano_usd);
    counter.request_count++;
    counter.error_count += record.status >= 400 ? 1 : 0;
    dirty_.insert(counter_key(kind, id, open.month));
    if (kind == "key") continue;
    const int64_t limit =
        kind == "user" ? open.limits.user_nano_usd : open.limits.organization_nano_usd;
    note_threshold(kind, id, open.month, limit, false, counter, reached);
  }
}

void BudgetBook::add_alerts(const std::vector<BudgetThreshold>& reached, Entry& entry) const {
  for (const BudgetThreshold& one : reached) {
    const std::string percent = std::to_string(one.percent);
    const std::string name = names_ ? names_(one.kind, one.id) : one.id;
    const std::string what = one.kind == "user" ? "The user " : "The organization ";
    AlertEvent alert{"budget." + percent, name,
                     what + name + " has used $" + format_usd(one.used) + " of $" +
                         format_usd(one.limit) + " in " + one.month + "."};
    if (one.percent == 100) alert.message += " Its requests are refused.";
    entry.alerts.emplace_back("budget-" + one.id + "-" + one.month + "-" + percent,
                              std::move(alert));
  }
}

Status BudgetBook::settle(const OpenReservation& open, const UsageRecord* record) {
  Entry entry, told;
  entry.ts_ms = told.ts_ms = clock_.unix_ms();
  if (!open.grace) entry.reservation_key = keyspace::reservation(open.request_id);
  if (record != nullptr) {
    entry.row_id = open.request_id;
    entry.row_json = usage_json(*record);
    entry.is_charge = true;
  }
  std::vector<BudgetThreshold> reached;
  uint64_t ticket;
  {
    MutexLock lock(mutex_);
    hold(open, -1);
    if (open.grace) {
      for (Grace* grace :
           {&grace_[open.grace_day], &user_grace_[open.grace_day + "/" + open.user_id]}) {
        grace->reserved = std::max<int64_t>(0, grace->reserved - open.estimate);
        if (record != nullptr) grace->used = add(grace->used, record->cost_nano_usd);
      }
      dirty_grace_.insert(open.grace_day);
    }
    if (record != nullptr) charge(open, *record, reached);
    // In one step with the charge: a batch that had the counters without the row and the removal
    // would let a crash behind it charge the reservation once more.
    ticket = enqueue(std::move(entry));
  }
  add_alerts(reached, told);
  if (!told.alerts.empty()) {
    MutexLock lock(mutex_);
    ticket = enqueue(std::move(told));
  }
  return wait_for(ticket);
}

Status BudgetBook::settle_recovered(const OpenReservation& open, const UsageRecord& record,
                                    std::string row_json) {
  KVCS_TRY(load({counter_key("key", open.key_id, open.month),
                 counter_key("user", open.user_id, open.month),
                 counter_key("org", organization_id_, open.month)}));
  if (open.grace) KVCS_TRY(load_grace(open.grace_day));
  {
    MutexLock lock(mutex_);
    // The limits are not known here; the next settlement tells what was passed.
    std::vector<BudgetThreshold> none;
    charge(open, record, none);
    if (open.grace) {
      grace_[open.grace_day].used = add(grace_[open.grace_day].used, record.cost_nano_usd);
      dirty_grace_.insert(open.grace_day);
    }
  }
  return enqueue_and_flush({.reservation_key = keyspace::reservation(open.request_id),
                            .row_id = open.request_id,
                            .row_json = std::move(row_json),
                            .ts_ms = record.ts_ms,
                            .alerts = {}});
}

Result<int64_t> BudgetBook::reset_user(std::string_view user_id, bool organization_too) {
  const int64_t now_ms = clock_.unix_ms();
  const std::string month = format_month(now_ms);
  const std::string user_key = counter_key("user", user_id, month);
  const std::string org_key = counter_key("org", organization_id_, month);
  KVCS_TRY(load({user_key, org_key}));
  UsageRecord row{.request_id = "reset-" + make_request_id(),
                  .ts_ms = now_ms,
                  // In the sums of whom it changes: the organization's use stays unless asked for.
                  .organization_id = organization_too ? organization_id_ : "",
                  .user_id = std::string(user_id),
                  .model = "adjustment",
                  .status = 200,
                  .period = month};
  int64_t previous;
  {
    MutexLock lock(mutex_);
    BudgetCounter& user = counters_[user_key];
    previous = user.used;
    user.used = 0;
    dirty_.insert(user_key);
    if (organization_too) {
      BudgetCounter& organization = counters_[org_key];
      organization.used = std::max<int64_t>(0, organization.used - previous);
      dirty_.insert(org_key);
    }
    row.cost_nano_usd = -previous;
  }
  Entry entry{.row_id = row.request_id, .row_json = usage_json(row), .ts_ms = now_ms, .alerts = {}};
  KVCS_TRY(enqueue_and_flush(std::move(entry)));
  return previous;
}

std::optional<BudgetView> BudgetBook::peek(std::string_view kind, std::string_view id,
                                           std::string_view month) const {
  MutexLock lock(mutex_);
  const auto it = counters_.find(counter_key(kind, id, month));
  if (it == counters_.end() || !it->second.loaded) return std::nullopt;
  const BudgetCounter& counter = it->second;
  return BudgetView{counter.used, counter.reserved, counter.request_count, counter.error_count,
                    std::string(month)};
}

BudgetBook::Stats BudgetBook::stats() const {
  MutexLock lock(mutex_);
  return {open_, static_cast<int64_t>(pending_.size()), grace_requests_};
}

}  // namespace kvcs::ai
