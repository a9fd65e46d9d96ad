// Budgets that hold: money is reserved before a request is forwarded and settled after it, for the
// key, the user and the organization at once.
//
//   admit iff for each of the three: used + reserved + estimate ≤ limit   (a limit of 0 blocks)
//
// Counters are nano-USD per (kind, id, UTC month): a new month is a new counter, history stays. All
// counters of an organization live under one lock, so the three checks are one step. A reservation
// is in the journal (charge_journal.h) before reserve() returns, and its charge before settle()
// does, so a killed process loses neither. A thread of its own takes charges from there to the
// store, those of a few milliseconds as one batch: the absolute counters, and each row in the
// outbox, so that rows and counters always agree. Writers of one organization take turns, so an
// older absolute value never overwrites a newer one. What is found in the journal at start belonged
// to a process that died: charges are brought in unless the ledger has their rows; a reservation is
// settled at its input-only estimate and the output that had passed, marked `recovered`.
//
// The estimate is an upper bound of what the request can cost, and a reservation is never raised.
//
// Failure modes (store unreachable, counters unreadable): fail_closed → Unavailable with reason
// quota_unavailable and Retry-After; fail_open → admitted against fallback_daily_limit of the
// organization and UTC day, and a fifteenth of the user's month, kept in memory and in `grace:`
// once the store answers, and added to the month then. A limit of 0 blocks there too. What the
// store does not take stays in the journal until it does.
//
// A request that goes on to another provider after one that may have worked for it has a
// reservation and a row for each try; the tries before the last one cost money and are no requests.
//
// Alerts budget.80 and budget.100 of users and organizations, once per month each, ride in the
// batch of the settlement that reached them. 100 is also told when a request is refused with less
// than 5 % left: what is reserved before it is known keeps the use just under the limit. A charge
// above what was reserved is told as ai.above_reservation, in the batch of that charge.
// Thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ai/ai.h"
#include "base/clock.h"
#include "base/heartbeat.h"
#include "base/status.h"
#include "kv/kv.h"
#include "ledger/alerts.h"

namespace kvcs::ai {

// Limits in force for one request, read from the caller's cached records. Negative = no limit.
struct BudgetLimits {
  int64_t key_nano_usd = -1;
  int64_t user_nano_usd = 0;
  int64_t organization_nano_usd = 0;
  FailureMode failure_mode = FailureMode::kFailClosed;
  int64_t fallback_daily_nano_usd = 0;
};

struct BudgetAsk {
  std::string request_id, key_id, user_id, organization_id;
  BudgetLimits limits;
  int64_t estimate_nano_usd = 0;               // Worst case: input, calls and the most output.
  int64_t input_only_nano_usd = 0;             // Input and calls: charged when the process dies.
  std::string provider, model, price_version;  // What the row of such a charge says.
  int64_t attempt = 0;  // 1, 2, … where a request may be tried several times; see settle_try().
  // The price of one token of output at its dearest, for a process that dies in the middle of an
  // answer; see Reservation::note_output().
  int64_t output_token_pico = 0;
  // False: a refusal is not told as budget.100, because the caller will ask for less.
  bool tell_refusal = true;
};

struct BudgetView {
  int64_t used_nano_usd = 0, reserved_nano_usd = 0;
  int64_t request_count = 0, error_count = 0;
  std::string month;
  // Of an organization: how many rows the ledger must have of the month, with those in the outbox,
  // and what they cost. Nothing when that is not known: see BudgetCounter::rows_known.
  struct Rows {
    int64_t count = 0, nano_usd = 0;
    bool operator==(const Rows&) const = default;
  };
  std::optional<Rows> rows = {};
};

class Budgets;

// Money set aside. A reservation that is destroyed without settle() settles itself at its fallback
// charge, or at nothing when it has none, so that no path can forget. One thread at a time.
class Reservation final {
 public:
  Reservation(Reservation&&) noexcept;
  Reservation& operator=(Reservation&&) = delete;
  ~Reservation();
  bool grace() const;
  const std::string& period() const;
  // The user's counters at admission, this request counted, for the x-gateway-* headers.
  const BudgetView& user_at_admission() const;
  // Sets the charge that the request gets when nobody settles it. Cheap, no I/O.
  void set_fallback_charge(UsageRecord record);
  // Notes how many tokens of output have passed so far. If the process dies, its next start charges
  // the input and these, at output_token_pico each, and never more than was set aside. One store
  // into memory: made for every read of a stream.
  void note_output(int64_t tokens);
  // Charges record.cost_nano_usd, at once for every limit, and notes the row for the store, with
  // these alerts in the same batch. Where memory does not last for that, it is done later: when the
  // reservation is destroyed, or by the writer. One of settle() and settle_try() may be called,
  // once. The ids, the month, `grace`, what was reserved and, unless it is set, the number of the
  // try are filled in here.
  void settle(UsageRecord record, std::vector<AlertEvent> alerts = {});
  bool is_settled() const;
  // The same for a try that may have acted and after which the same request is tried elsewhere. Its
  // row has an id of its own, and it counts as money, not as a request. Called before the next
  // try's reserve(), which has the same request_id and the next `attempt`.
  void settle_try(UsageRecord record, std::vector<AlertEvent> alerts = {});

 private:
  friend class Budgets;
  struct Impl;
  explicit Reservation(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The name that a person knows: "acme/ada@example.com" for a user, "acme" for an organization.
using BudgetNames = std::function<std::string(std::string_view kind, std::string_view id)>;

class Budgets final {
 public:
  // Until recover() has given the journal its file, a process that dies loses what is open.
  Budgets(KvStore& kv, const Clock& clock, BudgetNames names = {});
  ~Budgets();  // Writes what waits.
  // Settles what a dead process left in that file, and begins the file anew. Called before the
  // first reserve(). `is_known` says whether the row of that id is in the ledger, or in the outbox
  // on its way there: such a charge is not made again.
  using IsKnown = std::function<Result<bool>(std::string_view row_id)>;
  // Unavailable, with a message for the operator, when the file is gone or too short while the
  // store knows of it, or holds money that cannot be read.
  Status recover(const std::string& journal_path, const IsKnown& is_known);
  // A journal without records, for the copy of a store that a backup makes.
  static Status write_empty_journal(const std::string& path);
  // Starts the thread that writes; `written` is called there when rows are in the outbox. Until
  // then charges wait for reconcile().
  void start(std::function<void()> written);
  // Code kQuotaExceeded with reason key_quota_exceeded, user_quota_exceeded or
  // organization_quota_exceeded and details_json {usage_usd, limit_usd, remaining_usd,
  // requested_usd, current_month, waiting_may_help}; Unavailable as above. `waiting_may_help` is
  // true, and there is a Retry-After, when only what other requests hold stands in the way: for
  // every limit, used + this estimate ≤ limit.
  Result<Reservation> reserve(BudgetAsk ask);
  // What the tightest of the limits leaves just now: limit − used − reserved, in nano-USD, at least
  // 0; INT64_MAX without limits. In grace mode what is left of the day. Unavailable as reserve().
  Result<int64_t> room(const BudgetAsk& ask);
  // For a call that costs nothing, so that nothing is reserved for it: ok while of each limit
  // something is left that nobody has used, whatever is reserved. Else refused as by reserve().
  Status check_left(const BudgetAsk& ask);

  // kind: "key", "user" or "org". Month "" = now's.
  Result<BudgetView> view(std::string_view kind, std::string_view id, std::string_view month) const;
  // Months with a counter, newest first.
  Result<std::vector<BudgetView>> history(std::string_view kind, std::string_view id) const;
  // A signed adjustment that sets the user's (and with `organization_too` the organization's) use
  // of this month to zero; what is in flight lands after it. Returns the previous use.
  Result<int64_t> reset_user(std::string_view user_id, std::string_view organization_id,
                             bool organization_too);
  // Part of deleting an owner: its counters leave the memory, and are not written any more. False
  // while a request of it is under way, or its charge on the way to the store. kind as for view().
  bool forget(std::string_view organization_id, std::string_view kind, std::string_view id);
  // How the last sync of the journal ended.
  Status journal_status() const;
  Pulse pulse() const;  // Of its thread.
  // Writes what waits. A reader of rows calls it first, and a job calls it each minute.
  Status reconcile();
  // The sums of the rows of a key, user or organization in a month: those in the ledger, and in the
  // outbox on their way there.
  using Recount = std::function<Result<BudgetView>(std::string_view kind, std::string_view id,
                                                   std::string_view month)>;
  // Makes counters that the store could not read anew from their rows. Until then the failure mode
  // applies to the keys, users and organizations that the counters belong to, and to nobody else.
  Status repair(const Recount& recount);
  struct Stats {
    int64_t open_reservations, unwritten_settlements, grace_requests, recovered;
  };
  Stats stats() const;

 private:
  friend class Reservation;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::ai
