// Brings an organization's counters and charges to the store, in groups, one group after the other.
#include "ai/budget/budget_book.h"
#include "base/memory.h"
#include "kv/keyspace.h"
#include "kv/outbox.h"

namespace kvcs::ai {
namespace {

BudgetView as_stored(const BudgetCounter& counter) {
  BudgetView view{counter.used, 0, counter.request_count, counter.error_count, counter.month};
  if (counter.kind == "org" && counter.rows_known) view.rows = counter.rows;
  return view;
}

}  // namespace

// The first thread that flushes is the leader: it writes all that waits, and the others wait for
// it. So the groups of one organization reach the store one after the other, each with the counters
// as they were when every entry up to its last one had been added; an older absolute value can
// never overwrite a newer one.

Status BudgetBook::enqueue_and_flush(Entry entry) {
  {
    MutexLock lock(mutex_);
    pending_.push_back(std::move(entry));
  }
  return flush();
}

Status BudgetBook::flush() {
  {
    MutexLock lock(mutex_);
    while (writing_) written_.wait(mutex_);
    if (pending_.empty()) return ok();
    writing_ = true;
  }
  return write_next_group();
}

// Precondition: this thread has set writing_. The lock is released while the store writes.
Status BudgetBook::write_next_group() {
  Group group;
  Status result;
  std::vector<uint32_t> slots;
  const bool has_memory = if_memory_lasts([&] {
    result = take_group(group);
    for (const Entry& entry : group.entries) {
      if (entry.slot) slots.push_back(*entry.slot);
    }
    if (result.ok()) result = kv_.write(group.batch, KvDurability::kBuffered);
  });
  {
    MutexLock lock(mutex_);
    end_group(group, has_memory && result.ok());
    if (!has_memory) {  // The others shall not wait for this leader.
      writing_ = false;
      written_.notify_all();
    }
  }
  if (!has_memory) throw std::bad_alloc();
  if (result.ok()) journal_.end(slots);
  MutexLock lock(mutex_);
  writing_ = false;
  written_.notify_all();
  return result;
}

// An absolute value can be written only by a counter that knows what the store has: those that do
// not are loaded first, without the lock, and more of them may have come meanwhile.
Status BudgetBook::take_group(Group& group) {
  for (;;) {
    std::vector<BudgetCounter*> to_load;
    {
      MutexLock lock(mutex_);
      for (BudgetCounter* one : dirty_) {
        if (!one->loaded && !one->damaged) to_load.push_back(one);
      }
      if (to_load.empty()) build_group(group);
    }
    if (to_load.empty()) {
      add_rows(group);
      return ok();
    }
    for (BudgetCounter* one : to_load) {
      const Status loaded = load(*one);
      MutexLock lock(mutex_);
      // A damaged counter holds up nobody else: its rows are written without it.
      if (!loaded.ok() && !one->damaged) return loaded;
    }
  }
}

void BudgetBook::build_group(Group& group) {
  const int64_t now_ms = clock_.unix_ms();
  group.entries.swap(pending_);
  group.counters.swap(dirty_);
  for (BudgetCounter* one : group.counters) {
    one->dirty = false;
    one->pins++;
    one->writing_used = one->used;
  }
  for (BudgetCounter* one : group.counters) {
    // The record of a damaged counter is not written over: repair() would not know what it lost.
    if (one->damaged) {
      group.in_rows.emplace_back(
          one, BudgetView{one->used, 0, one->request_count, one->error_count, one->month});
      continue;
    }
    group.batch.put(KvFamily::kQuota, keyspace::quota(one->kind, one->id, one->month),
                    counter_json(as_stored(*one), now_ms));
  }
  group.grace_days.swap(dirty_grace_);
  for (const std::string& day : group.grace_days) {
    group.batch.put(KvFamily::kQuota, keyspace::grace(organization_id_, day),
                    "{\"used_nano_usd\":" + std::to_string(grace_[day].used) + "}");
  }
}

// Runs without the lock, for it copies every row, and requests wait for the lock.
void BudgetBook::add_rows(Group& group) const {
  const int64_t now_ms = clock_.unix_ms();
  std::vector<OutboxPart> rows;
  rows.reserve(group.entries.size());
  for (const Entry& entry : group.entries) {
    if (!entry.row_id.empty()) rows.push_back({entry.row_id, entry.row_json});
    for (const auto& [id, alert] : entry.alerts) add_alert(group.batch, alert, id, now_ms);
  }
  add_group_to_outbox(group.batch, "usage", now_ms, rows);
}

void BudgetBook::end_group(Group& group, bool written) {
  for (BudgetCounter* one : group.counters) {
    one->pins--;
    if (written && !one->damaged) one->written_used = one->writing_used;
  }
  for (const auto& [one, written_part] : group.in_rows) {
    if (!written) break;
    one->used -= written_part.used_nano_usd;
    one->request_count -= written_part.request_count;
    one->error_count -= written_part.error_count;
  }
  if (written) return;
  // The store took nothing. The counters in memory stay as they are: the money is counted, and only
  // its record is late. The entries go back to the front, in their order.
  for (BudgetCounter* one : group.counters) mark_dirty(*one);
  dirty_grace_.merge(group.grace_days);
  if (pending_.empty()) return pending_.swap(group.entries);
  pending_.insert(pending_.begin(), std::make_move_iterator(group.entries.begin()),
                  std::make_move_iterator(group.entries.end()));
}

}  // namespace kvcs::ai
