// What is charged for answers of which not everything is known. Method: a request, events of its
// answer and prices go through settle_usage(), and the cost is compared to the nano-dollar.
#include "ai/settlement.h"

#include <catch2/catch.hpp>

#include "ai/prices/pricing.h"
#include "ai/worst_case.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

constexpr BoundRules kRules{
    .organization_output_max = -1, .output_default = 16'384, .calls_default = 10};

// Input 1,000 and output 2,000 nano-USD a token.
Price plain_price() {
  Price price;
  price.model = "m";
  price.input_pico = 1'000'000;
  price.output_pico = 2'000'000;
  price.max_input_tokens = 5'000;
  price.max_output_tokens = 100;
  return price;
}

struct Settled {
  int64_t reserved = 0, cost = 0;
  bool estimated = false;
  size_t findings = 0;
};

Settled settle(ApiKind api, const std::string& body, const Price& price,
               const std::vector<std::string>& events, ExchangeEnd end) {
  const ChatRequest request = dialect(api).read_request(body).value();
  const WorstCase worst = worst_case(request, price, kRules).value();
  const auto meter = dialect(api).make_meter(request);
  std::string unused;
  for (const std::string& event : events) {
    if (request.stream) {
      meter->on_event("", event, "data: " + event + "\n\n", unused);
    } else {
      meter->on_json(event);
    }
  }
  const Settlement settled = settle_usage(request, price, worst, meter.get(), end);
  return {worst.cost_nano_usd, cost_nano_usd(price, settled.tokens), settled.tokens.estimated,
          settled.findings.size()};
}

}  // namespace

TEST_CASE("settlement: the inputs of embeddings may together be longer than the context",
          "[unit][ai]") {
  const std::string text(4'000, 'a');
  const Settled settled =
      settle(ApiKind::kEmbeddings, R"({"model":"m","input":[")" + text + "\",\"" + text + "\"]}",
             plain_price(), {R"({"usage":{"prompt_tokens":8000}})"}, ExchangeEnd::kAnswered);
  CHECK(settled.cost == 8'000'000);
  CHECK(settled.reserved >= 8'000'000);
  CHECK(settled.findings == 0);
  CHECK_FALSE(settled.estimated);
}

TEST_CASE("settlement: each picture of embeddings may be as long as the context", "[unit][ai]") {
  const std::string picture = R"({"type":"image_url","image_url":{"url":"https://a.example/b"}})";
  const Settled settled =
      settle(ApiKind::kEmbeddings,
             R"({"model":"m","input":[{"content":[)" + picture + "," + picture + "]}]}",
             plain_price(), {R"({"usage":{"prompt_tokens":10000}})"}, ExchangeEnd::kAnswered);
  CHECK(settled.cost == 10'000'000);
  CHECK(settled.reserved >= 10'000'000);
}
