// Goal: no table of the ledger grows for ever: each loses its rows by age and by number. Method:
// the same rows in every table, and the report of the walk.
#include "ledger/retention.h"

#include <catch2/catch.hpp>

#include "ai/budget/budget_book.h"
#include "ledger/ledger_fixture.h"
#include "ledger/rows.h"

using namespace kvcs;
using test::LedgerFixture;

namespace {

constexpr int64_t kDayS = 86'400;

struct FullLedger : LedgerFixture {
  FullLedger() { ledger->add_group_sink("usage", usage_sink); }

  // One row in each table, of `age_days` ago.
  void add_everywhere(int64_t age_days) {
    const int64_t ts_ms = clock.unix_ms() - age_days * kDayS * 1000;
    const std::string id = "r" + std::to_string(age_days);
    ErrorRecord error;
    error.id = id;
    BodyRecord bodies;
    bodies.request_id = id;
    DecisionRecord decision;
    decision.id = id;
    AlertRecord alert;
    alert.id = id;
    UsageRecord usage;
    usage.request_id = id;
    usage.model = "gpt-4o-mini";
    error.ts_ms = bodies.ts_ms = decision.ts_ms = alert.ts_ms = usage.ts_ms = ts_ms;
    const Status written = ledger->write([&](Database& db) -> Status {
      KVCS_TRY(insert_error(db, error));
      KVCS_TRY(insert_job_run(db, {"prune", ts_ms, 1, "ok", ""}));
      KVCS_TRY(insert_bodies(db, bodies));
      KVCS_TRY(insert_decision(db, decision));
      return insert_alert(db, alert);
    });
    INFO(written.to_string());
    REQUIRE(written.ok());
    put_audit("a" + id, id, ts_ms);
    kv.put_outbox("usage", id, ts_ms, usage_json(usage));
    REQUIRE(ledger->drain().ok());
    REQUIRE(ledger->stats().dead == 0);
  }
};

}  // namespace

TEST_CASE("ledger: retention takes what is too old from every table", "[unit][ledger]") {
  FullLedger f;
  f.add_everywhere(9);
  f.add_everywhere(1);
  LedgerConfig limits;
  for (int64_t* age_s :
       {&limits.error_max_age_s, &limits.audit_max_age_s, &limits.job_run_max_age_s,
        &limits.usage_max_age_s, &limits.usage_days_max_age_s, &limits.body_max_age_s}) {
    *age_s = 5 * kDayS;
  }
  CHECK(prune_ledger(*f.ledger, limits).value() ==
        R"({"error_ledger":1,"kv_audit":1,"job_runs":1,"usage":1,"body_log":1,"alert_log":1,)"
        R"("decision_log":1,"usage_daily":1})");
  CHECK(f.number("SELECT count(*) FROM alert_log WHERE id = 'r1'") == 1);
  CHECK(f.number("SELECT count(*) FROM decision_log WHERE id = 'r1'") == 1);
}

TEST_CASE("ledger: retention takes the oldest rows over the number from every table",
          "[unit][ledger]") {
  FullLedger f;
  for (const int64_t age_days : {3, 2, 1}) f.add_everywhere(age_days);
  LedgerConfig limits;
  limits.error_max_rows = limits.audit_max_rows = limits.job_run_max_rows = 1;
  limits.usage_max_bytes = kUsageRowMaxBytes;  // One row of usage.
  limits.body_max_rows = 1;
  CHECK(prune_ledger(*f.ledger, limits).value() ==
        R"({"error_ledger":2,"kv_audit":2,"job_runs":2,"usage":2,"body_log":2,"alert_log":2,)"
        R"("decision_log":2,"usage_daily":0})");
  CHECK(f.number("SELECT count(*) FROM alert_log WHERE id = 'r1'") == 1);
  CHECK(f.number("SELECT count(*) FROM decision_log WHERE id = 'r1'") == 1);
}

TEST_CASE("ledger: a prune ends at its next chunk when the daemon stops", "[unit][ledger]") {
  LedgerFixture f;
  REQUIRE(f.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
                    " INSERT INTO job_runs (job, ts_ms, duration_ms, result, detail)"
                    " SELECT 'j', i, 1, 'ok', '' FROM n")
              .ok());
  f.ledger->stop_soon();
  CHECK(f.ledger->prune("job_runs", 0, 100).value() == 1000);
  CHECK(f.number("SELECT count(*) FROM job_runs") == 4000);
}
