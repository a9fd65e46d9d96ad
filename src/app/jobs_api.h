// Scheduled jobs and the backups that one of them makes, over the admin API. Stateless;
// thread-safe.
#pragma once
#include "app/config.h"
#include "http/route_rows.h"
#include "kv/audited_kv.h"
#include "ops/cron.h"

namespace kvcs {

class JobsApi final {
 public:
  // All outlive it.
  JobsApi(Cron& cron, AuditedKv& audited, const BackupSection& backup)
      : cron_(cron), audited_(audited), backup_(backup) {}

  // The rows of these handlers, and the types that they read and answer.
  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();
  // GET /admin/jobs: {"jobs": [{"job", "schedule", "running", "last_started_at",
  // "last_duration_ms", "last_result", "next_at", "runs", "failures", "skipped"}]}
  Result<http::Response> list(http::Request& request);
  // POST /admin/jobs/{job}/run: 202. NotFound; Conflict while it runs.
  Result<http::Response> run(http::Request& request);
  // POST /admin/backup: 202. Conflict while one runs, or when backups are off.
  Result<http::Response> back_up(http::Request& request);
  // GET /admin/backups: what is in backup.directory, the newest first; nothing when backups are
  // off.
  Result<http::Response> list_backups(http::Request& request);

 private:
  // Writes down who has started it.
  Status start(const http::Request& request, std::string_view job);

  Cron& cron_;
  AuditedKv& audited_;
  const BackupSection& backup_;
};

}  // namespace kvcs
