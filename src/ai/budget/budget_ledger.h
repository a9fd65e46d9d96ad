// The questions of budgets to the ledger and to identity, as functions that App passes to Budgets:
// whether a charge is on record, what the rows of a key sum up to, how a person calls a user. All
// but budget_name() read SQL, and are therefore not called while a request is served.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "ai/budget/budget.h"
#include "base/status.h"
#include "identity/directory.h"
#include "kv/kv.h"
#include "ledger/ledger.h"

namespace kvcs::ai {

// The ids of usage rows that are in SQL or in the outbox on their way there. One thread, at the
// start: the outbox is read once, at the first question. (It is not drained for it, since the other
// sinks of the outbox do not stand yet.)
class KnownUsageRows final {
 public:
  // Both outlive it.
  KnownUsageRows(const KvStore& kv, Ledger& ledger) : kv_(kv), ledger_(ledger) {}
  Result<bool> contain(std::string_view row_id);

 private:
  Status read_outbox();

  const KvStore& kv_;
  Ledger& ledger_;
  std::optional<std::unordered_set<std::string>> waiting_;
};

// Makes counters that the store could not read anew from the rows of the ledger and the outbox.
Status repair_budgets(Budgets& budgets, const KvStore& kv, Ledger& ledger);

// Adds to `batch` the counter of a key, user or organization as it must be at least, which is what
// `rows` says; for a store that is not in use. False: it has counted as much already. One that
// cannot be read is left alone, for the daemon makes it anew itself.
Result<bool> raise_counter(const KvStore& kv, std::string_view kind, std::string_view id,
                           const BudgetView& rows, int64_t now_ms, KvBatch& batch);
// What the counters of organizations say of the rows of these months, as far as they know it, by
// month and the organization's id. Of many counters only the first are looked at.
using CountedRows = std::map<std::string, std::map<std::string, BudgetView::Rows>>;
Result<CountedRows> counted_rows(const KvStore& kv, const std::vector<std::string>& months);
// A counter that comes by hand or from another store knows nothing of the rows in this ledger.
std::string without_rows(std::string_view key, std::string value);

// The name by which people know an organization ("acme") or a user ("acme/ada@example.com"); the id
// when the store does not answer.
std::string budget_name(const Directory& directory, std::string_view kind, std::string_view id);

}  // namespace kvcs::ai
