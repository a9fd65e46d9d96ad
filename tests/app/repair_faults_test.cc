// Goal: `kvcs repair` gives up nothing for a failure that may pass: a lock that is held, too few
// descriptors, a disk that takes no writes, files that may not be read. What is no data directory
// it leaves alone, and what it makes belongs to the owner of the directory. Method: the built
// binary on real files.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "base/clock.h"
#include "db/db.h"
#include "kv/kv.h"
#include "support/disk_fault.h"
#include "support/repair_rig.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;

constexpr uid_t kSomebody = 54321;

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

void give_all(const std::string& dir, uid_t owner) {
  REQUIRE(::chown(dir.c_str(), owner, owner) == 0);
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    REQUIRE(::lchown(entry.path().c_str(), owner, owner) == 0);
  }
}

// The first path of another owner, or "".
std::string of_another(const std::string& dir, uid_t owner) {
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    struct stat info = {};
    if (::lstat(entry.path().c_str(), &info) == 0 && info.st_uid != owner) return entry.path();
  }
  return "";
}

// A repair that must not be done: it says why, and the directory is as it was.
Ran refuse(const RepairRig& rig, const std::string& dir, const std::string& accept,
           const std::string& before = "") {
  const Ran ran = rig.repair(dir, accept, "--yes", before);
  INFO(accept << ": " << ran.text);
  CHECK(ran.code == 1);
  CHECK(has(ran.text, "error: "));
  CHECK(given_up(dir, true) == 0);
  return ran;
}

}  // namespace

TEST_CASE("repair: a store that another process has open is not given up", "[unit][app]") {
  const RepairRig rig;
  const std::string dir = rig.copy("locked");
  {
    const auto clock = make_system_clock();
    KvConfig config;
    config.path = dir + "/kv";
    const auto kv = open_rocks_kv(config, *clock);
    REQUIRE(kv.ok());
    CHECK(has(refuse(rig, dir, "kv-log").text, "in use by another process"));
  }
  CHECK(start_on(dir).ok());
}

TEST_CASE("repair: too few descriptors are no damage", "[unit][app]") {
  const RepairRig rig;
  const std::string dir = rig.copy("descriptors");
  for (const char* accept : {"kv-log", "sql"}) {
    for (const int limit : {6, 8, 10, 14, 20, 28}) {
      refuse(rig, dir, accept, "ulimit -n " + std::to_string(limit) + ";");
    }
  }
  CHECK(start_on(dir).ok());
}

// A sanitizer's runtime must be loaded before any other library.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("repair: a disk that takes no writes is no damage", "[unit][app]") {
  const RepairRig rig;
  const std::string dir = rig.copy("full");
  DiskFault fault(rig.places.file("plan"), dir + "/");
  std::string before;
  for (const auto& [name, value] : fault.environment()) before += name + "='" + value + "' ";
  for (const int error : {ENOSPC, EIO}) {
    fault.begin(FAULT_WRITE | FAULT_SYNC | FAULT_OPEN | FAULT_RESERVE, error, 3);
    for (const char* accept : {"kv-log", "sql"}) refuse(rig, dir, accept, before);
    CHECK(fault.failed() > 0);
  }
  fault.end();
  CHECK(start_on(dir).ok());
  // A repair that the disk cuts off can be repeated.
  fs::remove(dir + "/sql/portal.db");
  fault.begin(FAULT_WRITE, ENOSPC, 12);
  CHECK(rig.repair(dir, "sql", "--yes", before).code == 1);
  fault.end();
  CHECK(rig.repair(dir, "sql", "--yes").code == 0);
  CHECK(start_on(dir).ok());
}
#endif

TEST_CASE("repair: what may not be read is not given up, and files keep their owner",
          "[unit][app]") {
  if (::geteuid() != 0) return;  // Only root can make files of somebody else.
  const RepairRig rig;
  REQUIRE(::chmod(rig.places.path().c_str(), 0755) == 0);
  const std::string dir = rig.copy("owned");
  give_all(dir, kSomebody);
  const struct {
    const char *path, *accept;
  } rows[] = {{"sql/ledger.db", "sql"}, {"sql/portal.db", "sql"}, {"kv/CURRENT", "kv-log"},
              {"store.json", "sql"},    {"kv", "kv-log"},         {"sql", "sql"}};
  for (const auto& row : rows) {
    const std::string path = dir + "/" + row.path;
    const mode_t mode = fs::is_directory(path) ? 0700 : 0600;
    INFO(row.path);
    REQUIRE(::chown(path.c_str(), 0, 0) == 0);
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    refuse(rig, dir, row.accept);
    REQUIRE(::chown(path.c_str(), kSomebody, kSomebody) == 0);
  }
  fs::remove_all(dir + "/sql");
  CHECK(rig.repair(dir, "sql", "--yes").code == 0);
  CHECK(of_another(dir, kSomebody) == "");
  fs::remove_all(dir + "/kv");
  const Ran anew = rig.repair(dir, "kv-log", "--yes");
  INFO(anew.text);
  CHECK(anew.code == 0);
  CHECK(of_another(dir, kSomebody) == "");
}

TEST_CASE("repair: what is no data directory is left alone", "[unit][app]") {
  const RepairRig rig;
  const std::string other = rig.places.file("other"), file = rig.places.file("file");
  fs::create_directory(other);
  std::ofstream(other + "/notes.txt") << "mine";
  std::ofstream(file) << "a file";
  CHECK(has(rig.repair("", "sql", "--yes").text, "--data-dir: it is empty."));
  CHECK(has(rig.repair(other, "sql", "--yes").text, "is no data directory of kvcs"));
  CHECK(has(rig.repair(file, "sql", "--yes").text, "is no directory"));
  CHECK(std::distance(fs::directory_iterator(other), fs::directory_iterator()) == 1);
  CHECK_FALSE(fs::exists("/kvcs.lock"));
}
