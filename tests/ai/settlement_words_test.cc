// Goal: a request is charged by one rule however it ended. Method: answers in the words of an API,
// read by its meter and settled at one price row, with the figures that are right beside them.
#include <catch2/catch.hpp>

#include "ai/settlement.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

struct Case {
  Case() {
    price.model = "m";
    price.input_pico = 1'000'000;
    price.output_pico = 2'000'000;
    price.max_input_tokens = 1'000;
    price.max_output_tokens = 100;
    ask(R"({"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":50})");
  }
  void ask(const std::string& body) {
    chat = *dialect(ApiKind::kChatCompletions).read_request(body);
    worst = *worst_case(chat, price,
                        {.organization_output_max = -1, .output_default = 1, .calls_default = 1});
    meter = dialect(ApiKind::kChatCompletions).make_meter(chat);
  }
  void see(const std::string& data) {
    std::string rewritten;
    meter->on_event("", data, "data: " + data + "\n\n", rewritten);
  }
  Settlement settled(ExchangeEnd end) const {
    return settle_usage(chat, price, worst, meter.get(), end);
  }

  Price price;
  ChatRequest chat;
  WorstCase worst;
  std::unique_ptr<UsageMeter> meter;
};

const std::string kHelloChunk =
    R"({"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]})";

std::string usage(const std::string& input, const std::string& output) {
  return R"({"choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}],)"
         R"("usage":{"prompt_tokens":)" +
         input + R"(,"completion_tokens":)" + output + "}}";
}

}  // namespace

TEST_CASE("settlement: without figures the reserved input and the output that was seen are charged",
          "[unit][ai]") {
  Case one;
  one.ask(R"({"model":"m","stream":true,"messages":[],"max_tokens":50})");
  one.see(kHelloChunk);
  const Settlement left = one.settled(ExchangeEnd::kUnknown);
  CHECK(left.tokens.estimated);
  CHECK(left.tokens.input == one.worst.input_tokens);
  CHECK(left.tokens.output == 5);
  // Reasoning is billed and not shown.
  one.price.supports_reasoning = true;
  CHECK(one.settled(ExchangeEnd::kUnknown).tokens.output == 50);
  // Nothing shows of a whole answer before its end.
  Case whole;
  CHECK(whole.settled(ExchangeEnd::kUnknown).tokens.output == 50);
  CHECK(whole.settled(ExchangeEnd::kNotSent).tokens.input_total() == 0);
}

TEST_CASE("settlement: what is seen counts up to the bound of the request", "[unit][ai]") {
  Case one;
  one.ask(R"({"model":"m","stream":true,"messages":[],"max_tokens":50})");
  for (int i = 0; i < 20; i++) one.see(kHelloChunk);
  CHECK(one.settled(ExchangeEnd::kUnknown).tokens.output == 50);
}

TEST_CASE("settlement: an answer that failed costs nothing, or what it says it used",
          "[unit][ai]") {
  const std::string error = R"("error":{"message":"Overloaded","code":529})";
  for (const ExchangeEnd end : {ExchangeEnd::kAnswered, ExchangeEnd::kUnknown}) {
    Case failed;
    failed.meter->on_json("{" + error + "}");
    CHECK(cost_nano_usd(failed.price, failed.settled(end).tokens) == 0);
    CHECK_FALSE(failed.settled(end).tokens.estimated);
    Case used;
    used.meter->on_json("{" + error + R"(,"usage":{"prompt_tokens":7,"completion_tokens":0}})");
    CHECK(used.settled(end).tokens.input == 7);
    CHECK(used.settled(end).tokens.output == 0);
  }
  // One that had begun is a stream that broke: what was seen of it was made, and is billed.
  Case begun;
  begun.ask(R"({"model":"m","stream":true,"messages":[],"max_tokens":50})");
  begun.see(kHelloChunk);
  begun.see("{" + error + "}");
  const TokenUsage charged = begun.settled(ExchangeEnd::kAnswered).tokens;
  CHECK(charged.input == begun.worst.input_tokens);
  CHECK(charged.output == 5);
  CHECK(charged.estimated);
  Case refused;
  refused.meter = nullptr;
  CHECK(cost_nano_usd(refused.price, refused.settled(ExchangeEnd::kRefused).tokens) == 0);
}

TEST_CASE("settlement: a figure that the model cannot have counts as its bound, and is told",
          "[unit][ai]") {
  struct Row {
    const char *input, *output;
    int64_t right_input, right_output;
    size_t findings;
  };
  for (const Row& row : {Row{"1000", "100", 1'000, 100, 0}, Row{"1001", "100", 1'000, 100, 1},
                         Row{"1000", "101", 1'000, 100, 1}, Row{"5e14", "5e14", 1'000, 100, 2},
                         Row{"-1", "3", 1'000, 3, 1}, Row{"3", "-1", 3, 100, 1},
                         Row{"2.5", "\"x\"", 1'000, 100, 2}}) {
    Case one;
    one.meter->on_json(usage(row.input, row.output));
    const Settlement settled = one.settled(ExchangeEnd::kAnswered);
    INFO(row.input << " " << row.output);
    CHECK(settled.tokens.input_total() == row.right_input);
    CHECK(settled.tokens.output_total() == row.right_output);
    REQUIRE(settled.findings.size() == row.findings);
    for (const auto& finding : settled.findings) CHECK(finding.event == "ai.absurd_usage");
  }
}

TEST_CASE("settlement: a use without a price is told by its name", "[unit][ai]") {
  Case one;
  one.meter->on_json(R"({"service_tier":"priority","choices":[],)"
                     R"("usage":{"prompt_tokens":3,"completion_tokens":1}})");
  const Settlement settled = one.settled(ExchangeEnd::kAnswered);
  REQUIRE(settled.findings.size() == 1);
  CHECK(settled.findings[0].event == "ai.unpriced_dimension");
  CHECK(settled.findings[0].message.find("service_tier priority") != std::string::npos);
}
