// Goal: an expression means what crontab(5) says, and a wrong one is refused with its field.
// Method: tables of (expression, from, next); a slow reading of the same rules checks a sweep.
#include <catch2/catch.hpp>

#include <algorithm>
#include <ctime>
#include <string>

#include "ops/cron.h"

using namespace kvcs;

namespace {

int64_t ms(const char* iso) {
  return *parse_iso8601_ms(iso);
}

std::string next(const char* expression, const char* from) {
  const auto parsed = CronExpression::parse(expression);
  INFO(expression);
  REQUIRE(parsed.ok());
  const int64_t found = parsed->next_after_ms(ms(from));
  return found < 0 ? "never" : format_iso8601_s(found);
}

}  // namespace

TEST_CASE("cron expression: the next time of each form", "[unit][ops][cron]") {
  struct Row {
    const char *expression, *from, *next;
  };
  const Row rows[] = {
      {"* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"},
      {"* * * * *", "2026-01-01T00:00:59.999Z", "2026-01-01T00:01:00Z"},
      {"*/15 * * * *", "2026-01-01T00:46:00Z", "2026-01-01T01:00:00Z"},
      {"*/7 * * * *", "2026-01-01T00:56:00Z", "2026-01-01T01:00:00Z"},
      {"5-59/10 * * * *", "2026-01-01T00:06:00Z", "2026-01-01T00:15:00Z"},
      {"1,2,40 * * * *", "2026-01-01T00:02:00Z", "2026-01-01T00:40:00Z"},
      {"0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"},
      {"30 8-10/2 * * *", "2026-01-01T08:30:00Z", "2026-01-01T10:30:00Z"},
      {"30 8-10/2 * * *", "2026-01-01T10:30:00Z", "2026-01-02T08:30:00Z"},
      {"59 23 31 12 *", "2025-12-31T23:59:00Z", "2026-12-31T23:59:00Z"},
      {"0 0 1 * *", "2026-01-31T12:00:00Z", "2026-02-01T00:00:00Z"},
      {"0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"},
      {"0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
      {"0 0 29 2 *", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"},
      {"0 0 * FEB Sun", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"},
      {"0 0 * jan,jul mon-fri", "2026-01-30T00:00:00Z", "2026-07-01T00:00:00Z"},
      {"0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"},
      {"0 0 * * 0", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"},
      {"0 0 * * 5-7", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"},
      {"\t0  0 1 1 * ", "2026-06-01T00:00:00Z", "2027-01-01T00:00:00Z"},
      {"0 0 1 1 *", "1969-06-01T00:00:00Z", "1970-01-01T00:00:00Z"},
  };
  for (const auto& row : rows) {
    INFO(row.expression << " after " << row.from);
    CHECK(next(row.expression, row.from) == row.next);
  }
}

TEST_CASE("cron expression: two restricted day fields mean either", "[unit][ops][cron]") {
  // 2026-01-01 is a Thursday; the 13th a Tuesday.
  CHECK(next("0 0 13 * fri", "2026-01-01T00:00:00Z") == "2026-01-02T00:00:00Z");
  CHECK(next("0 0 13 * fri", "2026-01-09T00:00:00Z") == "2026-01-13T00:00:00Z");
  // A field that starts with '*' restricts nothing by itself, so both must fit.
  CHECK(next("0 0 */2 * fri", "2026-01-01T00:00:00Z") == "2026-01-09T00:00:00Z");
  CHECK(next("0 0 13 * *", "2026-01-01T00:00:00Z") == "2026-01-13T00:00:00Z");
}

TEST_CASE("cron expression: it agrees with a minute-by-minute search", "[unit][ops][cron]") {
  const auto parsed = CronExpression::parse("13,47 */5 1-7,28-31 2,3,12 mon");
  REQUIRE(parsed.ok());
  int64_t expected = ms("2027-12-20T00:00:00Z");
  int64_t found = expected;
  for (int hit = 0; hit < 60; ++hit) {
    for (;;) {
      expected += 60'000;
      const std::time_t seconds = expected / 1000;
      std::tm t{};
      gmtime_r(&seconds, &t);
      const bool day = t.tm_mday <= 7 || t.tm_mday >= 28 || t.tm_wday == 1;
      const bool month = t.tm_mon == 1 || t.tm_mon == 2 || t.tm_mon == 11;
      if ((t.tm_min == 13 || t.tm_min == 47) && t.tm_hour % 5 == 0 && day && month) break;
    }
    found = parsed->next_after_ms(found);
    REQUIRE(format_iso8601_s(found) == format_iso8601_s(expected));
  }
}

TEST_CASE("cron expression: what is wrong is named by its field", "[unit][ops][cron]") {
  struct Row {
    const char *expression, *says;
  };
  const Row rows[] = {
      {"", "0 fields"},
      {"* * * *", "4 fields"},
      {"* * * * * *", "6 fields"},
      {"@daily", "1 fields"},
      {"60 * * * *", "minute '60': out of range"},
      {"* 24 * * *", "hour '24'"},
      {"* * 0 * *", "day-of-month '0'"},
      {"* * 32 * *", "day-of-month '32'"},
      {"* * * 13 *", "month '13'"},
      {"* * * foo *", "month 'foo'"},
      {"* * * january *", "month 'january'"},
      {"* * * * 8", "day-of-week '8'"},
      {"* * * * jan", "day-of-week 'jan'"},
      {"-1 * * * *", "minute '-1'"},
      {"+1 * * * *", "minute '+1'"},
      {"1.5 * * * *", "minute '1.5'"},
      {"1,,2 * * * *", "minute '1,,2'"},
      {", * * * *", "minute ','"},
      {"30-10 * * * *", "the range ends before it begins"},
      {"* * * * fri-sun", "the range ends before it begins"},
      {"*/0 * * * *", "the step is out of range"},
      {"*/60 * * * *", "the step is out of range"},
      {"5/10 * * * *", "a step needs a range"},
      {"*/ * * * *", "minute '*/'"},
      {"1- * * * *", "minute '1-'"},
      {"99999999999 * * * *", "minute"},
      {"0 0 31 2 *", "matches no day"},
      {"0 0 31 4,6,9,11 *", "matches no day"},
      {"\x1b[31m * * * *", "minute '\\x1b[31m'"},
  };
  for (const auto& row : rows) {
    INFO(row.expression);
    const auto parsed = CronExpression::parse(row.expression);
    REQUIRE(parsed.code() == Code::kInvalid);
    CHECK_THAT(parsed.status().message(), Catch::Contains(row.says));
  }
  CHECK_FALSE(CronExpression::parse(std::string(1000, '1') + " * * * *").ok());
}
