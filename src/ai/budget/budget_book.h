// The counters of one organization: its own, its users' and its keys', under one lock. Internal to
// budget.cc. Thread-safe. The lock is never held over the store: writes are handed over in order by
// a leader (see flush()).
#pragma once
#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ai/budget/budget.h"
#include "ai/budget/charge_journal.h"
#include "base/mutex.h"
#include "kv/kv.h"
#include "ledger/alerts.h"

namespace kvcs::ai {

// One counter of one month. Until `loaded`, `used` and the counts hold only what was added here
// since; loading adds what the store has.
struct BudgetCounter {
  std::string_view kind;  // "key", "user" or "org".
  std::string id, month;
  bool loaded = false;
  // The store's record cannot be read. It stays as it is, the rows go on, and `used` holds only
  // what no row in the store says yet; repair() makes it anew from the rows.
  bool damaged = false;
  // The store had none. Of a new month that is as it should be; repair() asks the rows once.
  bool absent = false;
  bool dirty = false;  // In BudgetBook::dirty_.
  int pins = 0;        // Reservations and batches that point here.
  int64_t used = 0, reserved = 0;
  int64_t request_count = 0, error_count = 0;
  // `used` as the rows in the store sum up to it, and will with the group that is being written.
  int64_t written_used = 0, writing_used = 0;
  int alerted_percent = 0;  // The highest threshold told by this process.
};

inline constexpr int64_t kSaturated = INT64_MAX / 4;
inline int64_t saturating_add(int64_t a, int64_t b) {
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? kSaturated : sum;
}

// Of one request: its key's, its user's and its organization's.
using BudgetCounters = std::array<BudgetCounter*, 3>;

// A threshold that a counter has reached.
struct BudgetThreshold {
  std::string_view kind;
  std::string id, month;
  int percent = 0;
  int64_t used = 0, limit = 0;
};

// What an open reservation holds; its JSON is its record in the journal.
struct OpenReservation {
  std::string request_id, key_id, user_id, organization_id, month;
  int64_t estimate = 0, input_only = 0, created_ms = 0;
  bool grace = false;
  std::string grace_day;
  std::string provider, model, price_version;
  // Not in the JSON:
  BudgetLimits limits{.user_nano_usd = -1, .organization_nano_usd = -1};
  BudgetCounters counters{};
  uint32_t slot = 0;  // Of the journal.
};
std::string reservation_json(const OpenReservation& open);
Result<OpenReservation> parse_reservation(std::string_view json);
std::string usage_json(const UsageRecord& record);
// A counter as the store has it.
Result<BudgetView> parse_counter(std::string_view json, std::string_view month);
// A row as usage_json wrote it: whose it is and what it charges.
struct ChargedRow {
  OpenReservation open;
  UsageRecord charge;  // Cost, status and time alone.
};
Result<ChargedRow> parse_charge(std::string_view row_json);

class BudgetBook final {
 public:
  // `names` may be empty and is used without a lock. Everything given outlives the book.
  BudgetBook(std::string organization_id, KvStore& kv, const Clock& clock, const BudgetNames& names,
             ChargeJournal& journal);

  struct Admission {
    OpenReservation open;
    BudgetView user;
  };
  Result<Admission> admit(BudgetAsk ask);
  Status extend(OpenReservation& open, int64_t more);
  // Adds the charge (null: none) and notes its row in the journal. It is on its way to the store
  // then: whoever calls flush() next takes it along.
  void settle(const OpenReservation& open, const UsageRecord* record);
  // The same for a reservation that a dead process left in its journal, and flushes.
  Status settle_recovered(OpenReservation open, const UsageRecord& record, std::string row_json);
  Result<int64_t> reset_user(std::string_view user_id, bool organization_too);
  // Nothing when the counter is not in memory.
  std::optional<BudgetView> peek(std::string_view kind, std::string_view id,
                                 std::string_view month) const;
  // Ok: everything settled before the call is in the store.
  Status flush();
  // Makes damaged and lost counters anew; what `recount` says are their rows in outbox and ledger.
  Status repair(const Budgets::Recount& recount);
  std::atomic<bool> is_noted = false;  // Of Budgets: the writer knows that something waits here.
  struct Stats {
    int64_t open = 0, unwritten = 0, grace = 0;
  };
  Stats stats() const;

 private:
  // One settlement on its way to the store. Its counters have been changed already.
  struct Entry {
    std::string row_id, row_json;
    std::vector<std::pair<std::string, AlertEvent>> alerts;  // By id.
    std::optional<uint32_t> slot;                            // Of the journal; freed once written.
  };
  // What is written as one batch: entries, and counters as they were when the last was added.
  struct Group {
    std::vector<Entry> entries;
    std::vector<BudgetCounter*> counters;  // Pinned.
    // Damaged ones among them, as they were: written as rows alone.
    std::vector<std::pair<BudgetCounter*, BudgetView>> in_rows;
    std::set<std::string> grace_days;
    KvBatch batch;
  };
  struct Grace {
    int64_t used = 0, reserved = 0;
  };

  BudgetCounter* counter(std::string_view kind, std::string_view id, const std::string& month)
      KVCS_REQUIRES(mutex_);
  BudgetCounters pin_counters(const OpenReservation& open);
  void unpin(std::span<BudgetCounter* const> counters) KVCS_REQUIRES(mutex_);
  Status load(std::span<BudgetCounter* const> wanted);
  Status load(BudgetCounter& counter);
  Status note_damage(BudgetCounter& counter, const Status& why);
  std::vector<BudgetCounter*> begin_repair();
  void apply(const BudgetView& rows, BudgetCounter& counter) KVCS_REQUIRES(mutex_);
  Status load_grace(const std::string& day);
  void forget_old_months(const std::string& month) KVCS_REQUIRES(mutex_);
  Result<Admission> admit_pinned(OpenReservation open);
  Result<BudgetView> hold_counted(const OpenReservation& open);
  Result<BudgetView> hold_in_failure(OpenReservation& open, const Status& failure);
  // Adds to `reached` when little more than nothing is left.
  Status check_limits(const OpenReservation& open, int64_t estimate,
                      std::vector<BudgetThreshold>& reached) KVCS_REQUIRES(mutex_);
  void hold(const OpenReservation& open, int64_t amount) KVCS_REQUIRES(mutex_);
  void release(const OpenReservation& open) KVCS_REQUIRES(mutex_);
  void mark_dirty(BudgetCounter& counter) KVCS_REQUIRES(mutex_);
  void charge(const OpenReservation& open, const UsageRecord& record,
              std::vector<BudgetThreshold>& reached) KVCS_REQUIRES(mutex_);
  void add_alerts(const std::vector<BudgetThreshold>& reached, Entry& entry) const;
  Status enqueue_and_flush(Entry entry);
  Status take_group(Group& group);
  void build_group(Group& group) KVCS_REQUIRES(mutex_);
  void add_rows(Group& group) const;
  void end_group(Group& group, bool written) KVCS_REQUIRES(mutex_);
  Status write_next_group();

  const std::string organization_id_;
  KvStore& kv_;
  const Clock& clock_;
  const BudgetNames& names_;
  ChargeJournal& journal_;
  mutable Mutex mutex_;
  CondVar written_;
  std::map<std::string, BudgetCounter, std::less<>> counters_
      KVCS_GUARDED_BY(mutex_);                                               // By key in the store.
  std::map<std::string, Grace, std::less<>> grace_ KVCS_GUARDED_BY(mutex_);  // By UTC day.
  // By "day/user"; of this process alone.
  std::map<std::string, Grace, std::less<>> user_grace_ KVCS_GUARDED_BY(mutex_);
  std::vector<BudgetCounter*> dirty_ KVCS_GUARDED_BY(mutex_);  // Changed since the last group.
  std::set<std::string> dirty_grace_ KVCS_GUARDED_BY(mutex_);  // Keys of grace_.
  std::string month_ KVCS_GUARDED_BY(mutex_);                  // Of the last admission.
  std::vector<Entry> pending_ KVCS_GUARDED_BY(mutex_);
  bool writing_ KVCS_GUARDED_BY(mutex_) = false;
  int64_t open_ KVCS_GUARDED_BY(mutex_) = 0, grace_requests_ KVCS_GUARDED_BY(mutex_) = 0;
};

}  // namespace kvcs::ai
