// Compares running sums. The rows in the outbox, of which a quick daemon has many when it is
// killed, are counted in one pass; one that is in SQL already is not counted twice.
#include "app/usage_sums.h"

#include <map>

#include "ai/budget/budget_ledger.h"
#include "base/clock.h"
#include "kv/kv.h"
#include "kv/outbox.h"
#include "ledger/rows.h"
#include "ledger/usage_report.h"

namespace kvcs {
namespace {

constexpr int64_t kDayMs = 86'400'000;
using Rows = std::map<std::string, ai::BudgetView::Rows>;  // By organization.

// Day by day, since months are of four lengths.
std::string month_before(int64_t now_ms) {
  const std::string month = format_month(now_ms);
  int64_t day_ms = now_ms;
  while (format_month(day_ms) == month) day_ms -= kDayMs;
  return format_month(day_ms);
}

std::optional<UsageMismatch> compare(const std::string& month, const Rows& counted,
                                     const Rows& found) {
  // An organization of which nothing is counted is one whose counter does not know; see
  // BudgetCounter::rows_known.
  for (const auto& [id, rows] : counted) {
    const auto there = found.find(id);
    const ai::BudgetView::Rows other =
        there == found.end() ? ai::BudgetView::Rows{} : there->second;
    if (!(rows == other)) return UsageMismatch{id, month, rows, other};
  }
  return std::nullopt;
}

Status add_waiting(const KvStore& kv, Database& ledger, std::map<std::string, Rows>& by_month) {
  return for_each_waiting_usage(kv, &ledger, [&](const UsageRecord& row) {
    const auto month = by_month.find(row.period);
    if (month == by_month.end()) return ok();
    ai::BudgetView::Rows& sum = month->second[row.organization_id];
    sum.count++;
    sum.nano_usd += row.cost_nano_usd;
    return ok();
  });
}

}  // namespace

Status for_each_waiting_usage(const KvStore& kv, Database* ledger,
                              const std::function<Status(const UsageRecord&)>& use) {
  return for_each_in_outbox(kv, [&](const OutboxRecord& record) -> Status {
    UsageRecord row;
    if (record.kind != "usage" || !parse_usage(record, row).ok()) return ok();
    if (ledger != nullptr && KVCS_TRY(has_usage_row(*ledger, row.request_id))) return ok();
    return use(row);
  });
}

Result<std::optional<UsageMismatch>> find_usage_mismatch(const KvStore& kv, Database& ledger,
                                                         int64_t now_ms) {
  const std::string month = format_month(now_ms);
  const std::vector<std::string> months = {month, month_before(now_ms)};
  const ai::CountedRows counted = KVCS_TRY(ai::counted_rows(kv, months));
  std::map<std::string, Rows> found;
  std::optional<UsageMismatch> first;
  for (const auto& [one, rows] : counted) {
    Rows& there = found[one];
    const auto add = [&there](const std::string& id, int64_t count, int64_t nano_usd) {
      there[id] = {count, nano_usd};
    };
    KVCS_TRY(for_each_month_rows(ledger, one, add));
    if (!first) first = compare(one, rows, there);
  }
  if (!first) return first;
  if (KVCS_TRY(has_unread_usage(ledger))) return std::optional<UsageMismatch>();
  KVCS_TRY(add_waiting(kv, ledger, found));
  for (const auto& [one, rows] : counted) {
    if (auto mismatch = compare(one, rows, found[one])) return mismatch;
  }
  return std::optional<UsageMismatch>();
}

}  // namespace kvcs
