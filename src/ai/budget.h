// Budgets that hold: money is reserved before a request is forwarded and settled after it, for the
// key, the user and the organization at once.
//
//   admit iff for each of the three: used + reserved + estimate ≤ limit   (a limit of 0 blocks)
//
// Counters are nano-USD per (kind, id, UTC month): a new month is a new counter, history stays. All
// counters of an organization live under one lock, so the three checks are one step. A reservation
// is in KV before reserve() returns (buffered write); settle() replaces it, in one batch, by the
// absolute counters and the usage record in the outbox, so that rows and counters always agree.
// Writers of one organization are combined in order (the first becomes the leader), so an older
// absolute value never overwrites a newer one. A reservation found at start belonged to a process
// that died: it is settled at its input-only estimate, marked `recovered`.
//
// Failure modes (store unreachable, counters unreadable): fail_closed → Unavailable with reason
// quota_unavailable and Retry-After; fail_open → admitted against fallback_daily_limit of the
// organization and UTC day, and a fifteenth of the user's month, kept in memory and in `grace:`
// once the store answers, and added to the month then. A limit of 0 blocks there too. What the
// store does not take is in a journal beside it (budget_journal.h) until it does.
//
// Alerts budget.80 and budget.100 of users and organizations, once per month each, ride in the
// batch of the settlement that reached them. 100 is also told when a request is refused with less
// than 5 % left: what is reserved before it is known keeps the use just under the limit.
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
#include "base/status.h"
#include "kv/kv.h"

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
  int64_t estimate_nano_usd = 0;    // Worst case: input and the most output it may produce.
  int64_t input_only_nano_usd = 0;  // What a crash before the answer is charged,
  std::string provider, model, price_version;  // and as what.
};

struct BudgetView {
  int64_t used_nano_usd = 0, reserved_nano_usd = 0;
  int64_t request_count = 0, error_count = 0;
  std::string month;
};

class Budgets;

// Money set aside. Destroyed without settle(): charged at what `seen` says (nothing seen: nothing),
// so that no path can forget. One thread at a time.
class Reservation final {
 public:
  Reservation(Reservation&&) noexcept;
  Reservation& operator=(Reservation&&) = delete;
  ~Reservation();
  bool grace() const;
  const std::string& period() const;
  // The user's counters at admission, this request counted, for the x-gateway-* headers.
  const BudgetView& user_at_admission() const;
  // Updates what an interrupted request would be charged; cheap, no I/O.
  void set_seen(UsageRecord record);
  // Sets aside more for the same request. QuotaExceeded, as reserve(), when it is not covered.
  Status extend(int64_t more_nano_usd);
  // Charges record.cost_nano_usd and stores the row. Once. On a store failure the charge is kept in
  // memory, counted in used, and written as soon as the store answers.
  Status settle(UsageRecord record);

 private:
  friend class Budgets;
  struct Impl;
  explicit Reservation(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What a person calls a user ("acme/ada@example.com") or an organization ("acme").
using BudgetNames = std::function<std::string(std::string_view kind, std::string_view id)>;

class Budgets final {
 public:
  // `journal_path` "": what the store does not take is in memory only.
  Budgets(KvStore& kv, const Clock& clock, BudgetNames names = {}, std::string journal_path = {});
  ~Budgets();  // Writes what is still in memory only.
  // Settles what a dead process left behind. Call before the first reserve(). `is_known`: whether
  // the ledger has that request's row, for rows of the journal that the store did take at the end.
  using IsKnown = std::function<Result<bool>(std::string_view request_id)>;
  Status recover(const IsKnown& is_known = {});
  // Code kQuotaExceeded with reason key_quota_exceeded, user_quota_exceeded or
  // organization_quota_exceeded and details_json {usage_usd, limit_usd, remaining_usd,
  // current_month}; Unavailable as above.
  Result<Reservation> reserve(const BudgetAsk& ask);

  // kind: "key", "user" or "org". Month "" = now's.
  Result<BudgetView> view(std::string_view kind, std::string_view id, std::string_view month) const;
  // Months with a counter, newest first.
  Result<std::vector<BudgetView>> history(std::string_view kind, std::string_view id) const;
  // A signed adjustment that sets the user's (and with `organization_too` the organization's) use
  // of this month to zero; what is in flight lands after it. Returns the previous use.
  Result<int64_t> reset_user(std::string_view user_id, std::string_view organization_id,
                             bool organization_too);
  // Retries what a failing store left in memory; called each minute by a job.
  Status reconcile();
  struct Stats {
    int64_t open_reservations, unwritten_settlements, grace_requests, recovered;
  };
  Stats stats() const;

 private:
  friend class Reservation;
  struct Impl;
  Status recover_journal(const IsKnown& is_known);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::ai
