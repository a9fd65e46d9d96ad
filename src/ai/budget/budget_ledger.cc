// Answers the questions of Budgets out of the ledger's rows; used at the start and by the job that
// repairs counters, each on its own thread.
#include "ai/budget/budget_ledger.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

#include "ai/budget/budget_book.h"
#include "base/json.h"
#include "kv/keyspace.h"
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

Result<bool> raise_counter(const KvStore& kv, std::string_view kind, std::string_view id,
                           const BudgetView& rows, int64_t now_ms, KvBatch& batch) {
  const std::string key = keyspace::quota(kind, id, rows.month);
  BudgetView counter;
  counter.month = rows.month;
  const Result<KvEntry> entry = kv.get(KvFamily::kQuota, key);
  if (entry.ok()) {
    Result<BudgetView> read = parse_counter(entry->value, rows.month);
    if (!read.ok()) return false;
    counter = std::move(read).value();
  } else if (entry.code() != Code::kNotFound) {
    return entry.status();
  }
  const bool low = counter.used_nano_usd < rows.used_nano_usd;
  const bool known = counter.rows.has_value();
  counter.used_nano_usd = std::max(counter.used_nano_usd, rows.used_nano_usd);
  counter.request_count = std::max(counter.request_count, rows.request_count);
  counter.error_count = std::max(counter.error_count, rows.error_count);
  counter.rows.reset();
  if (low || known) batch.put(KvFamily::kQuota, key, counter_json(counter, now_ms));
  return low;
}

Result<CountedRows> counted_rows(const KvStore& kv, const std::vector<std::string>& months) {
  constexpr int kPagesMax = 10;  // What this costs is owed at every start.
  CountedRows counted;
  for (const std::string& month : months) counted[month] = {};
  std::string kind = keyspace::quota("org", "", "");
  kind.pop_back();  // All organizations, whatever their ids.
  std::string cursor;
  for (int page = 0; page < kPagesMax; page++) {
    const KvPage found = KVCS_TRY(kv.scan(KvFamily::kQuota, kind, cursor, kKvScanMax));
    for (const KvItem& item : found.items) {
      const size_t end = item.key.rfind(':');
      if (end < kind.size()) continue;
      const auto month = counted.find(item.key.substr(end + 1));
      if (month == counted.end()) continue;
      const auto counter = parse_counter(item.entry.value, month->first);
      if (!counter.ok() || !counter->rows) continue;
      month->second[item.key.substr(kind.size(), end - kind.size())] = *counter->rows;
    }
    cursor = found.cursor;
    if (cursor.empty()) break;
  }
  return counted;
}

std::string without_rows(std::string_view key, std::string value) {
  if (!key.starts_with(keyspace::kQuotaPrefix)) return value;
  const Result<Json> parsed = parse_json(value);
  if (!parsed.ok() || !parsed->is_object() || !parsed->contains("rows")) return value;
  Json kept = *parsed;
  kept.erase("rows");
  kept.erase("rows_nano_usd");
  return dump_json(kept);
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
