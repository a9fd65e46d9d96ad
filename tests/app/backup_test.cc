// Goal: a backup of a running daemon is whole or absent, a daemon starts on a copy of it and knows
// what the first one knew, and one that fails is told. Method: two daemons over real stores.
#include "app/backup.h"

#include <filesystem>
#include <fstream>

#include "blob/blob.h"
#include "support/test_app.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> back_up(TestApp& app) {
  const std::atomic<bool> cancelled = false;
  return make_backup(app.parts(), {cancelled});
}

// Runs the job over HTTP and waits for its end.
void run_job(TestApp& app) {
  REQUIRE(app.as_owner("POST", "/admin/backup").status == 202);
  wait_until(
      [&] {
        return app.as_owner("GET", "/admin/job-runs?job=backup").body.find("\"job\"") !=
               std::string::npos;
      },
      "the run of the backup was kept");
  app.parts().cron->stop();  // What is told about the run is told.
}

}  // namespace

TEST_CASE("backup: a daemon starts on a copy and knows what the first one knew", "[unit][app]") {
  TempDir places;
  const std::string backups = places.file("backups"), restored = places.file("restored");
  std::string admin_key, project_key, token;
  {
    TestApp app([&](Config& config) { config.backup.directory = backups; });
    admin_key = app.credential("admin_key");
    project_key = app.credential("api_key");
    CHECK(app.as_owner("PUT", "/admin/tenants/acme", "{}").status == 200);
    token = json_text(app.as_owner("POST", "/admin/tenants/acme/tokens", "{}").body, "token");
    CHECK(app.as_owner("PUT", "/admin/tenants/acme/providers/notion/accounts/main",
                       R"({"access_token":"notion-token-1"})")
              .status == 201);
    CHECK(app.as(token, "POST", "/api/v1/acme/nothing", "{}").status == 404);
    // Rows of errors wait in memory for a moment; who reads them has them written.
    CHECK(app.as_owner("GET", "/admin/errors").body.find("CONFIG_MISSING") != std::string::npos);
    run_job(app);
    const RawResponse runs = app.as_owner("GET", "/admin/job-runs?job=backup");
    INFO(runs.body);
    CHECK(runs.body.find("\"result\":\"ok\"") != std::string::npos);
    REQUIRE(names_in(backups).size() == 1);
    // As the manual says.
    fs::copy(backups + "/" + names_in(backups)[0], restored, fs::copy_options::recursive);
    fs::copy(app.data_dir() + "/master.key", restored + "/master.key");
    CHECK(names_in(restored) == std::vector<std::string>{"blobs", "charges.journal", "kv",
                                                         "manifest.json", "master.key", "sql",
                                                         "store.json"});
    // What comes later is not in it.
    CHECK(app.as_owner("PUT", "/admin/tenants/later", "{}").status == 200);
  }
  TestApp second([&](Config& config) { config.data_dir = restored; });
  CHECK(second.as(project_key, "GET", "/api/v1/me").status == 200);
  CHECK(second.as(admin_key, "GET", "/admin/tenants/later").status == 404);
  const RawResponse call =
      second.as(token, "POST", "/api/v1/acme/notion", R"({"path":"/v1/users/me","dry_run":true})");
  INFO(call.body);
  CHECK(call.status == 200);
  CHECK(call.body.find("\"authorization\":\"***\"") != std::string::npos);
  CHECK(second.as(admin_key, "GET", "/admin/errors").body.find("CONFIG_MISSING") !=
        std::string::npos);
  CHECK(second.as(admin_key, "GET", "/admin/audit/verify").body.find("\"ok\":true") !=
        std::string::npos);
}

TEST_CASE("backup: the newest are kept, and what a dead daemon left is removed", "[unit][app]") {
  TempDir places;
  const std::string backups = places.file("backups");
  ManualClock clock(1'769'903'000'000);
  AppOptions options;
  options.clock = &clock;
  TestApp app(
      [&](Config& config) {
        config.backup.directory = backups;
        config.backup.keep = 2;
      },
      options);
  fs::create_directories(backups + "/kvcs-20250101T000000Z.partial/kv");
  std::ofstream(backups + "/notes.txt") << "mine";
  CHECK(back_up(app).value() == R"({"backup":"kvcs-20260131T234320Z","removed":[]})");
  CHECK(back_up(app).code() == Code::kConflict);  // Within the same second.
  clock.advance_ms(1000);
  CHECK(back_up(app).ok());
  clock.advance_ms(1000);
  CHECK(back_up(app).value() ==
        R"({"backup":"kvcs-20260131T234322Z","removed":["kvcs-20260131T234320Z"]})");
  CHECK(names_in(backups) ==
        std::vector<std::string>{"kvcs-20260131T234321Z", "kvcs-20260131T234322Z", "notes.txt"});
}

TEST_CASE("backup: blobs that were deleted, and what is no blob, are in no copy's way",
          "[unit][app]") {
  TempDir places;
  TestApp app([&](Config& config) { config.backup.directory = places.file("backups"); });
  BlobStore& blobs = *app.parts().blobs;
  std::string gone;
  for (const char* bytes : {"gone", "kept"}) {
    auto writer = blobs.begin_write("", 4);
    REQUIRE(writer.ok());
    REQUIRE((*writer)->append(bytes).ok());
    REQUIRE((*writer)->finish().ok());
    if (gone.empty()) gone = (*writer)->sha256_hex();
  }
  REQUIRE(blobs.remove(gone).ok());
  std::ofstream(app.data_dir() + "/blobs/0f") << "a note";
  const Result<std::string> made = back_up(app);
  INFO(made.status().message());
  REQUIRE(made.ok());
  const std::string manifest =
      read_small_file(
          places.file("backups") + "/" + names_in(places.file("backups"))[0] + "/manifest.json",
          1 << 20)
          .value();
  CHECK(manifest.find("\"count\": 1") != std::string::npos);
}

TEST_CASE("backup: one that fails leaves nothing and raises backup.failed", "[fault][app]") {
  TempDir places;
  const std::string backups = places.file("backups");
  AppOptions options;
  options.kv_faults = [](std::string_view op, std::string_view) {
    return op == "checkpoint" ? unavailable("The disk is full.") : ok();
  };
  TestApp app([&](Config& config) { config.backup.directory = backups; }, options);
  run_job(app);
  CHECK(names_in(backups).empty());
  const RawResponse alerts = app.as_owner("GET", "/admin/alerts");
  INFO(alerts.body);
  CHECK(alerts.body.find("\"event\":\"backup.failed\"") != std::string::npos);
  CHECK(alerts.body.find("The disk is full.") != std::string::npos);
  CHECK(alerts.body.find("job.failed") == std::string::npos);
  const std::atomic<bool> cancelled = true;
  CHECK(make_backup(app.parts(), {cancelled}).code() == Code::kUnavailable);
}

TEST_CASE("backup: without a directory there is none, and the door says how", "[unit][app]") {
  TestApp app;
  const RawResponse refused = app.as_owner("POST", "/admin/backup");
  CHECK(refused.status == 409);
  CHECK(refused.body.find("KVCS_BACKUP_DIRECTORY") != std::string::npos);
  CHECK(app.as_owner("GET", "/admin/jobs").body.find("\"job\":\"backup\"") == std::string::npos);
}
