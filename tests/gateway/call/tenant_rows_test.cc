// Goal: what the failed calls of one tenant write is bounded by minutes and days, whatever it does,
// and nothing is lost to the count or taken from other tenants. Method: failures at chosen times.
#include "gateway/call/tenant_rows.h"

#include <catch2/catch.hpp>

using namespace kvcs::gateway;

namespace {

constexpr int64_t kDayMs = 86'400'000, kMinuteMs = 60'000;

}  // namespace

TEST_CASE("tenant rows: a hundred a minute, and then the count of the rest", "[unit][gateway]") {
  TenantRows rows(100'000);
  int64_t listed = 0;
  std::string last;
  for (int i = 0; i < 5000; i++) {
    const auto besides = rows.note("acme", kDayMs + i);
    if (!besides) continue;
    listed++;
    last = *besides;
  }
  CHECK(listed == kTenantRowsPerMinute);
  CHECK(last.find("the last row of this tenant in this minute") != std::string::npos);
  // Another tenant has rows of its own.
  CHECK(rows.note("globex", kDayMs + 5000) == "");
  const auto next = rows.note("acme", kDayMs + kMinuteMs);
  REQUIRE(next.has_value());
  CHECK(next->find(" 4900 more calls failed") != std::string::npos);
  CHECK(rows.note("acme", kDayMs + kMinuteMs) == "");
}

TEST_CASE("tenant rows: a day has so many, and the next one begins anew", "[unit][gateway]") {
  TenantRows rows(150);
  int64_t listed = 0;
  std::string last;
  for (int64_t minute = 0; minute < 10; minute++) {
    for (int i = 0; i < 100; i++) {
      const auto besides = rows.note("acme", kDayMs + minute * kMinuteMs);
      if (!besides) continue;
      listed++;
      last = *besides;
    }
  }
  CHECK(listed == 150);
  CHECK(last.find("the last row of this tenant on this day") != std::string::npos);
  CHECK(rows.note("acme", 2 * kDayMs)->find(" 850 more") != std::string::npos);
}
