// Goal: what may be gone in a moment is tried again, in a time that grows or that the server names,
// and nothing else is. Method: attempts that fail as the test says, and pauses that are noted
// instead of waited.
#include "cli/repeat.h"

#include <catch2/catch.hpp>

#include <vector>

using namespace kvcs;
using namespace kvcs::cli;

namespace {

struct Trial {
  std::vector<int64_t> pauses;
  std::vector<std::string> notes;
  bool stopped = false;
  int attempts = 0;

  Repeat repeat(RepeatRule rule = {}) {
    return Repeat({.note = [this](const std::string& line) { notes.push_back(line); },
                   .pause = [this](int64_t ms) { pauses.push_back(ms); },
                   .stopped = [this] { return stopped; }},
                  rule);
  }
  // Fails so often, and is Ok from then on.
  std::function<Status(bool&)> failing(int times, Status failure) {
    return [this, times, failure](bool&) { return ++attempts <= times ? failure : ok(); };
  }
};

}  // namespace

TEST_CASE("repeat: which failures may be gone in a moment", "[unit][cli]") {
  const std::vector<std::pair<Status, bool>> rows = {
      {upstream_failed("cut"), true},
      {unavailable("busy"), true},
      {timed_out("late"), true},
      {rate_limited("slow", 1), true},
      {invalid("no"), false},
      {unauthenticated("no"), false},
      {forbidden("no"), false},
      {not_found("no"), false},
      {conflict("no"), false},
      {too_large("no"), false},
      {internal("no"), false},
      {upstream_failed("untrusted").with_reason("tls_failed"), false},
      {unavailable("full").with_reason("disk_full"), false},
      {unavailable("Ctrl-C").with_reason("stopped"), false},
  };
  for (const auto& [status, is_worth] : rows) {
    INFO(status.to_string());
    CHECK(is_worth_repeating(status) == is_worth);
    Trial trial;
    CHECK(trial.repeat().run("x", trial.failing(1, status)).ok() == is_worth);
    CHECK(trial.attempts == (is_worth ? 2 : 1));
  }
}

TEST_CASE("repeat: the pause doubles up to its bound, and attempts have theirs", "[unit][cli]") {
  Trial trial;
  const Status failed = trial.repeat().run("transfer", trial.failing(100, unavailable("Busy.")));
  CHECK(failed.message() == "Busy.");
  CHECK(trial.attempts == 8);
  CHECK(trial.pauses == std::vector<int64_t>{500, 1000, 2000, 4000, 8000, 15000, 15000});
  CHECK(trial.notes.front() == "The transfer failed (Busy.); trying again in 0.5 s.");
  CHECK(trial.notes.back() == "The transfer failed (Busy.); trying again in 15 s.");
}

TEST_CASE("repeat: what the server asks for goes before the own pause", "[unit][cli]") {
  Trial trial;
  CHECK(trial.repeat().run("x", trial.failing(2, rate_limited("Slow.", 7))).ok());
  CHECK(trial.pauses == std::vector<int64_t>{7000, 7000});
}

TEST_CASE("repeat: an attempt that brought something begins the count anew", "[unit][cli]") {
  Trial trial;
  const auto attempt = [&](bool& moved) {
    moved = ++trial.attempts % 3 == 0;
    return trial.attempts < 12 ? upstream_failed("Cut.") : ok();
  };
  CHECK(trial.repeat({.attempts_max = 4}).run("x", attempt).ok());
  CHECK(trial.pauses ==
        std::vector<int64_t>{500, 1000, 500, 1000, 2000, 500, 1000, 2000, 500, 1000, 2000});
}

TEST_CASE("repeat: a server that nothing has reached is not waited for", "[unit][cli]") {
  for (const char* reason : {"dns_failed", "connect_failed", "connect_timeout", "proxy_failed"}) {
    INFO(reason);
    const Status away = upstream_failed("away").with_reason(reason);
    Trial trial;
    CHECK_FALSE(trial.repeat().run("x", trial.failing(1, away)).ok());
    CHECK(trial.attempts == 1);
    Trial later;
    Repeat repeat = later.repeat();
    CHECK(repeat.run("x", later.failing(0, away)).ok());
    later.attempts = 0;
    CHECK(repeat.run("x", later.failing(1, away)).ok());
    Trial known;
    Repeat reached = known.repeat();
    reached.note_reached();
    CHECK(reached.run("x", known.failing(1, away)).ok());
  }
}

TEST_CASE("repeat: who stops the command waits no longer", "[unit][cli]") {
  Trial trial;
  trial.stopped = true;
  CHECK(trial.repeat().run("x", trial.failing(1, unavailable("Busy."))).reason() == "stopped");
  CHECK(trial.pauses.empty());
  CHECK(trial.attempts == 1);
  // While it waits, too.
  Trial waiting;
  Repeat repeat({.note = {},
                 .pause = [&](int64_t) { waiting.stopped = true; },
                 .stopped = [&] { return waiting.stopped; }});
  CHECK(repeat.run("x", waiting.failing(1, unavailable("Busy."))).reason() == "stopped");
  CHECK(waiting.attempts == 1);
}

TEST_CASE("repeat: Retry-After in seconds and as a date", "[unit][cli]") {
  const std::string noon = "Wed, 21 Oct 2026 12:00:00 GMT", later = "Wed, 21 Oct 2026 12:00:30 GMT";
  const int64_t noon_s = 1'792'584'000;
  CHECK(retry_after_s("7", "", 0) == 7);
  CHECK(retry_after_s("0", "", 0) == 0);
  CHECK(retry_after_s("3600", "", 0) == 3600);
  CHECK(retry_after_s("3601", "", 0) == 0);
  CHECK(retry_after_s("99999999999999999999", "", 0) == 0);
  CHECK(retry_after_s("", "", 0) == 0);
  CHECK(retry_after_s("-1", "", 0) == 0);
  CHECK(retry_after_s("1.5", "", 0) == 0);
  CHECK(retry_after_s(later, noon, 0) == 30);  // A clock that is wrong here plays no part.
  CHECK(retry_after_s(later, "", noon_s) == 30);
  CHECK(retry_after_s(later, "rubbish", noon_s + 10) == 20);
  CHECK(retry_after_s(noon, later, 0) == 0);
  CHECK(retry_after_s("Wed, 21 Oct 2026 15:00:00 GMT", noon, 0) == 0);
  CHECK(retry_after_s("2026-10-21", noon, 0) == 0);
}
