// The counters of one organization: its own, its users' and its keys', under one lock. Internal to
// budget/. Thread-safe. The lock is never held over the store: writes are handed over in order by
// a leader (see flush()).
//
// The way of one request through the book, and the file that has each step:
//
//   admit()   budget_book.cc      pin the three counters, so that they stay where they are
//             budget_counters.cc  load() those that are not in memory yet
//             budget_book.cc      check the limits and hold the estimate: all three or none. When
//                                 the store does not answer: hold against the grace of the day
//             charge_journal.cc   begin(): the reservation is on record
//   settle()  charge_journal.cc   note_charge(): the charge is on record, beside the reservation
//             budget_book.cc      in one step under the lock: give the hold back, add the charge to
//                                 the counters, mark them dirty, unpin, put the row into pending_
//   flush()   budget_writes.cc    one thread is the leader (writing_); the others wait for it.
//                                 Take pending_ and the dirty counters as one group → one batch:
//                                 absolute counters and rows of the outbox together → the store
//             charge_journal.cc   end(): the slots of the group are free again
//             When the store fails, the group goes back to where it was taken from, and the journal
//             keeps its slots.
//   repair()  budget_counters.cc  as the leader, so that no rows are written meanwhile: ask for the
//                                 sums of the rows of doubtful counters, and set the counters by
//                                 them
//
// These rules must not change: the charge is in the journal before the counters have it (a process
// that dies between the two would charge the input alone); counters and rows are in one batch (or
// they would disagree after a crash); a slot is freed after the batch was written (or a crash would
// lose the charge), and its reservation is cleared before its charge (see ChargeJournal::end()).
#pragma once
#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "ai/budget/budget.h"
#include "ai/budget/charge_journal.h"
#include "base/mutex.h"
#include "kv/kv.h"
#include "ledger/alerts.h"

namespace kvcs::ai {

// One counter of one month. Where its value comes from is in three flags:
//
//   loaded damaged absent
//     no     no     no    New. `used` and the counts hold what was added here since; loading adds
//                         what the store has. An admission loads first, so money is added to such
//                         a counter in grace mode alone, or in recovery beside a damaged one.
//     yes    no     no    Complete: `used` is the month's use.
//     yes    no     yes   Complete, but the store had no record. Of a new month that is right;
//                         repair() asks once whether there are rows all the same.
//     no     yes    no    The store's record could not be read. It stays as it is and is neither
//     read
//                         again nor written over, for even one that was put right does not know the
//                         rows that came meanwhile; rows go on to the outbox, and `used` holds what
//                         no row in the store says yet. The failure mode decides about requests
//                         until repair() adds the sum of the rows, which makes the counter
//                         complete.
//
// `dirty` and `pins` are about the writing and hold in every state: a counter that is dirty, pinned
// or not loaded stays in memory.
struct BudgetCounter {
  std::string_view kind;  // "key", "user" or "org".
  std::string id, month;
  bool loaded = false;
  bool damaged = false;
  bool absent = false;
  bool dirty = false;  // In BudgetBook::dirty_: changed since the last group was taken.
  int pins = 0;        // Reservations and batches that point here.
  int64_t used = 0, reserved = 0;
  int64_t request_count = 0, error_count = 0;
  // The part of `used` that rows in the store sum up to, and what it will be when the group that is
  // being written has arrived. Of a loaded counter that is not damaged.
  int64_t written_used = 0, writing_used = 0;
  // Of an organization: the rows that were made of it in this month, for the start to compare with
  // those in the ledger. Unknown of a counter that an older program began, that was written by
  // hand, or made anew.
  BudgetView::Rows rows;
  bool rows_known = true;
  int alerted_percent = 0;  // The highest threshold that this process has told of: 0, 80 or 100.
};

inline constexpr int64_t kSaturated = INT64_MAX / 4;
inline int64_t saturating_add(int64_t a, int64_t b) {
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? kSaturated : sum;
}

// The counters of one request: its key's, its user's and its organization's, in this order.
using BudgetCounters = std::array<BudgetCounter*, 3>;

// A threshold that a counter has reached.
struct BudgetThreshold {
  std::string_view kind;
  std::string id, month;
  int percent = 0;
  int64_t used = 0, limit = 0;
};

// An open reservation: the money that it holds and whose it is. Its JSON is its record in the
// journal, and must fit into ChargeJournal::kChargeOffset.
struct OpenReservation {
  std::string request_id, key_id, user_id, organization_id, month;
  int64_t estimate = 0, input_only = 0, created_ms = 0;
  bool grace = false;
  std::string grace_day;
  std::string provider, model, price_version;
  int64_t attempt = 0, output_token_pico = 0;  // As in BudgetAsk.
  // The rest belongs to this process and is not in the JSON.
  BudgetLimits limits{.user_nano_usd = -1, .organization_nano_usd = -1};
  BudgetCounters counters{};
  uint32_t slot = 0;       // Of the journal.
  std::string user_grace;  // Its name in BudgetBook::user_grace_, in grace mode.
  bool tell_refusal = true;
};
std::string reservation_json(const OpenReservation& open);
Result<OpenReservation> parse_reservation(std::string_view json);
// A counter as the store has it.
std::string counter_json(const BudgetView& counter, int64_t now_ms);
Result<BudgetView> parse_counter(std::string_view json, std::string_view month);
// A charge that a dead process left: whose it is, and its row.
struct ChargedRow {
  OpenReservation open;  // Of one that was settled: ids, month and grace alone.
  UsageRecord charge;
};
Result<ChargedRow> parse_charge(std::string_view row_json);
// What a request is told whose counter cannot be read; the job makes it anew.
Status unreadable_counter(std::string cause);

class BudgetBook final {
 public:
  // `names` may be empty and is called without a lock. Everything given outlives the book.
  BudgetBook(std::string organization_id, KvStore& kv, const Clock& clock, const BudgetNames& names,
             ChargeJournal& journal);

  // What is asked, as admit() takes it.
  OpenReservation opening(BudgetAsk ask) const;
  // Holds the money, and fills in the rest of `open`, and the user's counter as it was then.
  Status admit(OpenReservation& open, BudgetView& user);
  Result<int64_t> room(const BudgetAsk& ask);  // As Budgets::room().
  Status check_left(const BudgetAsk& ask);     // As Budgets::check_left().
  // Adds the charge (null: none) and notes its row in the journal. From then on it is on its way to
  // the store, with the alerts: the next flush(), whoever calls it, takes it along. When memory
  // does not last for it, it has not happened.
  void settle(const OpenReservation& open, const UsageRecord* record,
              std::vector<AlertEvent> alerts);
  // The same for a charge that a dead process left in its journal, and flushes.
  Status settle_recovered(OpenReservation open, const UsageRecord& record);
  Result<int64_t> reset_user(std::string_view user_id, bool organization_too);
  // Nothing when the counter is not in memory.
  std::optional<BudgetView> peek(std::string_view kind, std::string_view id,
                                 std::string_view month) const;
  // Ok: everything settled before the call is in the store.
  Status flush();
  bool forget(std::string_view kind, std::string_view id);  // As Budgets::forget().
  // Makes damaged and lost counters anew from the sums of their rows, which `recount` finds in
  // outbox and ledger.
  Status repair(const Budgets::Recount& recount);
  // Kept by Budgets: this book is on the writer's list of books that have something to write.
  std::atomic<bool> is_noted = false;
  BudgetBook* next_noted = nullptr;  // On that list.
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
  // The contents of one batch: entries, and the counters as they were when the last of these
  // entries was added.
  struct Group {
    std::vector<Entry> entries;
    std::vector<BudgetCounter*> counters;  // Pinned.
    // The damaged counters among them, with what they held: the batch has their rows alone, and
    // what the rows say is taken out of the counters once it is written.
    std::vector<std::pair<BudgetCounter*, BudgetView>> in_rows;
    std::set<std::string> grace_days;
    KvBatch batch;
  };
  struct Grace {
    int64_t used = 0, reserved = 0;
  };
  // What may be spent in grace mode: by the user, and by the organization.
  struct GraceLimits {
    int64_t user = 0, day = 0;
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
  Status prepare(const OpenReservation& open);
  Status admit_pinned(OpenReservation& open, BudgetView& user);
  Result<BudgetView> hold_counted(const OpenReservation& open);
  Result<BudgetView> hold_in_failure(OpenReservation& open, const Status& failure);
  // QuotaExceeded when one of the limits does not cover the estimate. Adds to `reached` when so
  // little is left that the limit counts as reached.
  Status check_limits(const OpenReservation& open, std::vector<BudgetThreshold>& reached)
      KVCS_REQUIRES(mutex_);
  static GraceLimits grace_limits(const OpenReservation& open);
  OpenReservation looking(const BudgetAsk& ask) const;
  int64_t grace_room(const OpenReservation& open) KVCS_REQUIRES(mutex_);
  static Status grace_refusal(const OpenReservation& open, const Status& failure);
  void hold(const OpenReservation& open, int64_t amount) KVCS_REQUIRES(mutex_);
  void release(const OpenReservation& open) KVCS_REQUIRES(mutex_);
  void mark_dirty(BudgetCounter& counter) KVCS_REQUIRES(mutex_);
  void make_room_for_charge(const OpenReservation& open) KVCS_REQUIRES(mutex_);
  void charge(const OpenReservation& open, const UsageRecord& record,
              std::vector<BudgetThreshold>& reached) KVCS_REQUIRES(mutex_);
  void add_alerts(const std::vector<BudgetThreshold>& reached, Entry& entry) const;
  static Entry make_entry(const UsageRecord& record, std::vector<AlertEvent> alerts);
  void tell_above_reservation(const UsageRecord& record, std::vector<AlertEvent>& alerts) const;
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
  // By kind, id and month: looked for without making the key that it has in the store.
  using CounterName = std::tuple<std::string_view, std::string, std::string>;
  struct ByName {
    using is_transparent = void;
    using Views = std::tuple<std::string_view, std::string_view, std::string_view>;
    bool operator()(const Views& a, const Views& b) const { return a < b; }
  };
  std::map<CounterName, BudgetCounter, ByName> counters_ KVCS_GUARDED_BY(mutex_);
  std::map<std::string, Grace, std::less<>> grace_ KVCS_GUARDED_BY(mutex_);  // By UTC day.
  // By "day/user". Not stored: a restart begins a user's share of the day anew.
  std::map<std::string, Grace, std::less<>> user_grace_ KVCS_GUARDED_BY(mutex_);
  std::vector<BudgetCounter*> dirty_ KVCS_GUARDED_BY(mutex_);  // Changed since the last group.
  std::set<std::string> dirty_grace_ KVCS_GUARDED_BY(mutex_);  // Days of grace_, likewise.
  std::string month_ KVCS_GUARDED_BY(mutex_);                  // Of the last admission.
  std::vector<Entry> pending_ KVCS_GUARDED_BY(mutex_);
  bool writing_ KVCS_GUARDED_BY(mutex_) = false;  // A leader writes, or a repair is under way.
  int64_t open_ KVCS_GUARDED_BY(mutex_) = 0, grace_requests_ KVCS_GUARDED_BY(mutex_) = 0;
};

}  // namespace kvcs::ai
