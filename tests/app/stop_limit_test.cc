// Goal: a stop that hangs is cut off, and one that does not is left alone. Method: limits of some
// milliseconds, and a function that notes that it was called.
#include "app/stop_limit.h"

#include <catch2/catch.hpp>

#include <atomic>

#include "support/wait.h"

using namespace kvcs;

TEST_CASE("stop limit: what lasts too long is cut off, once", "[unit][app]") {
  std::atomic<int> cut_off = 0;
  {
    const StopLimit limit(20, [&] { cut_off++; });
    CHECK(test::comes_true([&] { return cut_off == 1; }));
  }
  CHECK(cut_off == 1);
}

TEST_CASE("stop limit: a stop in time is not", "[unit][app]") {
  std::atomic<int> cut_off = 0;
  {
    const StopLimit limit(60'000, [&] { cut_off++; });
  }
  CHECK(cut_off == 0);
}
