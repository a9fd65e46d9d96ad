// The rows beyond a cap, found by the two ends of the table's key and removed from the old one.
#include "ledger/row_cap.h"

#include <algorithm>

#include "db/db.h"
#include "ledger/audit.h"
#include "ledger/outbox_mover.h"

namespace kvcs {
namespace {

// Twice what a batch of the outbox, the largest transaction, can add.
constexpr int64_t kRemovedMax = 2 * static_cast<int64_t>(kOutboxBatchRecordsMax);

// The oldest and the newest row's number; both 0 in an empty table.
struct Span {
  int64_t first = 0, last = 0;
};
Result<Span> find_span(Database& db, const std::string& table) {
  auto ends = KVCS_TRY(db.prepare("SELECT coalesce((SELECT min(seq) FROM " + table +
                                  "), 0), coalesce((SELECT max(seq) FROM " + table + "), 0)"));
  KVCS_TRY(ends.step());
  return Span{ends.integer(0), ends.integer(1)};
}

}  // namespace

Status enforce_row_caps(Database& db, const std::vector<RowCap>& caps) {
  for (const RowCap& cap : caps) {
    if (cap.max_rows <= 0) continue;
    const Span span = KVCS_TRY(find_span(db, cap.table));
    int64_t excess = span.last - span.first + 1 - cap.max_rows;
    // Its caller's rows go from within, and leave the span as it was.
    const bool is_audit = cap.table == "kv_audit";
    if (is_audit && excess > 0) excess -= KVCS_TRY(count_audit_gaps(db));
    if (span.last == 0 || excess <= 0) continue;
    excess = std::min(excess, kRemovedMax);
    if (is_audit) {
      // The chain remembers where rows are missing, and where it begins.
      KVCS_TRY(prune_audit(db, INT64_MIN, excess, excess).status());
      continue;
    }
    auto remove = KVCS_TRY(db.prepare("DELETE FROM " + cap.table + " WHERE seq < ?"));
    KVCS_TRY(remove.bind(1, span.first + excess).run());
  }
  return ok();
}

}  // namespace kvcs
