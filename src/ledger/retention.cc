// The table of what is pruned and by which of the configured limits. Runs on the thread of a job.
#include "ledger/retention.h"

#include <algorithm>

#include "ledger/rows.h"

namespace kvcs {

Result<std::string> prune_ledger(Ledger& ledger, const LedgerConfig& limits) {
  struct Row {
    const char* table;
    int64_t max_age_s, max_rows;
  };
  // Alerts and decisions explain what the audit shows, so they stay as long, and are as few as runs
  // of jobs.
  const Row rows[] = {
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
  std::string report = "{";
  for (const Row& row : rows) {
    const int64_t removed = KVCS_TRY(ledger.prune(row.table, row.max_age_s, row.max_rows));
    if (report.size() > 1) report += ',';
    report += "\"" + std::string(row.table) + "\":" + std::to_string(removed);
  }
  const int64_t days = KVCS_TRY(ledger.prune_usage_days(limits.usage_days_max_age_s));
  return report + ",\"usage_daily\":" + std::to_string(days) + "}";
}

}  // namespace kvcs
