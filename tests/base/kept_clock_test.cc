// The two readings of a clock that leaps, by hand: in one life of the daemon and over its restarts.
#include "base/kept_clock.h"

#include <catch2/catch.hpp>

using namespace kvcs;

namespace {

constexpr int64_t kStartMs = 1'800'000'000'000, kHourMs = 3'600'000, kDayMs = 24 * kHourMs;
constexpr int64_t kYearsMs = 20 * 365 * kDayMs;

// A wall clock that leaps while the monotonic one goes on.
struct Leaping {
  ManualClock wall{kStartMs};
  void leap(int64_t ms) { wall.set_unix_ms(wall.unix_ms() + ms); }
};

// A day is lived hour by hour, as the daemon looks at the clock again and again.
void live(KeptClock& clock, ManualClock& wall, int64_t ms) {
  for (int64_t lived = 0; lived < ms; lived += kHourMs) {
    wall.advance_ms(kHourMs);
    clock.look();
  }
}

// As the file has it.
KeptTimes saved(KeptClock& clock) {
  return parse_kept_times(to_json(clock.look())).value();
}

}  // namespace

TEST_CASE("kept clock: a wall clock that goes on is what both readings say", "[unit][base]") {
  Leaping f;
  KeptClock clock(f.wall, "boot", std::nullopt);
  live(clock, f.wall, 30 * kDayMs);
  f.wall.advance_ms(40 * kDayMs);  // Without a look.
  CHECK(clock.steady().unix_ms() == f.wall.unix_ms());
  CHECK(clock.latest().unix_ms() == f.wall.unix_ms());
  CHECK(clock.latest().mono_us() == f.wall.mono_us());
}

TEST_CASE("kept clock: a leap ahead does not move the steady reading for a week", "[unit][base]") {
  for (const int64_t leap_ms : {2 * kDayMs, kYearsMs}) {
    Leaping f;
    KeptClock clock(f.wall, "boot", std::nullopt);
    f.leap(leap_ms);
    CHECK(clock.steady().unix_ms() == kStartMs);
    live(clock, f.wall, 6 * kDayMs);
    CHECK(clock.steady().unix_ms() == kStartMs + 6 * kDayMs);
    live(clock, f.wall, 2 * kDayMs);
    CHECK(clock.steady().unix_ms() == f.wall.unix_ms());
  }
}

TEST_CASE("kept clock: a wait for the truth begins anew with each leap", "[unit][base]") {
  Leaping f;
  KeptClock clock(f.wall, "boot", std::nullopt);
  f.leap(kYearsMs);
  live(clock, f.wall, 6 * kDayMs);
  f.leap(kDayMs);
  live(clock, f.wall, 2 * kDayMs);
  CHECK(clock.steady().unix_ms() == kStartMs + 8 * kDayMs);
  f.leap(-kDayMs - kYearsMs);
  live(clock, f.wall, kHourMs);
  CHECK(clock.steady().unix_ms() == f.wall.unix_ms());
}

TEST_CASE("kept clock: the latest reading never goes back, and runs on meanwhile", "[unit][base]") {
  Leaping f;
  KeptClock clock(f.wall, "boot", std::nullopt);
  f.leap(2 * kHourMs);
  CHECK(clock.latest().unix_ms() == kStartMs + 2 * kHourMs);  // Asked; nobody has looked.
  f.leap(-3 * kHourMs);
  CHECK(clock.latest().unix_ms() == kStartMs + 2 * kHourMs);
  f.wall.advance_ms(5 * kHourMs);
  CHECK(clock.latest().unix_ms() == kStartMs + 5 * kHourMs);
}

TEST_CASE("kept clock: one wrong second of years does not end what has an end", "[unit][base]") {
  Leaping f;
  KeptClock clock(f.wall, "boot", std::nullopt);
  f.leap(kYearsMs);
  CHECK(clock.latest().unix_ms() == kStartMs + kYearsMs);  // While it says so.
  clock.look();
  f.leap(-kYearsMs);
  CHECK(clock.latest().unix_ms() == kStartMs);
  // A clock that has said so for a week is believed.
  f.leap(kYearsMs);
  live(clock, f.wall, 8 * kDayMs);
  f.leap(-kYearsMs);
  CHECK(clock.latest().unix_ms() == kStartMs + 8 * kDayMs + kYearsMs);
}

TEST_CASE("kept clock: a restart knows the times of the life before", "[unit][base]") {
  Leaping f;
  KeptTimes times;
  {
    KeptClock before(f.wall, "boot", std::nullopt);
    f.leap(2 * kHourMs);
    CHECK(before.latest().unix_ms() == kStartMs + 2 * kHourMs);
    f.leap(-2 * kHourMs);
    times = saved(before);
  }
  SECTION("in the same boot, by the monotonic clock") {
    f.wall.advance_ms(kHourMs);
    f.leap(3 * kDayMs);
    KeptClock after(f.wall, "boot", times);
    CHECK(after.steady().unix_ms() == kStartMs + kHourMs);
  }
  SECTION("in another boot, by a wall clock that may be right") {
    f.leap(3 * kDayMs);
    KeptClock after(f.wall, "another", times);
    CHECK(after.steady().unix_ms() == kStartMs + 3 * kDayMs);
    CHECK(after.latest().unix_ms() == kStartMs + 3 * kDayMs);
  }
  SECTION("in another boot, not by a wall clock that leapt") {
    f.leap(kYearsMs);
    KeptClock after(f.wall, "another", times);
    CHECK(after.steady().unix_ms() == kStartMs);
    f.leap(-2 * kYearsMs);
    CHECK(after.steady().unix_ms() == kStartMs);
    CHECK(after.latest().unix_ms() == kStartMs + 2 * kHourMs);
  }
  SECTION("set back while nobody looked") {
    f.leap(-kYearsMs);
    KeptClock after(f.wall, "another", times);
    CHECK(after.latest().unix_ms() == kStartMs + 2 * kHourMs);
  }
}

TEST_CASE("kept clock: a file that is none is told", "[unit][base]") {
  for (const char* text : {"", "{}", "[1]", R"({"boot_id":"b","mono_us":-1,"steady_ms":0,
       "latest_ms":0,"apart_ms":0,"apart_since_ms":0})"}) {
    CHECK_FALSE(parse_kept_times(text).ok());
  }
}
