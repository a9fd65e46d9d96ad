// Goal: many callers that want the same missing answer make one upstream call, and nobody waits
// longer than it asked for, or for a client that has left. Method: threads over the pipeline; the
// upstream answers only once the others are known to wait. What the same costs in threads at the
// front door is tests/gateway/shared_flight_test.cc's.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/wait.h"
#include "gateway/gateway_setup.h"
#include "support/wait.h"

using namespace kvcs;
using kvcs::test::comes_true;
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
      if (!comes_true([&] { return cache.waiting() >= others; })) in_vain = true;
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
    CHECK_FALSE(in_vain);
    return counts;
  }
  std::atomic<int> asked = 0;
  std::atomic<bool> in_vain = false;  // The others did not come.
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
    if (!comes_true([&] { return gateway.cache.waiting() > 0; })) gateway.in_vain = true;
    gateway.clock.advance_ms(20);
    if (!comes_true([&] { return answered.load(); })) gateway.in_vain = true;
    return json_answer(200, "{}");
  });
  int first_status = 0;
  std::thread first([&] { first_status = gateway.call("hubspot", kList).status; });
  CHECK(comes_true([&] { return gateway.upstream.seen_count() > 0; }));
  const http::Response late =
      gateway.call("hubspot", R"({"path":"/crm/v3/objects/contacts","timeout_ms":20})");
  answered = true;
  first.join();
  CHECK_FALSE(gateway.in_vain);
  CHECK(first_status == 200);
  CHECK(late.status == 504);
  CHECK(GatewaySetup::code(late) == "TIMEOUT");
  CHECK(gateway.upstream.seen_count() == 1);
}

TEST_CASE("response cache: a caller whose client leaves waits no more", "[fault][gateway]") {
  SharedFetch gateway;
  std::atomic<bool> answered = false;
  gateway.upstream.set_handler([&](const auto&) {
    if (!comes_true([&] { return answered.load(); })) gateway.in_vain = true;
    return json_answer(200, "{}");
  });
  int first_status = 0;
  std::thread first([&] { first_status = gateway.call("hubspot", kList).status; });
  CHECK(comes_true([&] { return gateway.upstream.seen_count() > 0; }));
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  std::thread leaver([&] {
    if (!comes_true([&] { return gateway.cache.waiting() == 1; })) gateway.in_vain = true;
    ::close(ends[1]);
  });
  ThreadWaiter waiter(ends[0]);
  const WaiterScope scope(waiter);
  const http::Response left = gateway.call("hubspot", kList);
  CHECK(left.status == 503);
  CHECK(left.body.find("client_gone") != std::string::npos);
  CHECK(gateway.cache.waiting() == 0);
  // A wait that does not mind the client goes on without it.
  const auto flight = gateway.cache.begin_flight("k", 0, true);
  CHECK(gateway.cache.begin_flight("k", 1, true).status().reason() == "client_gone");
  CHECK(gateway.cache.begin_flight("k", 1, false).ok());
  answered = true;
  for (std::thread* thread : {&first, &leaver}) thread->join();
  ::close(ends[0]);
  CHECK_FALSE(gateway.in_vain);
  CHECK(first_status == 200);
  CHECK(gateway.upstream.seen_count() == 1);
}

TEST_CASE("response cache: after a flight that brought nothing the next caller flies",
          "[unit][gateway]") {
  ManualClock clock;
  gateway::ResponseCache cache(clock, 1 << 20);
  Result<std::unique_ptr<gateway::ResponseCache::Flight>> flight = cache.begin_flight("k", 0, true);
  REQUIRE(flight.ok());
  REQUIRE(*flight != nullptr);
  CHECK(*cache.begin_flight("k", 1, true) == nullptr);      // Waited in vain.
  CHECK(*cache.begin_flight("other", 0, true) != nullptr);  // Another key is another flight.
  flight->reset();
  CHECK(*cache.begin_flight("k", 0, true) != nullptr);
  CHECK(cache.waiting() == 0);
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
