// Goal: /metrics says of each AI request what its row in the ledger says, under labels that no
// caller can make up. Method: a whole daemon and a scripted provider; each end that a request can
// have, and then the page.
#include <cstdlib>
#include <future>
#include <string>

#include "support/ai_house.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string labels_of(const std::string& outcome, const std::string& model = "gpt-4o-mini") {
  return "provider=\"openai\",model=\"" + model + "\",outcome=\"" + outcome +
         "\",organization=\"default\"";
}

// The value of a series on the page; -1 when it is not there.
double sample(const AiHouse& house, const std::string& name, const std::string& labels) {
  const std::string page = house.admin("GET", "/admin/metrics").body;
  const std::string line = "\n" + name + "{" + labels + "} ";
  const size_t at = page.find(line);
  return at == std::string::npos ? -1 : std::atof(page.c_str() + at + line.size());
}

double requests(const AiHouse& house, const std::string& labels) {
  return sample(house, "kvcs_ai_requests_total", labels);
}

}  // namespace

TEST_CASE("ai metrics page: an answer is counted with its tokens, cost and time",
          "[contract][ai]") {
  AiHouse house;
  REQUIRE(house.chat().status == 200);
  REQUIRE(house.chat().status == 200);
  const std::string ok = labels_of("ok");
  CHECK(requests(house, ok) == 2);
  CHECK(sample(house, "kvcs_ai_tokens_total", ok + ",kind=\"input\"") == 200);
  CHECK(sample(house, "kvcs_ai_tokens_total", ok + ",kind=\"output\"") == 100);
  // 100 tokens at 150 nano-USD and 50 at 600.
  CHECK(sample(house, "kvcs_ai_cost_usd_total", ok) == Approx(0.00009));
  CHECK(sample(house, "kvcs_ai_first_token_seconds_count", ok) == 2);
  CHECK(sample(house, "kvcs_ai_first_token_seconds_bucket", ok + ",le=\"600\"") == 2);
  CHECK(sample(house, "kvcs_ai_first_token_seconds_bucket", ok + ",le=\"+Inf\"") == 2);
}

TEST_CASE("ai metrics page: organizations are named to admins and on the listener of operators",
          "[contract][ai]") {
  AiHouse house([](Config& config) { config.ops.listen = "127.0.0.1:0"; });
  REQUIRE(house.chat().status == 200);
  const std::string open = house.app.call("GET", "/metrics").body;
  CHECK_FALSE(has(open, "organization="));
  CHECK(has(open,
            "\nkvcs_ai_requests_total{provider=\"openai\",model=\"gpt-4o-mini\","
            "outcome=\"ok\"} 1\n"));
  CHECK(requests(house, labels_of("ok")) == 1);
  const std::string of_operators = fetch(house.app.app().ops_port(), "GET", "/metrics").body;
  CHECK(has(of_operators, "organization=\"default\""));
}

TEST_CASE("ai metrics page: the time to the first token of a stream is that of its first text",
          "[contract][ai]") {
  ManualClock clock(1'769'000'000'000);
  AppOptions options;
  options.clock = &clock;
  AiHouse house([](Config&) {}, std::move(options));
  std::promise<void> may_write;
  std::shared_future<void> written = may_write.get_future().share();
  house.provider.set([written](LoopbackPeer& peer) {
    FakeProvider::begin_stream(peer);
    peer.send_chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n");
    written.wait();
    return peer.send_chunk(chunk("Hello")) && peer.send_chunk(finish()) &&
           peer.send_chunk(usage_chunk()) && peer.send_chunk(kDone) && peer.send("0\r\n\r\n");
  });
  RawClient client(house.app.port());
  client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " +
              house.key + "\r\nContent-Length: " + std::to_string(kHelloStream.size()) +
              "\r\n\r\n" + kHelloStream);
  std::string got;
  const auto read_until = [&](const char* text) {
    while (!has(got, text)) {
      const std::string more = client.read_some();
      REQUIRE_FALSE(more.empty());
      got += more;
    }
  };
  read_until("assistant");
  clock.advance_ms(700);
  may_write.set_value();
  read_until("[DONE]");
  wait_until([&] { return requests(house, labels_of("ok")) == 1; }, "the stream is counted");
  CHECK(sample(house, "kvcs_ai_first_token_seconds_sum", labels_of("ok")) == Approx(0.7));
}

TEST_CASE("ai metrics page: failures have their own outcomes and cost nothing", "[contract][ai]") {
  AiHouse house;
  house.provider.answer_json(R"({"error":{"message":"no"}})", "400 Bad");
  REQUIRE(house.chat().status == 400);
  house.provider.answer_json("{}", "500 Oops");
  REQUIRE(house.chat().status == 500);
  house.provider.answer_json("{}", "429 Slow");
  REQUIRE(house.chat().status == 429);
  for (const char* outcome : {"client_error", "provider_error", "rate_limited"}) {
    INFO(outcome);
    CHECK(requests(house, labels_of(outcome)) == 1);
    CHECK(sample(house, "kvcs_ai_cost_usd_total", labels_of(outcome)) == 0);
  }
  CHECK(requests(house, labels_of("ok")) == -1);
}

TEST_CASE("ai metrics page: a client that leaves its stream is told apart", "[contract][ai]") {
  AiHouse house([](Config& config) { config.ai.proxy.idle_timeout_ms = 2'000; });
  house.provider.say_hello_for_good();
  house.leave_stream();
  wait_until([&] { return requests(house, labels_of("client_gone")) == 1; },
             "the stream is counted as left");
}

TEST_CASE("ai metrics page: a model that only its caller names is called other", "[contract][ai]") {
  AiHouse house;
  house.change_org(
      R"({"unknown_input_cost_per_token":"0.000001","unknown_output_cost_per_token":"0.000001"})");
  for (int i = 0; i < 3; i++) {
    const std::string made_up = "openai/invented-" + std::to_string(i);
    REQUIRE(house.chat(R"({"model":")" + made_up + R"(","messages":[],"max_tokens":10})").status ==
            200);
  }
  CHECK(requests(house, labels_of("ok", "other")) == 3);
  CHECK_FALSE(has(house.app.call("GET", "/metrics").body, "invented"));
}
