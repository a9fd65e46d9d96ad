// Goal: a database whose pages change while the daemon runs is told by /health, an alert and a
// metric when a request meets them, and not only by the check at night. Method: the real daemon;
// the first bytes of a table's pages are changed in the file.
#include <algorithm>
#include <fstream>
#include <vector>

#include "base/clock.h"
#include "db/db.h"
#include "support/test_app.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A page that is none of SQLite's, at the root of the table and of each of its indexes.
void spoil(const std::string& path, const std::string& table) {
  std::vector<int64_t> roots;
  int64_t page_bytes = 0;
  {
    const auto db = open_sqlite(path, {.read_only = true});
    REQUIRE(db.ok());
    auto size = (*db)->prepare("PRAGMA page_size");
    REQUIRE(size->step().ok());
    page_bytes = size->integer(0);
    auto rows = (*db)->prepare("SELECT rootpage FROM sqlite_schema WHERE tbl_name=?");
    REQUIRE(rows.ok());
    rows->bind(1, table);
    while (rows->step().value()) roots.push_back(rows->integer(0));
  }
  REQUIRE_FALSE(roots.empty());
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  for (const int64_t root : roots) {
    if (root == 0) continue;
    file.seekp((root - 1) * page_bytes);
    file.write("\xff\xff\xff\xff\xff\xff\xff\xff", 8);
  }
  REQUIRE(file.flush().good());
}

struct House {
  ManualClock clock{1'800'000'000'000};
  TestApp app{AppOptions{.clock = &clock, .kv_faults = {}}};

  // All that was written is in the file, and nobody has read the table yet.
  void restart() { app.restart(); }
  std::string health() {
    clock.advance_ms(6'000);  // A probe that writes is asked again.
    return app.call("GET", "/health").body;
  }
  void check_told(const std::string& name) {
    const std::string path = app.data_dir() + "/sql/" + name + ".db";
    CHECK(has(health(), "\"" + name + ".db\":\"degraded\""));
    const std::string words = app.as_owner("GET", "/admin/health").body;
    INFO(words);
    CHECK(has(words, path));
    CHECK(has(words, "--accept sql"));
    const std::string metrics = app.call("GET", "/metrics").body;
    CHECK(has(metrics, "kvcs_db_damage_total{database=\"" + name + "\"} "));
    CHECK_FALSE(has(metrics, "kvcs_db_damage_total{database=\"" + name + "\"} 0\n"));
    // Alerts go through ledger.db, whose mover reads this table.
    if (name == "ledger") return;
    REQUIRE(app.as_owner("POST", "/admin/jobs/alert-delivery/run").status < 300);
    CHECK(comes_true([&] {
      const std::string alerts = app.as_owner("GET", "/admin/alerts").body;
      return has(alerts, "db.damaged") && has(alerts, name + ".db");
    }));
  }
};

}  // namespace

TEST_CASE("db damage: a page that is met by a write is told at once", "[fault][app]") {
  House house;
  house.restart();
  CHECK_FALSE(has(house.health(), "portal.db"));
  spoil(house.app.data_dir() + "/sql/portal.db", "artifacts");
  const RawResponse made =
      house.app.as(house.app.credential("api_key"), "POST", "/api/v1/artifacts/upload-url",
                   R"({"name":"n","dtype":"F16","size_bytes":10})");
  INFO(made.body);
  CHECK(made.status >= 500);
  CHECK_FALSE(has(made.body, house.app.data_dir()));  // Not the caller's matter.
  house.check_told("portal");
  CHECK_FALSE(has(house.health(), "ledger.db"));
  CHECK(house.app.as_owner("GET", "/admin/errors").status == 200);
}

TEST_CASE("db damage: a page that is met by a read is told at once", "[fault][app]") {
  House house;
  house.restart();
  spoil(house.app.data_dir() + "/sql/ledger.db", "outbox_dead");
  house.health();  // Writes to the file, so that readers let go of the pages that they have kept.
  const RawResponse unread = house.app.as_owner("GET", "/admin/outbox-dead");
  CHECK(unread.status == 500);
  CHECK(has(unread.body, "trying again does not help"));
  house.check_told("ledger");
  CHECK(house.app.as(house.app.credential("api_key"), "GET", "/api/v1/artifacts").status == 200);
}

TEST_CASE("db damage: what the check at night finds is told in the same way", "[fault][app]") {
  House house;
  house.restart();
  spoil(house.app.data_dir() + "/sql/ledger.db", "outbox_dead");
  REQUIRE(house.app.as_owner("POST", "/admin/jobs/database-check/run").status < 300);
  CHECK(comes_true([&] { return has(house.health(), "\"ledger.db\":\"degraded\""); }));
  house.check_told("ledger");
}
