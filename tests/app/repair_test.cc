// Goal: `kvcs repair` says what will be lost, asks, keeps what it gives up, and the daemon starts
// afterwards; what needs no repair is refused. Method: the built binary on directories that a
// daemon has used and an accident has changed.
#include <filesystem>
#include <fstream>

#include "app/store_marks.h"
#include "db/db.h"
#include "support/repair_rig.h"
#include "support/small_disk.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("repair: without the key-value store the next start is a first one", "[unit][app]") {
  const RepairRig rig;
  const std::string dir = rig.copy("kv");
  fs::remove_all(dir + "/kv");
  REQUIRE_FALSE(start_on(dir).ok());
  // A person who declines, and nobody at all, change nothing.
  const Ran declined = rig.repair(dir, "kv-log", "n");
  CHECK(declined.code == 1);  // The directory does not start.
  CHECK(has(declined.text, "Will be lost"));
  CHECK(has(declined.text, "the next start is a first start"));
  CHECK(given_up(dir) == 0);
  REQUIRE_FALSE(start_on(dir).ok());
  const Ran done = rig.repair(dir, "kv-log", "y");
  CHECK(done.code == 0);
  CHECK(has(done.text, "the daemon can start"));
  CHECK(given_up(dir) == 2);  // The first keys and the journal.
  TestApp app([&](Config& config) { config.data_dir = dir; });
  CHECK(app.credential("admin_key") != rig.admin_key);
  CHECK(app.as_owner("GET", "/admin/me").status == 200);
  CHECK(app.as(rig.admin_key, "GET", "/admin/me").status == 401);
}

TEST_CASE("repair: databases that are lost are made anew, one or both", "[unit][app]") {
  const RepairRig rig;
  const std::string dir = rig.copy("sql");
  fs::remove_all(dir + "/sql");
  CHECK(rig.repair(dir, "generation", "--yes").code == 1);  // Not the way for this.
  const Ran both = rig.repair(dir, "sql", "--yes");
  CHECK(both.code == 0);
  CHECK(has(both.text, "All projects"));
  CHECK(has(both.text, "usage rows"));
  {
    TestApp app([&](Config& config) { config.data_dir = dir; });
    CHECK(app.as_owner("GET", "/admin/me").status == 200);
  }
  const std::string one = rig.copy("portal");
  std::ofstream(one + "/sql/portal.db", std::ios::trunc);
  const Ran portal = rig.repair(one, "sql", "--yes");
  CHECK(portal.code == 0);
  CHECK_FALSE(has(portal.text, "usage rows"));
  CHECK(given_up(one + "/sql") >= 1);
  CHECK(start_on(one).ok());
  // An audit that is not whole.
  const std::string cut = rig.copy("audit");
  {
    auto db = open_sqlite(cut + "/sql/ledger.db");
    REQUIRE((*db)->execute("DELETE FROM kv_audit").ok());
  }
  CHECK(has(start_on(cut).message(), "--accept sql"));
  CHECK(rig.repair(cut, "sql", "--yes").code == 0);
  CHECK(start_on(cut).ok());
  // Now all is sound, and a second run gives nothing up.
  const int kept = given_up(cut, true);
  const Ran again = rig.repair(cut, "sql", "--yes");
  CHECK(again.code == 1);
  CHECK(has(again.text, "nothing to be repaired"));
  CHECK(given_up(cut, true) == kept);
  CHECK(start_on(cut).ok());
}

TEST_CASE("repair: databases that were exchanged are named as such", "[unit][app]") {
  const RepairRig rig;
  const std::string dir = rig.copy("exchanged"), sql = dir + "/sql/";
  for (const char* name : {"ledger.db", "portal.db"}) {
    auto db = open_sqlite(sql + name);
    REQUIRE((*db)->checkpoint().ok());
  }
  const auto swap = [&] {
    for (const char* end : {"-wal", "-shm"}) {
      for (const char* name : {"ledger.db", "portal.db"}) fs::remove(sql + name + end);
    }
    fs::rename(sql + "ledger.db", sql + "third");
    fs::rename(sql + "portal.db", sql + "ledger.db");
    fs::rename(sql + "third", sql + "portal.db");
  };
  swap();
  CHECK(has(start_on(dir).message(), sql + "portal.db has the tables of ledger.db: the two were"));
  swap();
  CHECK(start_on(dir).ok());
}

TEST_CASE("repair: a disk with less room than a daemon wants is enough", "[fault][app][disk]") {
  const RepairRig rig;
  const bool ran = with_small_disk(64 << 20, [&](const std::string& disk) {
    const std::string dir = disk + "/data";
    fs::copy(rig.used, dir, fs::copy_options::recursive);
    REQUIRE(start_on(dir).ok());
    fs::remove_all(dir + "/sql");
    std::ofstream filler(disk + "/filler", std::ios::binary);
    const std::string block(1 << 16, 'x');
    while (fs::space(disk).available > (24 << 20)) filler.write(block.data(), 1 << 16).flush();
    const Ran done = rig.repair(dir, "sql", "--yes");
    INFO(done.text);
    CHECK(done.code == 0);
    filler.close();
    fs::remove(disk + "/filler");
    CHECK(start_on(dir).ok());
  });
  if (!ran) WARN("not run: mounting a file system is not permitted here");
}

TEST_CASE("repair: a page of a database that is damaged counts as damage", "[unit][app]") {
  const RepairRig rig;
  const std::string dir = rig.copy("page");
  {
    auto db = open_sqlite(dir + "/sql/ledger.db");
    REQUIRE((*db)->checkpoint().ok());
  }
  const std::string path = dir + "/sql/ledger.db";
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    for (uint64_t at = 8192; at + 4096 <= fs::file_size(path); at += 4096) {
      file.seekp(static_cast<std::streamoff>(at));
      file.write("\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    }
  }
  const Ran done = rig.repair(dir, "sql", "--yes");
  CHECK(done.code == 0);
  CHECK(has(done.text, "usage rows"));
  CHECK_FALSE(has(done.text, "All projects"));
  CHECK(start_on(dir).ok());
}

TEST_CASE("repair: stores of different moments are taken as they are", "[unit][app]") {
  const RepairRig rig;
  const std::string dir = rig.copy("moments");
  REQUIRE(start_on(dir).ok());
  fs::remove_all(dir + "/kv");
  fs::copy(rig.used + "/kv", dir + "/kv", fs::copy_options::recursive);
  CHECK(has(start_on(dir).message(), "--accept generation"));
  const Ran done = rig.repair(dir, "generation", "--yes");
  CHECK(done.code == 0);
  CHECK(has(done.text, "counters, which are raised to their rows"));
  CHECK(start_on(dir).ok());
  // The directory's own mark, and then all of the stores too.
  fs::remove(dir + "/store.json");
  CHECK(has(start_on(dir).message(), "--accept generation"));
  CHECK(rig.repair(dir, "generation", "--yes").code == 0);
  CHECK(start_on(dir).ok());
  for (const char* name : {"/store.json", "/kv", "/sql"}) fs::remove_all(dir + name);
  CHECK(has(start_on(dir).message(), "--accept generation"));
  CHECK(rig.repair(dir, "generation", "--yes").code == 0);
  TestApp app([&](Config& config) { config.data_dir = dir; });
  CHECK(app.as_owner("GET", "/admin/me").status == 200);
}

TEST_CASE("repair: the journal is set aside, and what needs no repair is refused", "[unit][app]") {
  const RepairRig rig;
  const std::string dir = rig.copy("journal");
  for (const char* accept : {"journal", "generation", "sql", "kv-log"}) {
    const Ran fine = rig.repair(dir, accept, "--yes");
    CHECK(fine.code == 1);
    CHECK(has(fine.text,
              std::string(accept) == "kv-log" ? "can be opened" : "nothing to be repaired"));
  }
  CHECK(given_up(dir, true) == 0);
  CHECK(start_on(dir).ok());
  // A start that was cut off is completed by the next one, which needs no repair either.
  auto mark = *read_directory_mark(dir).value();
  mark.mark.generation++;
  mark.through = false;
  REQUIRE(write_directory_mark(dir, mark).ok());
  CHECK(rig.repair(dir, "generation", "--yes").code == 1);
  fs::resize_file(dir + "/charges.journal", 100);
  CHECK(has(start_on(dir).message(), "--accept journal"));
  CHECK(rig.repair(dir, "journal", "--yes").code == 0);
  CHECK(given_up(dir) == 1);
  CHECK(start_on(dir).ok());
  fs::remove(dir + "/charges.journal");
  CHECK(has(start_on(dir).message(), "--accept journal"));
  CHECK(rig.repair(dir, "journal", "--yes").code == 0);
  CHECK(start_on(dir).ok());
  CHECK(rig.repair(dir, "journal", "--yes").code == 1);
  fs::remove(dir + "/charges.journal");
  const Ran none = rig.repair(rig.places.file("none"), "sql", "--yes");
  CHECK(none.code == 1);
  CHECK(rig.repair(dir, "everything", "--yes").code == 2);
  // Nobody there to answer.
  const std::string line = kvcs_binary() + " repair --data-dir " + dir +
                           " --accept journal < /dev/null > /dev/null 2>&1";
  CHECK(WEXITSTATUS(std::system(line.c_str())) == 1);
  CHECK(rig.repair(dir, "journal", "--yes").code == 0);
  // A daemon that runs has the directory.
  TestApp running([&](Config& config) { config.data_dir = dir; });
  CHECK(has(rig.repair(dir, "generation", "--yes").text, "in use by process"));
}
