// Goal: a byte that changed in a table of the key-value store is told by /health, an alert and a
// metric, and repair keeps what can be read; no revoked key works afterwards and no counter is
// below its rows. Method: the built binary on copies of a directory that a killed daemon has left.
#include <filesystem>
#include <vector>

#include "support/damage_house.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;

std::vector<std::string> tables_of(const std::string& data_dir) {
  std::vector<std::string> tables;
  for (const auto& entry : fs::directory_iterator(data_dir + "/kv")) {
    if (entry.path().extension() == ".sst") tables.push_back(entry.path().filename());
  }
  return tables;
}

double number_in_page(const std::string& page, const std::string& name) {
  const size_t at = page.find("\n" + name);
  return at == std::string::npos ? -1 : std::atof(page.c_str() + at + 1 + name.size());
}

void check_safe(const DamageHouse& house) {
  CHECK(house.live_revoked() == 0);
  // Of a store this small the organization itself may be in the damaged part.
  const double counted = house.counter_usd();
  if (counted >= 0) CHECK(counted > house.rows_usd() - 1e-9);
  // Whoever has lost the last key of an admin has a new one.
  CHECK(house.admin("GET", "/admin/me").status == 200);
  CHECK(has(house.admin("GET", "/admin/audit/verify").body, "\"ok\":true"));
}

void repair_and_check(DamageHouse& house, const std::string& dir) {
  CHECK(has(house.repair(dir, "kv-files", "n"), "Will be lost"));
  int code = -1;
  const std::string said = house.repair(dir, "kv-files", "--yes", &code);
  INFO(said);
  CHECK(code == 0);
  CHECK(has(said, "damaged part"));
  CHECK(has(said, "Made good from audit"));
  const std::string again = house.start(dir);
  INFO(again);
  REQUIRE(again == "");
  check_safe(house);
  CHECK(has(house.admin("GET", "/admin/health").body, "\"warnings\":[]"));
  house.stop();
  CHECK(has(house.repair(dir, "kv-files", "--yes"), "can be opened"));
}

}  // namespace

TEST_CASE("kv files: damage in a table is told, and repair keeps what can be read",
          "[e2e][kv][app]") {
  DamageHouse house(8);
  REQUIRE(house.start(house.used()) == "");  // Brings what is in the log into tables.
  REQUIRE(house.chat().status == 200);
  house.kill();
  const std::vector<std::string> tables = tables_of(house.used());
  REQUIRE(tables.size() >= 3);
  int served = 0, told = 0, refused_keys = 0;
  for (const std::string& table : tables) {
    const std::string dir = house.copy(), path = dir + "/kv/" + table;
    INFO(path);
    flip_byte(path, 40);
    const std::string refused = house.start(dir);
    INFO(refused);
    if (refused.empty()) {
      served++;
      CHECK(house.live_revoked() == 0);
      // Whether the key that asks is itself in the damaged part or not, the damage is met.
      const bool ran = house.admin("POST", "/admin/jobs/kv-check/run").status < 300;
      CHECK(comes_true([&] {
        const std::string health = house.admin("GET", "/health").body;
        return !has(health, "\"kv\":\"up\"") && !has(health, "\"status\":\"healthy\"");
      }));
      CHECK(has(house.log(), "kv.damaged"));
      if (!ran) {
        const RawResponse unread = house.admin("GET", "/admin/me");
        INFO(unread.body);
        CHECK(unread.status == 500);
        CHECK(has(unread.body, "trying again does not help"));
        CHECK(has(unread.body, "kvcs repair"));
        CHECK(unread.header("retry-after").empty());
        refused_keys++;
      }
      if (ran) {
        told++;
        CHECK(has(house.admin("GET", "/health").body, "\"kv\":\"degraded\""));
        const std::string words = house.admin("GET", "/admin/health").body;
        INFO(words);
        CHECK(has(words, path));
        CHECK(has(words, "--accept kv-files"));
        CHECK(number_in_page(house.admin("GET", "/metrics").body, "kvcs_kv_damage_total ") > 0);
        CHECK(comes_true(
            [&] { return has(house.admin("GET", "/admin/alerts").body, "kv.damaged"); }));
      }
      house.kill();
    } else {
      CHECK(has(refused, path));
      CHECK(has(refused, "--accept kv-files"));
      CHECK_FALSE(has(refused, "Internal error"));
    }
    repair_and_check(house, dir);
  }
  CHECK(served > 0);
  CHECK(told > 0);
  CHECK(refused_keys > 0);  // One of the tables has the keys.
}
