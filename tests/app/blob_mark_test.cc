// Goal: a folder of blobs serves one data directory, at a time and after another; and bytes that
// are gone are counted by the scrub. Method: whole daemons on directories of their own.
#include "app/blob_mark.h"

#include <filesystem>

#include "app/jobs.h"
#include "db/db.h"
#include "support/repair_rig.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

Status start_with_blobs(const std::string& data_dir, const std::string& blobs) {
  Config config = TestApp::quiet_config(data_dir);
  config.blobs.path = blobs;
  return App::create(config, AppOptions{}).status();
}

}  // namespace

TEST_CASE("blob mark: two data directories do not share a folder of blobs", "[unit][app]") {
  TempDir places;
  const std::string blobs = places.file("blobs"), other = places.file("other");
  {
    TestApp first([&](Config& config) {
      config.data_dir = places.file("first");
      config.blobs.path = blobs;
    });
    const Status locked = start_with_blobs(other, blobs);
    CHECK(locked.code() == Code::kConflict);
    CHECK(locked.message().find("in use by another process") != std::string::npos);
  }
  // One after the other is no better: a sweep would take what the first one's artifacts name.
  const Status marked = start_with_blobs(other, blobs);
  INFO(marked.message());
  CHECK(marked.code() == Code::kConflict);
  CHECK(marked.message().find("belong to another data directory") != std::string::npos);
  CHECK(start_with_blobs(places.file("first"), blobs).ok());
  CHECK(start_with_blobs(other, places.file("own")).ok());
  // The way out that the message tells.
  std::filesystem::remove(blobs + "/store.json");
  CHECK(start_with_blobs(other, blobs).ok());
}

TEST_CASE("blob mark: a folder that has lost its mark is another one until that is accepted",
          "[unit][app]") {
  const RepairRig rig;
  TempDir places;
  const std::string dir = rig.copy("data"), blobs = places.file("blobs");
  const std::string mark = blobs + "/store.json";
  REQUIRE(start_with_blobs(dir, blobs).ok());
  REQUIRE(start_with_blobs(dir, blobs).ok());
  // As when the disk is not mounted.
  std::filesystem::rename(blobs, blobs + ".away");
  for (int i = 0; i < 2; i++) {
    const Status refused = start_with_blobs(dir, blobs);
    INFO(refused.message());
    CHECK(refused.code() == Code::kConflict);
    CHECK(refused.message().find(mark + " is missing") != std::string::npos);
    CHECK(refused.message().find("--accept blobs") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(mark));
  }
  std::filesystem::remove_all(blobs);
  std::filesystem::rename(blobs + ".away", blobs);
  CHECK(start_with_blobs(dir, blobs).ok());
  // Another folder is the operator's deed, and the blobs that are lost are accepted.
  CHECK(start_with_blobs(dir, places.file("other")).ok());
  CHECK(start_with_blobs(dir, blobs).ok());
  std::filesystem::remove_all(blobs);
  CHECK_FALSE(start_with_blobs(dir, blobs).ok());
  CHECK(rig.repair(dir, "blobs", "--yes").code == 0);
  CHECK(start_with_blobs(dir, blobs).ok());
  // A mark that is damaged is not one of another directory.
  for (const char* text : {"", "{\"store_id\":\"x\"}", "\xff"}) {
    REQUIRE(write_private_file(mark, text).ok());
    const Status damaged = start_with_blobs(dir, blobs);
    INFO(damaged.message());
    CHECK(damaged.message().find(mark + ", is damaged") != std::string::npos);
    CHECK(rig.repair(dir, "blobs", "--yes").code == 0);
    CHECK(start_with_blobs(dir, blobs).ok());
  }
}

TEST_CASE("blob mark: an id that is another by one letter is told as damage, and mended",
          "[unit][app]") {
  const RepairRig rig;
  TempDir places;
  const std::string dir = rig.copy("data"), elsewhere = places.file("blobs");
  const auto flip = [](const std::string& path) {
    std::string text = read_small_file(path, 4096).value();
    char& letter = text[text.find("store_id\": \"") + 12];
    letter = letter == '0' ? '1' : '0';
    REQUIRE(write_private_file(path, text).ok());
  };
  for (const std::string& blobs : {dir + "/blobs", elsewhere}) {
    REQUIRE(start_with_blobs(dir, blobs).ok());
    flip(blobs + "/store.json");
    for (int i = 0; i < 2; i++) {
      const Status refused = start_with_blobs(dir, blobs);
      INFO(refused.message());
      CHECK(refused.code() == Code::kConflict);
      for (const char* words :
           {"belong to another data directory, or their mark is damaged", "in 1 of 36 characters",
            "/blobs.json says that this folder was this directory's own", "--accept blobs",
            "set blobs.path"}) {
        INFO(words);
        CHECK(refused.message().find(words) != std::string::npos);
      }
    }
    CHECK(rig.repair(dir, "blobs", "--yes").code == 0);
    CHECK(start_with_blobs(dir, blobs).ok());
  }
  // The directory's own mark: the stores and the blobs know better.
  flip(dir + "/store.json");
  CHECK_FALSE(start_with_blobs(dir, elsewhere).ok());
  CHECK(rig.repair(dir, "generation", "--yes").code == 0);
  const Status started = start_with_blobs(dir, elsewhere);
  INFO(started.message());
  CHECK(started.ok());
}

TEST_CASE("blob mark: the scrub tells of artifacts whose blobs are gone", "[fault][app]") {
  TestApp app;
  const Status added = app.parts().portal_writer->run([](Database& db) {
    return db.execute(
        "INSERT INTO artifacts (id, organization_id, project_id, owner_id, name, model_name, dtype,"
        " status, size_bytes, sha256, created_ms)"
        " SELECT 'a1', organization_id, id, 'o', 'n', 'm', 'F16', 'ready', 5,"
        " '" +
        std::string(64, 'a') + "', 0 FROM projects LIMIT 1");
  });
  INFO(added.to_string());
  REQUIRE(added.ok());
  const std::atomic<bool> cancelled = false;
  for (const Job& job : all_jobs(app.parts())) {
    if (job.name != "blob-scrub") continue;
    const Result<std::string> report = job.run(JobContext{cancelled});
    REQUIRE(report.ok());
    CHECK(report->find("\"missing_blobs\":1") != std::string::npos);
    CHECK(report->find("\"whole\":false") != std::string::npos);
  }
  CHECK(app.as_owner("GET", "/admin/alerts").body.find("1 of 1 blobs that artifacts name") !=
        std::string::npos);
}
