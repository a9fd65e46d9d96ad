// Queue, queries, pruning, decisions, alerts and usage rows.
#include "ledger/ledger.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>

#include "ai/budget/budget_book.h"
#include "base/json.h"
#include "kv/outbox.h"
#include "ledger/ledger_csv.h"
#include "ledger/ledger_fixture.h"
#include "ledger/rows.h"
#include "ledger/usage_record.h"

using namespace kvcs;
using test::LedgerFixture;

namespace {

ErrorRecord make_error(const std::string& id, int64_t ts_ms, const std::string& tenant) {
  ErrorRecord record;
  record.id = id;
  record.ts_ms = ts_ms;
  record.tenant = tenant;
  record.code = "TOKEN_EXPIRED";
  record.status = 401;
  record.message = "line \"one\"\nline two";
  return record;
}

std::vector<std::string> ids(const LedgerPage& page) {
  std::vector<std::string> list;
  for (const std::string& row : page.rows) {
    auto json = parse_json(row);
    REQUIRE(json.ok());
    list.push_back((*json)["id"].get<std::string>());
  }
  return list;
}

UsageRecord make_usage(const std::string& request_id, int64_t ts_ms) {
  UsageRecord row;
  row.request_id = request_id;
  row.ts_ms = ts_ms;
  row.organization_id = "0f8fad5b-d9cb-469f-a165-70867728950e";
  row.user_id = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
  row.key_id = "16fd2706-8baf-433b-82eb-8c7fada847da";
  row.provider = "openai";
  row.model = "gpt-4o-mini";
  row.price_version = "2026-01";
  row.period = "2026-01";
  row.tokens.input = 1200;
  row.tokens.cache_read = 800;
  row.tokens.output = 350;
  row.cost_nano_usd = 1'234'567;
  row.first_byte_ms = 320;
  row.total_ms = 2900;
  row.status = 200;
  return row;
}

}  // namespace

TEST_CASE("ledger: errors and job runs come out as they went in, newest first", "[unit][ledger]") {
  LedgerFixture f;
  for (int i = 1; i <= 5; i++) f.ledger->record_error(make_error("e" + std::to_string(i), i, "a"));
  ErrorRecord nameless = make_error("", 6, "a");
  nameless.message = std::string(5000, 'x');
  f.ledger->record_error(nameless);
  f.ledger->record_job_run({"prune", 7, 20, "ok", "{\"removed\":3}"});
  CHECK(f.ledger->stats().queued == 7);
  REQUIRE(f.ledger->drain().ok());
  CHECK(f.ledger->stats().queued == 0);

  auto page = f.ledger->query({.table = "error_ledger"});
  REQUIRE(page.ok());
  REQUIRE(page->rows.size() == 6);
  CHECK(page->cursor.empty());
  auto newest = parse_json(page->rows[0]);
  REQUIRE(newest.ok());
  CHECK((*newest)["id"].get<std::string>().size() == 16);
  CHECK((*newest)["message"].get<std::string>().size() == kLedgerTextMaxBytes);
  auto second = parse_json(page->rows[1]);
  REQUIRE(second.ok());
  CHECK((*second)["id"] == "e5");
  CHECK((*second)["ts"] == "1970-01-01T00:00:00.005Z");
  CHECK((*second)["status"] == 401);
  CHECK((*second)["message"] == "line \"one\"\nline two");

  auto jobs = f.ledger->query({.table = "job_runs", .equals = {{"job", "prune"}}});
  REQUIRE(jobs.ok());
  REQUIRE(jobs->rows.size() == 1);
  CHECK(jobs->rows[0].find("\"duration_ms\":20") != std::string::npos);
}

TEST_CASE("ledger: a full queue drops the oldest diagnostics and counts them", "[unit][ledger]") {
  LedgerFixture f(3);
  for (int i = 1; i <= 5; i++) f.ledger->record_error(make_error("e" + std::to_string(i), i, "a"));
  CHECK(f.ledger->stats().dropped == 2);
  REQUIRE(f.ledger->drain().ok());
  auto page = f.ledger->query({.table = "error_ledger"});
  REQUIRE(page.ok());
  CHECK(ids(*page) == std::vector<std::string>{"e5", "e4", "e3"});
}

TEST_CASE("ledger: pages follow each other without gap or double, also inside one millisecond",
          "[unit][ledger]") {
  LedgerFixture f;
  std::vector<std::string> expected;
  for (int i = 0; i < 25; i++) {
    f.ledger->record_error(make_error("e" + std::to_string(i), 100 + i / 10, "a"));
    expected.insert(expected.begin(), "e" + std::to_string(i));
  }
  REQUIRE(f.ledger->drain().ok());
  LedgerQuery query{.table = "error_ledger"};
  query.limit = 4;
  std::vector<std::string> seen;
  for (int pages = 0; pages < 10; pages++) {
    auto page = f.ledger->query(query);
    REQUIRE(page.ok());
    for (const std::string& id : ids(*page)) seen.push_back(id);
    // What arrives meanwhile is newer and does not move the pages that follow.
    f.ledger->record_error(make_error("late" + std::to_string(pages), 500, "a"));
    REQUIRE(f.ledger->drain().ok());
    if (page->cursor.empty()) break;
    query.cursor = page->cursor;
  }
  CHECK(seen == expected);
}

TEST_CASE("ledger: filters by column and by time, and refuses what it does not know",
          "[unit][ledger]") {
  LedgerFixture f;
  f.ledger->record_error(make_error("e1", 1000, "acme"));
  f.ledger->record_error(make_error("e2", 2000, "other"));
  f.ledger->record_error(make_error("e3", 3000, "acme"));
  REQUIRE(f.ledger->drain().ok());
  LedgerQuery query{.table = "error_ledger", .equals = {{"tenant", "acme"}, {"status", "401"}}};
  auto page = f.ledger->query(query);
  REQUIRE(page.ok());
  CHECK(ids(*page) == std::vector<std::string>{"e3", "e1"});
  query.equals.clear();
  query.from_ms = 1000;
  query.to_ms = 3000;
  page = f.ledger->query(query);
  REQUIRE(page.ok());
  CHECK(ids(*page) == std::vector<std::string>{"e2", "e1"});

  const auto refusal = [&](const LedgerQuery& bad) {
    const auto result = f.ledger->query(bad);
    CHECK(result.code() == Code::kInvalid);
    return result.status().message();
  };
  CHECK(refusal({.table = "sqlite_schema"}).find("error_ledger") != std::string::npos);
  CHECK(refusal({.table = "error_ledger", .equals = {{"1=1 OR id", "x"}}}).find("tenant") !=
        std::string::npos);
  CHECK(refusal({.table = "error_ledger", .equals = {{"status", "many"}}}).find("status") !=
        std::string::npos);
  CHECK(refusal({.table = "error_ledger", .cursor = "abc"}).find("cursor") != std::string::npos);
  CHECK(refusal({.table = "error_ledger", .limit = 0}).find("1000") != std::string::npos);
  CHECK(refusal({.table = "error_ledger", .limit = 1001}).find("1001") != std::string::npos);
  CHECK(refusal({.table = "usage", .equals = {{"estimated", "maybe"}}}).find("maybe") !=
        std::string::npos);
}

TEST_CASE("ledger: cells of a CSV are quoted, and none is run as a formula", "[unit][ledger]") {
  const auto cell = [](std::string_view text) {
    std::string out;
    append_csv_cell(out, text);
    return out;
  };
  CHECK(cell("plain") == "plain");
  CHECK(cell("a,b") == "\"a,b\"");
  CHECK(cell("say \"hi\"") == "\"say \"\"hi\"\"\"");
  CHECK(cell("two\r\nlines") == "\"two\r\nlines\"");
  CHECK(cell("=SUM(A1)") == "'=SUM(A1)");
  CHECK(cell("@x") == "'@x");
  CHECK(cell("+1,2") == "\"'+1,2\"");
  CHECK(cell("-5.25") == "-5.25");
  CHECK(cell("-") == "'-");
  CHECK(cell("").empty());

  LedgerFixture f;
  f.ledger->record_error(make_error("e1", 1000, "=acme"));
  REQUIRE(f.ledger->drain().ok());
  auto page = f.ledger->query({.table = "error_ledger", .format = RowFormat::kCsv});
  REQUIRE(page.ok());
  REQUIRE(page->rows.size() == 1);
  CHECK(page->rows[0].starts_with("e1,1970-01-01T00:00:01.000Z,,'=acme,"));
  CHECK(page->rows[0].find("\"line \"\"one\"\"\nline two\"") != std::string::npos);
  auto header = Ledger::csv_header("error_ledger");
  REQUIRE(header.ok());
  CHECK(header->starts_with("id,ts,request_id,tenant,"));
  CHECK(Ledger::csv_header("nothing").code() == Code::kInvalid);
}

TEST_CASE("ledger: pruning takes by age, then the oldest beyond the count, in chunks",
          "[unit][ledger]") {
  LedgerFixture f;
  for (int i = 0; i < 3500; i++) {
    f.ledger->record_error(make_error("e" + std::to_string(i), i * 1000, "a"));
  }
  REQUIRE(f.ledger->drain().ok());
  f.clock.set_unix_ms(3'500'000);
  auto removed = f.ledger->prune("error_ledger", 2000, 0);
  REQUIRE(removed.ok());
  CHECK(*removed == 1500);
  CHECK(f.number("SELECT min(ts_ms) FROM error_ledger") == 1'500'000);
  removed = f.ledger->prune("error_ledger", 0, 500);
  REQUIRE(removed.ok());
  CHECK(*removed == 1500);
  CHECK(f.number("SELECT min(ts_ms) FROM error_ledger") == 3'000'000);
  removed = f.ledger->prune("error_ledger", 100, 490);
  REQUIRE(removed.ok());
  CHECK(*removed == 400);
  CHECK(*f.ledger->prune("error_ledger", 0, 0) == 0);
  CHECK(f.ledger->prune("customers", 1, 1).code() == Code::kInvalid);
}

TEST_CASE("ledger: a decision moves on once and remembers who decided", "[unit][ledger]") {
  LedgerFixture f;
  DecisionRecord record;
  record.id = "d1";
  record.kind = "autoresearch";
  record.subject = "slack fails";
  record.evidence_json = "{\"count\":12}";
  const auto insert = [&] {
    return f.ledger->write([&](Database& db) { return insert_decision(db, record); });
  };
  REQUIRE(insert().ok());
  REQUIRE(insert().ok());
  CHECK(f.number("SELECT count(*) FROM decision_log") == 1);
  const auto move_to = [&](const char* id, const char* status) {
    return f.ledger->write([&](Database& db) { return decide(db, id, status, "adminkey:k1", 77); });
  };
  CHECK(move_to("d9", "accepted").code() == Code::kNotFound);
  CHECK(move_to("d1", "accepted").ok());
  CHECK(move_to("d1", "accepted").ok());
  CHECK(move_to("d1", "applied").ok());
  const Status back = move_to("d1", "rejected");
  CHECK(back.code() == Code::kConflict);
  CHECK(back.message() == "Decision d1 is applied and cannot become rejected.");
  CHECK(move_to("d1", "proposed").code() == Code::kConflict);
  auto page = f.ledger->query({.table = "decision_log", .equals = {{"status", "applied"}}});
  REQUIRE(page.ok());
  REQUIRE(page->rows.size() == 1);
  auto json = parse_json(page->rows[0]);
  REQUIRE(json.ok());
  CHECK((*json)["evidence"]["count"] == 12);
  CHECK((*json)["decided_by"] == "adminkey:k1");
  CHECK((*json)["decided_at"] == "1970-01-01T00:00:00.077Z");
}

TEST_CASE("ledger: an alert keeps the log of its delivery", "[unit][ledger]") {
  LedgerFixture f;
  AlertRecord record;
  record.id = "a1";
  record.event = "budget.80";
  record.channel = "slack";
  record.next_attempt_ms = 5;
  REQUIRE(f.ledger->write([&](Database& db) { return insert_alert(db, record); }).ok());
  REQUIRE(f.ledger
              ->write([&](Database& db) {
                return update_alert(db, "a1", "failed", 3, std::nullopt, "410 Gone");
              })
              .ok());
  CHECK(f.ledger
            ->write(
                [&](Database& db) { return update_alert(db, "a2", "failed", 3, std::nullopt, ""); })
            .code() == Code::kNotFound);
  CHECK(
      f.ledger
          ->write([&](Database& db) { return update_alert(db, "a1", "lost", 3, std::nullopt, ""); })
          .code() == Code::kConflict);
  auto page = f.ledger->query({.table = "alert_log", .equals = {{"event", "budget.80"}}});
  REQUIRE(page.ok());
  REQUIRE(page->rows.size() == 1);
  CHECK(page->rows[0].find("\"error\":\"410 Gone\"") != std::string::npos);
  CHECK(page->rows[0].find("\"next_attempt_at\":null") != std::string::npos);
}

TEST_CASE("ledger: usage rides in the outbox and is counted once, by row and by day",
          "[unit][ledger]") {
  LedgerFixture f;
  f.ledger->add_group_sink("usage", usage_sink);
  const int64_t noon = 1'767'268'800'000;  // 2026-01-01T12:00:00Z
  UsageRecord failed = make_usage("r2", noon + 1);
  failed.status = 502;
  failed.tokens.estimated = true;
  f.kv.put_outbox("usage", "r1", noon, usage_json(make_usage("r1", noon)));
  f.kv.put_outbox("usage", "r2", noon, usage_json(failed));
  // The same request again, as after a crash whose trace was lost.
  f.kv.put_outbox("usage", "again", noon, usage_json(make_usage("r1", noon)));
  f.kv.put_outbox("usage", "bad", noon, "{\"request_id\":\"r3\",\"status\":-1}");
  REQUIRE(f.ledger->drain().ok());
  CHECK(f.ledger->stats().dead == 1);
  auto page = f.ledger->query({.table = "usage", .equals = {{"model", "gpt-4o-mini"}}});
  REQUIRE(page.ok());
  REQUIRE(page->rows.size() == 2);
  auto json = parse_json(page->rows[1]);
  REQUIRE(json.ok());
  CHECK((*json)["request_id"] == "r1");
  CHECK((*json)["user_id"] == "7c9e6679-7425-40de-944b-e07fc1f90ae7");
  CHECK((*json)["cache_read_tokens"] == 800);
  CHECK(page->rows[1].find("\"cost_usd\":0.001234567") != std::string::npos);
  CHECK((*json)["estimated"] == false);
  CHECK(f.ledger->query({.table = "usage", .equals = {{"estimated", "true"}}})->rows.size() == 1);
  CHECK(f.ledger->query({.table = "usage", .equals = {{"model", "unheard-of"}}})->rows.empty());
  CHECK(f.number("SELECT requests FROM usage_daily WHERE day='2026-01-01'") == 2);
  CHECK(f.number("SELECT failures FROM usage_daily") == 1);
  CHECK(f.number("SELECT input_tokens FROM usage_daily") == 4000);
  CHECK(f.number("SELECT cost_nano_usd FROM usage_daily") == 2 * 1'234'567);
}

TEST_CASE("ledger: a usage row takes under 200 bytes with its indexes", "[unit][ledger]") {
  LedgerFixture f;
  constexpr int kRows = 100'000;
  REQUIRE(f.ledger
              ->write([](Database& db) -> Status {
                std::vector<OutboxRecord> records;
                for (int i = 0; i < kRows; i++) {
                  // Request ids are random; multiplying by an odd number scatters them alike.
                  char id[17];
                  snprintf(id, sizeof id, "%016llx", (i + 1) * 0x9e3779b97f4a7c15ull);
                  UsageRecord row = make_usage(id, 1'767'268'800'000 + i * 86);
                  row.user_id += std::to_string(i % 200);
                  row.key_id += std::to_string(i % 400);
                  row.model += std::to_string(i % 20);
                  records.push_back({id, row.ts_ms, "usage", usage_json(row)});
                }
                return usage_sink(db, records);
              })
              .ok());
  REQUIRE(f.writer->run_alone([](Database& db) { return db.checkpoint(); }).ok());
  const auto size = std::filesystem::file_size(f.dir.file("ledger.db"));
  INFO(size / kRows << " bytes a row");
  CHECK(size / kRows < 200);
}

TEST_CASE("ledger: ranges and tries reach SQL by the table of columns alone", "[unit][ledger]") {
  LedgerFixture f;
  const auto refused = [&](LedgerQuery query) {
    const Status status = f.ledger->query(query).status();
    CHECK(status.code() == Code::kInvalid);
    return status.message();
  };
  const auto within = [](const std::string& table, const std::string& column, size_t ranges = 1) {
    LedgerQuery query;
    query.table = table;
    query.within = {{column, std::vector<std::pair<int64_t, int64_t>>(ranges, {0, 1})}};
    return query;
  };
  CHECK(f.ledger->query(within("usage", "cost_usd")).ok());
  CHECK(f.ledger->query(within("usage", "status", 8)).ok());
  for (const char* column : {"model", "ts", "grace", "cost_nano_usd", "1=1) OR (1", ""}) {
    CHECK(refused(within("usage", column)).find("no such range of usage") != std::string::npos);
  }
  CHECK_FALSE(refused(within("usage", "status", 0)).empty());
  CHECK_FALSE(refused(within("usage", "status", 9)).empty());
  CHECK_FALSE(refused(within("job_runs", "status")).empty());
  LedgerQuery tries;
  tries.table = "body_log";
  tries.tries_of = "r1";
  CHECK(refused(tries) == "body_log has no tries of a request");
}

TEST_CASE("usage: the id of a row says of which request and of which try it is", "[unit][ledger]") {
  const auto request_of = [](const std::string& id, int64_t attempt) {
    UsageRecord record;
    record.request_id = id;
    record.attempt = attempt;
    return std::string(usage_request_id(record)) + (is_last_try(record) ? " last" : " before");
  };
  CHECK(usage_row_id("r", 12) == "r.12");
  CHECK(request_of("r", 0) == "r last");
  CHECK(request_of("r", 3) == "r last");
  CHECK(request_of("r.1", 1) == "r before");
  CHECK(request_of("r.12", 12) == "r before");
  CHECK(request_of("r.12", 2) == "r.12 last");
  CHECK(request_of("r.1", 0) == "r.1 last");
}
