// Money: decimals become integers exactly or not at all.
#include "base/money.h"

#include <catch2/catch.hpp>

using namespace kvcs;

TEST_CASE("money: decimal text becomes integer units exactly", "[unit]") {
  CHECK(*parse_nano_usd("12.50", "x") == 12'500'000'000);
  CHECK(*parse_nano_usd("0", "x") == 0);
  CHECK(*parse_nano_usd("0.000000001", "x") == 1);
  CHECK(*parse_pico_usd("5.46875e-07", "x") == 546'875);
  CHECK(*parse_pico_usd("1.7e-08", "x") == 17'000);
  CHECK(*parse_nano_usd("1e3", "x") == 1'000'000'000'000);
}

TEST_CASE("money: what cannot be held exactly is refused", "[unit]") {
  for (const char* text : {"", "-1", "1e-10", "0.0000000001", "abc", "1.2.3", "1e",
                           "99999999999999", "NaN", "inf", "1e999", "0x10", " 1"}) {
    INFO(text);
    CHECK(parse_nano_usd(text, "limit").code() == Code::kInvalid);
  }
}

TEST_CASE("money: printed with the decimals that it has", "[unit]") {
  CHECK(format_usd(12'500'000'000) == "12.50");
  CHECK(format_usd(1) == "0.000000001");
  CHECK(format_usd(-5'000'000) == "-0.005");
  CHECK(format_usd_fixed(1'999'950'000, 4) == "2.0000");
  CHECK(format_usd_fixed(1'999'949'999, 4) == "1.9999");
  CHECK(format_usd_fixed(-1'999'950'000, 4) == "-2.0000");
  CHECK(format_usd_fixed(7, 9) == "0.000000007");
  CHECK(format_usd_fixed(INT64_MAX, 4) == "9223372036.8548");
  CHECK(format_usd_fixed(INT64_MIN + 1, 4) == "-9223372036.8548");
  CHECK(format_pico_usd(150'000) == "0.00000015");
  CHECK(pico_to_nano_ceil(1) == 1);
  CHECK(pico_to_nano_ceil(2000) == 2);
}

TEST_CASE("money: a month is projected by what has passed of it", "[unit]") {
  constexpr int64_t kDayMs = 86'400'000;
  constexpr int64_t kFebruaryMs = 1'769'904'000'000;  // 2026-02-01T00:00:00Z; 28 days.
  CHECK(project_month(7'000, kFebruaryMs + 7 * kDayMs) == 28'000);
  CHECK(project_month(28'000, kFebruaryMs + 28 * kDayMs - 1) == 28'000);
  CHECK(project_month(0, kFebruaryMs + 3 * kDayMs) == 0);
  CHECK(project_month(1'000, kFebruaryMs + kDayMs) == 28'000);
  CHECK(project_month(1'000, kFebruaryMs + kDayMs - 1) == std::nullopt);
  CHECK(project_month(1'000, kFebruaryMs) == std::nullopt);
  CHECK(project_month(INT64_MAX, kFebruaryMs + 7 * kDayMs) == std::nullopt);
  constexpr int64_t kDecemberMs = 1'796'083'200'000;  // 2026-12-01T00:00:00Z
  CHECK(project_month(10, kDecemberMs + 10 * kDayMs) == 31);
}
