// The writer thread: group commit under many callers, jobs that fail or throw, disks that do.
#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "base/mutex.h"
#include "db/db.h"
#include "support/fault_vfs.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace kvcs;

namespace {

std::unique_ptr<Database> open_table(const std::string& path, const std::string& vfs = {}) {
  SqliteOptions options;
  options.vfs = vfs;
  auto db = open_sqlite(path, options);
  INFO(db.status().to_string());
  REQUIRE(db.ok());
  REQUIRE((*db)->execute("CREATE TABLE IF NOT EXISTS t (x INTEGER PRIMARY KEY)").ok());
  return std::move(db).value();
}

Status insert(Database& db, int64_t value) {
  auto statement = KVCS_TRY(db.prepare("INSERT INTO t (x) VALUES (?)"));
  return statement.bind(1, value).run();
}

std::vector<int64_t> values(const std::string& path) {
  SqliteOptions options;
  options.read_only = true;
  auto db = open_sqlite(path, options);
  REQUIRE(db.ok());
  auto statement = (*db)->prepare("SELECT x FROM t ORDER BY x");
  REQUIRE(statement.ok());
  std::vector<int64_t> list;
  for (auto row = statement->step(); row.ok() && *row; row = statement->step()) {
    list.push_back(statement->integer(0));
  }
  return list;
}

// Holds the writer thread inside a job, so that what is queued meanwhile forms one group.
class Gate final {
 public:
  explicit Gate(DbWriter& writer)
      : holder_([this, &writer] { outcome_ = writer.run([this](Database&) { return wait(); }); }) {
    MutexLock lock(mutex_);
    while (!entered_) changed_.wait(mutex_);
  }
  void open() {
    {
      MutexLock lock(mutex_);
      open_ = true;
      changed_.notify_all();
    }
    holder_.join();
    CHECK(outcome_.ok());
  }

 private:
  Status wait() {
    MutexLock lock(mutex_);
    entered_ = true;
    changed_.notify_all();
    while (!open_) changed_.wait(mutex_);
    return kvcs::ok();
  }

  Status outcome_;
  Mutex mutex_;
  CondVar changed_;
  bool entered_ KVCS_GUARDED_BY(mutex_) = false;
  bool open_ KVCS_GUARDED_BY(mutex_) = false;
  std::thread holder_;
};

void wait_until_queued(const DbWriter& writer, size_t count) {
  test::wait_until([&] { return writer.stats().queued >= count; }, "the jobs were queued");
}

// Runs the jobs as one group, in order, and returns their outcomes.
std::vector<Status> run_as_group(DbWriter& writer, const std::vector<DbWriter::Job>& jobs) {
  Gate gate(writer);
  std::vector<Status> outcomes(jobs.size());
  std::vector<std::thread> callers;
  for (size_t i = 0; i < jobs.size(); i++) {
    callers.emplace_back([&, i] { outcomes[i] = writer.run(jobs[i]); });
    wait_until_queued(writer, i + 1);
  }
  gate.open();
  for (std::thread& caller : callers) caller.join();
  return outcomes;
}

}  // namespace

TEST_CASE("db writer: many callers share commits and each finds its row there", "[unit][db]") {
  test::TempDir dir;
  DbWriter writer(open_table(dir.file("w.db")), "test-writer", 1000);
  auto readers = DbReaders::open(sqlite_readers(dir.file("w.db")), 4);
  REQUIRE(readers.ok());
  constexpr int kThreads = 16, kEach = 50;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; i++) {
        const int64_t value = t * kEach + i;
        if (!writer.run([&](Database& db) { return insert(db, value); }).ok()) wrong++;
        const Status seen = (*readers)->run([&](Database& db) -> Status {
          auto find = KVCS_TRY(db.prepare("SELECT 1 FROM t WHERE x=?"));
          const bool there = KVCS_TRY(find.bind(1, value).step());
          return there ? ok() : not_found("row");
        });
        if (!seen.ok()) wrong++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(values(dir.file("w.db")).size() == kThreads * kEach);
  CHECK(writer.stats().jobs == kThreads * kEach);
  CHECK(writer.stats().groups < kThreads * kEach);
}

TEST_CASE("db writer: a job that fails, throws or breaks a rule undoes only itself", "[unit][db]") {
  test::TempDir dir;
  DbWriter writer(open_table(dir.file("w.db")), "test-writer", 100);
  const auto outcomes = run_as_group(writer, {
                                                 [](Database& db) { return insert(db, 1); },
                                                 [](Database& db) -> Status {
                                                   KVCS_TRY(insert(db, 2));
                                                   return invalid("changed my mind");
                                                 },
                                                 [](Database& db) -> Status {
                                                   KVCS_TRY(insert(db, 3));
                                                   throw std::runtime_error("boom");
                                                 },
                                                 [](Database& db) -> Status {
                                                   KVCS_TRY(insert(db, 4));
                                                   return insert(db, 1);
                                                 },
                                                 [](Database& db) { return insert(db, 5); },
                                             });
  CHECK(outcomes[0].ok());
  CHECK(outcomes[1].message() == "changed my mind");
  CHECK(outcomes[2].code() == Code::kInternal);
  CHECK(outcomes[2].cause().find("boom") != std::string::npos);
  CHECK(outcomes[3].code() == Code::kConflict);
  CHECK(outcomes[4].ok());
  CHECK(values(dir.file("w.db")) == std::vector<int64_t>{1, 5});
  CHECK(writer.stats().failed == 3);
}

TEST_CASE("db writer: a full queue is told at once, with when to come back", "[unit][db]") {
  DbWriter writer(open_table(":memory:"), "test-writer", 1);
  Gate gate(writer);
  Status outcome = invalid("not run");
  std::thread queued([&] { outcome = writer.run([](Database&) { return ok(); }); });
  wait_until_queued(writer, 1);
  const Status refused = writer.run([](Database&) { return ok(); });
  CHECK(refused.code() == Code::kUnavailable);
  CHECK(refused.message().find("1 jobs") != std::string::npos);
  CHECK(refused.retry_after_s() == 1);
  gate.open();
  queued.join();
  CHECK(outcome.ok());
}

TEST_CASE("db writer: what is queued when it is destroyed is still done", "[unit][db]") {
  test::TempDir dir;
  auto writer = std::make_unique<DbWriter>(open_table(dir.file("w.db")), "test-writer", 10);
  Gate gate(*writer);
  Status outcome = invalid("not run");
  std::thread caller([&] { outcome = writer->run([](Database& db) { return insert(db, 1); }); });
  wait_until_queued(*writer, 1);
  std::thread destroyer([&] { writer.reset(); });
  gate.open();
  caller.join();
  destroyer.join();
  CHECK(outcome.ok());
  CHECK(values(dir.file("w.db")) == std::vector<int64_t>{1});
}

TEST_CASE("db writer: a job alone runs outside any transaction", "[unit][db]") {
  test::TempDir dir;
  DbWriter writer(open_table(dir.file("w.db")), "test-writer", 10);
  REQUIRE(writer.run([](Database& db) { return insert(db, 1); }).ok());
  CHECK(writer
            .run_alone([](Database& db) {
              CHECK_FALSE(db.in_transaction());
              return db.checkpoint();
            })
            .ok());
  CHECK(std::filesystem::file_size(dir.file("w.db-wal")) == 0);
  CHECK(writer.run_alone([](Database&) -> Status { throw std::runtime_error("boom"); }).code() ==
        Code::kInternal);
}

TEST_CASE("db writer: a commit that the disk refuses has not happened, and the next one does",
          "[fault][db]") {
  using Op = test::FaultVfs::Op;
  using Fault = test::FaultVfs::Fault;
  for (const auto& [op, fault, words] :
       {std::tuple{Op::kWrite, Fault::kDiskFull, "disk is full"},
        std::tuple{Op::kWrite, Fault::kIoError, "cannot be read or written"},
        std::tuple{Op::kSync, Fault::kIoError, "cannot be read or written"}}) {
    for (int nth = 1; nth <= 2; nth++) {
      if (op == Op::kSync && nth > 1) continue;
      INFO("operation " << static_cast<int>(op) << " number " << nth << " " << words);
      test::TempDir dir;
      test::FaultVfs vfs;
      {
        DbWriter writer(open_table(dir.file("f.db"), vfs.name()), "test-writer", 100);
        REQUIRE(writer.run([](Database& db) { return insert(db, 1); }).ok());
        vfs.fail_from(op, nth, fault);
        const auto outcomes = run_as_group(writer, {
                                                       [](Database& db) { return insert(db, 2); },
                                                       [](Database& db) { return insert(db, 3); },
                                                       [](Database&) { return invalid("mine"); },
                                                   });
        CHECK(vfs.failures() > 0);
        CHECK(outcomes[0].code() == Code::kUnavailable);
        CHECK(outcomes[0].message().find(words) != std::string::npos);
        CHECK(outcomes[1].code() == Code::kUnavailable);
        CHECK(outcomes[2].message() == "mine");
        CHECK(values(dir.file("f.db")) == std::vector<int64_t>{1});
        vfs.heal();
        CHECK(writer.run([](Database& db) { return insert(db, 2); }).ok());
      }
      CHECK(values(dir.file("f.db")) == std::vector<int64_t>{1, 2});
    }
  }
}

TEST_CASE("db writer: a job that fills the disk half way fails its elders, not its successors",
          "[fault][db]") {
  test::TempDir dir;
  test::FaultVfs vfs;
  DbWriter writer(open_table(dir.file("f.db"), vfs.name()), "test-writer", 100);
  // Far over the page cache, so that pages spill to the log before the commit.
  auto huge = [&](Database& db) -> Status {
    KVCS_TRY(db.execute("PRAGMA cache_size=10"));
    KVCS_TRY(db.execute("CREATE TABLE big (x TEXT)"));
    auto put = KVCS_TRY(db.prepare("INSERT INTO big (x) VALUES (?)"));
    for (int i = 0; i < 500; i++) {
      put.reset();
      Status status = put.bind(1, std::string(2000, 'x')).run();
      if (!status.ok()) {
        vfs.heal();
        return status;
      }
    }
    return ok();
  };
  const auto outcomes = run_as_group(writer, {
                                                 [](Database& db) { return insert(db, 1); },
                                                 [&](Database& db) {
                                                   vfs.fail_from(test::FaultVfs::Op::kWrite, 5,
                                                                 test::FaultVfs::Fault::kDiskFull);
                                                   return huge(db);
                                                 },
                                                 [](Database& db) { return insert(db, 3); },
                                             });
  CHECK(outcomes[1].code() == Code::kUnavailable);
  CHECK(outcomes[2].ok());
  // Whether SQLite kept or threw away the elder's work, its outcome says what is in the file.
  std::vector<int64_t> expected;
  if (outcomes[0].ok()) expected.push_back(1);
  expected.push_back(3);
  CHECK(values(dir.file("f.db")) == expected);
}

TEST_CASE("db: an open that the disk refuses is Unavailable", "[fault][db]") {
  test::TempDir dir;
  test::FaultVfs vfs;
  vfs.fail_from(test::FaultVfs::Op::kOpen, 1, test::FaultVfs::Fault::kIoError);
  SqliteOptions options;
  options.vfs = vfs.name();
  CHECK(open_sqlite(dir.file("o.db"), options).code() == Code::kUnavailable);
  vfs.heal();
  CHECK(open_sqlite(dir.file("o.db"), options).ok());
}
