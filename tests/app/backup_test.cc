// Goal: a backup of a running daemon is whole or absent, a daemon starts on a copy of it and knows
// what the first one knew, and one that fails is told. Method: two daemons over real stores.
#include "app/backup.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

#include "app/backup_maker.h"
#include "app/store_marks.h"
#include "base/entropy.h"
#include "base/file.h"
#include "base/json.h"
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

std::string store_id(const std::string& data_dir) {
  const auto mark = read_directory_mark(data_dir);
  REQUIRE(mark.ok());
  REQUIRE(mark->has_value());
  return (*mark)->mark.store_id;
}

// What tells the backups of this directory apart, once it has made one.
std::string maker_id(const std::string& data_dir) {
  const auto text = read_small_file(data_dir + "/backup-maker.json", 1 << 16);
  REQUIRE(text.ok());
  return json_text(dump_json(parse_json(*text).value()), "id").substr(0, 8);
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
  const std::string id = store_id(app.data_dir()).substr(0, 8);
  fs::create_directories(backups + "/kvcs-20250101T000000Z-" + id + ".partial/kv");
  // An older kvcs left no id in the name. What names no store, or another, is not ours to remove.
  const std::string older = backups + "/kvcs-20250102T000000Z.partial";
  fs::create_directories(older);
  fs::copy(app.data_dir() + "/store.json", older + "/store.json");
  fs::create_directories(backups + "/kvcs-20250103T000000Z-00000000.partial");
  fs::create_directories(backups + "/kvcs-20250104T000000Z");
  std::ofstream(backups + "/notes.txt") << "mine";
  CHECK(back_up(app).value() == R"({"backup":"kvcs-20260131T234320Z","removed":[]})");
  clock.advance_ms(1000);
  CHECK(back_up(app).ok());
  clock.advance_ms(1000);
  CHECK(back_up(app).value() ==
        R"({"backup":"kvcs-20260131T234322Z","removed":["kvcs-20260131T234320Z"]})");
  CHECK(names_in(backups) ==
        std::vector<std::string>{"kvcs-20250103T000000Z-00000000.partial", "kvcs-20250104T000000Z",
                                 "kvcs-20260131T234321Z", "kvcs-20260131T234322Z", "notes.txt"});
  // A second one of the same second has another name, a third has none.
  CHECK(back_up(app).value() == R"({"backup":"kvcs-20260131T234322Z-)" + maker_id(app.data_dir()) +
                                    R"(","removed":["kvcs-20260131T234321Z"]})");
  CHECK(back_up(app).code() == Code::kConflict);
}

TEST_CASE("backup: copies of a clock that went wrong go first, and never the one just made",
          "[unit][app]") {
  TempDir places;
  const std::string backups = places.file("backups");
  constexpr int64_t kNowMs = 1'769'903'000'000, kFarMs = 4'070'908'800'000;  // 2099-01-01
  ManualClock clock(kNowMs);
  AppOptions options;
  options.clock = &clock;
  TestApp app(
      [&](Config& config) {
        config.backup.directory = backups;
        config.backup.keep = 2;
      },
      options);
  app.parts().cron->stop();  // The jump would make it start jobs, this one too.
  clock.set_unix_ms(kFarMs);
  REQUIRE(back_up(app).ok());
  clock.advance_ms(1000);
  REQUIRE(back_up(app).ok());
  clock.set_unix_ms(kNowMs);
  CHECK(back_up(app).value() ==
        R"({"backup":"kvcs-20260131T234320Z","removed":["kvcs-20990101T000000Z"]})");
  clock.advance_ms(1000);
  CHECK(back_up(app).value() ==
        R"({"backup":"kvcs-20260131T234321Z","removed":["kvcs-20990101T000001Z"]})");
  CHECK(names_in(backups) ==
        std::vector<std::string>{"kvcs-20260131T234320Z", "kvcs-20260131T234321Z"});
}

TEST_CASE("backup: daemons that share a directory, and one that serves a copy, keep what is theirs",
          "[unit][app]") {
  TempDir places;
  const std::string backups = places.file("backups");
  ManualClock clock(1'769'903'000'000);
  AppOptions options;
  options.clock = &clock;
  const auto edit = [&](Config& config) {
    config.backup.directory = backups;
    config.backup.keep = 1;
  };
  TestApp first(edit, options), second(edit, options);
  REQUIRE(back_up(first).ok());
  // The other one's backup of the same second, while that one is made.
  const std::string other =
      backups + "/kvcs-20260131T234320Z-" + store_id(first.data_dir()).substr(0, 8) + ".partial";
  fs::create_directories(other);
  const std::string made = back_up(second).value(), id = maker_id(second.data_dir());
  CHECK(made == R"({"backup":"kvcs-20260131T234320Z-)" + id + R"(","removed":[]})");
  CHECK(fs::remove(other));
  // A daemon is started on the first one's copy: it is a data directory from then on.
  const std::string served = backups + "/kvcs-20260131T234320Z";
  fs::copy(first.data_dir() + "/master.key", served + "/master.key");
  {
    TestApp third([&](Config& config) { config.data_dir = served; }, options);
    clock.advance_ms(1000);
    CHECK(back_up(first).value() == R"({"backup":"kvcs-20260131T234321Z","removed":[]})");
  }
  clock.advance_ms(1000);
  CHECK(back_up(first).value() ==
        R"({"backup":"kvcs-20260131T234322Z","removed":["kvcs-20260131T234321Z"]})");
  CHECK(names_in(backups) == std::vector<std::string>{"kvcs-20260131T234320Z",
                                                      "kvcs-20260131T234320Z-" + id,
                                                      "kvcs-20260131T234322Z"});
  CHECK(store_id(served) == store_id(first.data_dir()));
}

TEST_CASE("backup: two restored copies of one store keep the backups of each other",
          "[unit][app]") {
  TempDir places;
  const std::string backups = places.file("backups");
  ManualClock clock(1'769'903'000'000);
  AppOptions options;
  options.clock = &clock;
  const auto edit = [&](Config& config) {
    config.backup.directory = backups;
    config.backup.keep = 1;
  };
  const std::string left = places.file("left"), right = places.file("right");
  {
    TestApp first(edit, options);
    REQUIRE(back_up(first).ok());
    for (const std::string& copy : {left, right}) {
      fs::copy(backups + "/kvcs-20260131T234320Z", copy, fs::copy_options::recursive);
      fs::copy(first.data_dir() + "/master.key", copy + "/master.key");
    }
  }
  const auto start = [&](const std::string& dir) {
    return std::make_unique<TestApp>(
        [&](Config& config) {
          edit(config);
          config.data_dir = dir;
        },
        options);
  };
  const auto a = start(left), b = start(right);
  CHECK(store_id(left) == store_id(right));
  for (const char* removed : {"", "2", "4"}) {
    for (TestApp* app : {a.get(), b.get()}) {
      clock.advance_ms(1000);
      const std::string said = back_up(*app).value();
      INFO(removed << ": " << said);
      CHECK((said.find("\"removed\":[]") != std::string::npos) == (removed[0] == '\0'));
    }
  }
  CHECK(names_in(backups) == std::vector<std::string>{"kvcs-20260131T234320Z",
                                                      "kvcs-20260131T234325Z",
                                                      "kvcs-20260131T234326Z"});
  CHECK(maker_id(left) != maker_id(right));
  // A directory that is moved stays who it is, a copy of it does not.
  const auto entropy = make_system_entropy();
  const std::string moved = places.file("moved"), copied = places.file("copied");
  fs::create_directory(copied);
  for (const char* name : {"store.json", "backup-maker.json"}) {
    fs::copy(left + "/" + name, copied + "/" + name);
  }
  const std::string before = maker_id(copied);
  CHECK(read_backup_maker(copied, *entropy)->id.substr(0, 8) != before);
  const std::string own = maker_id(copied);
  fs::rename(copied, moved);
  CHECK(read_backup_maker(moved, *entropy)->id.substr(0, 8) == own);
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
