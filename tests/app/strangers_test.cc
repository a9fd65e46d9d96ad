// Goal: callers without a good token leave no more rows a day than are allowed, however often the
// daemon starts. Method: the whole daemon on a clock of the test's, with rows of before.
#include "db/db.h"
#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr int64_t kNoonMs = 1'769'947'200'000;  // 2026-02-01T12:00:00Z
constexpr int64_t kRowsPerDay = 1000;

int64_t rows_of_strangers(TestApp& app) {
  REQUIRE(app.parts().ledger->drain().ok());
  return app.parts().ledger->count_errors("sign_in", 0, 1'000'000).value();
}

void add_rows(TestApp& app, int64_t unix_ms, int64_t count) {
  REQUIRE(app.parts()
              .ledger
              ->write([&](Database& db) {
                return db.execute(
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
                    std::to_string(count) +
                    ") INSERT INTO error_ledger (id, ts_ms, request_id, tenant, provider, "
                    "account_id, action, method, path, code, message, status, upstream_status, "
                    "latency_ms, ip_hash) SELECT 'r' || i || '-" +
                    std::to_string(unix_ms) + "', " + std::to_string(unix_ms) +
                    ", '', '', '', '', 'sign_in', '', '', '', '', 401, 0, 0, '' FROM n");
              })
              .ok());
}

int refused(TestApp& app) {
  return app.as("kt_nobody", "POST", "/api/v1/acme/mock", "{}").status;
}

}  // namespace

TEST_CASE("strangers: their rows of a day are counted across a restart", "[integration][app]") {
  ManualClock clock(kNoonMs);
  AppOptions options;
  options.clock = &clock;
  TestApp app(options);
  CHECK(refused(app) == 401);
  CHECK(rows_of_strangers(app) == 1);
  // Of yesterday, so that they do not count, and of today but for one.
  add_rows(app, kNoonMs - 13 * 3'600'000, 50);
  add_rows(app, kNoonMs - 3'600'000, kRowsPerDay - 2);
  app.restart();
  CHECK(rows_of_strangers(app) == kRowsPerDay + 49);
  for (int start = 0; start < 3; start++) {
    clock.advance_ms(60'000);
    CHECK(refused(app) == 401);
    CHECK(rows_of_strangers(app) == kRowsPerDay + 50);
    app.restart();
  }
  clock.advance_ms(86'400'000);
  CHECK(refused(app) == 401);
  CHECK(rows_of_strangers(app) == kRowsPerDay + 51);
}
