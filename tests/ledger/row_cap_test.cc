// Goal: no table of the ledger is ever larger than its cap, whichever way its rows come. Method:
// more rows than the cap by the queue, the outbox and a job of the writer, and the tables counted
// without any pruning.
#include "ledger/row_cap.h"

#include <catch2/catch.hpp>

#include <set>

#include "ledger/ledger_fixture.h"
#include "ledger/retention.h"
#include "ledger/rows.h"

using namespace kvcs;
using test::LedgerFixture;

TEST_CASE("ledger: caps hold at the insert, and the newest rows stay", "[unit][ledger]") {
  LedgerFixture f;
  f.ledger->set_row_caps({{"error_ledger", 100}, {"job_runs", 3}, {"decision_log", 5}});
  for (int i = 0; i < 1700; i++) {
    ErrorRecord error;
    error.id = "e" + std::to_string(i);
    error.ts_ms = i;
    f.ledger->record_error(error);
    if (i % 100 == 0) f.ledger->record_job_run({"prune", i, 1, "ok", ""});
  }
  REQUIRE(f.ledger->drain().ok());
  CHECK(f.number("SELECT count(*) FROM error_ledger") == 100);
  CHECK(f.number("SELECT min(ts_ms) FROM error_ledger") == 1600);
  CHECK(f.number("SELECT count(*) FROM job_runs") == 3);
  for (int i = 0; i < 8; i++) {
    DecisionRecord decision;
    decision.id = "d" + std::to_string(i);
    CHECK(f.ledger->write([&](Database& db) { return insert_decision(db, decision); }).ok());
  }
  CHECK(f.number("SELECT count(*) FROM decision_log") == 5);
}

TEST_CASE("ledger: the audit is capped from its old end and stays a chain", "[unit][ledger]") {
  LedgerFixture f;
  f.ledger->set_row_caps({{"kv_audit", 10}});
  for (int i = 0; i < 25; i++) f.put_audit("a" + std::to_string(i), "k", 1000 + i);
  REQUIRE(f.ledger->drain().ok());
  CHECK(f.number("SELECT count(*) FROM kv_audit") == 10);
  const auto chain = f.ledger->verify_audit_chain();
  INFO(chain.status().to_string());
  REQUIRE(chain.ok());
  CHECK(chain->rows == 10);
  CHECK(chain->pruned == 15);
}

TEST_CASE("ledger: a cap that was lowered is reached in steps", "[unit][ledger]") {
  LedgerFixture f;
  const auto fill = [](Database& db) {
    return db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO job_runs (job, ts_ms, duration_ms, result, detail)"
        " SELECT 'j', i, 1, 'ok', '' FROM n");
  };
  REQUIRE(f.ledger->write(fill).ok());
  f.ledger->set_row_caps({{"job_runs", 100}});
  int64_t before = 20'000;
  for (int i = 0; i < 5; i++) {
    REQUIRE(f.ledger->write([](Database&) { return ok(); }).ok());
    const int64_t now = f.number("SELECT count(*) FROM job_runs");
    CHECK(now <= before);
    before = now;
  }
  CHECK(before == 100);
  CHECK(f.number("SELECT min(ts_ms) FROM job_runs") == 19'901);
}

TEST_CASE("ledger: each table that is pruned by number has its cap", "[unit][ledger]") {
  const LedgerConfig limits;
  std::set<std::string> tables;
  for (const RowCap& cap : row_caps(limits)) {
    CHECK(cap.max_rows > 0);
    tables.insert(cap.table);
  }
  CHECK(tables == std::set<std::string>{"alert_log", "body_log", "decision_log", "error_ledger",
                                        "job_runs", "kv_audit", "usage"});
}
