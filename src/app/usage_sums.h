// Whether key-value store and ledger agree about the rows of usage: what the counters of the
// organizations say that there must be, and what there is in ledger.db and on its way there. One of
// the two has lost some where they do not. Used at the start and by repair.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "ai/budget/budget.h"
#include "base/status.h"
#include "ledger/usage_record.h"

namespace kvcs {

class Database;
class KvStore;

struct UsageMismatch {
  std::string organization_id, month;
  ai::BudgetView::Rows counted, found;
  bool kv_lacks() const { return counted.count < found.count; }
};
// Of the month of `now_ms` and the one before it. Reads a few bytes for each organization; the
// outbox only where they do not suffice.
Result<std::optional<UsageMismatch>> find_usage_mismatch(const KvStore& kv, Database& ledger,
                                                         int64_t now_ms);

// The rows of usage that wait in the outbox and are not in `ledger` yet; one may have been moved by
// a process that was killed before it took the record away. Null: every row that waits.
Status for_each_waiting_usage(const KvStore& kv, Database* ledger,
                              const std::function<Status(const UsageRecord&)>& use);

}  // namespace kvcs
