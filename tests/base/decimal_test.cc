// Goal: numbers become text and back the same way whatever the locale.
#include "base/decimal.h"

#include <catch2/catch.hpp>

#include <cmath>

using namespace kvcs;

TEST_CASE("decimal: numbers are text without a locale, and back", "[unit][base]") {
  CHECK(format_decimal(1.005, 2) == "1.00");
  CHECK(format_decimal(-0.5, 0) == "-0");
  CHECK(format_decimal(INFINITY, 3) == "inf");
  CHECK(format_decimal(NAN, 3) == "nan");
  CHECK(format_shortest(3.9) == "3.9");
  CHECK(format_shortest(2) == "2.0");
  CHECK(format_shortest(1e300) == "1e+300");
  CHECK(*parse_decimal("-1.5e3", "x") == -1500);
  for (const char* bad : {"", "1,5", "1.5 ", "0x10", "inf", "nan", "1e999"}) {
    INFO(bad);
    CHECK(parse_decimal(bad, "x").status().message().find("x: '") == 0);
  }
}
