// Answers the questions of Budgets out of the ledger's rows; used at the start and by the job that
// repairs counters, each on its own thread.
#include "ai/budget/budget_ledger.h"

#include <vector>

#include "kv/outbox.h"
#include "ledger/rows.h"
#include "ledger/usage_report.h"

namespace kvcs::ai {
namespace {

Result<BudgetView> recount(const KvStore& kv, Ledger& ledger, std::string_view kind,
                           std::string_view id, std::string_view month) {
  // The outbox is read before SQL, so that a row that moves meanwhile is in one of the two.
  // recount_usage() counts a row that is in both once.
  std::vector<UsageRecord> waiting;
  const auto look = [&](const OutboxRecord& record) -> Status {
    if (record.kind != "usage") return ok();
    UsageRecord row;
    KVCS_TRY(parse_usage(record, row));
    const std::string& owner = kind == "key"    ? row.key_id
                               : kind == "user" ? row.user_id
                                                : row.organization_id;
    if (owner == id && row.period == month) waiting.push_back(std::move(row));
    return ok();
  };
  KVCS_TRY(for_each_in_outbox(kv, look));
  const UsageGroup sum = KVCS_TRY(recount_usage(ledger, kind, id, month, waiting));
  return BudgetView{sum.cost_nano_usd, 0, sum.requests, sum.failures, std::string(month)};
}

}  // namespace

Result<bool> KnownUsageRows::contain(std::string_view row_id) {
  if (!waiting_) KVCS_TRY(read_outbox());
  if (waiting_->count(std::string(row_id)) > 0) return true;
  return has_usage_row(ledger_, row_id);
}

Status KnownUsageRows::read_outbox() {
  waiting_.emplace();
  return for_each_in_outbox(kv_, [this](const OutboxRecord& record) {
    waiting_->insert(record.id);
    return ok();
  });
}

Status repair_budgets(Budgets& budgets, const KvStore& kv, Ledger& ledger) {
  return budgets.repair([&](std::string_view kind, std::string_view id, std::string_view month) {
    return recount(kv, ledger, kind, id, month);
  });
}

std::string budget_name(const Directory& directory, std::string_view kind, std::string_view id) {
  if (kind == "org") {
    const auto organization = directory.organization(id);
    return organization.ok() ? organization.value()->slug : std::string(id);
  }
  const auto user = directory.user(id);
  if (!user.ok()) return std::string(id);
  const std::string& organization_id = user.value()->organization_id;
  return budget_name(directory, "org", organization_id) + "/" + user.value()->email;
}

}  // namespace kvcs::ai
