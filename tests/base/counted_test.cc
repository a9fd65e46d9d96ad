// Goal: one of a thing is told in the singular. Method: counts at the edge of the rule.
#include "base/counted.h"

#include <catch2/catch.hpp>

using namespace kvcs;

TEST_CASE("counted: one has the noun as it is, and every other count an s", "[unit][base]") {
  CHECK(counted(0, "artifact") == "0 artifacts");
  CHECK(counted(1, "artifact") == "1 artifact");
  CHECK(counted(21, "day") == "21 days");
}

TEST_CASE("counted: sizes of refusals are exact", "[unit][base]") {
  CHECK(format_exact_bytes(1) == "1 byte");
  CHECK(format_exact_bytes(1023) == "1023 bytes");
  CHECK(format_exact_bytes(100001) == "97.66 KiB (100001 bytes)");
}
