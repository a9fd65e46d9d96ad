// The job table: what the daemon does by itself, when, and for how long at most. A job's work is in
// its module; here it gets its objects, and what it reports is worded as JSON. Each run has a
// thread of its own (ops/cron.h).
#include "app/jobs.h"

#include <nlohmann/json.hpp>

#include <map>
#include <memory>

#include "ai/budget/budget.h"
#include "ai/budget/budget_ledger.h"
#include "app/backup.h"
#include "app/certificate_watch.h"
#include "app/clock_file.h"
#include "app/master_keys.h"
#include "app/owner_deletion.h"
#include "app/parts.h"
#include "app/store_marks.h"
#include "artifacts/artifact_audit.h"
#include "artifacts/artifact_search.h"
#include "artifacts/artifacts.h"
#include "artifacts/missing_blobs.h"
#include "artifacts/shares.h"
#include "artifacts/uploads.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mutex.h"
#include "briefing/briefing.h"
#include "db/db.h"
#include "db/db_damage.h"
#include "gateway/call/call_counts.h"
#include "gateway/catalogue/agent_schedules.h"
#include "gateway/catalogue/canaries.h"
#include "gateway/catalogue/tenants.h"
#include "gateway/tokens/refresher.h"
#include "gateway/tokens/token_watch.h"
#include "gateway/tokens/tokens.h"
#include "identity/identity.h"
#include "kv/rocks_kv.h"
#include "ledger/alerts.h"
#include "ledger/audit.h"
#include "ledger/clock_trust.h"
#include "ledger/ledger.h"
#include "ledger/retention.h"
#include "ops/system_health.h"
#include "portal/billing/billing.h"

namespace kvcs {
namespace {

// A job that runs every few minutes and cannot succeed until a person has done something would else
// be an alert an hour. A nightly one is told of each time.
constexpr int64_t kSameFailureMs = int64_t{20} * 3'600'000;

// The failures of jobs that were told of. Thread-safe.
class JobFailures final {
 public:
  bool is_news(const JobRun& run) {
    MutexLock lock(mutex_);
    if (run.result == "ok") {
      told_.erase(run.job);
      return false;
    }
    Told& told = told_[run.job];
    // Figures of the moment make no other failure.
    std::string words = run.result;
    std::erase_if(words, [](unsigned char c) { return std::isdigit(c) != 0; });
    if (told.words == words && run.started_ms < told.started_ms + kSameFailureMs) {
      return false;
    }
    told = {std::move(words), run.started_ms};
    return true;
  }

 private:
  struct Told {
    std::string words;
    int64_t started_ms = 0;
  };
  Mutex mutex_;
  std::map<std::string, Told> told_ KVCS_GUARDED_BY(mutex_);
};

// The engine folds its log in by itself while it can; this catches up after long readers.
Result<std::string> checkpoint_databases(Parts& parts) {
  const auto checkpoint = [](Database& db) { return db.checkpoint(); };
  KVCS_TRY(parts.portal_writer->run_alone(checkpoint));
  KVCS_TRY(parts.ledger_writer->run_alone(checkpoint));
  return std::string();
}

// In minutes, and not when the damage is met: that is inside of the store which takes alerts.
void tell_of_damage(Parts& parts) {
  const auto tell = [&parts](StoreDamage& damage, const char* event, const char* subject) {
    if (const auto news = damage.take_news()) {
      raise_alert(*parts.kv, {event, subject, *news}, parts.clock(), *parts.entropy);
    }
  };
  tell(damage_of_rocks(*parts.kv_engine), "kv.damaged", "kv");
  tell(*parts.staged_damage, "upload.damaged", "staged");
  for (const char* name : {"portal.db", "ledger.db"}) {
    tell(*damage_of_database(parts.config.data_dir + "/sql/" + name), "db.damaged", name);
  }
}

// On a connection of its own, that no request waits for a reader meanwhile.
Status check_database(const std::string& path) {
  const auto db = KVCS_TRY(open_sqlite(path, {.read_only = true}));
  const std::string found = KVCS_TRY(db->find_damage());
  if (found.empty()) return ok();
  const auto damage = damage_of_database(path);
  damage->note(found);
  return damage->status();
}

Result<std::string> check_databases(Parts& parts) {
  const std::string& dir = parts.config.data_dir;
  const Status portal = check_database(dir + "/sql/portal.db");
  const Status ledger = check_database(dir + "/sql/ledger.db");
  tell_of_damage(parts);
  KVCS_TRY(portal);
  KVCS_TRY(ledger);
  return std::string();
}

// The report of a job that counts one thing; "" says that there was nothing to do.
std::string count_report(const char* name, int64_t count) {
  return dump_json(Json{{name, count}});
}

// For a job that removes things for their age: until when it must not, or 0.
Result<int64_t> held_until_ms(Parts& parts) {
  const ClockTrust trust = KVCS_TRY(look_at_clock(*parts.ledger, parts.clock().unix_ms()));
  if (trust.begins) {
    const std::string message =
        "The clock says " + format_iso8601_s(parts.clock().unix_ms()) +
        ", and was last believed at " + format_iso8601_s(trust.believed_ms) +
        ". If it is wrong, set it right. If it is right, as after a long stop, nothing need be "
        "done: rows, uploads and trash that are too old are kept until " +
        format_iso8601_s(trust.held_until_ms) + ".";
    log::warn("clock.leapt", {{"message", message}});
    raise_alert(*parts.kv, {"clock.leapt", "clock", message}, parts.clock(), *parts.entropy);
  }
  return trust.held_until_ms;
}

// By number the ledger is pruned whatever the clock says, for that keeps the disk from filling.
Result<std::string> prune(Parts& parts) {
  const int64_t held_ms = KVCS_TRY(held_until_ms(parts));
  const LedgerConfig& limits = parts.config.ledger;
  return prune_ledger(*parts.ledger, held_ms == 0 ? limits : limits_by_number(limits));
}

// The audit lost rows to its cap that its age would have kept: somebody makes many, or the cap is
// too low.
void tell_of_cut_audit(Parts& parts) {
  int64_t cut_ms = 0;
  const Status taken = parts.ledger->write([&](Database& db) -> Status {
    cut_ms = KVCS_TRY(take_audit_cut(db));
    return ok();
  });
  if (!taken.ok()) log::warn("audit.cut_unknown", {{"error", taken.to_string()}});
  const LedgerConfig& limits = parts.config.ledger;
  const int64_t now_ms = parts.clock().unix_ms();
  if (cut_ms == 0 ||
      (limits.audit_max_age_s > 0 && cut_ms < now_ms - limits.audit_max_age_s * 1000)) {
    return;
  }
  raise_alert(
      *parts.kv,
      {"audit.cut", "kv_audit",
       "The audit has ledger.audit_max_rows (" + std::to_string(limits.audit_max_rows) +
           ") rows, and lost some that ledger.audit_max_age_s would have kept, the newest of " +
           format_iso8601_s(cut_ms) +
           "; callers' rows go first. See GET /admin/audit for "
           "who makes so many, or raise the limit."},
      parts.clock(), *parts.entropy);
}

// Records of before are sealed once an older program does not take the directory any more: the
// disk may have kept the start from saying so.
Result<std::string> seal_and_reseal(Parts& parts, const std::function<bool()>& cancelled) {
  const auto mark = KVCS_TRY(read_mark(*parts.kv, parts.config.data_dir + "/kv"));
  int64_t sealed = 0;
  if (mark && mark->format == kDataFormat) {
    sealed = KVCS_TRY(parts.gateway.tenants->seal_secrets({"reseal", "job", ""}, cancelled));
  }
  std::string resealed = KVCS_TRY(parts.master_keys->reseal(cancelled));
  if (sealed == 0) return resealed;
  log::info("tenants.secrets_sealed", {{"count", sealed}});
  return resealed.empty() ? dump_json(Json{{"sealed_tenants", sealed}}) : resealed;
}

// All of a sweep goes by age, but for the bytes of what was deleted.
Result<std::string> sweep_artifacts(Parts& parts) {
  // A disk that fails here holds up nothing of the rest; it is told at the end.
  const Status removed = parts.artifacts.service->finish_removals().status();
  if (const int64_t held_ms = KVCS_TRY(held_until_ms(parts)); held_ms != 0) {
    KVCS_TRY(Status(removed));
    return dump_json(Json{{"held_until", format_iso8601_s(held_ms)}});
  }
  const UploadSweepReport uploads = KVCS_TRY(parts.artifacts.uploads->sweep());
  const SweepReport report = KVCS_TRY(parts.artifacts.service->sweep());
  const int64_t shares = KVCS_TRY(parts.artifacts.shares->remove_expired());
  KVCS_TRY(Status(removed));
  return dump_json({{"expired_uploads", report.expired_uploads},
                    {"ended_deletions", report.ended_deletions},
                    {"expired_shares", shares},
                    {"expired_parts", uploads.expired_parts},
                    {"staged_orphans", uploads.orphans},
                    {"orphan_blobs", report.orphan_blobs},
                    {"restored_blobs", report.restored_blobs},
                    {"freed_bytes", report.freed_bytes}});
}

// One alert for all that are missing: when the whole folder is gone, one for each would be a flood.
void tell_missing(Parts& parts, const MissingBlobs& found) {
  if (found.missing == 0) return;
  const std::string message =
      std::to_string(found.missing) + " of " + std::to_string(found.named) +
      " blobs that artifacts name are missing, the first of them " + found.first_sha256 +
      " of artifact " + found.first_artifact_id +
      ". Restore their files, or upload the bytes of these artifacts again.";
  log::error("blob.damaged", {{"message", message}});
  raise_alert(*parts.kv, {"blob.damaged", "missing", message}, parts.clock(), *parts.entropy);
}

Result<std::string> scrub_blobs(Parts& parts, const JobContext& context) {
  const auto cancelled = [&context] { return context.cancelled.load(); };
  const MissingBlobs missing =
      KVCS_TRY(find_missing_blobs(*parts.portal_readers, *parts.blobs, cancelled));
  tell_missing(parts, missing);
  const ScrubReport report = KVCS_TRY(parts.artifacts.service->scrub(cancelled));
  return dump_json({{"checked_blobs", report.checked_blobs},
                    {"checked_bytes", report.checked_bytes},
                    {"damaged_blobs", report.damaged_blobs},
                    {"missing_blobs", missing.missing},
                    {"whole", report.whole && missing.missing == 0}});
}

// Audit records of artifacts that nobody has asked for since; reading the audit moves them too.
Result<std::string> move_audit(Parts& parts) {
  const int64_t moved =
      KVCS_TRY(move_artifact_audit(*parts.portal_writer, *parts.portal_readers, *parts.ledger));
  return moved == 0 ? std::string() : dump_json(Json{{"moved", moved}});
}

Result<std::string> index_artifacts(ArtifactSearch& search, const JobContext& context) {
  const auto cancelled = [&context] { return context.cancelled.load(); };
  return count_report("indexed", static_cast<int64_t>(KVCS_TRY(search.index_missing(cancelled))));
}

// One that was made anew is worth a line: something wrote rows without it.
Result<std::string> check_text_index(Parts& parts) {
  const bool is_mended = KVCS_TRY(parts.artifacts.service->mend_text_index());
  if (is_mended) log::warn("artifacts.text_index_mended");
  return dump_json(Json{{"mended", is_mended}});
}

Result<std::string> ask_canaries(gateway::Canaries& canaries, const JobContext& context) {
  const auto cancelled = [&context] { return context.cancelled.load(); };
  return count_report("asked", KVCS_TRY(canaries.run(cancelled)));
}

// A run that had nothing to do reports nothing, so that the history of jobs shows what was done.
Result<std::string> refresh_tokens(gateway::Refresher& refresher) {
  const int64_t asked = KVCS_TRY(refresher.run_due());
  return asked == 0 ? std::string() : count_report("asked", asked);
}

// Reads the tables of the key-value store, as check_databases() does the databases.
Result<std::string> check_kv_tables(Parts& parts, const JobContext& context) {
  const auto cancelled = [&context] { return context.cancelled.load(); };
  const KvFilesCheck check = KVCS_TRY(check_rocks_files(*parts.kv_engine, cancelled));
  tell_of_damage(parts);
  return dump_json(Json{{"checked_files", check.files},
                        {"checked_bytes", check.bytes},
                        {"damaged_files", check.damaged.size()},
                        {"whole", check.whole && check.damaged.empty()}});
}

Result<std::string> check_certificate(Parts& parts) {
  tell_of_certificate(parts);
  return std::string();
}

Result<std::string> deliver_alerts(Alerts& alerts) {
  const int64_t delivered = KVCS_TRY(alerts.deliver_due());
  return delivered == 0 ? std::string() : count_report("delivered", delivered);
}

// What looks for damage, and for a certificate that ends.
std::vector<Job> checking_jobs(Parts& parts) {
  std::vector<Job> jobs;
  jobs.push_back({"database-check", "10 2 * * *", 4 * 3600, 600,
                  [&parts](const JobContext&) { return check_databases(parts); }});
  jobs.push_back({"kv-check", "40 1 * * *", 4 * 3600, 600,
                  [&parts](const JobContext& context) { return check_kv_tables(parts, context); }});
  jobs.push_back({"artifact-text-check", "20 3 * * *", 600, 300,
                  [&parts](const JobContext&) { return check_text_index(parts); }});
  jobs.push_back({"certificate-check", "30 7 * * *", 30, 0,
                  [&parts](const JobContext&) { return check_certificate(parts); }});
  return jobs;
}

// What the configuration asks for.
void add_configured_jobs(Parts& parts, std::vector<Job>& jobs) {
  if (parts.portal.billing->enabled()) {
    jobs.push_back(
        {"billing-reconcile", "20 5 * * *", 3600, 900, [&parts](const JobContext& context) {
           return parts.portal.billing->reconcile([&context] { return context.cancelled.load(); });
         }});
  }
  if (!parts.config.backup.directory.empty()) {
    jobs.push_back({kBackupJob, "0 3 * * *", 4 * 3600, 0,
                    [&parts](const JobContext& context) { return make_backup(parts, context); }});
  }
}

}  // namespace

std::function<void(const JobRun& run)> job_reporter(Parts& parts) {
  // Owners: the copies of the function that is returned.
  const auto failures = std::make_shared<JobFailures>();
  return [&parts, failures](const JobRun& run) {
    if (!failures->is_news(run)) return;
    const char* event = run.job == kBackupJob ? "backup.failed" : "job.failed";
    raise_alert(*parts.kv, {event, run.job, printable(run.result, kShownText)}, parts.clock(),
                *parts.entropy);
  };
}

// Columns: name, cron expression in UTC, time limit and jitter in seconds. Names are in history and
// in the API; they do not change.
std::vector<Job> all_jobs(Parts& parts) {
  std::vector<Job> jobs = checking_jobs(parts);
  const auto add = [&](const char* name, const char* schedule, int64_t time_limit_s,
                       int64_t jitter_s, JobFunction run) {
    jobs.push_back({name, schedule, time_limit_s, jitter_s, std::move(run)});
  };
  add("last-used-flush", "* * * * *", 30, 0, [&parts](const JobContext&) -> Result<std::string> {
    KVCS_TRY(parts.auth->flush_last_used());
    KVCS_TRY(parts.gateway.tokens->flush_used());
    KVCS_TRY(parts.gateway.calls->flush());
    KVCS_TRY(parts.artifacts.service->flush_downloads());
    KVCS_TRY(keep_clock(parts.config.data_dir, *parts.kept_clock));
    return std::string();
  });
  add("budget-reconcile", "* * * * *", 30, 0, [&parts](const JobContext&) -> Result<std::string> {
    KVCS_TRY(parts.ai.budgets->reconcile());
    KVCS_TRY(ai::repair_budgets(*parts.ai.budgets, *parts.kv, *parts.ledger));
    return std::string();
  });
  add("database-checkpoint", "*/15 * * * *", 120, 60,
      [&parts](const JobContext&) { return checkpoint_databases(parts); });
  add("reseal", "*/10 * * * *", 3600, 0, [&parts](const JobContext& context) {
    return seal_and_reseal(parts, [&context] { return context.cancelled.load(); });
  });
  add("artifact-sweep", "*/10 * * * *", 600, 60,
      [&parts](const JobContext&) { return sweep_artifacts(parts); });
  add("artifact-audit", "* * * * *", 60, 0,
      [&parts](const JobContext&) { return move_audit(parts); });
  add("blob-scrub", "0 1 * * sat", 24 * 3600, 1800,
      [&parts](const JobContext& context) { return scrub_blobs(parts, context); });
  // Artifacts that an older version stored, or that could not be read when they were confirmed.
  add("artifact-index", "* * * * *", 600, 0, [&parts](const JobContext& context) {
    return index_artifacts(*parts.artifacts.search, context);
  });
  add("ledger-prune", "0 4 * * *", 900, 300, [&parts](const JobContext&) { return prune(parts); });
  add("token-refresh", "* * * * *", 300, 0,
      [&parts](const JobContext&) { return refresh_tokens(*parts.gateway.refresher); });
  add("alert-delivery", "* * * * *", 120, 0, [&parts](const JobContext&) {
    tell_of_damage(parts);
    return deliver_alerts(*parts.alerts);
  });
  add("system-health", "*/5 * * * *", 60, 0, [&parts](const JobContext&) {
    tell_of_cut_audit(parts);
    return parts.health->keep_snapshot();
  });
  add("token-health", "*/15 * * * *", 120, 0, [&parts](const JobContext&) {
    return gateway::keep_token_health(*parts.kv, *parts.gateway.tokens, *parts.gateway.refresher,
                                      parts.clock());
  });
  add("provider-health", "*/30 * * * *", 900, 300, [&parts](const JobContext& context) {
    return ask_canaries(*parts.gateway.canaries, context);
  });
  add(kDeletionJob, "* * * * *", 4 * 3600, 0, [&parts](const JobContext& context) {
    return parts.deletions->run([&context] { return context.cancelled.load(); });
  });
  // The briefing's job has its old name, under which its runs are stored and asked for.
  add("autoresearch", "0 6 * * *", 600, 0,
      [&parts](const JobContext&) { return parts.briefing->run(); });
  add("agent-schedules", "0 6 * * *", 1800, 0, [&parts](const JobContext& context) {
    return parts.gateway.agent_schedules->run([&context] { return context.cancelled.load(); });
  });
  // A new month has counters of its own; what is still reserved in the old one is settled.
  add("month-roll", "0 0 1 * *", 300, 0, [&parts](const JobContext&) -> Result<std::string> {
    KVCS_TRY(parts.ai.budgets->reconcile());
    return std::string();
  });
  add_configured_jobs(parts, jobs);
  return jobs;
}

}  // namespace kvcs
