// The glance at the last half hour and the last day: what a step holds, which steps are gaps, and
// that the room is bounded.
#include "app/metrics_history.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "support/json_answer.h"
#include "support/people.h"
#include "support/test_app.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr int64_t kStartMs = 1'750'000'200'000;  // A multiple of five minutes.

struct Glance {
  // What the daemon has counted.
  MetricTotals totals;
  LatencyHistogram portal;
  ManualClock clock{kStartMs};
  MetricsHistory history{[this] {
                           MetricTotals now = totals;
                           now.planes[0].latency = portal.snapshot();
                           now.planes[0].bounds_us = portal.bounds_us();
                           return now;
                         },
                         clock};

  void pass(int64_t seconds) {
    clock.set_unix_ms(clock.unix_ms() + seconds * 1000);
    history.look();
  }
  Json show(std::string_view range) { return asked(&MetricsHistory::show, range); }
  Json summarize(std::string_view range) { return asked(&MetricsHistory::summarize, range); }
  Json asked(Result<http::Response> (MetricsHistory::*what)(http::Request&),
             std::string_view range) {
    http::Request request;
    const std::string query = "range=" + std::string(range);
    request.query = query;
    const Result<http::Response> response = (history.*what)(request);
    REQUIRE(response.ok());
    return *parse_json(response->body);
  }
};

Json last(const Json& column, size_t n = 1) {
  return column.at(column.size() - n);
}

}  // namespace

TEST_CASE("metrics history: a step holds what was counted in it", "[unit][app]") {
  Glance glance;
  glance.history.look();
  glance.totals.planes[0].requests = 4;
  glance.totals.planes[0].refused = 2;
  glance.totals.planes[0].errors = 1;
  for (const int64_t us : {60'000, 60'000, 60'000, 900'000}) glance.portal.record_us(us);
  glance.totals.input_tokens = 50;
  glance.totals.output_tokens = 5;
  glance.totals.cost_nano_usd = 1'500'000'000;
  glance.totals.connections = 7;
  glance.totals.storage_bytes = 99;
  glance.pass(10);
  glance.totals.planes[0].requests = 5;
  glance.totals.storage_bytes = std::nullopt;
  glance.pass(10);

  const Json shown = glance.show("30m");
  CHECK(shown["step_s"] == 10);
  CHECK(shown["times"].size() == 180);
  CHECK(last(shown["times"]) == kStartMs / 1000 + 10);
  const Json& portal = shown["planes"]["portal"];
  CHECK(last(portal["requests"], 2) == 4);
  CHECK(last(portal["refused"], 2) == 2);
  CHECK(last(portal["errors"], 2) == 1);
  CHECK(last(portal["p50_ms"], 2).get<double>() == Approx(83.333).margin(0.01));
  CHECK(last(portal["p99_ms"], 2).get<double>() > 500);
  CHECK(last(portal["p99_ms"], 2).get<double>() <= 1000);
  CHECK(last(shown["planes"]["ai"]["requests"], 2) == 0);
  CHECK(last(shown["planes"]["ai"]["p50_ms"], 2).is_null());
  CHECK(last(shown["input_tokens_per_s"], 2) == 5);
  CHECK(last(shown["output_tokens_per_s"], 2) == 0.5);
  CHECK(last(shown["spend_usd"], 2) == 1.5);
  CHECK(last(shown["connections"], 2) == 7);
  CHECK(last(shown["storage_bytes"], 2) == 99);
  CHECK(last(portal["requests"]) == 1);
  CHECK(last(portal["refused"]) == 0);
  CHECK(last(shown["storage_bytes"]).is_null());
  CHECK(last(portal["requests"], 3).is_null());  // Before the start.
}

TEST_CASE("metrics history: what no look has ended in time is a gap", "[unit][app]") {
  Glance glance;
  glance.history.look();
  glance.totals.planes[0].requests = 1;
  glance.pass(10);
  glance.totals.planes[0].requests = 100;
  glance.pass(30);  // The machine slept.
  glance.totals.planes[0].requests = 102;
  glance.pass(10);
  Json requests = glance.show("30m")["planes"]["portal"]["requests"];
  CHECK(last(requests) == 2);
  for (const size_t n : {2, 3, 4}) CHECK(last(requests, n).is_null());
  CHECK(last(requests, 5) == 1);

  // A clock that is set back: what is there keeps its times, and what comes is told anew.
  glance.pass(-3600);
  CHECK(last(glance.show("30m")["planes"]["portal"]["requests"]).is_null());
  glance.totals.planes[0].requests = 105;
  glance.pass(10);
  CHECK(last(glance.show("30m")["planes"]["portal"]["requests"]) == 3);
}

TEST_CASE("metrics history: a day has steps of five minutes, and the oldest go", "[unit][app]") {
  Glance glance;
  glance.history.look();
  for (int step = 0; step < 300 * 30; step++) {
    glance.totals.planes[0].requests++;
    glance.pass(10);
  }
  const Json day = glance.show("24h"), hour = glance.show("30m");
  CHECK(day["times"].size() == 288);
  CHECK(day["step_s"] == 300);
  for (const Json& value : day["planes"]["portal"]["requests"]) CHECK(value == 30);
  for (const Json& value : hour["planes"]["portal"]["requests"]) CHECK(value == 1);
}

TEST_CASE("metrics history: a summary tells percentiles of all requests, not of steps",
          "[unit][app]") {
  Glance glance;
  glance.history.look();
  // 99 quick ones in one step and one that is slow in another: the median is quick, and by the
  // steps' own medians nobody could tell.
  for (int i = 0; i < 99; i++) glance.portal.record_us(1'500);
  glance.totals.planes[0].requests = 99;
  glance.pass(10);
  glance.portal.record_us(9'000'000);
  glance.totals.planes[0].requests = 100;
  glance.totals.planes[0].errors = 1;
  glance.pass(10);
  const Json summary = glance.summarize("30m");
  const Json& portal = summary["planes"]["portal"];
  CHECK(portal["requests"] == 100);
  CHECK(portal["errors"] == 1);
  CHECK(portal["p50_ms"].get<double>() < 2);
  CHECK(portal["p99_ms"].get<double>() <= 2);
  CHECK(summary["planes"]["ai"]["p50_ms"].is_null());
  CHECK(summary["providers"].empty());
  // The step of five minutes is not over.
  CHECK(glance.summarize("24h")["planes"]["portal"]["requests"] == 0);
  for (int i = 0; i < 180; i++) glance.pass(10);
  CHECK(glance.summarize("30m")["planes"]["portal"]["requests"] == 0);
}

TEST_CASE("metrics history: a summary tells how each provider answered", "[unit][app]") {
  Glance glance;
  glance.totals.ai_providers = {{"openai", 50, 50}};
  glance.history.look();
  glance.totals.ai_providers = {{"anthropic", 20, 1}, {"openai", 150, 51}};
  glance.totals.gateway_providers = {{"github", 4, 2}, {"slack", 0, 0}};
  glance.pass(10);
  glance.totals.ai_providers[0] = {"anthropic", 40, 2};
  glance.pass(10);
  const Json providers = glance.summarize("30m")["providers"];
  REQUIRE(providers.size() == 3);
  const auto is = [&](size_t at, const char* door, const char* name, int requests, int failures,
                      const char* state) {
    CHECK(providers[at] == Json({{"door", door},
                                 {"provider", name},
                                 {"requests", requests},
                                 {"failures", failures},
                                 {"state", state}}));
  };
  is(0, "ai", "anthropic", 40, 2, "degraded");
  is(1, "ai", "openai", 100, 1, "up");
  is(2, "gateway", "github", 4, 2, "down");

  // However many there are, the room is bounded.
  for (int i = 0; i < 100; i++) {
    glance.totals.gateway_providers.push_back({"api" + std::to_string(i), 1, 0});
  }
  glance.pass(10);
  const Json many = glance.summarize("30m")["providers"];
  CHECK(many.size() == 2 + 33);
  int64_t requests = 0;
  for (const Json& one : many) requests += one["requests"].get<int64_t>();
  CHECK(requests == 40 + 100 + 4 + 100);
}

TEST_CASE("metrics history: the daemon's own, without the requests of monitors",
          "[contract][app]") {
  ManualClock clock(kStartMs);
  AppOptions options;
  options.clock = &clock;
  TestApp app(options);
  const auto last_step = [&] {
    clock.advance_ms(10'000);
    app.parts().metrics_history->look();
    return json_of(app.as_owner("GET", "/admin/metrics/history?range=30m"));
  };
  last_step();
  for (int i = 0; i < 3; i++) CHECK(app.call("GET", "/health").status == 200);
  CHECK(app.call("GET", "/api/v1/artifacts").status == 401);
  CHECK(app.call("POST", "/v1/chat/completions", {}, "{}").status == 401);
  for (int i = 0; i < 3; i++) CHECK(app.call("GET", "/v1/models").status == 401);
  CHECK(app.call("GET", "/connect/none").status >= 400);
  // A request is counted once its last byte is sent.
  const auto counted = [&](size_t plane, int64_t least) {
    return app.parts().request_metrics->plane(plane).requests >= least;
  };
  wait_until([&] { return counted(0, 2) && counted(1, 1) && counted(3, 1); }, "all were counted");
  const Json shown = last_step();
  CHECK(last(shown["planes"]["portal"]["requests"]) == 2);  // The list, and the page of consent.
  CHECK(last(shown["planes"]["portal"]["refused"]) == 2);
  CHECK(last(shown["planes"]["ai"]["refused"]) == 1);      // The call, and no look at the models.
  CHECK(last(shown["planes"]["admin"]["requests"]) == 1);  // The look before.
  CHECK(last(shown["planes"]["gateway"]["requests"]) == 0);
  CHECK(last(shown["storage_bytes"]) == 0);
  CHECK(last(shown["connections"]).get<int64_t>() >= 0);
  const Json summary = json_of(app.as_owner("GET", "/admin/metrics/summary"));
  CHECK(summary["planes"]["ai"]["refused"] == 1);
  CHECK(summary["planes"]["portal"]["p99_ms"].is_number());
  CHECK(app.as_owner("GET", "/admin/metrics/summary?range=1y").status == 400);
  const RawResponse refused = app.as_owner("GET", "/admin/metrics/history?range=1y");
  CHECK(refused.status == 400);
  CHECK(refused.body.find("range: '1y' is not one of: 30m, 24h.") != std::string::npos);
  CHECK(app.as(app.credential("api_key"), "GET", "/admin/metrics/history").status == 403);
}

TEST_CASE("metrics history: what is not configured, or not signed in yet, has not failed",
          "[contract][app]") {
  TestApp app;
  Browser ada = set_up(app);
  const auto portal = [&] { return app.parts().request_metrics->plane(0); };
  wait_until([&] { return portal().requests == 1; }, "the sign-in is counted");
  CHECK(ada.send("GET", "/api/v1/billing/subscription").status == 501);
  CHECK(app.call("GET", "/auth/session").status == 200);
  wait_until([&] { return portal().requests == 3; }, "all were counted");
  CHECK(portal().errors == 0);
  CHECK(portal().refused == 1);
}
