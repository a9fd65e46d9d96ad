#include "base/clock.h"

#include <catch2/catch.hpp>

#include <ctime>
#include <random>

using namespace kvcs;

TEST_CASE("clock: times print as strftime prints them, and read back", "[unit][base]") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; i++) {
    // The years 0 to 9999.
    const int64_t ms = static_cast<int64_t>(random() % 315'569'520'000'000) - 62'167'219'200'000;
    const std::time_t seconds = ms / 1000 - (ms % 1000 < 0 ? 1 : 0);
    std::tm tm{};
    gmtime_r(&seconds, &tm);
    char text[32];
    REQUIRE(std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm) >= 16);
    // Years before 1000: strftime leaves their zeros out.
    const std::string expected = std::string(19 - std::string(text).size(), '0') + text;
    REQUIRE(format_iso8601_s(ms) == expected + "Z");
    REQUIRE(format_month(ms) == expected.substr(0, 7));
    REQUIRE(format_day(ms) == expected.substr(0, 10));
    REQUIRE(*parse_iso8601_ms(format_iso8601_ms(ms)) == ms);
  }
  CHECK(format_iso8601_ms(0) == "1970-01-01T00:00:00.000Z");
  CHECK(format_iso8601_ms(-1) == "1969-12-31T23:59:59.999Z");
  CHECK(format_iso8601_ms(INT64_MAX) == "9999-12-31T23:59:59.999Z");
  CHECK(format_iso8601_ms(INT64_MIN) == "0000-01-01T00:00:00.000Z");
}
