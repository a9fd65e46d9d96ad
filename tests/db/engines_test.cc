// What every engine behind Database keeps: the same cases over SQLite and over the faulty engine
// that fails nothing; then the faulty one fails by plan, and transactions, savepoints, migrations,
// the writer and the readers keep their promises.
#include <catch2/catch.hpp>

#include <functional>
#include <string>
#include <tuple>

#include "db/db.h"
#include "support/faulty_db.h"
#include "support/temp_dir.h"

using namespace kvcs;
using test::DbFaultPlan;

namespace {

using Open = std::function<std::unique_ptr<Database>(const std::string& path)>;

std::unique_ptr<Database> open_plain(const std::string& path) {
  return open_sqlite(path).value();
}
std::unique_ptr<Database> open_faulty(const std::string& path, DbFaultPlan plan) {
  return test::make_faulty_db(open_plain(path), std::move(plan));
}
std::unique_ptr<Database> open_faultless(const std::string& path) {
  return open_faulty(path, [](std::string_view, std::string_view) { return ok(); });
}

int64_t number(Database& db, const std::string& sql) {
  auto statement = db.prepare(sql);
  REQUIRE(statement.ok());
  REQUIRE(*statement->step());
  return statement->integer(0);
}

Status insert(Database& db, int64_t value) {
  Statement put = KVCS_TRY(db.prepare("INSERT INTO t (x) VALUES (?)"));
  return put.bind(1, value).run();
}

// A plan that fails one operation while it is armed.
struct Armed {
  std::string op, what;
  bool on = false;
  int failures = 0;
  DbFaultPlan plan() {
    return [this](std::string_view asked, std::string_view of) -> Status {
      if (!on || asked != op || of.find(what) == std::string_view::npos) return ok();
      failures++;
      return unavailable("The plan says so.");
    };
  }
};

constexpr const char* kTable = "CREATE TABLE t (seq INTEGER PRIMARY KEY AUTOINCREMENT, x INTEGER)";

}  // namespace

TEST_CASE("engines: statements, transactions, snapshots and numbers are the same behind the face",
          "[contract][db]") {
  const Open open = GENERATE(Open(open_plain), Open(open_faultless));
  test::TempDir dir;
  const auto db = open(dir.file("e.db"));
  CHECK(*db->schema_number() == 0);
  CHECK_FALSE(*db->has_table("t"));
  REQUIRE(migrate(*db, {{1, kTable}}).ok());
  CHECK(*db->schema_number() == 1);
  CHECK(*db->has_table("t"));
  CHECK(*db->last_given_number("t") == 0);

  {
    auto transaction = Transaction::begin(*db);
    REQUIRE(transaction.ok());
    REQUIRE(insert(*db, 1).ok());
    CHECK(db->changes() == 1);
    const Status undone = in_savepoint(*db, [&] {
      REQUIRE(insert(*db, 2).ok());
      return invalid("no");
    });
    CHECK(undone.message() == "no");
    REQUIRE(transaction->commit().ok());
  }
  {
    auto dropped = Transaction::begin(*db);
    REQUIRE(insert(*db, 3).ok());
  }
  CHECK_FALSE(db->in_transaction());
  CHECK(number(*db, "SELECT sum(x) FROM t") == 1);
  CHECK(*db->last_given_number("t") == 1);

  // One text at two rows at once; a value of each kind.
  REQUIRE(insert(*db, 5).ok());
  auto outer = db->prepare("SELECT x FROM t ORDER BY x");
  REQUIRE(*outer->step());
  CHECK(number(*db, "SELECT x FROM t ORDER BY x") == 1);
  REQUIRE(*outer->step());
  CHECK(outer->integer(0) == 5);
  CHECK_FALSE(*outer->step());
  auto values = db->prepare("SELECT ?, ?, ?, ?, ?");
  values->bind(1, int64_t{7}).bind(2, 0.5).bind(3, "text").bind_bytes(4, "\xff").bind_null(5);
  REQUIRE(*values->step());
  CHECK((values->integer(0) == 7 && values->real(1) == 0.5 && values->text(2) == "text" &&
         values->bytes(3) == "\xff" && values->is_null(4)));
  values->reset();
  REQUIRE(*values->step());
  CHECK(values->is_null(0));

  CHECK(db->execute("INSERT INTO t (seq, x) VALUES (1, 9)").reason() == "unique");
  CHECK(db->run_within(60'000, [&] { return insert(*db, 6); }).ok());
  CHECK(db->find_damage()->empty());
  CHECK(db->backup_to(dir.file("copy.db")).ok());
  CHECK(number(*open(dir.file("copy.db")), "SELECT count(*) FROM t") == 3);
  CHECK(db->checkpoint().ok());
}

TEST_CASE("engines: a commit that fails undoes all, and the connection goes on", "[fault][db]") {
  Armed fault{"commit", ""};
  const auto db = open_faulty(":memory:", fault.plan());
  REQUIRE(db->execute(kTable).ok());
  fault.on = true;
  {
    auto transaction = Transaction::begin(*db);
    REQUIRE(insert(*db, 1).ok());
    CHECK(transaction->commit().code() == Code::kUnavailable);
  }
  CHECK_FALSE(db->in_transaction());
  fault.on = false;
  CHECK(number(*db, "SELECT count(*) FROM t") == 0);
}

TEST_CASE("engines: a migration whose number cannot be kept is not applied", "[fault][db]") {
  Armed fault{"schema", "set", true};
  const auto db = open_faulty(":memory:", fault.plan());
  CHECK(migrate(*db, {{1, kTable}}).code() == Code::kUnavailable);
  CHECK_FALSE(*db->has_table("t"));
  fault.on = false;
  REQUIRE(migrate(*db, {{1, kTable}}).ok());
  CHECK(*db->has_table("t"));
}

TEST_CASE("engines: the writer tells of a begin, a step and a commit that fail, and goes on",
          "[fault][db]") {
  test::TempDir dir;
  Armed fault;
  std::string op, what;
  std::tie(op, what) = GENERATE(
      table<std::string, std::string>({{"begin", "write"}, {"step", "INSERT"}, {"commit", ""}}));
  fault.op = op;
  fault.what = what;
  auto db = open_faulty(dir.file("w.db"), fault.plan());
  REQUIRE(db->execute(kTable).ok());
  DbWriter writer(std::move(db), "engines", 10);
  const auto put = [](Database& on) { return insert(on, 1); };
  // Between two calls the writer's thread is at rest and does not look at the plan.
  fault.on = true;
  CHECK(writer.run(put).message() == "The plan says so.");
  CHECK(fault.failures == 1);
  fault.on = false;
  CHECK(writer.run(put).ok());
  CHECK(writer
            .run([](Database& on) {
              CHECK(number(on, "SELECT count(*) FROM t") == 1);
              return ok();
            })
            .ok());
}

TEST_CASE("engines: readers drop a connection that cannot end its snapshot", "[fault][db]") {
  test::TempDir dir;
  REQUIRE(open_plain(dir.file("r.db"))->execute(kTable).ok());
  Armed fault{"rollback", ""};
  int opened = 0;
  const auto connect = [&]() -> Result<std::unique_ptr<Database>> {
    opened++;
    return open_sqlite(dir.file("r.db"), {.read_only = true});
  };
  auto readers = DbReaders::open(test::faulty_readers(connect, fault.plan()), 1);
  REQUIRE(readers.ok());
  fault.on = true;
  const auto fails = [](Database&) { return invalid("no"); };
  CHECK((*readers)->run(fails).message() == "no");
  fault.on = false;
  CHECK((*readers)->run(fails).message() == "no");
  CHECK(opened == 2);
  fault.op = "begin";
  fault.what = "read";
  fault.on = true;
  CHECK((*readers)->run([](Database&) { return ok(); }).code() == Code::kUnavailable);
}
