// Admission and settlement: limits, holds, charges and alerts, all in memory. The picture of the
// whole machine is in budget_book.h.
#include "ai/budget/budget_book.h"

#include <algorithm>
#include <array>

#include "base/id.h"
#include "base/memory.h"
#include "base/money.h"
#include "ledger/rows.h"

namespace kvcs::ai {
namespace {

// In grace mode a user may spend a fifteenth of the month's limit in a day, which is two days'
// share.
constexpr int64_t kGraceShareOfMonth = 15;

// The pause after which a request is worth another try that only others' reservations refused.
constexpr int kWaitForOthersS = 2;

struct LimitCheck {
  std::string_view reason, words;
  int64_t limit;
  std::string_view who_sets;  // Of a limit of 0.
};

// The limits of a request, in the order of its counters.
std::array<LimitCheck, 3> limit_checks(const BudgetLimits& limits) {
  return {{{"key_quota_exceeded", "API key", limits.key_nano_usd,
            "An admin of the organization makes a key with another monthly_limit_usd."},
           {"user_quota_exceeded", "user", limits.user_nano_usd,
            "An admin of the organization sets it: PATCH /admin/users/{user_id} with "
            "monthly_limit_usd."},
           {"organization_quota_exceeded", "organization", limits.organization_nano_usd,
            "An operator of this daemon sets it: PATCH /admin/organizations/{org_id} with "
            "monthly_budget_usd, or another plan if the plan's is 0."}}};
}

// Equality is allowed; a limit of 0 blocks even what costs nothing.
bool fits(int64_t limit, int64_t committed, int64_t estimate) {
  return limit != 0 && saturating_add(committed, estimate) <= limit;
}

// A budget of 0 is one that nobody has set: waiting for the next month does not help.
std::string refusal_words(const LimitCheck& check, int64_t used, int64_t reserved, int64_t estimate,
                          std::string_view way_out) {
  if (check.limit == 0) {
    return "No AI budget is set for this " + std::string(check.words) +
           ": it is $0.00 a month, so that no model can be called. " + std::string(check.who_sets);
  }
  return "The monthly budget of this " + std::string(check.words) +
         " does not cover the request: $" + format_usd(used, 4) + " used and $" +
         format_usd(reserved, 4) + " reserved of $" + format_usd(check.limit, 2) + ", and up to $" +
         format_usd(estimate, 4) + std::string(way_out);
}

Status refusal(const LimitCheck& check, const BudgetCounter& counter, int64_t estimate,
               bool waiting_may_help) {
  const int64_t used = counter.used, reserved = counter.reserved;
  const int64_t remaining = std::max<int64_t>(0, check.limit - saturating_add(used, reserved));
  const std::string ask = std::string("ask ") +
                          (check.words == "organization" ? "an operator" : "an admin") +
                          " to raise the limit.";
  const std::string way_out =
      waiting_may_help
          ? " more is asked. Other requests hold the rest: try again shortly, or lower "
            "max_tokens."
      : remaining == 0 ? " more is asked. It is used up until the next month; " + ask
                       : " more is asked. Lower max_tokens, or " + ask;
  return Status(Code::kQuotaExceeded, refusal_words(check, used, reserved, estimate, way_out))
      .with_reason(check.reason)
      .with_retry_after_s(waiting_may_help ? kWaitForOthersS : 0)
      .with_details_json("{\"usage_usd\":" + format_usd_fixed(used, 4) +
                         ",\"limit_usd\":" + format_usd(check.limit) +
                         ",\"remaining_usd\":" + format_usd_fixed(remaining, 4) +
                         ",\"requested_usd\":" + format_usd_fixed(estimate, 6) +
                         ",\"current_month\":\"" + counter.month +
                         "\",\"waiting_may_help\":" + (waiting_may_help ? "true" : "false") + "}");
}

Status quota_unavailable(const Status& cause) {
  return unavailable("The budget store does not answer; try again shortly.", cause.to_string())
      .with_reason("quota_unavailable")
      .with_retry_after_s(kKvRetryAfterS);
}

// Notes the highest threshold that the counter has passed and that nobody was told of yet. A
// refusal counts as reaching 100 % from 95 % on.
void note_threshold(BudgetCounter& counter, int64_t limit, bool refused,
                    std::vector<BudgetThreshold>& reached) {
  if (limit <= 0) return;
  int percent = counter.used >= limit - limit / 5 ? 80 : 0;
  if (counter.used >= limit || (refused && counter.used >= limit - limit / 20)) percent = 100;
  if (percent <= counter.alerted_percent) return;
  reached.push_back({counter.kind, counter.id, counter.month, percent, counter.used, limit});
  counter.alerted_percent = percent;
}

}  // namespace

BudgetBook::BudgetBook(std::string organization_id, KvStore& kv, const Clock& clock,
                       const BudgetNames& names, ChargeJournal& journal)
    : organization_id_(std::move(organization_id)),
      kv_(kv),
      clock_(clock),
      names_(names),
      journal_(journal) {}

OpenReservation BudgetBook::opening(BudgetAsk ask) const {
  const int64_t now_ms = clock_.unix_ms();
  return {.request_id = std::move(ask.request_id),
          .key_id = std::move(ask.key_id),
          .user_id = std::move(ask.user_id),
          .organization_id = organization_id_,
          .month = format_month(now_ms),
          .estimate = std::clamp<int64_t>(ask.estimate_nano_usd, 0, kSaturated),
          .input_only = std::clamp<int64_t>(ask.input_only_nano_usd, 0, kSaturated),
          .created_ms = now_ms,
          .provider = std::move(ask.provider),
          .model = std::move(ask.model),
          .price_version = std::move(ask.price_version),
          .attempt = std::max<int64_t>(0, ask.attempt),
          .output_token_pico = std::max<int64_t>(0, ask.output_token_pico),
          .limits = ask.limits,
          .tell_refusal = ask.tell_refusal};
}

Status BudgetBook::admit(OpenReservation& open, BudgetView& user) {
  open.counters = pin_counters(open);
  Status admitted;
  const bool has_memory = if_memory_lasts([&] { admitted = admit_pinned(open, user); });
  if (has_memory && admitted.ok()) return admitted;
  {
    MutexLock lock(mutex_);
    unpin(open.counters);
  }
  if (!has_memory) throw std::bad_alloc();
  return admitted;
}

// Ok: the pinned counters are as the store has them, and the store takes writes. Otherwise the
// failure mode decides.
Status BudgetBook::prepare(const OpenReservation& open) {
  KVCS_TRY(load(open.counters));
  if (open.limits.failure_mode == FailureMode::kFailOpen) {
    KVCS_TRY(load_grace(format_day(open.created_ms)));
  }
  return kv_.writable();
}

// What is asked, of somebody who only looks.
OpenReservation BudgetBook::looking(const BudgetAsk& ask) const {
  const int64_t now_ms = clock_.unix_ms();
  return {.key_id = ask.key_id,
          .user_id = ask.user_id,
          .month = format_month(now_ms),
          .created_ms = now_ms,
          .grace_day = format_day(now_ms),
          .limits = ask.limits};
}

Status BudgetBook::check_left(const BudgetAsk& ask) {
  OpenReservation open = looking(ask);
  open.counters = pin_counters(open);
  const Status usable = prepare(open);
  MutexLock lock(mutex_);
  unpin(open.counters);
  if (!usable.ok()) {
    if (open.limits.failure_mode == FailureMode::kFailClosed) return quota_unavailable(usable);
    return grace_room(open) > 0 ? ok() : grace_refusal(open, usable);
  }
  const std::array<LimitCheck, 3> checks = limit_checks(open.limits);
  for (size_t i = 0; i < checks.size(); i++) {
    const bool is_left = checks[i].limit < 0 || open.counters[i]->used < checks[i].limit;
    if (!is_left) return refusal(checks[i], *open.counters[i], 0, false);
  }
  return ok();
}

Result<int64_t> BudgetBook::room(const BudgetAsk& ask) {
  OpenReservation open = looking(ask);
  open.counters = pin_counters(open);
  const Status usable = prepare(open);
  MutexLock lock(mutex_);
  unpin(open.counters);
  if (!usable.ok()) {
    if (open.limits.failure_mode == FailureMode::kFailClosed) return quota_unavailable(usable);
    return grace_room(open);
  }
  int64_t room = INT64_MAX;
  const std::array<LimitCheck, 3> checks = limit_checks(open.limits);
  for (size_t i = 0; i < checks.size(); i++) {
    const int64_t limit = checks[i].limit;
    if (limit < 0) continue;
    const BudgetCounter& counter = *open.counters[i];
    // A user whose use was set back may have less than nothing used: more than the limit is left.
    room = std::min(
        room,
        limit == 0 ? 0 : saturating_add(limit, -saturating_add(counter.used, counter.reserved)));
  }
  return std::max<int64_t>(0, room);
}

Status BudgetBook::admit_pinned(OpenReservation& open, BudgetView& user) {
  const Status usable = prepare(open);
  if (usable.ok()) {
    user = KVCS_TRY(hold_counted(open));
  } else {
    user = KVCS_TRY(hold_in_failure(open, usable));
  }
  // The last step, so that the record in the journal has all that the reservation holds. Without a
  // record a crash would lose the money: then there is no reservation.
  std::optional<Result<uint32_t>> slot;
  const bool has_memory = if_memory_lasts([&] { slot = journal_.begin(reservation_json(open)); });
  if (!has_memory || !slot->ok()) {
    {
      MutexLock lock(mutex_);
      release(open);
    }
    if (!has_memory) throw std::bad_alloc();
    return quota_unavailable(slot->status());
  }
  open.slot = **slot;
  return ok();
}

Status BudgetBook::check_limits(const OpenReservation& open,
                                std::vector<BudgetThreshold>& reached) {
  const std::array<LimitCheck, 3> checks = limit_checks(open.limits);
  std::optional<size_t> refused_by;
  bool waiting_may_help = true;
  for (size_t i = 0; i < checks.size(); i++) {
    const LimitCheck& check = checks[i];
    if (check.limit < 0) continue;
    const BudgetCounter& counter = *open.counters[i];
    const int64_t committed = saturating_add(counter.used, counter.reserved);
    if (fits(check.limit, committed, open.estimate)) continue;
    if (!refused_by) refused_by = i;
    waiting_may_help = waiting_may_help && fits(check.limit, counter.used, open.estimate);
  }
  if (!refused_by) return ok();
  const LimitCheck& check = checks[*refused_by];
  BudgetCounter& counter = *open.counters[*refused_by];
  if (*refused_by > 0 && open.tell_refusal) note_threshold(counter, check.limit, true, reached);
  return refusal(check, counter, open.estimate, waiting_may_help);
}

void BudgetBook::hold(const OpenReservation& open, int64_t amount) {
  for (BudgetCounter* one : open.counters) {
    one->reserved = std::max<int64_t>(0, saturating_add(one->reserved, amount));
  }
}

// Holds the estimate at all three counters, or at none. The view that is returned counts this
// request already.
Result<BudgetView> BudgetBook::hold_counted(const OpenReservation& open) {
  std::vector<BudgetThreshold> reached;
  Status refused;
  {
    MutexLock lock(mutex_);
    refused = check_limits(open, reached);
    if (refused.ok()) {
      const BudgetCounter& user = *open.counters[1];
      BudgetView view{user.used, user.reserved, user.request_count + 1, user.error_count,
                      open.month};
      hold(open, open.estimate);
      open_++;
      return view;
    }
  }
  Entry entry;
  add_alerts(reached, entry);
  // When the store fails, the alert waits in pending_ for the next flush.
  if (!entry.alerts.empty()) (void)enqueue_and_flush(std::move(entry));
  return refused;
}

// A limit of 0 blocks in grace mode, too.
BudgetBook::GraceLimits BudgetBook::grace_limits(const OpenReservation& open) {
  const BudgetLimits& limits = open.limits;
  const int64_t user = limits.user_nano_usd / kGraceShareOfMonth;
  if (user == 0 || limits.organization_nano_usd == 0 || limits.key_nano_usd == 0) return {};
  return {user, limits.fallback_daily_nano_usd};
}

// What is left of the day; less than 0 when nothing may be admitted, not even what costs nothing.
int64_t BudgetBook::grace_room(const OpenReservation& open) {
  const GraceLimits limits = grace_limits(open);
  if (limits.day == 0) return -1;
  const Grace& day = grace_[open.grace_day];
  const Grace& user = user_grace_[open.grace_day + "/" + open.user_id];
  return std::min(limits.day - saturating_add(day.used, day.reserved),
                  limits.user - saturating_add(user.used, user.reserved));
}

Status BudgetBook::grace_refusal(const OpenReservation& open, const Status& failure) {
  const GraceLimits limits = grace_limits(open);
  return Status(Code::kQuotaExceeded,
                "The budget store does not answer, and what is allowed today without it ($" +
                    format_usd(std::min(limits.day, limits.user)) + ") does not cover the request.",
                failure.to_string())
      .with_reason("organization_quota_exceeded")
      // The store may answer again; a limit of 0 stays.
      .with_details_json(limits.day == 0 ? R"({"waiting_may_help":false})"
                                         : R"({"waiting_may_help":true})")
      .with_retry_after_s(60);
}

Result<BudgetView> BudgetBook::hold_in_failure(OpenReservation& open, const Status& failure) {
  if (open.limits.failure_mode == FailureMode::kFailClosed) return quota_unavailable(failure);
  open.grace = true;
  open.grace_day = format_day(open.created_ms);
  MutexLock lock(mutex_);
  if (open.estimate > grace_room(open)) return grace_refusal(open, failure);
  Grace& day = grace_[open.grace_day];
  open.user_grace = open.grace_day + "/" + open.user_id;
  Grace& user = user_grace_[open.user_grace];
  day.reserved = saturating_add(day.reserved, open.estimate);
  user.reserved = saturating_add(user.reserved, open.estimate);
  grace_requests_++;
  hold(open, open.estimate);
  open_++;
  return BudgetView{0, 0, 1, 0, open.month};
}

// Gives back what was set aside.
void BudgetBook::release(const OpenReservation& open) {
  hold(open, -open.estimate);
  open_--;
  if (!open.grace) return;
  for (Grace* grace : {&grace_[open.grace_day], &user_grace_[open.user_grace]}) {
    grace->reserved = std::max<int64_t>(0, grace->reserved - open.estimate);
  }
}

void BudgetBook::mark_dirty(BudgetCounter& counter) {
  if (!counter.dirty) dirty_.push_back(&counter);
  counter.dirty = true;
}

void BudgetBook::charge(const OpenReservation& open, const UsageRecord& record,
                        std::vector<BudgetThreshold>& reached) {
  // A request counts once, with its last try.
  const bool is_request = is_last_try(record);
  for (BudgetCounter* one : open.counters) {
    one->used = saturating_add(one->used, record.cost_nano_usd);
    one->request_count += is_request ? 1 : 0;
    one->error_count += is_request && record.status >= 400 ? 1 : 0;
    one->rows.count++;
    one->rows.nano_usd = saturating_add(one->rows.nano_usd, record.cost_nano_usd);
    mark_dirty(*one);
  }
  // A threshold for which memory does not last is told by the next charge.
  (void)if_memory_lasts([&] {
    note_threshold(*open.counters[1], open.limits.user_nano_usd, false, reached);
    note_threshold(*open.counters[2], open.limits.organization_nano_usd, false, reached);
  });
  if (!open.grace) return;
  for (Grace* grace : {&grace_[open.grace_day], &user_grace_[open.user_grace]}) {
    grace->used = saturating_add(grace->used, record.cost_nano_usd);
  }
}

// All that charge() and what follows it need, so that neither stops half way.
void BudgetBook::make_room_for_charge(const OpenReservation& open) {
  const size_t dirty = dirty_.size() + open.counters.size();
  if (dirty > dirty_.capacity()) dirty_.reserve(2 * dirty);
  if (pending_.size() == pending_.capacity()) pending_.reserve(2 * pending_.size() + 16);
  if (open.grace) dirty_grace_.insert(open.grace_day);
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

BudgetBook::Entry BudgetBook::make_entry(const UsageRecord& record,
                                         std::vector<AlertEvent> alerts) {
  Entry entry;
  entry.row_id = record.request_id;
  entry.row_json = usage_json(record);
  for (size_t i = 0; i < alerts.size(); i++) {
    std::string id = alerts[i].event + "-" + entry.row_id + "-" + std::to_string(i);
    entry.alerts.emplace_back(std::move(id), std::move(alerts[i]));
  }
  return entry;
}

void BudgetBook::tell_above_reservation(const UsageRecord& record,
                                        std::vector<AlertEvent>& alerts) const {
  if (record.cost_nano_usd <= record.reserved_nano_usd) return;
  alerts.push_back({"ai.above_reservation",
                    names_ ? names_("user", record.user_id) : record.user_id,
                    "The request " + record.request_id + " to the model " + record.model +
                        " cost $" + format_usd(record.cost_nano_usd) + "; $" +
                        format_usd(record.reserved_nano_usd) + " had been set aside for it."});
}

void BudgetBook::settle(const OpenReservation& open, const UsageRecord* record,
                        std::vector<AlertEvent> alerts) {
  if (record == nullptr) {
    {
      MutexLock lock(mutex_);
      release(open);
      unpin(open.counters);
    }
    journal_.end_uncharged(open.slot);
    return;
  }
  tell_above_reservation(*record, alerts);
  Entry entry = make_entry(*record, std::move(alerts)), told;
  entry.slot = open.slot;
  // A row that is too long for its record leaves the reservation standing until the store has the
  // row: a crash before that charges the input and the output that was noted.
  (void)journal_.note_charge(open.slot, entry.row_json);
  std::vector<BudgetThreshold> reached;
  {
    MutexLock lock(mutex_);
    make_room_for_charge(open);
    release(open);
    charge(open, *record, reached);
    unpin(open.counters);
    // Under the same lock as the charge: were a group written with the counters and without the
    // row, the next start would find the row in the journal and charge it once more.
    pending_.push_back(std::move(entry));
  }
  // The charge stands, whether or not memory lasts for its alerts.
  (void)if_memory_lasts([&] {
    add_alerts(reached, told);
    if (told.alerts.empty()) return;
    MutexLock lock(mutex_);
    pending_.push_back(std::move(told));
  });
}

Status BudgetBook::settle_recovered(OpenReservation open, const UsageRecord& record) {
  open.counters = pin_counters(open);
  Status loaded = load(open.counters);
  if (loaded.ok() && open.grace) loaded = load_grace(open.grace_day);
  open.user_grace = open.grace_day + "/" + open.user_id;
  std::vector<AlertEvent> alerts;
  // A journal of an older version does not say what was set aside.
  if (record.reserved_nano_usd > 0) tell_above_reservation(record, alerts);
  Entry entry = make_entry(record, std::move(alerts));
  {
    MutexLock lock(mutex_);
    unpin(open.counters);
    const bool damaged = std::any_of(open.counters.begin(), open.counters.end(),
                                     [](const BudgetCounter* one) { return one->damaged; });
    // A damaged counter is made anew from the rows, and this row will be one of them.
    if (!damaged) KVCS_TRY(std::move(loaded));
    // The limits are not known here; the next settlement tells of thresholds that were passed.
    std::vector<BudgetThreshold> none;
    make_room_for_charge(open);
    charge(open, record, none);
    pending_.push_back(std::move(entry));
  }
  return flush();
}

Result<int64_t> BudgetBook::reset_user(std::string_view user_id, bool organization_too) {
  const int64_t now_ms = clock_.unix_ms();
  const std::string month = format_month(now_ms);
  UsageRecord row{.request_id = "reset-" + make_request_id(),
                  .ts_ms = now_ms,
                  // The row belongs to the sums that it changes: without an organization's id it
                  // leaves the organization's use alone.
                  .organization_id = organization_too ? organization_id_ : "",
                  .user_id = std::string(user_id),
                  .model = std::string(kAdjustmentModel),
                  .status = 200,
                  .period = month};
  std::array<BudgetCounter*, 2> both;
  {
    MutexLock lock(mutex_);
    both = {counter("user", user_id, month), counter("org", organization_id_, month)};
    for (BudgetCounter* one : both) one->pins++;
  }
  Status loaded = load(both);
  int64_t previous;
  {
    MutexLock lock(mutex_);
    unpin(both);
    KVCS_TRY(std::move(loaded));
    BudgetCounter& user = *both[0];
    previous = user.used;
    user.used = 0;
    mark_dirty(user);
    if (organization_too) {
      BudgetCounter& organization = *both[1];
      organization.used = std::max<int64_t>(0, organization.used - previous);
      organization.rows.count++;
      organization.rows.nano_usd -= previous;
      mark_dirty(organization);
    }
    row.cost_nano_usd = -previous;
    pending_.push_back(
        {.row_id = row.request_id, .row_json = usage_json(row), .alerts = {}, .slot = {}});
  }
  KVCS_TRY(flush());
  return previous;
}

std::optional<BudgetView> BudgetBook::peek(std::string_view kind, std::string_view id,
                                           std::string_view month) const {
  MutexLock lock(mutex_);
  const auto it = counters_.find(std::tie(kind, id, month));
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
