// Goal: many callers that want the same missing answer make one upstream call, and nobody waits
// longer than it asked for. Method: threads over the pipeline; the upstream answers only once the
// others are known to wait.
#include <atomic>
#include <thread>

#include "gateway/gateway_setup.h"

using namespace kvcs;
using kvcs::test::GatewaySetup;
using kvcs::test::json_answer;
using kvcs::test::kList;
using kvcs::test::ScriptedAnswer;

namespace {

struct SharedFetch : GatewaySetup {
  SharedFetch() {
    put_provider("hubspot", R"({"cache":{"ttl_s":60}})");
    put_token("ascend", "hubspot", "main", "tok-1");
  }
  // The first call of the upstream is answered once `others` callers wait for it.
  void answer_when_waiting(size_t others, const ScriptedAnswer& first, const ScriptedAnswer& then) {
    upstream.set_handler([this, others, first, then](const auto&) {
      if (asked++ != 0) return then;
      while (cache.waiting() < others) std::this_thread::yield();
      return first;
    });
  }
  // How often each value of "cache" came; a failure is its code.
  std::map<std::string, int> ask(size_t callers) {
    std::vector<std::thread> threads;
    std::vector<std::string> words(callers);
    for (std::string& word : words) {
      threads.emplace_back([this, &word] {
        const http::Response answer = call("hubspot", kList);
        const std::string* cached = answer.find("x-gateway-cache");
        word = cached != nullptr ? *cached : std::to_string(answer.status);
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::map<std::string, int> counts;
    for (const std::string& word : words) ++counts[word];
    return counts;
  }
  std::atomic<int> asked = 0;
};

}  // namespace

TEST_CASE("response cache: callers of one missing answer share one upstream call",
          "[unit][gateway]") {
  SharedFetch gateway;
  gateway.answer_when_waiting(15, json_answer(200, "{}"), json_answer(200, "{}"));
  CHECK(gateway.ask(16) == std::map<std::string, int>{{"HIT", 15}, {"MISS", 1}});
  CHECK(gateway.upstream.seen_count() == 1);
  CHECK(gateway.cache.waiting() == 0);
}

TEST_CASE(
    "response cache: when the shared call fails, each asks on its own, or takes the stale one",
    "[unit][gateway]") {
  SharedFetch gateway;
  gateway.answer_when_waiting(7, json_answer(500, "{}"),
                              json_answer(200, "{}", {{"cache-control", "no-store"}}));
  CHECK(gateway.ask(8) == std::map<std::string, int>{{"500", 1}, {"MISS", 7}});
  CHECK(gateway.upstream.seen_count() == 8);

  gateway.upstream.push(json_answer(200, "{}"));
  CHECK(gateway.call("hubspot", kList).status == 200);
  gateway.clock.advance_ms(61'000);
  gateway.asked = 0;
  gateway.answer_when_waiting(7, json_answer(500, "{}", {{"retry-after", "9"}}),
                              json_answer(200, "{}"));
  CHECK(gateway.ask(8) == std::map<std::string, int>{{"STALE", 8}});
  CHECK(gateway.upstream.seen_count() == 10);
}

TEST_CASE("response cache: waiting for another's call counts against the deadline",
          "[unit][gateway]") {
  SharedFetch gateway;
  std::atomic<bool> answered = false;
  gateway.upstream.set_handler([&](const auto&) {
    while (gateway.cache.waiting() == 0) std::this_thread::yield();
    gateway.clock.advance_ms(20);
    while (!answered) std::this_thread::yield();
    return json_answer(200, "{}");
  });
  std::thread first([&] { CHECK(gateway.call("hubspot", kList).status == 200); });
  while (gateway.upstream.seen_count() == 0) std::this_thread::yield();
  const http::Response late =
      gateway.call("hubspot", R"({"path":"/crm/v3/objects/contacts","timeout_ms":20})");
  answered = true;
  first.join();
  CHECK(late.status == 504);
  CHECK(GatewaySetup::code(late) == "TIMEOUT");
  CHECK(gateway.upstream.seen_count() == 1);
}

TEST_CASE("response cache: what was read before a write is not kept after it", "[unit][gateway]") {
  SharedFetch gateway;
  gateway.upstream.set_handler([&](const test::SeenRequest& request) {
    if (request.method == "GET" && gateway.asked++ == 0) {
      CHECK(gateway.call("hubspot", R"({"path":"/crm/x","body":{}})").status == 200);
    }
    return json_answer(200, "{}");
  });
  for (const char* word : {"MISS", "MISS", "HIT"}) {
    CHECK(*gateway.call("hubspot", kList).find("x-gateway-cache") == word);
  }
}
