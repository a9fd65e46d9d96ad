// Goal: a change of plan is charged as of a preview of the last quarter of an hour, and memory is
// bounded. Method: the table alone, on a clock moved by hand.
#include "portal/billing/preview_times.h"

#include <catch2/catch.hpp>

using namespace kvcs;
using namespace kvcs::portal;

TEST_CASE("previews: one is good for a quarter of an hour, for its change and organization",
          "[unit][portal]") {
  ManualClock clock{1'800'000'000'000};
  PreviewTimes previews{clock};
  const int64_t at_s = clock.unix_s();
  previews.note("org", "pro price_pro", at_s);
  CHECK(previews.check("org", "pro price_pro", at_s).ok());
  CHECK(previews.check("org", "max price_max", at_s).reason() == "preview_unknown");
  CHECK(previews.check("other", "pro price_pro", at_s).reason() == "preview_unknown");
  CHECK(previews.check("org", "pro price_pro", at_s + 1).reason() == "preview_unknown");
  clock.advance_ms(900'000);
  CHECK(previews.check("org", "pro price_pro", at_s).ok());
  // Another one's coming does not end it before its time.
  previews.note("org", "max price_max", clock.unix_s());
  CHECK(previews.check("org", "pro price_pro", at_s).ok());
  clock.advance_ms(1'000);
  CHECK(previews.check("org", "pro price_pro", at_s).reason() == "preview_unknown");
}

TEST_CASE("previews: beyond ten thousand the oldest goes", "[unit][portal]") {
  ManualClock clock{1'800'000'000'000};
  PreviewTimes previews{clock};
  const int64_t at_s = clock.unix_s();
  const auto is_known = [&](int number) {
    return previews.check("org", std::to_string(number), at_s).ok();
  };
  for (int i = 0; i < 10'000; i++) previews.note("org", std::to_string(i), at_s);
  CHECK(is_known(0));
  previews.note("org", "10000", at_s);
  CHECK_FALSE(is_known(0));
  CHECK(is_known(1));
  CHECK(is_known(10'000));
}
