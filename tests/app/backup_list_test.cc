// GET /admin/backups: what is in the directory, the newest first, and what counts as none.
#include "app/backup_list.h"

#include <nlohmann/json.hpp>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "app/backup.h"
#include "support/json_answer.h"
#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;

void write_backup(const std::string& path, const std::string& manifest) {
  fs::create_directories(path);
  std::ofstream(path + "/manifest.json") << manifest;
}

}  // namespace

TEST_CASE("backup list: the copies of the directory are shown, the newest first", "[unit][app]") {
  TempDir places;
  const std::string directory = places.file("backups");
  TestApp app([&](Config& config) { config.backup.directory = directory; });
  const auto show = [&] { return json_of(app.as_owner("GET", "/admin/backups")); };
  // The directory comes with the first copy.
  CHECK(show() == Json{{"directory", directory}, {"keep", 7}, {"backups", Json::array()}});
  const std::atomic<bool> cancelled = false;
  REQUIRE(make_backup(app.parts(), {cancelled}).ok());
  write_backup(directory + "/kvcs-20200101T000000Z",
               R"({"made_at":"2020-01-01T00:00:00Z","store_id":"other","version":"0.0.1",)"
               R"("files":[{"name":"a","size_bytes":3},{"name":"b","size_bytes":4}],)"
               R"("blobs":{"linked":false,"count":2,"bytes":9}})");
  write_backup(directory + "/kvcs-20200102T000000Z.partial", "{}");
  write_backup(directory + "/kvcs-20200103T000000Z", "no JSON");
  write_backup(directory + "/notes", R"({"made_at":"2020-01-01T00:00:00Z"})");
  write_backup(directory + "/kvcs-20200104T000000Z", R"({"made_at":"2020-01-04T00:00:00Z"})");
  std::ofstream(directory + "/kvcs-20200104T000000Z/kvcs.lock") << "";  // A daemon ran on it.
  const Json shown = show();
  INFO(shown.dump());
  REQUIRE(shown["backups"].size() == 2);
  CHECK(shown["backups"][0]["blobs_linked"] == true);
  CHECK(shown["backups"][0]["files_bytes"].get<int64_t>() > 0);
  CHECK(shown["backups"][1] == Json{{"name", "kvcs-20200101T000000Z"},
                                    {"made_at", "2020-01-01T00:00:00.000Z"},
                                    {"store_id", "other"},
                                    {"version", "0.0.1"},
                                    {"files_bytes", 7},
                                    {"blobs", 2},
                                    {"blobs_bytes", 9},
                                    {"blobs_linked", false}});
  CHECK(app.as(app.credential("api_key"), "GET", "/admin/backups").status == 403);
}

TEST_CASE("backup list: nothing where backups are off, a refusal where nothing can be read",
          "[unit][app]") {
  TestApp app;
  const Json off{{"directory", nullptr}, {"keep", 7}, {"backups", Json::array()}};
  CHECK(json_of(app.as_owner("GET", "/admin/backups")) == off);
  TempDir places;
  std::ofstream(places.file("file")) << "";
  CHECK(show_backups(places.file("file")).code() == Code::kUnavailable);
}
