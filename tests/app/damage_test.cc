// Goal: a byte that is changed anywhere in a data directory, and a store that is put back from
// before, either refuse the start in words that name file and way out, or change nothing that
// counts: no key that was revoked works, no counter is below its rows. Method: the built binary on
// copies of a directory that a killed daemon has left; the places are drawn from a seed.
#include <filesystem>
#include <map>
#include <random>

#include "support/damage_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;

// Every file of the directory that a start reads, by its path within, with its kind.
std::vector<std::pair<std::string, std::string>> files_of(const std::string& data_dir) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& entry : fs::recursive_directory_iterator(data_dir)) {
    if (!entry.is_regular_file() || entry.file_size() == 0) continue;
    // A table's block is checked when it is read: what needs it fails then, and no start says so.
    // The first keys are there for a person, and for this test.
    if (entry.path().extension() == ".sst" ||
        entry.path().filename() == "initial-credentials.json") {
      continue;
    }
    const std::string path = fs::relative(entry.path(), data_dir).string();
    const std::string name = entry.path().filename().string();
    std::string kind = entry.path().extension().string();
    for (const char* known : {"MANIFEST", "CURRENT", "OPTIONS", "WAL-NOTES", "IDENTITY"}) {
      if (name.starts_with(known)) kind = known;
    }
    if (path.starts_with("blobs/")) kind = "blob";
    if (name.ends_with(".db-wal") || name.ends_with(".db") || kind == ".json" ||
        kind == ".journal") {
      kind = name;
    }
    files.emplace_back(path, kind);
  }
  return files;
}

// A start is refused in words, or all is as it should be.
void check_start(DamageHouse& house, const std::string& data_dir) {
  const std::string refused = house.start(data_dir);
  INFO(refused);
  if (!refused.empty()) {
    CHECK(has(refused, "error: "));
    CHECK((has(refused, data_dir) || has(refused, "master key")));
    CHECK_FALSE(has(refused, "Internal error"));
    CHECK_FALSE(has(refused, "Assertion"));
    return;
  }
  CHECK(house.live_revoked() == 0);
  CHECK(house.counter_usd() > house.rows_usd() - 1e-9);
}

void run_flips(int per_kind, uint32_t seed) {
  DamageHouse house(8);
  // A second life brings what is in the log into tables.
  REQUIRE(house.start(house.used()) == "");
  REQUIRE(house.chat().status == 200);
  house.kill();
  std::mt19937 random(seed);
  std::map<std::string, std::vector<std::string>> by_kind;
  for (const auto& [path, kind] : files_of(house.used())) by_kind[kind].push_back(path);
  for (const char* kind : {".log", "MANIFEST", "CURRENT", "ledger.db", "portal.db-wal",
                           "ledger.db-wal", "charges.journal", "store.json", "blob"}) {
    INFO(kind);
    CHECK(by_kind.count(kind) == 1);
  }
  for (const auto& [kind, paths] : by_kind) {
    for (int i = 0; i < per_kind; i++) {
      const std::string dir = house.copy(), path = paths[random() % paths.size()];
      const uint64_t size = fs::file_size(dir + "/" + path);
      // Of a journal that is mostly empty the part that is not.
      const uint64_t at = random() % (kind == "charges.journal" ? 8192 : size);
      INFO(path << ", byte " << at << " of " << size);
      flip_byte(dir + "/" + path, at);
      check_start(house, dir);
    }
  }
}

}  // namespace

TEST_CASE("damage: a changed byte in any file is refused in words or harmless", "[e2e][app]") {
  run_flips(1, 1);
}

TEST_CASE("damage: changed bytes at many places of every file", "[e2e][every-n][slow]") {
  for (uint32_t seed = 2; seed < 6; seed++) run_flips(6, seed);
}

TEST_CASE("damage: a store that is put back from before is refused", "[e2e][app]") {
  DamageHouse house(4);
  REQUIRE(house.start(house.used()) == "");
  // The same generation, some changes ago.
  const std::string before = house.used() + ".before";
  house.pause([&] { fs::copy(house.used(), before, fs::copy_options::recursive); });
  house.revoke_first();
  house.remove_artifact();
  REQUIRE(comes_true(
      [&] { return has(house.admin("GET", "/admin/audit?limit=100").body, "\"artifact\""); }));
  (void)house.chat();
  house.kill();
  const struct {
    const char *store, *named;
  } rows[] = {{"kv", "/kv is older than the databases"},
              {"sql/portal.db", "/sql/portal.db has lost changes of artifacts"},
              {"sql/ledger.db", "/sql/ledger.db has lost rows"}};
  for (const auto& row : rows) {
    const std::string dir = house.copy(), path = dir + "/" + row.store;
    for (const char* end : {"", "-wal", "-shm"}) {
      fs::remove_all(path + end);
      const std::string old = before + "/" + row.store + end;
      if (fs::exists(old)) fs::copy(old, path + end, fs::copy_options::recursive);
    }
    const std::string refused = house.start(dir);
    INFO(row.store << ": " << refused);
    CHECK(has(refused, row.named));
    CHECK(has(refused, "--accept generation"));
    CHECK(has(house.repair(dir, "generation", "--yes"), "the daemon can start"));
    REQUIRE(house.start(dir) == "");
    CHECK(house.live_revoked() == 0);
    CHECK(house.counter_usd() > house.rows_usd() - 1e-9);
  }
}

TEST_CASE("damage: a list of tables that ends within a record is not whole", "[e2e][app]") {
  DamageHouse house(2);
  const std::string dir = house.copy();
  for (const auto& entry : fs::directory_iterator(dir + "/kv")) {
    if (!entry.path().filename().string().starts_with("MANIFEST-")) continue;
    fs::resize_file(entry.path(), entry.file_size() - 3);
  }
  const std::string refused = house.start(dir);
  INFO(refused);
  CHECK(has(refused, dir + "/kv/MANIFEST-"));
  CHECK(has(refused, "is damaged at byte "));
}
