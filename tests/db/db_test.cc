// Statements, transactions, savepoints, backup: on a database in memory or in a directory of its
// own; failures are made by constraints, damaged files and locks.
#include "db/db.h"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "support/temp_dir.h"

using namespace kvcs;

namespace {

std::unique_ptr<Database> open_db(const std::string& path, SqliteOptions options = {}) {
  auto db = open_sqlite(path, options);
  INFO(db.status().to_string());
  REQUIRE(db.ok());
  return std::move(db).value();
}

int64_t number(Database& db, const std::string& sql) {
  auto statement = db.prepare(sql);
  INFO(statement.status().to_string());
  REQUIRE(statement.ok());
  auto row = statement->step();
  REQUIRE(row.ok());
  REQUIRE(*row);
  return statement->integer(0);
}

void insert(Database& db, int64_t value) {
  auto statement = db.prepare("INSERT INTO t (x) VALUES (?)");
  REQUIRE(statement.ok());
  REQUIRE(statement->bind(1, value).run().ok());
}

}  // namespace

TEST_CASE("db: values come back as they were bound, with NUL bytes, empty text and null apart",
          "[unit][db]") {
  auto db = open_db(":memory:");
  REQUIRE(db->execute("CREATE TABLE v (a INTEGER, b REAL, c TEXT, d TEXT, e TEXT)").ok());
  const std::string with_nul("a\0b", 3);
  {
    auto put = db->prepare("INSERT INTO v (a, b, c, d, e) VALUES (?, ?, ?, ?, ?)");
    REQUIRE(put.ok());
    put->bind(1, INT64_MIN).bind(2, 0.5).bind(3, with_nul).bind(4, std::string_view());
    put->bind_optional(5, std::optional<std::string>());
    REQUIRE(put->run().ok());
    CHECK(db->changes() == 1);
  }
  auto get = db->prepare("SELECT a, b, c, d, e FROM v");
  REQUIRE(get.ok());
  auto row = get->step();
  REQUIRE((row.ok() && *row));
  CHECK(get->integer(0) == INT64_MIN);
  CHECK(get->real(1) == 0.5);
  CHECK(get->text(2) == with_nul);
  CHECK(get->text(3).empty());
  CHECK_FALSE(get->is_null(3));
  CHECK(get->is_null(4));
  row = get->step();
  CHECK((row.ok() && !*row));
}

TEST_CASE("db: the same text can be stepped twice at once and is prepared anew after use",
          "[unit][db]") {
  auto db = open_db(":memory:");
  REQUIRE(db->execute("CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1), (2)").ok());
  for (int round = 0; round < 2; round++) {
    auto outer = db->prepare("SELECT x FROM t ORDER BY x");
    REQUIRE(outer.ok());
    int pairs = 0;
    for (auto a = outer->step(); a.ok() && *a; a = outer->step()) {
      auto inner = db->prepare("SELECT x FROM t ORDER BY x");
      REQUIRE(inner.ok());
      for (auto b = inner->step(); b.ok() && *b; b = inner->step()) pairs++;
    }
    CHECK(pairs == 4);
  }
  // More texts than are kept: all of them still work.
  for (int i = 0; i < 600; i++) CHECK(number(*db, "SELECT " + std::to_string(i)) == i);
}

TEST_CASE("db: a mistake in SQL or in a position is Internal and its words stay in the cause",
          "[unit][db]") {
  auto db = open_db(":memory:");
  auto bad = db->prepare("SELEKT 1");
  CHECK(bad.code() == Code::kInternal);
  CHECK(bad.status().message() == "Internal error.");
  CHECK(bad.status().cause().find("SELEKT") != std::string::npos);
  auto position = db->prepare("SELECT ?");
  REQUIRE(position.ok());
  position->bind(7, 1);
  CHECK(position->step().code() == Code::kInternal);
  position->reset();
  CHECK(position->bind(1, 5).step().ok());
}

TEST_CASE("db: a transaction is undone unless it was committed", "[unit][db]") {
  auto db = open_db(":memory:");
  REQUIRE(db->execute("CREATE TABLE t (x INTEGER UNIQUE)").ok());
  {
    auto transaction = Transaction::begin(*db);
    REQUIRE(transaction.ok());
    insert(*db, 1);
  }
  CHECK(number(*db, "SELECT count(*) FROM t") == 0);
  {
    auto transaction = Transaction::begin(*db);
    REQUIRE(transaction.ok());
    insert(*db, 1);
    REQUIRE(transaction->commit().ok());
  }
  CHECK(number(*db, "SELECT count(*) FROM t") == 1);
  auto again = db->prepare("INSERT INTO t (x) VALUES (1)");
  REQUIRE(again.ok());
  const Status status = again->run();
  CHECK(status.code() == Code::kConflict);
  CHECK(status.reason() == "unique");
  CHECK(status.message().find("SQL") == std::string::npos);
}

TEST_CASE("db: a savepoint undoes its own part, also when its body throws, and nests",
          "[unit][db]") {
  auto db = open_db(":memory:");
  REQUIRE(db->execute("CREATE TABLE t (x INTEGER)").ok());
  auto transaction = Transaction::begin(*db);
  REQUIRE(transaction.ok());
  CHECK(in_savepoint(*db, [&] {
          insert(*db, 1);
          CHECK(in_savepoint(*db, [&] {
                  insert(*db, 2);
                  return invalid("no");
                }).code() == Code::kInvalid);
          CHECK(in_savepoint(*db,
                             [&]() -> Status {
                               insert(*db, 3);
                               throw std::runtime_error("boom");
                             })
                    .cause()
                    .find("boom") != std::string::npos);
          return ok();
        }).ok());
  REQUIRE(transaction->commit().ok());
  CHECK(number(*db, "SELECT sum(x) FROM t") == 1);
}

TEST_CASE("db: a file that is no database is Internal, a path that cannot be opened Unavailable",
          "[unit][db]") {
  test::TempDir dir;
  std::ofstream(dir.file("junk.db")) << std::string(8192, 'j');
  const auto junk = open_sqlite(dir.file("junk.db"));
  CHECK(junk.code() == Code::kInternal);
  CHECK(junk.status().cause().find("junk.db") != std::string::npos);
  const auto missing = open_sqlite(dir.file("no/such/x.db"));
  CHECK(missing.code() == Code::kUnavailable);
  CHECK(missing.status().cause().find("no/such/x.db") != std::string::npos);
  CHECK(DbReaders::open(sqlite_readers(dir.file("absent.db")), 2).code() == Code::kUnavailable);
}

TEST_CASE("db: a damaged page is told as Internal with the file's name", "[unit][db][fault]") {
  test::TempDir dir;
  const std::string path = dir.file("d.db");
  {
    auto db = open_db(path);
    REQUIRE(db->execute("CREATE TABLE t (x TEXT)").ok());
    auto put = db->prepare("INSERT INTO t (x) VALUES (?)");
    REQUIRE(put.ok());
    for (int i = 0; i < 200; i++) {
      put->reset();
      REQUIRE(put->bind(1, std::string(300, 'x')).run().ok());
    }
  }
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4096);
  file << std::string(4096, '\xff');
  file.close();
  auto db = open_db(path);
  auto get = db->prepare("SELECT sum(length(x)) FROM t");
  const Status status = get.ok() ? get->step().status() : get.status();
  CHECK(status.code() == Code::kInternal);
  CHECK(status.cause().find("d.db") != std::string::npos);
}

TEST_CASE("db: a second writer is told that the file is busy", "[unit][db]") {
  test::TempDir dir;
  auto one = open_db(dir.file("b.db"));
  SqliteOptions hurried;
  hurried.busy_timeout_ms = 0;
  auto two = open_db(dir.file("b.db"), hurried);
  auto held = Transaction::begin(*one);
  REQUIRE(held.ok());
  CHECK(Transaction::begin(*two).code() == Code::kUnavailable);
  REQUIRE(held->commit().ok());
  CHECK(Transaction::begin(*two).ok());
}

TEST_CASE("db: a read-only connection refuses to write and keeps its snapshot", "[unit][db]") {
  test::TempDir dir;
  auto writer = open_db(dir.file("r.db"));
  REQUIRE(writer->execute("CREATE TABLE t (x INTEGER)").ok());
  auto readers = DbReaders::open(sqlite_readers(dir.file("r.db")), 2);
  REQUIRE(readers.ok());
  CHECK((*readers)
            ->run([&](Database& db) {
              CHECK(number(db, "SELECT count(*) FROM t") == 0);
              insert(*writer, 1);
              CHECK(number(db, "SELECT count(*) FROM t") == 0);
              CHECK(db.execute("INSERT INTO t VALUES (2)").code() == Code::kUnavailable);
              return ok();
            })
            .ok());
  CHECK((*readers)
            ->run([](Database& db) {
              CHECK(number(db, "SELECT count(*) FROM t") == 1);
              return not_found("mine");
            })
            .message() == "mine");
}

TEST_CASE("db: a checkpoint waits for no reader and empties the log when there is none",
          "[unit][db]") {
  test::TempDir dir;
  SqliteOptions hurried;
  hurried.busy_timeout_ms = 0;
  auto db = open_db(dir.file("c.db"), hurried);
  REQUIRE(db->execute("CREATE TABLE t (x INTEGER)").ok());
  auto readers = DbReaders::open(sqlite_readers(dir.file("c.db")), 1);
  REQUIRE(readers.ok());
  CHECK((*readers)
            ->run([&](Database& reader) {
              CHECK(number(reader, "SELECT count(*) FROM t") == 0);
              insert(*db, 1);
              CHECK(db->checkpoint().code() == Code::kUnavailable);
              return ok();
            })
            .ok());
  REQUIRE(db->checkpoint().ok());
  CHECK(std::filesystem::file_size(dir.file("c.db-wal")) == 0);
}

TEST_CASE("db: a backup holds what was committed and never overwrites", "[unit][db]") {
  test::TempDir dir;
  auto db = open_db(dir.file("live.db"));
  REQUIRE(db->execute("CREATE TABLE t (x INTEGER)").ok());
  for (int i = 1; i <= 1000; i++) insert(*db, i);
  auto readers = DbReaders::open(sqlite_readers(dir.file("live.db")), 1);
  REQUIRE(readers.ok());
  const std::string copy = dir.file("copy.db");
  REQUIRE((*readers)->run([&](Database& reader) { return reader.backup_to(copy); }).ok());
  auto restored = open_db(copy);
  CHECK(number(*restored, "SELECT sum(x) FROM t") == 500'500);
  const Status again = db->backup_to(copy);
  CHECK(again.code() == Code::kConflict);
  CHECK(again.message().find("copy.db") != std::string::npos);
  CHECK(db->backup_to(dir.file("no/such/copy.db")).code() == Code::kUnavailable);
}

TEST_CASE("db: a backup ends while every step meets a commit, and holds one moment", "[unit][db]") {
  test::TempDir dir;
  auto db = open_db(dir.file("live.db"));
  REQUIRE(db->execute("CREATE TABLE t (x INTEGER); CREATE TABLE bulk (b BLOB);"
                      "INSERT INTO bulk WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
                      " FROM n WHERE i < 20) SELECT zeroblob(1000000) FROM n")
              .ok());
  insert(*db, 1);
  auto readers = DbReaders::open(sqlite_readers(dir.file("live.db")), 1);
  REQUIRE(readers.ok());
  int64_t steps = 0;
  const auto commit = [&]() -> Status {
    insert(*db, ++steps + 1);
    return steps < 100 ? ok() : unavailable("It begins again and again.");
  };
  const std::string copy = dir.file("copy.db");
  const Status copied = (*readers)->run([&](Database& reader) -> Status {
    KVCS_TRY(reader.take_snapshot());
    insert(*db, 0);  // After the moment.
    return reader.backup_to(copy, commit);
  });
  INFO(copied.to_string());
  REQUIRE(copied.ok());
  CHECK(steps >= 4);
  CHECK(number(*open_db(copy), "SELECT sum(x) FROM t") == 1);
  CHECK(number(*db, "SELECT count(*) FROM t") == steps + 2);
  // The connection that was given itself holds no transaction afterwards.
  REQUIRE(db->backup_to(dir.file("own.db")).ok());
  CHECK_FALSE(db->in_transaction());
}

TEST_CASE("db: a damaged database makes no backup", "[unit][db]") {
  test::TempDir dir;
  const std::string live = dir.file("live.db"), copy = dir.file("copy.db");
  {
    auto db = open_db(live);
    REQUIRE(db->execute("CREATE TABLE t (x INTEGER)").ok());
    for (int i = 1; i <= 5000; i++) insert(*db, i);
  }
  {
    std::fstream file(live, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(4096 * 5);
    file << std::string(3000, '\xff');
  }
  auto db = open_db(live);
  const Status refused = db->backup_to(copy);
  CHECK(refused.code() == Code::kInternal);
  CHECK(refused.cause().find("damaged") != std::string::npos);
  CHECK(::access(copy.c_str(), F_OK) != 0);
}

TEST_CASE("db: a backup that is told to stop leaves no file", "[unit][db]") {
  test::TempDir dir;
  auto db = open_db(dir.file("live.db"));
  REQUIRE(db->execute("CREATE TABLE t (b BLOB); INSERT INTO t VALUES (zeroblob(20000000))").ok());
  int asked = 0;
  const std::string copy = dir.file("copy.db");
  const Status stopped = db->backup_to(
      copy, [&asked]() -> Status { return ++asked == 2 ? unavailable("Enough.") : ok(); });
  CHECK(stopped.message() == "Enough.");
  CHECK(asked == 2);
  CHECK_FALSE(std::filesystem::exists(copy));
  CHECK_FALSE(db->in_transaction());
}

TEST_CASE("db: a query that takes too long ends, in words, and the connection goes on",
          "[unit][db]") {
  auto db = open_db(":memory:");
  const auto endless = [&]() -> Status {
    auto query =
        KVCS_TRY(db->prepare("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
                             " SELECT max(i) FROM n"));
    return query.step().status();
  };
  const Status late = db->run_within(5, endless);
  CHECK(late.code() == Code::kTimeout);
  CHECK(late.reason() == "query_too_long");
  CHECK(late.message().find("5 ms") != std::string::npos);
  // Many short statements are one long query.
  const Status many = db->run_within(5, [&]() -> Status {
    for (int64_t i = 0;; i++) {
      auto query = KVCS_TRY(db->prepare("SELECT " + std::to_string(i)));
      KVCS_TRY(query.run());
    }
  });
  CHECK(many.reason() == "query_too_long");
  CHECK(db->run_within(60'000, [&] {
            return number(*db, "SELECT 7") == 7 ? ok() : not_found("7");
          }).ok());
  CHECK(number(*db, "SELECT 8") == 8);
}
