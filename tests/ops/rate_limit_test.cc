// Goal: a caller gets what was promised per minute, exactly, and no key can fill the memory.
// Method: ManualClock; the arithmetic is checked to the token.
#include "ops/rate_limit.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <string>
#include <vector>

#include "base/thread.h"

using namespace kvcs;

TEST_CASE("rate limit: a full bucket gives its minute's worth at once, then refuses",
          "[unit][ops]") {
  ManualClock clock;
  RateLimiter limiter(clock);
  for (int i = 0; i < 60; ++i) {
    const auto decision = limiter.take("a", 60);
    REQUIRE(decision.allowed);
    CHECK(decision.limit == 60);
    CHECK(decision.remaining == 59 - i);
    CHECK(decision.reset_s == i + 1);
  }
  const auto refused = limiter.take("a", 60);
  CHECK_FALSE(refused.allowed);
  CHECK(refused.remaining == 0);
  CHECK(refused.retry_after_s == 1);
  CHECK(limiter.take("b", 60).allowed);
}

TEST_CASE("rate limit: it refills evenly, and asking often loses nothing", "[unit][ops]") {
  ManualClock clock;
  RateLimiter limiter(clock);
  CHECK(limiter.take("a", 1).allowed);
  for (int i = 0; i < 59'999; ++i) {
    clock.advance_ms(1);
    REQUIRE_FALSE(limiter.take("a", 1).allowed);
  }
  clock.advance_ms(1);
  CHECK(limiter.take("a", 1).allowed);

  CHECK(limiter.take("b", 7, 7).allowed);
  clock.advance_ms(8'571);  // 60 s / 7 = 8.5714… s
  CHECK_FALSE(limiter.take("b", 7).allowed);
  clock.advance_ms(1);
  CHECK(limiter.take("b", 7).allowed);
}

TEST_CASE("rate limit: retry_after_s is when the cost fits", "[unit][ops]") {
  ManualClock clock;
  RateLimiter limiter(clock);
  CHECK(limiter.take("a", 120, 100).allowed);
  const auto refused = limiter.take("a", 120, 50);
  CHECK_FALSE(refused.allowed);
  CHECK(refused.remaining == 20);
  CHECK(refused.retry_after_s == 15);
  clock.advance_ms(14'999);
  CHECK_FALSE(limiter.take("a", 120, 50).allowed);
  clock.advance_ms(1);
  CHECK(limiter.take("a", 120, 50).allowed);
}

TEST_CASE("rate limit: a cost above the limit never fits and takes nothing", "[unit][ops]") {
  ManualClock clock;
  RateLimiter limiter(clock);
  const auto refused = limiter.take("a", 10, 11);
  CHECK_FALSE(refused.allowed);
  CHECK(refused.retry_after_s == 60);
  CHECK(refused.remaining == 10);
}

TEST_CASE("rate limit: zero refuses everything and a negative number nothing", "[unit][ops]") {
  ManualClock clock;
  RateLimiter limiter(clock);
  CHECK_FALSE(limiter.take("a", 0).allowed);
  CHECK(limiter.take("a", 0).retry_after_s == 60);
  for (int i = 0; i < 1000; ++i) REQUIRE(limiter.take("b", -1, 1'000'000).allowed);
  limiter.adjust("b", -1, 5);
  limiter.adjust("a", 0, 5);
  CHECK(limiter.size() == 0);
}

TEST_CASE("rate limit: adjust gives back, and takes below empty, to a bound", "[unit][ops]") {
  ManualClock clock;
  RateLimiter limiter(clock);
  CHECK(limiter.take("a", 60, 60).allowed);
  limiter.adjust("a", 60, -10);
  CHECK(limiter.take("a", 60, 10).allowed);
  limiter.adjust("a", 60, -1'000'000);
  CHECK(limiter.take("a", 60, 0).remaining == 60);

  limiter.adjust("a", 60, 90);
  CHECK(limiter.take("a", 60).retry_after_s == 31);
  for (int i = 0; i < 100; ++i) limiter.adjust("a", 60, 1'000'000'000'000);
  CHECK(limiter.take("a", 60).retry_after_s == 60 * (kRateDebtMinutesMax - 1) + 1);
}

TEST_CASE("rate limit: a changed limit holds from the next request on", "[unit][ops]") {
  ManualClock clock;
  RateLimiter limiter(clock);
  CHECK(limiter.take("a", 10, 10).allowed);
  CHECK_FALSE(limiter.take("a", 10).allowed);
  CHECK(limiter.take("a", 20, 10).allowed);
  CHECK_FALSE(limiter.take("a", 20).allowed);
}

TEST_CASE("rate limit: extreme rates and pauses do not overflow", "[unit][ops]") {
  ManualClock clock;
  RateLimiter limiter(clock);
  constexpr int64_t kHuge = INT64_MAX;
  CHECK(limiter.take("a", kHuge, kHuge).allowed);
  CHECK_FALSE(limiter.take("a", kHuge, 1).allowed);
  limiter.adjust("a", kHuge, kHuge);
  clock.advance_ms(1000LL * 86'400 * 365 * 100);
  CHECK(limiter.take("a", kHuge, kHuge).allowed);
  limiter.adjust("a", kHuge, INT64_MIN);
  CHECK(limiter.take("a", kHuge, kHuge).allowed);
}

TEST_CASE("rate limit: of too many keys the one idle longest goes first", "[unit][ops]") {
  ManualClock clock;
  RateLimiter limiter(clock, 3);
  CHECK(limiter.take("a", 1).allowed);
  CHECK(limiter.take("b", 1).allowed);
  CHECK(limiter.take("c", 1).allowed);
  CHECK_FALSE(limiter.take("a", 1).allowed);
  CHECK(limiter.take("d", 1).allowed);  // b goes.
  CHECK(limiter.size() == 3);
  CHECK_FALSE(limiter.take("a", 1).allowed);
  CHECK_FALSE(limiter.take("c", 1).allowed);

  RateLimiter many(clock, 1000);
  for (int i = 0; i < 20'000; ++i) many.take("key-" + std::to_string(i), 10);
  CHECK(many.size() <= 1000);
}

TEST_CASE("rate limit: many threads together get the limit and not one more", "[unit][ops]") {
  ManualClock clock;
  RateLimiter limiter(clock);
  std::atomic<int> allowed{0};
  {
    std::vector<Thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back("take", [&, t] {
        for (int i = 0; i < 1000; ++i) {
          if (limiter.take("shared", 1500).allowed) ++allowed;
          limiter.take("own-" + std::to_string(t * 1000 + i), 5);
        }
      });
    }
  }
  CHECK(allowed == 1500);
}

TEST_CASE("rate limit: an hour's worth comes back over the hour", "[unit][ops]") {
  ManualClock clock;
  RateLimiter limiter(clock);
  for (int i = 0; i < 4; ++i) REQUIRE(limiter.take_hourly("a", 4).allowed);
  const auto refused = limiter.take_hourly("a", 4);
  CHECK_FALSE(refused.allowed);
  CHECK(refused.retry_after_s == 900);
  clock.advance_ms(899'999);
  CHECK_FALSE(limiter.take_hourly("a", 4).allowed);
  clock.advance_ms(1);
  CHECK(limiter.take_hourly("a", 4).allowed);
  CHECK_FALSE(limiter.take_hourly("a", 4).allowed);
  clock.advance_ms(3'600'000);
  CHECK(limiter.take_hourly("a", 4).remaining == 3);
}
