// Schemas: applied once, never backwards; and what the tables promise about their rows.
#include <catch2/catch.hpp>

#include "artifacts/schema.h"
#include "base/crypto.h"
#include "db/db.h"
#include "ledger/schema.h"
#include "support/temp_dir.h"

using namespace kvcs;

namespace {

std::unique_ptr<Database> open_memory() {
  auto db = open_sqlite(":memory:");
  REQUIRE(db.ok());
  return std::move(db).value();
}

int64_t number(Database& db, const char* sql) {
  auto statement = db.prepare(sql);
  REQUIRE(statement.ok());
  auto row = statement->step();
  REQUIRE(row.ok());
  REQUIRE(*row);
  return statement->integer(0);
}

}  // namespace

TEST_CASE("migrations: both schemas apply to an empty database and again change nothing",
          "[unit][db]") {
  for (const auto* migrations : {&portal_migrations(), &ledger_migrations()}) {
    auto db = open_memory();
    REQUIRE(migrate(*db, *migrations).ok());
    const int64_t tables = number(*db, "SELECT count(*) FROM sqlite_schema");
    CHECK(tables > 5);
    CHECK(number(*db, "PRAGMA user_version") == migrations->back().number);
    REQUIRE(migrate(*db, *migrations).ok());
    CHECK(number(*db, "SELECT count(*) FROM sqlite_schema") == tables);
  }
}

TEST_CASE("migrations: what has been released is never edited", "[unit][db]") {
  // Files of users have applied these texts; a database that is made today must be the same.
  const std::vector<std::pair<const std::vector<Migration>*, std::vector<std::string>>> released = {
      {&portal_migrations(),
       {"60dde3a8fddd5974e6cfef11217c03862e6f91775399c0c41894cf208e071f41",
        "b351f4ee1581cf3d6e48ba068deb8a3a1dc2ebe85ca10ec237c3187b3b83459b",
        "24af774f8376c094b43774f7a1e2811e40dee7a0917448cb4e21993449916766"}},
      {&ledger_migrations(),
       {"32850acbf899dcf57b2eaaf068e5a6f8e7325595606f924edd409e9cd41e27fd",
        "4a1000862ff643aaac23554e2a43672333519baf4e882ad4c1d328df7e11e775"}},
  };
  for (const auto& [migrations, digests] : released) {
    REQUIRE(migrations->size() >= digests.size());
    for (size_t i = 0; i < digests.size(); ++i) {
      CHECK((*migrations)[i].number == static_cast<int>(i + 1));
      CHECK(sha256_hex((*migrations)[i].sql) == digests[i]);
    }
  }
}

TEST_CASE("migrations: only the ones not yet applied run, and survive a reopen", "[unit][db]") {
  test::TempDir dir;
  const std::vector<Migration> first = {{1, "CREATE TABLE a (x INTEGER)"}};
  const std::vector<Migration> both = {first[0], {2, "ALTER TABLE a ADD COLUMN y INTEGER"}};
  {
    auto db = open_sqlite(dir.file("m.db"));
    REQUIRE(db.ok());
    REQUIRE(migrate(**db, first).ok());
    REQUIRE((*db)->execute("INSERT INTO a (x) VALUES (7)").ok());
  }
  auto db = open_sqlite(dir.file("m.db"));
  REQUIRE(db.ok());
  REQUIRE(migrate(**db, both).ok());
  CHECK(number(**db, "SELECT x FROM a WHERE y IS NULL") == 7);
}

TEST_CASE("migrations: a file of a newer kvcs is refused, naming both numbers", "[unit][db]") {
  auto db = open_memory();
  REQUIRE(db->execute("PRAGMA user_version=41").ok());
  const Status status = migrate(*db, {{1, "CREATE TABLE a (x INTEGER)"}});
  CHECK(status.code() == Code::kConflict);
  CHECK(status.message().find("schema 41") != std::string::npos);
  CHECK(status.message().find("schema 1.") != std::string::npos);
  CHECK(number(*db, "SELECT count(*) FROM sqlite_schema") == 0);
}

TEST_CASE("migrations: one that fails leaves the schema as it was", "[unit][db]") {
  auto db = open_memory();
  const Status status =
      migrate(*db, {{1, "CREATE TABLE a (x INTEGER)"}, {2, "CREATE TABLE a (x INTEGER)"}});
  CHECK_FALSE(status.ok());
  CHECK(status.message().find("Schema change 2") != std::string::npos);
  CHECK(number(*db, "SELECT count(*) FROM sqlite_schema") == 0);
  CHECK(number(*db, "PRAGMA user_version") == 0);
}

TEST_CASE("migrations: the portal refuses doubled slugs, foreign projects and unknown states",
          "[unit][db]") {
  auto db = open_memory();
  REQUIRE(migrate(*db, portal_migrations()).ok());
  const char* project =
      "INSERT INTO projects (id, organization_id, slug, name, created_ms) VALUES ('%', 'o', 'p', "
      "'P', 1)";
  auto insert = [&](std::string sql, const char* id) {
    sql.replace(sql.find('%'), 1, id);
    return db->execute(sql);
  };
  REQUIRE(insert(project, "p1").ok());
  CHECK(insert(project, "p2").reason() == "unique");
  const std::string artifact =
      "INSERT INTO artifacts (id, organization_id, project_id, owner_id, name, model_name, dtype, "
      "size_bytes, status, created_ms) VALUES ('%', 'o', 'p1', 'me', 'n', 'm', 'F16', 1, ";
  CHECK(insert(artifact + "'ready', 1)", "a1").ok());
  CHECK(insert(artifact + "'lost', 1)", "a2").reason() == "check");
  CHECK(insert(artifact + "'ready', NULL)", "a3").reason() == "not_null");
  std::string elsewhere = artifact + "'ready', 1)";
  elsewhere.replace(elsewhere.find("'p1'"), 4, "'p9'");
  CHECK(insert(elsewhere, "a4").reason() == "foreign_key");
  CHECK(db->execute("DELETE FROM projects").reason() == "foreign_key");
  CHECK(number(*db, "SELECT count(*) FROM artifacts") == 1);
}

TEST_CASE("migrations: the lists of the portal are answered from indexes", "[unit][db]") {
  auto db = open_memory();
  REQUIRE(migrate(*db, portal_migrations()).ok());
  for (const char* query : {
           "SELECT id FROM artifacts WHERE organization_id='o' ORDER BY created_ms DESC, id DESC",
           "SELECT id FROM artifacts WHERE project_id='p' ORDER BY created_ms DESC, id DESC",
           "SELECT id FROM artifacts WHERE visibility='public' AND status='ready' ORDER BY "
           "created_ms DESC, id DESC",
           "SELECT count(*) FROM artifacts WHERE sha256='x'",
           "SELECT id FROM artifacts WHERE status='pending' AND expires_ms<5",
       }) {
    INFO(query);
    auto plan = db->prepare(std::string("EXPLAIN QUERY PLAN ") + query);
    REQUIRE(plan.ok());
    std::string text;
    for (auto row = plan->step(); row.ok() && *row; row = plan->step()) text += plan->text(3);
    INFO(text);
    CHECK(text.find("INDEX artifacts_") != std::string::npos);
    CHECK(text.find("TEMP B-TREE") == std::string::npos);
  }
}
