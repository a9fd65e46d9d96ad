// Goal: what callers without a token can write is bounded by minutes and days, and nothing of it is
// lost to the count. Method: refusals at chosen times.
#include "gateway/call/stranger_rows.h"

#include <catch2/catch.hpp>

using namespace kvcs;
using namespace kvcs::gateway;

namespace {

constexpr int64_t kDayMs = 86'400'000, kMinuteMs = 60'000;
const Status kWhy = unauthenticated("No.");

}  // namespace

TEST_CASE("stranger rows: one for each address block and minute, with the count of the rest",
          "[unit][gateway]") {
  StrangerRows rows(Secret("k"));
  const auto first = rows.note("203.0.113.9", kWhy, kDayMs);
  REQUIRE(first.has_value());
  CHECK(first->message == "No.");
  CHECK(first->tenant.empty());
  CHECK(first->provider.empty());
  CHECK(first->path.empty());
  for (int i = 0; i < 50; ++i) CHECK_FALSE(rows.note("203.0.113.9", kWhy, kDayMs + i));
  // Another block has a row of its own; another address of the same /64 has none.
  const auto other = rows.note("2001:db8::1", kWhy, kDayMs + 50);
  REQUIRE(other.has_value());
  CHECK(other->ip_hash != first->ip_hash);
  CHECK(other->message.find("50 more requests were refused") != std::string::npos);
  CHECK_FALSE(rows.note("2001:db8::2", kWhy, kDayMs + 51));
  const auto later = rows.note("203.0.113.9", kWhy, kDayMs + kMinuteMs);
  REQUIRE(later.has_value());
  CHECK(later->ip_hash == first->ip_hash);
  CHECK(later->message.find(" 1 more") != std::string::npos);
}

TEST_CASE("stranger rows: what a day has had before a restart counts, the day before does not",
          "[unit][gateway]") {
  StrangerRows rows(Secret("k"));
  rows.note_earlier(kStrangerRowsPerDay - 1, kDayMs);
  const auto last = rows.note("203.0.113.9", kWhy, kDayMs + 1);
  REQUIRE(last.has_value());
  CHECK(last->message.find("the last such row of this day") != std::string::npos);
  CHECK_FALSE(rows.note("203.0.113.9", kWhy, kDayMs + kMinuteMs).has_value());
  CHECK(rows.note("203.0.113.9", kWhy, 2 * kDayMs).has_value());
  StrangerRows full(Secret("k"));
  full.note_earlier(kStrangerRowsPerDay, kDayMs);
  CHECK_FALSE(full.note("203.0.113.9", kWhy, kDayMs + 1).has_value());
}

TEST_CASE("stranger rows: a day has so many, and the next one tells how many there were",
          "[unit][gateway]") {
  StrangerRows rows(Secret("k"));
  int64_t listed = 0;
  std::string last;
  for (int i = 0; i < 3000; ++i) {
    const auto row = rows.note("10." + std::to_string(i / 250) + ".0." + std::to_string(i % 250),
                               kWhy, kDayMs + i);
    if (!row) continue;
    listed++;
    last = row->message;
  }
  CHECK(listed == kStrangerRowsPerDay);
  CHECK(last.find("the last such row of this day") != std::string::npos);
  const auto next = rows.note("203.0.113.9", kWhy, 2 * kDayMs);
  REQUIRE(next.has_value());
  CHECK(next->message.find("2000 more requests were refused") != std::string::npos);
}
