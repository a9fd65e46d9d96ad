// The queries behind the daily briefing's figures, one function for each kind. All run on one
// reader's connection, so that the figures are of about the same moment.
//
// sum(condition) counts the rows that fulfil it: SQLite's comparisons are 0 or 1.
#include "ledger/day_figures.h"

#include "base/clock.h"
#include "db/db.h"

namespace kvcs {
namespace {

constexpr int64_t kDayMs = 86'400'000;

Status read_errors(Database& db, DayFigures& digest) {
  auto query =
      KVCS_TRY(db.prepare("SELECT provider, code, count(*) FILTER (WHERE ts_ms >= ?),"
                          " count(*) FILTER (WHERE ts_ms < ?), max(seq) FROM error_ledger"
                          " WHERE ts_ms >= ? AND ts_ms < ? GROUP BY provider, code"
                          " HAVING max(ts_ms) >= ? ORDER BY 3 DESC, 1, 2 LIMIT ?"));
  query.bind(1, digest.from_ms).bind(2, digest.from_ms).bind(3, digest.from_ms - kDayMs);
  query.bind(4, digest.to_ms).bind(5, digest.from_ms).bind(6, kFigureRowsMax);
  // Of a request that was refused before anybody was asked, the message may quote the caller.
  auto example = KVCS_TRY(
      db.prepare("SELECT CASE WHEN upstream_status <> 0 OR status >= 500 THEN message ELSE '' END,"
                 " request_id FROM error_ledger WHERE seq = ?"));
  while (KVCS_TRY(query.step())) {
    ErrorGroup group{query.text(0), query.text(1), query.integer(2), query.integer(3), "", ""};
    example.reset();
    example.bind(1, query.integer(4));
    if (KVCS_TRY(example.step())) {
      group.example_message = example.text(0);
      group.example_request_id = example.text(1);
    }
    digest.error_groups.push_back(std::move(group));
  }
  auto totals = KVCS_TRY(
      db.prepare("SELECT count(*) FILTER (WHERE ts_ms >= ?), count(*) FILTER (WHERE ts_ms < ?)"
                 " FROM error_ledger WHERE ts_ms >= ? AND ts_ms < ?"));
  totals.bind(1, digest.from_ms).bind(2, digest.from_ms).bind(3, digest.from_ms - kDayMs);
  totals.bind(4, digest.to_ms);
  KVCS_TRY(totals.step());
  digest.errors = totals.integer(0);
  digest.errors_before = totals.integer(1);
  return ok();
}

// Answers 429, ours (status) or the provider's (upstream_status). Rows without a tenant are of
// callers that nobody knows.
Status read_rates(Database& db, DayFigures& digest) {
  auto query = KVCS_TRY(db.prepare(
      "SELECT tenant, provider, count(*), count(*) FILTER (WHERE upstream_status = 429),"
      " count(*) FILTER (WHERE upstream_status = 429 AND method = 'GET') FROM error_ledger"
      " WHERE ts_ms >= ? AND ts_ms < ? AND (status = 429 OR upstream_status = 429) AND tenant <> ''"
      " GROUP BY tenant, provider ORDER BY 3 DESC, 1, 2 LIMIT ?"));
  query.bind(1, digest.from_ms).bind(2, digest.to_ms).bind(3, kFigureRowsMax);
  while (KVCS_TRY(query.step())) {
    digest.rate_groups.push_back(
        {query.text(0), query.text(1), query.integer(2), query.integer(3), query.integer(4)});
  }
  return ok();
}

Status read_jobs(Database& db, DayFigures& digest) {
  auto query =
      KVCS_TRY(db.prepare("SELECT job, result, count(*) FROM job_runs"
                          " WHERE ts_ms >= ? AND ts_ms < ? AND result <> 'ok'"
                          " GROUP BY job ORDER BY 3 DESC, 1 LIMIT ?"));
  query.bind(1, digest.from_ms).bind(2, digest.to_ms).bind(3, kFigureRowsMax);
  while (KVCS_TRY(query.step())) {
    digest.job_groups.push_back({query.text(0), query.text(1), query.integer(2)});
  }
  return ok();
}

// Models that were called on this day, with the mean time of this day and of the seven before it.
Status read_latencies(Database& db, DayFigures& digest) {
  auto query = KVCS_TRY(db.prepare(
      "SELECT p.text, m.text, count(*) FILTER (WHERE u.ts_ms >= ?),"
      " avg(u.total_ms) FILTER (WHERE u.ts_ms >= ?), avg(u.total_ms) FILTER (WHERE u.ts_ms < ?)"
      " FROM usage u"
      " JOIN ledger_name p ON p.id = u.provider_ref JOIN ledger_name m ON m.id = u.model_ref"
      " WHERE u.ts_ms >= ? AND u.ts_ms < ? AND u.status < 400"
      " GROUP BY p.text, m.text HAVING max(u.ts_ms) >= ? ORDER BY 3 DESC, 1, 2 LIMIT ?"));
  query.bind(1, digest.from_ms).bind(2, digest.from_ms).bind(3, digest.from_ms);
  query.bind(4, digest.from_ms - 7 * kDayMs).bind(5, digest.to_ms).bind(6, digest.from_ms);
  query.bind(7, kFigureRowsMax);
  while (KVCS_TRY(query.step())) {
    digest.latency_groups.push_back({query.text(0), query.text(1), query.integer(2),
                                     static_cast<int64_t>(query.real(3)),
                                     static_cast<int64_t>(query.real(4))});
  }
  return ok();
}

// Reads the spending of each organization in the month of `to_ms`, from the sums of days.
Status read_spending(Database& db, DayFigures& digest) {
  auto query =
      KVCS_TRY(db.prepare("SELECT o.text, sum(d.cost_nano_usd) FROM usage_daily d"
                          " JOIN ledger_name p ON p.id = d.period_ref"
                          " JOIN ledger_name o ON o.id = d.organization_ref"
                          " WHERE p.text = ? GROUP BY o.text ORDER BY 2 DESC, 1"));
  query.bind(1, format_month(digest.to_ms));
  while (KVCS_TRY(query.step())) {
    digest.spend_groups.push_back({query.text(0), query.integer(1)});
  }
  return ok();
}

}  // namespace

Result<DayFigures> read_day_figures(const Ledger& ledger, int64_t to_ms) {
  DayFigures digest;
  digest.from_ms = to_ms - kDayMs;
  digest.to_ms = to_ms;
  const auto read = [&digest](Database& db) -> Status {
    KVCS_TRY(read_errors(db, digest));
    KVCS_TRY(read_rates(db, digest));
    KVCS_TRY(read_jobs(db, digest));
    KVCS_TRY(read_latencies(db, digest));
    return read_spending(db, digest);
  };
  KVCS_TRY(ledger.read(read));
  return digest;
}

}  // namespace kvcs
