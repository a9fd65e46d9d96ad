// A ledger over real files in a directory of its own, with a clock moved by hand.
#pragma once
#include <catch2/catch.hpp>

#include <memory>
#include <string>

#include "base/clock.h"
#include "db/db.h"
#include "ledger/ledger.h"
#include "ledger/schema.h"
#include "ledger/sql_kv.h"
#include "support/faulty_db.h"
#include "support/temp_dir.h"

namespace kvcs::test {

struct LedgerFixture {
  TempDir dir;
  ManualClock clock;
  SqlKv kv{":memory:"};
  // Of SQL, by operation and text; empty: none. Set while the writer and the readers are at rest.
  DbFaultPlan fault;
  std::unique_ptr<DbWriter> writer;
  std::unique_ptr<DbReaders> readers;
  std::unique_ptr<Ledger> ledger;

  explicit LedgerFixture(size_t queue_max = 10'000, const std::string& vfs = {}) {
    const std::string path = dir.file("ledger.db");
    SqliteOptions options;
    options.vfs = vfs;
    auto db = open_sqlite(path, options);
    REQUIRE(db.ok());
    REQUIRE(migrate(**db, ledger_migrations()).ok());
    const DbFaultPlan plan = [this](std::string_view op, std::string_view what) {
      return fault ? fault(op, what) : ok();
    };
    writer =
        std::make_unique<DbWriter>(make_faulty_db(std::move(db).value(), plan), "ledger-db", 1000);
    auto opened = DbReaders::open(faulty_readers(sqlite_readers(path), plan), 2);
    REQUIRE(opened.ok());
    readers = std::move(opened).value();
    ledger = std::make_unique<Ledger>(kv, *writer, *readers, clock, queue_max);
  }
  int64_t number(const std::string& sql) const {
    int64_t value = -1;
    const Status status = readers->run([&](Database& db) -> Status {
      auto statement = KVCS_TRY(db.prepare(sql));
      KVCS_TRY(statement.step());
      value = statement.integer(0);
      return ok();
    });
    INFO(status.to_string());
    REQUIRE(status.ok());
    return value;
  }
  Status execute(const std::string& sql) {
    return ledger->write([&](Database& db) { return db.execute(sql); });
  }
  void put_audit(const std::string& id, const std::string& key, int64_t unix_ms = 1000,
                 const std::string& actor = "adminkey:1", const std::string& source = "cli") {
    kv.put_outbox("audit", id, unix_ms,
                  R"({"family":"config","key":")" + key +
                      R"(","action":"put","old_hash":"","new_hash":"ab","source":")" + source +
                      R"(","actor":")" + actor + R"(","request_id":"r"})");
  }
};

}  // namespace kvcs::test
