// The way of an organization's counters and charges to the store.
#include <algorithm>

#include "ai/budget_book.h"
#include "ai/budget_journal.h"
#include "base/money.h"
#include "kv/keyspace.h"
#include "kv/outbox.h"

namespace kvcs::ai {
namespace {

std::string counter_json(const BudgetCounter& counter, std::string_view month, int64_t now_ms) {
  return "{\"month_usage_usd\":" + format_usd(counter.used) +
         ",\"used_nano_usd\":" + std::to_string(counter.used) + ",\"current_month\":\"" +
         std::string(month) + "\",\"request_count\":" + std::to_string(counter.request_count) +
         ",\"error_count\":" + std::to_string(counter.error_count) +
         ",\"last_update\":" + std::to_string(now_ms) + "}";
}

}  // namespace

// Whoever enqueues waits until its entry is written. The first to come becomes the leader and
// writes for all; so batches of one organization reach the store one after the other, each with the
// counters as they were when every entry up to it had been added.

uint64_t BudgetBook::enqueue(Entry entry) {
  pending_.push_back(std::move(entry));
  return ++enqueued_;
}

Status BudgetBook::enqueue_and_flush(Entry entry) {
  uint64_t ticket;
  {
    MutexLock lock(mutex_);
    ticket = enqueue(std::move(entry));
  }
  return wait_for(ticket);
}

Status BudgetBook::wait_for(uint64_t ticket) {
  {
    MutexLock lock(mutex_);
    while (writing_ && committed_ < ticket) written_.wait(mutex_);
    if (committed_ >= ticket) return ok();
    writing_ = true;
  }
  return write_next_batch();
}

Status BudgetBook::flush() {
  {
    MutexLock lock(mutex_);
    while (writing_) written_.wait(mutex_);
    if (pending_.empty()) return ok();
    writing_ = true;
  }
  return write_next_batch();
}

// Everything that waits, as one batch; the counters in it include exactly the entries up to it.
Result<KvBatch> BudgetBook::take_batch(std::vector<Entry>& entries) {
  for (;;) {
    std::vector<std::string> to_load;
    {
      MutexLock lock(mutex_);
      for (const std::string& key : dirty_) {
        if (!counters_[key].loaded) to_load.push_back(key);
      }
      if (to_load.empty()) {
        entries.assign(std::make_move_iterator(pending_.begin()),
                       std::make_move_iterator(pending_.end()));
        pending_.clear();
        return build_batch(entries);
      }
    }
    KVCS_TRY(load(to_load));
  }
}

// Precondition: this thread set writing_, so that nobody else takes from pending_.
void BudgetBook::journal_pending() {
  std::vector<std::string> rows;
  size_t seen;
  {
    MutexLock lock(mutex_);
    seen = pending_.size();
    for (const Entry& entry : pending_) {
      if (entry.is_charge && !entry.journaled) rows.push_back(entry.row_json);
    }
  }
  // When the disk takes nothing either, memory is all there is.
  if (rows.empty() || !journal_->append(rows).ok()) return;
  MutexLock lock(mutex_);
  for (size_t i = 0; i < seen; i++) pending_[i].journaled = pending_[i].is_charge;
}

// Precondition: this thread set writing_.
Status BudgetBook::write_next_batch() {
  std::vector<Entry> entries;
  Result<KvBatch> batch = take_batch(entries);
  Status result = batch.ok() ? kv_.write(*batch, KvDurability::kBuffered) : batch.status();
  {
    MutexLock lock(mutex_);
    end_batch(entries, result, batch);
  }
  if (journal_ != nullptr && result.ok()) {
    const auto journaled = std::count_if(entries.begin(), entries.end(),
                                         [](const Entry& entry) { return entry.journaled; });
    // A file that stays is read at the next start, where its rows are known.
    (void)journal_->written(static_cast<size_t>(journaled));
  } else if (journal_ != nullptr) {
    journal_pending();
  }
  MutexLock lock(mutex_);
  writing_ = false;
  written_.notify_all();
  return result;
}

void BudgetBook::end_batch(std::vector<Entry>& entries, const Status& result,
                           const Result<KvBatch>& batch) {
  if (result.ok()) {
    committed_ += entries.size();
  } else {
    // Counters stay as they are in memory: the money is counted, only its record is late.
    for (auto it = entries.rbegin(); it != entries.rend(); ++it) {
      pending_.push_front(std::move(*it));
    }
    if (batch.ok()) {
      for (const KvBatch::Op& op : batch->ops()) {
        if (op.family == KvFamily::kQuota && counters_.count(op.key) > 0) dirty_.insert(op.key);
      }
      for (const auto& [day, grace] : grace_) dirty_grace_.insert(day);
    }
  }
}

KvBatch BudgetBook::build_batch(const std::vector<Entry>& entries) {
  const int64_t now_ms = clock_.unix_ms();
  KvBatch batch;
  for (const Entry& entry : entries) {
    if (!entry.reservation_key.empty()) batch.remove(KvFamily::kQuota, entry.reservation_key);
    if (!entry.row_id.empty()) {
      add_to_outbox(batch, "usage", entry.row_id, entry.ts_ms, entry.row_json);
    }
    for (const auto& [id, alert] : entry.alerts) add_alert(batch, alert, id, entry.ts_ms);
  }
  for (const std::string& key : dirty_) {
    const std::string_view month = std::string_view(key).substr(key.size() - 7);
    batch.put(KvFamily::kQuota, key, counter_json(counters_[key], month, now_ms));
  }
  for (const std::string& day : dirty_grace_) {
    batch.put(KvFamily::kQuota, keyspace::grace(organization_id_, day),
              "{\"used_nano_usd\":" + std::to_string(grace_[day].used) + "}");
  }
  dirty_.clear();
  dirty_grace_.clear();
  return batch;
}

}  // namespace kvcs::ai
