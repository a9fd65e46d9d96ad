// Goal: systemd is asked for more time for as long as a start lasts, and no longer than is
// sensible. Method: intervals of a millisecond, and a function that notes what it was given.
#include "app/start_notice.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <string>

#include "support/wait.h"

using namespace kvcs;

TEST_CASE("start notice: it is sent again and again until the start is over", "[unit][app]") {
  std::atomic<int> sent = 0, wrong = 0;
  {
    const StartNotice notice(
        [&](const char* text) {
          if (std::string(text) != "EXTEND_TIMEOUT_USEC=30001000") wrong++;
          sent++;
        },
        1);
    CHECK(test::comes_true([&] { return sent >= 3; }));
  }
  const int before = sent;
  CHECK_FALSE(test::comes_true([&] { return sent > before; }, 20));
  CHECK(wrong == 0);
}

TEST_CASE("start notice: a start that hangs is given up", "[unit][app]") {
  std::atomic<int> sent = 0;
  const StartNotice notice([&](const char*) { sent++; }, 1, 30);
  CHECK(test::comes_true([&] {
    const int before = sent;
    return before > 0 && !test::comes_true([&] { return sent > before; }, 50);
  }));
}
