// The table of what is pruned and by which of the configured limits. Runs on the thread of a job.
#include "ledger/retention.h"

#include <algorithm>

#include "ledger/rows.h"

namespace kvcs {

namespace {

struct Row {
  const char* table;
  int64_t max_age_s, max_rows;
};

// Alerts and decisions explain what the audit shows, so they stay as long, and are as few as runs
// of jobs.
std::vector<Row> table_limits(const LedgerConfig& limits) {
  return {
      {"error_ledger", limits.error_max_age_s, limits.error_max_rows},
      {"kv_audit", limits.audit_max_age_s, limits.audit_max_rows},
      {"job_runs", limits.job_run_max_age_s, limits.job_run_max_rows},
      {"usage", limits.usage_max_age_s,
       std::min(limits.usage_max_rows,
                static_cast<int64_t>(limits.usage_max_bytes) / kUsageRowMaxBytes)},
      {"body_log", limits.body_max_age_s, limits.body_max_rows},
      {"alert_log", limits.audit_max_age_s, limits.job_run_max_rows},
      {"decision_log", limits.audit_max_age_s, limits.job_run_max_rows},
  };
}

}  // namespace

std::vector<RowCap> row_caps(const LedgerConfig& limits) {
  std::vector<RowCap> caps;
  for (const Row& row : table_limits(limits)) caps.push_back({row.table, row.max_rows});
  return caps;
}

Result<std::string> prune_ledger(Ledger& ledger, const LedgerConfig& limits) {
  std::string report = "{";
  for (const Row& row : table_limits(limits)) {
    const int64_t removed = KVCS_TRY(ledger.prune(row.table, row.max_age_s, row.max_rows));
    if (report.size() > 1) report += ',';
    report += "\"" + std::string(row.table) + "\":" + std::to_string(removed);
  }
  const int64_t days_age_s = limits.usage_days_max_age_s;
  const int64_t days = days_age_s > 0 ? KVCS_TRY(ledger.prune_usage_days(days_age_s)) : 0;
  return report + ",\"usage_daily\":" + std::to_string(days) + "}";
}

}  // namespace kvcs
