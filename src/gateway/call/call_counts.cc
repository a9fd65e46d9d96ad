// Counts the calls of organizations by month. The lock is not held over the store: who finds that a
// count must be written marks it, writes, and takes the mark away.
#include "gateway/call/call_counts.h"

#include <vector>

#include "base/bytes.h"
#include "base/quota.h"
#include "kv/keyspace.h"

namespace kvcs::gateway {
namespace {

constexpr int64_t kAhead = 64;  // So many calls are in the store before they are made.

}  // namespace

Status CallCounts::load(std::string_view organization_id, const std::string& month) {
  {
    MutexLock lock(mutex_);
    const auto it = counts_.find(organization_id);
    if (it != counts_.end() && it->second.month == month) return ok();
  }
  const Result<KvEntry> entry =
      kv_.get(KvFamily::kQuota, keyspace::gateway_calls(organization_id, month));
  uint64_t number = 0;
  if (entry.ok()) {
    number = KVCS_TRY(parse_u64(entry->value, "a count of calls"));
  } else if (entry.code() != Code::kNotFound) {
    return entry.status();
  }
  MutexLock lock(mutex_);
  Count& count = counts_[std::string(organization_id)];
  if (count.month == month) return ok();  // Another thread was faster.
  count = {month, static_cast<int64_t>(number), static_cast<int64_t>(number), false};
  return ok();
}

Status CallCounts::write(std::string_view organization_id, const std::string& month,
                         int64_t number) {
  KvBatch batch;
  batch.put(KvFamily::kQuota, keyspace::gateway_calls(organization_id, month),
            std::to_string(number));
  Status written = kv_.write(batch, KvDurability::kBuffered);
  MutexLock lock(mutex_);
  const auto it = counts_.find(organization_id);
  if (it == counts_.end() || it->second.month != month) return written;
  it->second.writing = false;
  if (written.ok()) it->second.stored = number;
  return written;
}

namespace {

// Waiting for the next month does not help where the plan has no calls at all.
std::string over_words(int64_t used, int64_t allowed, const std::string& month) {
  if (allowed == 0) {
    return "Call quota exceeded: the organization's plan has no calls of the tool gateway "
           "(gateway_calls: 0). An operator of this daemon, or a payment, changes the plan.";
  }
  return "Call quota exceeded: the organization has made " + std::to_string(used) + " of " +
         std::to_string(allowed) + " calls in " + month +
         ". Wait for the next month, or have the plan changed.";
}

}  // namespace

Status CallCounts::take(std::string_view organization_id, int64_t allowed) {
  const std::string month = format_month(clock_.unix_ms());
  const Status loaded = load(organization_id, month);
  if (!loaded.ok()) return allowed < 0 ? ok() : loaded;
  int64_t ahead = 0;
  {
    MutexLock lock(mutex_);
    Count& count = counts_[std::string(organization_id)];
    if (count.month != month) return ok();  // A month has begun just now.
    if (allowed >= 0 && count.used >= allowed) {
      return over_quota("gateway_calls", over_words(count.used, allowed, month),
                        static_cast<uint64_t>(count.used), 1, static_cast<uint64_t>(allowed))
          .with_reason("CALLS_QUOTA_EXCEEDED");
    }
    count.used++;
    if (count.used > count.stored && !count.writing) {
      count.writing = true;
      ahead = count.used + kAhead;
    }
  }
  // What the store does not take now, the next call or the job brings.
  if (ahead > 0) (void)write(organization_id, month, ahead);
  return ok();
}

Result<int64_t> CallCounts::used(std::string_view organization_id) {
  const std::string month = format_month(clock_.unix_ms());
  KVCS_TRY(load(organization_id, month));
  MutexLock lock(mutex_);
  const auto it = counts_.find(organization_id);
  return it == counts_.end() ? int64_t{0} : it->second.used;
}

Status CallCounts::flush() {
  struct Due {
    std::string organization_id, month;
    int64_t used = 0;
  };
  std::vector<Due> due;
  const std::string now = format_month(clock_.unix_ms());
  {
    MutexLock lock(mutex_);
    for (auto it = counts_.begin(); it != counts_.end();) {
      Count& count = it->second;
      const bool is_exact = count.used == count.stored;
      if (count.month != now && is_exact && !count.writing) {
        it = counts_.erase(it);
        continue;
      }
      if (!is_exact && !count.writing) {
        count.writing = true;
        due.push_back({it->first, count.month, count.used});
      }
      ++it;
    }
  }
  Status first;
  for (const Due& one : due) {
    Status written = write(one.organization_id, one.month, one.used);
    if (first.ok()) first = std::move(written);
  }
  return first;
}

}  // namespace kvcs::gateway
