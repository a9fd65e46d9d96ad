// The handlers, rows and types of jobs over the admin API. A run that is asked for starts on a
// thread of its own (ops/cron.h); the handler does not wait for it.
#include "app/jobs_api.h"

#include <nlohmann/json.hpp>

#include "app/backup.h"
#include "app/backup_list.h"
#include "base/json.h"
#include "identity/records.h"

namespace kvcs {

namespace {

constexpr http::ApiType kTypes[] = {
    {"JobList", R"(
jobs!: [Job])"},
    {"Job", R"(
job!: string
schedule!: string
running!: boolean
last_started_at!: time?
last_duration_ms!: integer
last_result!: string
next_at!: time?
runs!: integer
failures!: integer
skipped!: integer)"},
    {"BackupList", R"(
directory!: string? # backup.directory; null: backups are off.
keep!: integer # How many of this data directory's stay.
backups!: [Backup])"},
    {"Backup", R"(
name!: string
made_at!: time
store_id!: string # Of the data directory that it was made of; several may share the folder.
version!: string # Of the daemon that made it.
files_bytes!: integer # Beside the blobs.
blobs!: integer
blobs_bytes!: integer
blobs_linked!: boolean # False: they are not in it, and blobs.list names them.)"},
    {"JobStarted", R"(
job!: string
started!: boolean)"},
};

}  // namespace

std::span<const http::ApiType> JobsApi::types() {
  return kTypes;
}

void JobsApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kib;
  using http::kNoBody;
  http::Rows rows(table, *this, "/admin");
  rows.add(kGet, "/jobs", access.viewer, kNoBody, &JobsApi::list,
           "Scheduled jobs, their last and next runs.", {.id = "listJobs", .answer = "JobList"});
  rows.add(kPost, "/jobs/{job}/run", access.admin, kib(1), &JobsApi::run, "Start a job now.",
           {.id = "runJob", .status = 202, .answer = "JobStarted"});
  rows.add(kPost, "/backup", access.admin, kib(1), &JobsApi::back_up,
           "Copy the stores now, as the job does each night.",
           {.id = "startBackup", .status = 202, .answer = "JobStarted"});
  rows.add(kGet, "/backups", access.viewer, kNoBody, &JobsApi::list_backups,
           "The copies in backup.directory, the newest first.",
           {.id = "listBackups", .answer = "BackupList"});
}

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

// Before the job, so that none runs without a word; of one that then does not start it is known who
// wanted it.
Status JobsApi::start(const http::Request& request, std::string_view job) {
  for (const JobStatus& known : cron_.list()) {
    if (known.name != job) continue;
    KVCS_TRY(audited_.note("job:" + known.name, "run",
                           admin_context(request.principal, request.request_id)));
  }
  return cron_.run_now(job);
}

Result<http::Response> JobsApi::list_backups(http::Request&) {
  Json list = Json::array();
  if (!backup_.directory.empty()) {
    for (const BackupShown& one : KVCS_TRY(show_backups(backup_.directory))) {
      list.push_back(Json{{"name", one.name},
                          {"made_at", time_json(one.made_ms)},
                          {"store_id", one.store_id},
                          {"version", one.version},
                          {"files_bytes", one.files_bytes},
                          {"blobs", one.blobs},
                          {"blobs_bytes", one.blobs_bytes},
                          {"blobs_linked", one.blobs_linked}});
    }
  }
  const Json directory = backup_.directory.empty() ? Json() : Json(backup_.directory);
  return http::json_response(
      200, dump_json(Json{
               {"directory", directory}, {"keep", backup_.keep}, {"backups", std::move(list)}}));
}

Result<http::Response> JobsApi::run(http::Request& request) {
  KVCS_TRY(start(request, request.param("job")));
  return http::json_response(202,
                             dump_json(Json{{"job", request.param("job")}, {"started", true}}));
}

Result<http::Response> JobsApi::back_up(http::Request& request) {
  const Status started = start(request, kBackupJob);
  if (started.code() == Code::kNotFound) {
    return conflict("Backups are off; set backup.directory (KVCS_BACKUP_DIRECTORY) and restart.")
        .with_reason("backup_off");
  }
  KVCS_TRY(Status(started));
  return http::json_response(202, dump_json(Json{{"job", kBackupJob}, {"started", true}}));
}

}  // namespace kvcs
