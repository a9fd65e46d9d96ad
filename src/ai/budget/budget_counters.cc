// The counters of an organization in memory: where they come from, how long they stay, and how one
// that the store cannot give is made anew from its rows.
#include <nlohmann/json.hpp>

#include <utility>

#include "ai/budget/budget_book.h"
#include "base/json.h"
#include "base/log.h"
#include "base/money.h"
#include "kv/keyspace.h"

namespace kvcs::ai {

Status unreadable_counter(std::string cause) {
  return unavailable(
      "A counter of the budget cannot be read; within a minute it is made anew from its rows.",
      std::move(cause));
}

BudgetCounter* BudgetBook::counter(std::string_view kind, std::string_view id,
                                   const std::string& month) {
  auto it = counters_.find(std::tie(kind, id, month));
  if (it == counters_.end()) {
    it = counters_.try_emplace(CounterName(kind, id, month)).first;
    it->second.kind = kind;
    it->second.id = id;
    it->second.month = month;
  }
  return &it->second;
}

// Returns the three counters of a request, pinned: they stay where they are until unpin().
BudgetCounters BudgetBook::pin_counters(const OpenReservation& open) {
  MutexLock lock(mutex_);
  forget_old_months(open.month);
  const BudgetCounters found = {counter("key", open.key_id, open.month),
                                counter("user", open.user_id, open.month),
                                counter("org", organization_id_, open.month)};
  for (BudgetCounter* one : found) one->pins++;
  return found;
}

void BudgetBook::unpin(std::span<BudgetCounter* const> counters) {
  for (BudgetCounter* one : counters) one->pins--;
}

// Marks the counter, and tells people of it once. Unavailable, whether it is the first time or not;
// Ok when another thread has loaded the counter meanwhile, before its record was damaged.
Status BudgetBook::note_damage(BudgetCounter& counter, const Status& why) {
  const std::string key = keyspace::quota(counter.kind, counter.id, counter.month);
  {
    MutexLock lock(mutex_);
    if (counter.loaded) return ok();
    if (counter.damaged) return unreadable_counter(key);
    counter.damaged = true;
  }
  Entry told;
  told.alerts.emplace_back(
      "budget-damaged-" + counter.id + "-" + counter.month,
      AlertEvent{"budget.counter_damaged", names_ ? names_(counter.kind, counter.id) : counter.id,
                 "The counter " + key + " cannot be read; it is made anew from the rows."});
  {
    MutexLock lock(mutex_);
    pending_.push_back(std::move(told));
  }
  log::error("budgets.counter_damaged", {{"key", key}, {"reason", why.to_string()}});
  return unreadable_counter(key + ": " + why.message());
}

Status BudgetBook::load(std::span<BudgetCounter* const> wanted) {
  std::vector<BudgetCounter*> missing;
  {
    MutexLock lock(mutex_);
    for (BudgetCounter* one : wanted) {
      if (!one->loaded) missing.push_back(one);
    }
  }
  Status first;
  for (BudgetCounter* one : missing) {
    // All of them, even after a failure, so that repair() gets to know each one that is damaged.
    Status loaded = load(*one);
    if (first.ok()) first = std::move(loaded);
  }
  return first;
}

// Precondition: the counter is pinned or dirty, so it stays where it is. Its kind, id and month
// never change and are read without the lock.
Status BudgetBook::load(BudgetCounter& counter) {
  const std::string key = keyspace::quota(counter.kind, counter.id, counter.month);
  {
    // repair() alone ends this: a record that can be read again may lack rows that were written
    // meanwhile, and one that was removed would make the month free.
    MutexLock lock(mutex_);
    if (counter.damaged) return unreadable_counter(key);
  }
  BudgetCounter stored;
  bool absent = false;
  Result<KvEntry> entry = kv_.get(KvFamily::kQuota, key);
  if (entry.ok()) {
    // A counter that cannot be read does not count as zero, or the month would be free; the failure
    // mode decides.
    Result<BudgetView> read = parse_counter(entry->value, counter.month);
    if (!read.ok()) return note_damage(counter, read.status());
    stored.used = read->used_nano_usd;
    stored.request_count = read->request_count;
    stored.error_count = read->error_count;
    stored.rows_known = read->rows.has_value();
    stored.rows = read->rows.value_or(BudgetView::Rows{});
  } else if (entry.code() == Code::kNotFound) {
    absent = true;
  } else if (entry.code() == Code::kUnavailable) {
    return std::move(entry).status();  // The store does not answer; it may later.
  } else {
    return note_damage(counter, entry.status());
  }
  MutexLock lock(mutex_);
  // Another thread may have read the same record meanwhile; it must not be added twice.
  if (counter.loaded) return ok();
  if (counter.damaged) return unreadable_counter(key);
  counter.loaded = true;
  counter.absent = absent;
  counter.written_used = stored.used;
  counter.used = saturating_add(counter.used, stored.used);
  counter.request_count += stored.request_count;
  counter.error_count += stored.error_count;
  counter.rows.count += stored.rows.count;
  counter.rows.nano_usd += stored.rows.nano_usd;
  counter.rows_known = stored.rows_known;
  return ok();
}

// Reads what was spent in grace mode on that day before a restart. Every admission of an
// organization that fails open does so, while the store still answers: in grace mode it will be too
// late.
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

// Drops the counters of other months once a month has begun. Those that are still to be written,
// that a reservation points to, or that are not complete stay until the next time.
void BudgetBook::forget_old_months(const std::string& month) {
  if (month_ == month) return;
  month_ = month;
  for (auto it = counters_.begin(); it != counters_.end();) {
    const BudgetCounter& one = it->second;
    const bool done = one.month != month && one.loaded && one.pins == 0 && !one.dirty;
    it = done ? counters_.erase(it) : std::next(it);
  }
}

bool BudgetBook::forget(std::string_view kind, std::string_view id) {
  bool all = true;
  MutexLock lock(mutex_);
  const ByName::Views first{kind, id, ""};
  for (auto it = counters_.lower_bound(first); it != counters_.end();) {
    const BudgetCounter& one = it->second;
    if (one.kind != kind || one.id != id) break;
    const bool in_use = one.pins > 0 || one.dirty || one.reserved != 0;
    all = all && !in_use;
    it = in_use ? std::next(it) : counters_.erase(it);
  }
  return all;
}

// The counters that are damaged or absent, pinned. When there are any, writing_ is set.
std::vector<BudgetCounter*> BudgetBook::begin_repair() {
  std::vector<BudgetCounter*> doubtful;
  MutexLock lock(mutex_);
  for (auto& [name, one] : counters_) {
    if (!one.damaged && !one.absent) continue;
    one.pins++;
    doubtful.push_back(&one);
  }
  if (doubtful.empty()) return doubtful;
  // The repair takes the place of the leader, so that nobody writes rows meanwhile: a row that
  // arrived between the count and apply() would be counted twice.
  while (writing_) written_.wait(mutex_);
  writing_ = true;
  return doubtful;
}

// Sets a doubtful counter by the sums of its rows in outbox and ledger. What a damaged counter
// holds itself has no row there yet, so the two are added.
void BudgetBook::apply(const BudgetView& rows, BudgetCounter& counter) {
  const bool damaged = std::exchange(counter.damaged, false);
  counter.absent = false;
  // A counter without a record in the store is right, unless there are rows that it did not count:
  // then the record was lost.
  const int64_t lost = rows.used_nano_usd - counter.written_used;
  if (!damaged && lost <= 0) return;
  counter.loaded = true;
  counter.rows_known = false;
  counter.used += damaged ? rows.used_nano_usd : lost;
  counter.request_count = damaged ? counter.request_count + rows.request_count
                                  : std::max(counter.request_count, rows.request_count);
  counter.error_count = damaged ? counter.error_count + rows.error_count
                                : std::max(counter.error_count, rows.error_count);
  mark_dirty(counter);
  log::warn("budgets.counter_recounted",
            {{"key", keyspace::quota(counter.kind, counter.id, counter.month)},
             {"used_usd", format_usd(counter.used)}});
}

Status BudgetBook::repair(const Budgets::Recount& recount) {
  const std::vector<BudgetCounter*> doubtful = begin_repair();
  if (doubtful.empty()) return ok();
  Status result;
  for (BudgetCounter* one : doubtful) {
    const Result<BudgetView> rows = recount(one->kind, one->id, one->month);
    MutexLock lock(mutex_);
    one->pins--;
    if (rows.ok()) {
      apply(*rows, *one);
    } else {
      result = rows.status();
    }
  }
  bool changed;
  {
    MutexLock lock(mutex_);
    writing_ = false;
    written_.notify_all();
    changed = !dirty_.empty() && pending_.empty();
    // flush() writes only when an entry waits, and a counter alone is none; so an empty one is
    // added.
    if (changed) pending_.push_back({.row_id = {}, .row_json = {}, .alerts = {}, .slot = {}});
  }
  if (!result.ok()) return result;
  return changed ? flush() : ok();
}

}  // namespace kvcs::ai
