// Goal: one of a thing is told in the singular. Method: counts at the edge of the rule.
#include "base/counted.h"

#include <catch2/catch.hpp>

using namespace kvcs;

TEST_CASE("counted: one has the noun as it is, and every other count an s", "[unit][base]") {
  CHECK(counted(0, "artifact") == "0 artifacts");
  CHECK(counted(1, "artifact") == "1 artifact");
  CHECK(counted(21, "day") == "21 days");
}
