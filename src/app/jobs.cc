#include "app/jobs.h"

#include <algorithm>

#include "app/ai_door.h"
#include "app/artifact_parts.h"
#include "app/background.h"
#include "app/backup.h"
#include "app/parts.h"
#include "ledger/rows.h"

namespace kvcs {
namespace {

Result<std::string> prune_ledger(Parts& parts) {
  const LedgerSection& limits = parts.config.ledger;
  struct Row {
    const char* table;
    int64_t max_age_s, max_rows;
  };
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
    const int64_t removed = KVCS_TRY(parts.ledger->prune(row.table, row.max_age_s, row.max_rows));
    if (report.size() > 1) report += ',';
    report += "\"" + std::string(row.table) + "\":" + std::to_string(removed);
  }
  const int64_t days = KVCS_TRY(parts.ledger->prune_usage_days(limits.usage_days_max_age_s));
  return report + ",\"usage_daily\":" + std::to_string(days) + "}";
}

// SQLite folds its log in by itself while it can; this catches up after long readers.
Result<std::string> checkpoint_databases(Parts& parts) {
  const auto checkpoint = [](Database& db) { return db.checkpoint(); };
  KVCS_TRY(parts.portal_writer->run_alone(checkpoint));
  KVCS_TRY(parts.ledger_writer->run_alone(checkpoint));
  return std::string();
}

}  // namespace

std::vector<Job> all_jobs(Parts& parts) {
  std::vector<Job> jobs;
  const auto add = [&](const char* name, const char* schedule, int64_t time_limit_s,
                       int64_t jitter_s, JobFunction run) {
    jobs.push_back({name, schedule, time_limit_s, jitter_s, std::move(run)});
  };
  add("last-used-flush", "* * * * *", 30, 0, [&parts](const JobContext&) -> Result<std::string> {
    KVCS_TRY(parts.auth->flush_last_used());
    KVCS_TRY(parts.gateway.tokens->flush_used());
    return std::string();
  });
  add("budget-reconcile", "* * * * *", 30, 0, [&parts](const JobContext&) -> Result<std::string> {
    KVCS_TRY(parts.ai->budgets->reconcile());
    KVCS_TRY(repair_counters(parts));
    return std::string();
  });
  add("database-checkpoint", "*/15 * * * *", 120, 60,
      [&parts](const JobContext&) { return checkpoint_databases(parts); });
  add("artifact-sweep", "*/10 * * * *", 600, 60,
      [&parts](const JobContext&) { return sweep_artifacts(parts); });
  // What an older version stored, or what could not be read when it was confirmed.
  add("artifact-index", "* * * * *", 600, 0,
      [&parts](const JobContext&) { return index_artifacts(parts); });
  add("ledger-prune", "0 4 * * *", 900, 300,
      [&parts](const JobContext&) { return prune_ledger(parts); });
  add("token-refresh", "* * * * *", 300, 0,
      [&parts](const JobContext&) { return refresh_tokens(parts); });
  add("alert-delivery", "* * * * *", 120, 0,
      [&parts](const JobContext&) { return deliver_alerts(parts); });
  add("system-health", "*/5 * * * *", 60, 0,
      [&parts](const JobContext&) { return snapshot_system_health(parts); });
  add("token-health", "*/15 * * * *", 120, 0,
      [&parts](const JobContext&) { return snapshot_token_health(parts); });
  add("provider-health", "*/30 * * * *", 900, 300,
      [&parts](const JobContext& context) { return ask_canaries(parts, context); });
  // The briefing's job has its old name, under which its runs are stored and asked for.
  add("autoresearch", "0 6 * * *", 600, 0,
      [&parts](const JobContext&) { return parts.background.briefing->run(); });
  add("agent-schedules", "0 6 * * *", 1800, 0, [&parts](const JobContext& context) {
    return parts.gateway.agent_schedules->run([&context] { return context.cancelled.load(); });
  });
  // A new month has counters of its own; what is still reserved in the old one is settled.
  add("month-roll", "0 0 1 * *", 300, 0, [&parts](const JobContext&) -> Result<std::string> {
    KVCS_TRY(parts.ai->budgets->reconcile());
    return std::string();
  });
  if (!parts.config.backup.directory.empty()) {
    add(kBackupJob, "0 3 * * *", 4 * 3600, 0,
        [&parts](const JobContext& context) { return make_backup(parts, context); });
  }
  return jobs;
}

}  // namespace kvcs
