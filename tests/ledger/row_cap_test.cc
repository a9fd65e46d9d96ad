// Goal: no table of the ledger is ever larger than its cap, whichever way its rows come. Method:
// more rows than the cap by the queue, the outbox and a job of the writer, and the tables counted
// without any pruning.
#include "ledger/row_cap.h"

#include <catch2/catch.hpp>

#include <set>
#include <string>

#include "ledger/audit.h"
#include "ledger/audit_head.h"
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

TEST_CASE("ledger: what callers do goes from the audit before what admins do", "[unit][ledger]") {
  LedgerFixture f;
  f.ledger->set_row_caps({{"kv_audit", 10}});
  const auto count = [&](const std::string& actor) {
    return f.number("SELECT count(*) FROM kv_audit WHERE actor LIKE '" + actor + "%'");
  };
  const auto check_chain = [&](int64_t rows, int64_t pruned) {
    REQUIRE(f.ledger->drain().ok());
    const auto chain = f.ledger->verify_audit_chain();
    INFO(chain.status().to_string());
    REQUIRE(chain.ok());
    CHECK(chain->rows == rows);
    CHECK(chain->pruned == pruned);
    CHECK(
        f.number("SELECT ifnull(sum(rows), 0) FROM audit_gap") ==
        f.number("SELECT ifnull((SELECT value FROM ledger_state WHERE name='audit_gap_rows'), 0)"));
  };
  // A first start, callers, an admin, and callers again, far beyond the cap.
  int made = 0;
  const auto put = [&](int number, const std::string& actor) {
    for (int i = 0; i < number; i++, made++) {
      f.put_audit("a" + std::to_string(100'000 + made), "k", 1000 + made, actor);
    }
  };
  put(2, "first-start");
  put(6, "projectkey:p");
  put(3, "adminkey:1");
  put(40, "projectkey:p");
  check_chain(10, 41);
  CHECK(count("first-start") == 2);
  CHECK(count("adminkey") == 3);
  CHECK(count("projectkey") == 5);
  // Of what callers did the newest stays.
  CHECK(f.number("SELECT max(ts_ms) FROM kv_audit") == 1050);
  CHECK(f.number("SELECT count(*) FROM audit_gap") == 2);
  // A head that another store has noted, and that has gone from within, is no row that was lost.
  const auto noted = [&](const std::string& head) {
    return f.ledger->read([&](Database& db) { return check_audit_head(db, head); });
  };
  CHECK(noted("20:ab").ok());
  CHECK_FALSE(noted("1000:ab").ok());

  // Without callers' rows the old end goes, with the gaps that it passes; of a caller the last row
  // stays while it is the newest.
  put(3, "adminkey:2");
  check_chain(10, 44);
  CHECK(count("projectkey") == 2);
  put(12, "adminkey:3");
  check_chain(10, 56);
  CHECK(count("adminkey:3") == 10);
  CHECK(f.number("SELECT count(*) FROM audit_gap") == 0);
  put(20, "projectkey:p");
  check_chain(10, 76);
  CHECK(count("projectkey") == 1);

  // A row that somebody takes from within is missed all the same.
  REQUIRE(f.execute("DELETE FROM kv_audit WHERE seq = (SELECT min(seq) + 3 FROM kv_audit)").ok());
  CHECK(f.ledger->verify_audit_chain().status().reason() == "audit_chain_broken");
}

TEST_CASE("ledger: what people do goes from the audit before what operators do", "[unit][ledger]") {
  LedgerFixture f;
  f.ledger->set_row_caps({{"kv_audit", 10}});
  int made = 0;
  const auto put = [&](int number, const std::string& actor, const std::string& source) {
    for (int i = 0; i < number; i++, made++) {
      f.put_audit("a" + std::to_string(100'000 + made), "k", 1000 + made, actor, source);
    }
  };
  put(2, "person:a", "admin-api");
  put(2, "person:a", "operator sign-in from 127.0.0.1");
  put(1, "person:a", "operator");
  put(1, "setup-link", "sign-in");
  put(30, "person:b", "api");
  put(30, "person:b", "own-admin-api");
  put(30, "bearer:idp", "sign-in");
  put(30, "invitation", "sign-in");
  put(30, "reset-by-mail", "sign-in");
  put(30, "sign-in:idp", "sign-in");
  put(30, "person:b", "sign-in from 127.0.0.1");
  REQUIRE(f.ledger->drain().ok());
  CHECK(f.number("SELECT count(*) FROM kv_audit WHERE actor = 'person:a'") == 5);
  CHECK(f.number("SELECT count(*) FROM kv_audit WHERE actor = 'setup-link'") == 1);
  CHECK(f.number("SELECT count(*) FROM kv_audit") == 10);
  CHECK(f.ledger->verify_audit_chain().ok());
}

TEST_CASE("ledger: a cap that cuts the audit is told once", "[unit][ledger]") {
  LedgerFixture f;
  f.ledger->set_row_caps({{"kv_audit", 10}});
  const auto take = [&] {
    int64_t cut_ms = -1;
    CHECK(f.ledger
              ->write([&](Database& db) -> Status {
                cut_ms = KVCS_TRY(take_audit_cut(db));
                return ok();
              })
              .ok());
    return cut_ms;
  };
  CHECK(take() == 0);
  for (int i = 0; i < 14; i++) f.put_audit("a" + std::to_string(100 + i), "k", 1000 + i);
  REQUIRE(f.ledger->drain().ok());
  CHECK(take() == 1003);
  CHECK(take() == 0);
  // What goes by its age is not told of.
  f.clock.set_unix_ms(1'000'000'000'000);
  CHECK(f.ledger->prune("kv_audit", 60, 0).value() == 10);
  CHECK(take() == 0);
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
