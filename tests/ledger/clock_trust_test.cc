// Goal: what is removed for its age waits when the clock has leapt, and goes on by itself. Method:
// looks at a clock of our own, over a ledger on disk.
#include "ledger/clock_trust.h"

#include <catch2/catch.hpp>

#include "ledger/ledger_fixture.h"

using namespace kvcs;

namespace {

constexpr int64_t kDayMs = 86'400'000;

struct Looks : test::LedgerFixture {
  const int64_t start_ms = clock.unix_ms();
  ClockTrust at_day(double day) {
    const auto trust =
        look_at_clock(*ledger, start_ms + static_cast<int64_t>(day * static_cast<double>(kDayMs)));
    REQUIRE(trust.ok());
    return *trust;
  }
  bool holds(double day) { return at_day(day).held_until_ms != 0; }
};

}  // namespace

TEST_CASE("clock trust: a clock that goes on is believed, across a stop of a week too",
          "[unit][ledger]") {
  Looks f;
  for (const double day : {0.0, 0.01, 1.0, 7.0, 14.0, 13.0, 14.1, 21.0}) {
    INFO(day);
    CHECK_FALSE(f.holds(day));
  }
}

TEST_CASE("clock trust: after a leap nothing is too old for a week", "[unit][ledger]") {
  Looks f;
  CHECK_FALSE(f.holds(0));
  const ClockTrust leapt = f.at_day(3650);
  CHECK(leapt.begins);
  CHECK(leapt.believed_ms == f.start_ms);
  CHECK(leapt.held_until_ms == f.start_ms + 3657 * kDayMs);
  for (const double day : {3650.01, 3651.0, 3656.9}) {
    INFO(day);
    const ClockTrust trust = f.at_day(day);
    CHECK(trust.held_until_ms == leapt.held_until_ms);
    CHECK_FALSE(trust.begins);
  }
  CHECK_FALSE(f.holds(3657));
  CHECK_FALSE(f.holds(3658));
}

TEST_CASE("clock trust: a clock that was set right is believed at once, and the next leap held",
          "[unit][ledger]") {
  Looks f;
  CHECK_FALSE(f.holds(0));
  CHECK(f.holds(3650));
  CHECK_FALSE(f.holds(1));
  CHECK(f.at_day(3660).begins);
  // Leap upon leap is no waiting.
  CHECK(f.at_day(3670).begins);
  CHECK(f.holds(3676));
  CHECK_FALSE(f.holds(3677));
  // A machine that starts in 1970 and is set later has not leapt.
  CHECK_FALSE(f.holds(-20'000));
  CHECK_FALSE(f.holds(3678));
}
