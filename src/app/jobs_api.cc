#include "app/jobs_api.h"

#include <nlohmann/json.hpp>

#include "app/backup.h"
#include "base/json.h"
#include "identity/records.h"

namespace kvcs {

Result<http::Response> JobsApi::list(http::Request&) {
  Json jobs = Json::array();
  for (const JobStatus& job : cron_.list()) {
    jobs.push_back(Json{{"job", job.name},
                        {"schedule", job.schedule},
                        {"running", job.running},
                        {"last_started_at", time_json(job.last_started_ms)},
                        {"last_duration_ms", job.last_duration_ms},
                        {"last_result", job.last_result},
                        {"next_at", time_json(job.next_ms < 0 ? 0 : job.next_ms)},
                        {"runs", job.runs},
                        {"failures", job.failures},
                        {"skipped", job.skipped}});
  }
  return http::json_response(200, dump_json(Json{{"jobs", std::move(jobs)}}));
}

Result<http::Response> JobsApi::run(http::Request& request) {
  KVCS_TRY(cron_.run_now(request.param("job")));
  return http::json_response(202,
                             dump_json(Json{{"job", request.param("job")}, {"started", true}}));
}

Result<http::Response> JobsApi::back_up(http::Request&) {
  const Status started = cron_.run_now(kBackupJob);
  if (started.code() == Code::kNotFound) {
    return conflict("Backups are off; set backup.directory (KVCS_BACKUP_DIRECTORY) and restart.")
        .with_reason("backup_off");
  }
  KVCS_TRY(Status(started));
  return http::json_response(202, dump_json(Json{{"job", kBackupJob}, {"started", true}}));
}

}  // namespace kvcs
