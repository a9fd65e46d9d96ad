// Goal: an inference engine that is slow, away or asked too much holds nobody up, and is told
// apart. Method: a scripted engine, and a clock moved by hand.
#include "artifacts/inference.h"

#include <catch2/catch.hpp>

#include "support/scripted_upstream.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

struct Desk {
  ManualClock clock;
  ScriptedUpstream upstream{&clock};
  InferenceEngine engine{{"http://engine.example/infer", 30}, upstream};
  Artifact artifact;
  Result<std::vector<int64_t>> ask() {
    return engine.ask({artifact, "http://kvcs.example/blobs/x", "Why?", 3});
  }
};

}  // namespace

TEST_CASE("inference: each failure of the engine has its own words", "[unit][artifacts]") {
  Desk d;
  d.upstream.push({.open_failure = upstream_failed("no").with_reason("connect_failed")});
  const auto away = d.ask();
  CHECK(away.code() == Code::kUpstream);
  CHECK(away.status().message() == "Inference engine unavailable");
  d.upstream.push({.open_failure = timed_out("late")});
  CHECK(d.ask().code() == Code::kTimeout);
  d.upstream.push({.chunks = {R"({"tokens":[1)"}, .end = ScriptedAnswer::End::kTruncated});
  CHECK(d.ask().code() == Code::kUpstream);
  // An answer without end is cut, and is no memory of ours.
  d.upstream.push({.chunks = std::vector<std::string>(20, std::string(100'000, '1'))});
  CHECK(d.ask().code() == Code::kUpstream);
  d.upstream.push_json(200, R"({"tokens":[1,2,3,4,5]})");
  CHECK(*d.ask() == std::vector<int64_t>{1, 2, 3});
  CHECK(d.upstream.last_seen().deadline_ms == 30'000);
  CHECK(d.upstream.last_seen().allow_private_addresses);
}

TEST_CASE("inference: more questions at once than may be are refused, and later ones are not",
          "[unit][artifacts]") {
  Desk d;
  int depth = 0;
  Status innermost;
  // Each question asks the next one before it is answered.
  d.upstream.set_handler([&](const SeenRequest&) -> ScriptedAnswer {
    depth++;
    if (const auto next = d.ask(); !next.ok()) innermost = next.status();
    return {.chunks = {R"({"tokens":[]})"}};
  });
  CHECK(d.ask().ok());
  CHECK(depth == InferenceEngine::kAtOnceMax);
  CHECK(innermost.code() == Code::kUnavailable);
  CHECK(innermost.reason() == "engine_busy");
  d.upstream.set_handler(
      [](const SeenRequest&) -> ScriptedAnswer { return {.chunks = {R"({"tokens":[]})"}}; });
  CHECK(d.ask().ok());
}
