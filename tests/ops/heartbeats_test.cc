// Goal: a loop that stays at one piece of work is found after the limit, not before, and nothing
// else is. Method: loops beaten by hand and a clock moved by hand.
#include "ops/heartbeats.h"

#include <catch2/catch.hpp>

#include "base/log.h"

using namespace kvcs;

namespace {

using Names = std::vector<std::string>;
constexpr int64_t kLimitMs = 8000;

struct Rig {
  ManualClock clock;
  Heartbeats heartbeats{clock, kLimitMs};
  Heartbeat writer, mover;
  std::string said;

  Rig() {
    heartbeats.add("writer", [this] { return writer.pulse(); });
    heartbeats.add("mover", [this] { return mover.pulse(); });
    log::set_sink([this](std::string_view line) { said += line; });
  }
  ~Rig() { log::set_sink(nullptr); }
  // Looks once a second for so long; what the last look found.
  Names look_for_ms(int64_t ms) {
    Names stuck = heartbeats.look();
    for (int64_t passed = 0; passed < ms; passed += 1000) {
      clock.advance_ms(1000);
      stuck = heartbeats.look();
    }
    return stuck;
  }
  int lines(const std::string& text) const {
    int count = 0;
    for (size_t at = 0; (at = said.find(text, at)) != said.npos; at++) count++;
    return count;
  }
};

}  // namespace

TEST_CASE("heartbeats: a loop is stuck once it was at one piece of work for the limit",
          "[unit][ops]") {
  Rig rig;
  CHECK(rig.look_for_ms(10 * kLimitMs).empty());  // Both wait for work.
  rig.writer.work();
  CHECK(rig.look_for_ms(kLimitMs - 1000).empty());
  CHECK(rig.look_for_ms(1000) == Names{"writer"});
  CHECK(rig.lines("watchdog.stuck") == 1);
  CHECK(rig.said.find("\"threads\":\"writer\"") != std::string::npos);
  rig.mover.work();
  CHECK(rig.look_for_ms(kLimitMs) == Names{"writer", "mover"});
  rig.writer.work();  // The next piece.
  CHECK(rig.look_for_ms(1000) == Names{"mover"});
  rig.mover.rest();
  CHECK(rig.look_for_ms(1000).empty());
  CHECK(rig.lines("watchdog.moving") == 1);
}

TEST_CASE("heartbeats: a loop that goes from one piece of work to the next is not stuck",
          "[unit][ops]") {
  Rig rig;
  for (int i = 0; i < 50; i++) {
    rig.writer.work();
    CHECK(rig.look_for_ms(1000).empty());
  }
}

TEST_CASE("heartbeats: long work has many times the limit, and not for ever", "[unit][ops]") {
  Rig rig;
  rig.writer.long_work();
  CHECK(rig.look_for_ms(Heartbeats::kLongFactor * kLimitMs - 1000).empty());
  CHECK(rig.look_for_ms(1000) == Names{"writer"});
}

TEST_CASE("heartbeats: what waits for another loop rests, and works on afterwards", "[unit][ops]") {
  Rig rig;
  rig.mover.work();
  {
    const Resting resting(rig.mover);
    CHECK(rig.look_for_ms(2 * kLimitMs).empty());
  }
  CHECK(rig.look_for_ms(kLimitMs) == Names{"mover"});
}

TEST_CASE("heartbeats: a process that was stopped as a whole blames no loop", "[unit][ops]") {
  Rig rig;
  rig.writer.work();
  CHECK(rig.heartbeats.look().empty());
  rig.clock.advance_ms(3'600'000);
  CHECK(rig.heartbeats.look().empty());
  rig.clock.advance_ms(3'600'000);
  CHECK(rig.heartbeats.look().empty());
  rig.clock.advance_ms(1000);
  rig.writer.rest();
  CHECK(rig.heartbeats.look().empty());
}

TEST_CASE("heartbeats: the log has one line a minute while a loop is stuck", "[unit][ops]") {
  Rig rig;
  rig.writer.work();
  (void)rig.look_for_ms(kLimitMs + 59'000);
  CHECK(rig.lines("watchdog.stuck") == 1);
  (void)rig.look_for_ms(61'000);
  CHECK(rig.lines("watchdog.stuck") == 3);
}

TEST_CASE("heartbeats: who looks as often as is asked finds a loop in time", "[unit][ops]") {
  for (const int64_t limit_ms : {1000, 30'000, 3'600'000}) {
    ManualClock clock;
    Heartbeats heartbeats(clock, limit_ms);
    Heartbeat loop;
    heartbeats.add("loop", [&] { return loop.pulse(); });
    loop.work();
    (void)heartbeats.look();
    int64_t passed_ms = 0;
    do {
      clock.advance_ms(heartbeats.interval_ms());
      passed_ms += heartbeats.interval_ms();
    } while (heartbeats.look().empty() && passed_ms < 2 * limit_ms);
    CHECK(passed_ms >= limit_ms);
    CHECK(passed_ms < limit_ms + heartbeats.interval_ms());
  }
}
