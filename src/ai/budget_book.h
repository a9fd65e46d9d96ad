// The counters of one organization: its own, its users' and its keys', under one lock. Internal to
// budget.cc. Thread-safe. The lock is never held over the store: writes are handed over in order by
// a leader (see flush()).
#pragma once
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ai/budget.h"
#include "base/mutex.h"
#include "kv/kv.h"
#include "ledger/alerts.h"

namespace kvcs::ai {

// One counter of one month. Until `loaded`, `used` and the counts hold only what was added here
// since; loading adds what the store has.
struct BudgetCounter {
  bool loaded = false;
  int64_t used = 0, reserved = 0;
  int64_t request_count = 0, error_count = 0;
  int alerted_percent = 0;  // The highest threshold told by this process.
};

// A threshold that a counter has reached.
struct BudgetThreshold {
  std::string_view kind;
  std::string id, month;
  int percent = 0;
  int64_t used = 0, limit = 0;
};

// What an open reservation holds; its JSON is the value of `reservation:{request_id}`.
struct OpenReservation {
  std::string request_id, key_id, user_id, organization_id, month;
  int64_t estimate = 0, input_only = 0, created_ms = 0;
  bool grace = false;
  std::string grace_day;
  std::string provider, model, price_version;
  BudgetLimits limits{.user_nano_usd = -1, .organization_nano_usd = -1};  // Not stored.
};
std::string reservation_json(const OpenReservation& open);
Result<OpenReservation> parse_reservation(std::string_view request_id, std::string_view json);
std::string usage_json(const UsageRecord& record);
// A row as usage_json wrote it: whose it is and what it charges.
struct JournaledRow {
  OpenReservation open;
  UsageRecord charge;  // Cost, status and time alone.
};
Result<JournaledRow> parse_journaled(std::string_view row_json);

class BudgetJournal;

class BudgetBook final {
 public:
  // `names` may be empty and `journal` null; both outlive the book and are used without a lock.
  BudgetBook(std::string organization_id, KvStore& kv, const Clock& clock, const BudgetNames& names,
             BudgetJournal* journal);

  struct Admission {
    OpenReservation open;
    BudgetView user;
  };
  Result<Admission> admit(const BudgetAsk& ask);
  Status extend(OpenReservation& open, int64_t more);
  // Adds the charge (null: none) and stores it with its row; see Reservation::settle.
  Status settle(const OpenReservation& open, const UsageRecord* record);
  // The same for a reservation that a dead process left in the store.
  Status settle_recovered(const OpenReservation& open, const UsageRecord& record,
                          std::string row_json);
  Result<int64_t> reset_user(std::string_view user_id, bool organization_too);
  // Nothing when the counter is not in memory.
  std::optional<BudgetView> peek(std::string_view kind, std::string_view id,
                                 std::string_view month) const;
  Status flush();
  struct Stats {
    int64_t open = 0, unwritten = 0, grace = 0;
  };
  Stats stats() const;

 private:
  // One settlement on its way to the store. Its counters have been changed already.
  struct Entry {
    std::string reservation_key;  // To remove; "" when there is none in the store.
    std::string row_id, row_json;
    int64_t ts_ms = 0;
    std::vector<std::pair<std::string, AlertEvent>> alerts;  // By id.
    bool is_charge = false, journaled = false;
  };
  struct Grace {
    int64_t used = 0, reserved = 0;
  };

  static std::string counter_key(std::string_view kind, std::string_view id,
                                 std::string_view month);
  Status load(const std::vector<std::string>& keys);
  Status load_grace(const std::string& day);
  void forget_old_months(const std::string& month) KVCS_REQUIRES(mutex_);
  Result<Admission> admit_counted(const BudgetAsk& ask, OpenReservation open);
  Result<Admission> admit_in_failure(const BudgetAsk& ask, OpenReservation open, Status failure);
  // Adds to `reached` when little more than nothing is left.
  Status check_limits(const BudgetAsk& ask, const std::string& month,
                      std::vector<BudgetThreshold>& reached) KVCS_REQUIRES(mutex_);
  void hold(const OpenReservation& open, int64_t sign) KVCS_REQUIRES(mutex_);
  void add_reserved(const OpenReservation& open, int64_t amount) KVCS_REQUIRES(mutex_);
  void charge(const OpenReservation& open, const UsageRecord& record,
              std::vector<BudgetThreshold>& reached) KVCS_REQUIRES(mutex_);
  void add_alerts(const std::vector<BudgetThreshold>& reached, Entry& entry) const;
  // Returns a ticket for wait_for.
  uint64_t enqueue(Entry entry) KVCS_REQUIRES(mutex_);
  Status wait_for(uint64_t ticket);
  Status enqueue_and_flush(Entry entry);
  KvBatch build_batch(const std::vector<Entry>& entries) KVCS_REQUIRES(mutex_);
  Result<KvBatch> take_batch(std::vector<Entry>& entries);
  void end_batch(std::vector<Entry>& entries, const Status& result, const Result<KvBatch>& batch)
      KVCS_REQUIRES(mutex_);
  void journal_pending();
  Status write_next_batch();

  const std::string organization_id_;
  KvStore& kv_;
  const Clock& clock_;
  const BudgetNames& names_;
  BudgetJournal* const journal_;
  mutable Mutex mutex_;
  CondVar written_;
  std::map<std::string, BudgetCounter, std::less<>> counters_ KVCS_GUARDED_BY(mutex_);
  std::map<std::string, Grace, std::less<>> grace_ KVCS_GUARDED_BY(mutex_);  // By UTC day.
  // By "day/user"; of this process alone.
  std::map<std::string, Grace, std::less<>> user_grace_ KVCS_GUARDED_BY(mutex_);
  std::set<std::string> dirty_ KVCS_GUARDED_BY(mutex_);        // Keys of counters_.
  std::set<std::string> dirty_grace_ KVCS_GUARDED_BY(mutex_);  // Keys of grace_.
  std::string month_ KVCS_GUARDED_BY(mutex_);                  // Of the last admission.
  std::deque<Entry> pending_ KVCS_GUARDED_BY(mutex_);
  bool writing_ KVCS_GUARDED_BY(mutex_) = false;
  uint64_t enqueued_ KVCS_GUARDED_BY(mutex_) = 0;   // Entries ever put into pending_.
  uint64_t committed_ KVCS_GUARDED_BY(mutex_) = 0;  // Of those, in the store.
  int64_t open_ KVCS_GUARDED_BY(mutex_) = 0, grace_requests_ KVCS_GUARDED_BY(mutex_) = 0;
};

}  // namespace kvcs::ai
