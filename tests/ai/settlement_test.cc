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

const std::string kBegun =
    R"({"type":"message_start","message":{"usage":{"input_tokens":10,"output_tokens":1}}})";
const std::string kText =
    R"({"type":"content_block_delta","delta":{"type":"text_delta","text":"Hello"}})";
const std::string kChatText = R"({"choices":[{"index":0,"delta":{"content":"Hello"}}]})";

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

TEST_CASE("settlement: OpenAI's cache writes for twelve hours are reserved and charged as such",
          "[unit][ai]") {
  Price price = plain_price();
  price.cache_write_5m_pico = 1'250'000;
  price.cache_write_1h_pico = 2'500'000;
  const auto cost = [&](ApiKind api, const std::string& body, const std::string& usage) {
    const Settled settled =
        settle(api, R"({"model":"m",)" + body + "}", price, {usage}, ExchangeEnd::kAnswered);
    CHECK(settled.reserved >= settled.cost);
    CHECK(settled.findings == 0);
    return settled.cost;
  };
  const std::string text(400, 'a');
  const std::string input = R"("max_output_tokens":9,"input":")" + text + "\"";
  const std::string ttl = R"(,"prompt_cache_options":{"ttl":"12h"})";
  const auto usage = [](const std::string& details) {
    return R"({"usage":{"input_tokens":400,"output_tokens":0,"input_tokens_details":{)"
           R"("cache_write_tokens":400)" +
           details + "}}}";
  };
  CHECK(cost(ApiKind::kResponses, input, usage("")) == 400 * 1'250);
  CHECK(cost(ApiKind::kResponses, input + ttl, usage("")) == 400 * 2'500);
  const std::string split =
      R"(,"cache_write_tokens_details":{"ttl_12h_tokens":100,"ttl_30m_tokens":300})";
  CHECK(cost(ApiKind::kResponses, input + ttl, usage(split)) == 100 * 2'500 + 300 * 1'250);
  // Chat completions have no split: a breakpoint for twelve hours makes all writes such.
  const auto messages = [&](const std::string& hours) {
    return R"("max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":")" +
           text + R"(","prompt_cache_breakpoint":{"mode":"explicit","ttl":")" + hours + "\"}}]}]";
  };
  const std::string said = R"({"choices":[],"usage":{"prompt_tokens":400,"completion_tokens":0,)"
                           R"("prompt_tokens_details":{"cache_write_tokens":400}}})";
  CHECK(cost(ApiKind::kChatCompletions, messages("30m"), said) == 400 * 1'250);
  CHECK(cost(ApiKind::kChatCompletions, messages("12h"), said) == 400 * 2'500);
}

TEST_CASE("settlement: an input to which searches may have added is charged at its bound",
          "[unit][ai]") {
  const std::string tools = R"(,"tools":[{"type":"web_search_20250305","max_uses":2}])";
  Price price = plain_price();
  price.web_search_pico[kSearchMedium] = 7'000'000;
  const auto body = [](const std::string& more) {
    return R"({"model":"m","stream":true,"max_tokens":50,"messages":[])" + more + "}";
  };
  const std::string end =
      R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":900,)"
      R"("output_tokens":9,"server_tool_use":{"web_search_requests":1}}})";
  Settled settled =
      settle(ApiKind::kMessages, body(tools), price, {kBegun, kText}, ExchangeEnd::kUnknown);
  CHECK(settled.cost == 5'000 * 1'000 + 5 * 2'000 + 2 * 7'000);
  CHECK(settled.estimated);
  settled =
      settle(ApiKind::kMessages, body(tools), price, {kBegun, kText, end}, ExchangeEnd::kAnswered);
  CHECK(settled.cost == 900 * 1'000 + 9 * 2'000 + 7'000);
  CHECK_FALSE(settled.estimated);
  // Without tools the first event has said it all.
  settled = settle(ApiKind::kMessages, body(""), price, {kBegun, kText}, ExchangeEnd::kUnknown);
  CHECK(settled.cost == 10 * 1'000 + 5 * 2'000);
}

TEST_CASE("settlement: a compaction that may have been is charged when the stream breaks",
          "[unit][ai]") {
  const Settled settled = settle(ApiKind::kMessages,
                                 R"({"model":"m","stream":true,"max_tokens":50,"messages":[],)"
                                 R"("context_management":{"edits":[{"type":"compact_20260112"}]}})",
                                 plain_price(), {kBegun, kText}, ExchangeEnd::kUnknown);
  CHECK(settled.cost == settled.reserved);
  CHECK(settled.estimated);
}

TEST_CASE("settlement: an answer without usage may have searched as often as it was allowed",
          "[unit][ai]") {
  Price price = plain_price();
  price.web_search_pico[kSearchMedium] = 7'000'000;
  const Settled settled =
      settle(ApiKind::kMessages,
             R"({"model":"m","max_tokens":50,"messages":[],"tools":)"
             R"([{"type":"web_search_20250305","max_uses":3}]})",
             price, {R"({"type":"message","content":[{"type":"text","text":"Hello"}]})"},
             ExchangeEnd::kAnswered);
  CHECK(settled.cost == 5'000 * 1'000 + 5 * 2'000 + 3 * 7'000);
  CHECK(settled.estimated);
}

TEST_CASE("settlement: calls that are stated are charged, also those of stored tools",
          "[unit][ai]") {
  Price price = plain_price();
  price.web_search_pico[kSearchMedium] = 7'000'000;
  const Settled settled = settle(
      ApiKind::kResponses, R"({"model":"m","prompt":{"id":"p"},"max_output_tokens":50})", price,
      {R"({"output":[{"type":"web_search_call","action":{"type":"search"}},)"
       R"({"type":"web_search_call","action":{"type":"search"}}],)"
       R"("usage":{"input_tokens":10,"output_tokens":5}})"},
      ExchangeEnd::kAnswered);
  CHECK(settled.cost == 10 * 1'000 + 5 * 2'000 + 2 * 7'000);
}

TEST_CASE("settlement: tools whose calls nobody counts may have the input read many times",
          "[unit][ai]") {
  const Settled settled = settle(
      ApiKind::kMessages,
      R"({"model":"m","max_tokens":50,"messages":[],"tools":[{"type":"web_fetch_20250910"}]})",
      plain_price(), {R"({"content":[],"usage":{"input_tokens":40000,"output_tokens":5}})"},
      ExchangeEnd::kAnswered);
  CHECK(settled.cost == 40'000 * 1'000 + 5 * 2'000);
  CHECK(settled.findings == 0);
}

TEST_CASE("settlement: without a word on the service tier the dearer one is charged",
          "[unit][ai]") {
  Price price = plain_price();
  for (const int64_t tier_pico : {500'000, 4'000'000}) {
    price.service_tiers = {{"flex", 0, tier_pico, tier_pico, {}, {}}};
    const std::string usage = R"("usage":{"prompt_tokens":10,"completion_tokens":5}})";
    const std::string body = R"({"model":"m","service_tier":"flex","max_tokens":50})";
    CHECK(settle(ApiKind::kChatCompletions, body, price, {"{" + usage}, ExchangeEnd::kAnswered)
              .cost == std::max<int64_t>(10 * 1'000 + 5 * 2'000, 15 * tier_pico / 1'000));
    CHECK(settle(ApiKind::kChatCompletions, body, price, {R"({"service_tier":"flex",)" + usage},
                 ExchangeEnd::kAnswered)
              .cost == 15 * tier_pico / 1'000);
  }
}

TEST_CASE("settlement: figures of zero beside work that was seen state nothing", "[unit][ai]") {
  const std::string body = R"({"model":"m","max_tokens":50,"messages":[]})";
  const auto cost = [&](const std::string& answer) {
    return settle(ApiKind::kChatCompletions, body, plain_price(), {answer}, ExchangeEnd::kAnswered);
  };
  const std::string said = R"("choices":[{"message":{"content":"Hello"}}],)";
  const Settled zeros = cost("{" + said + R"("usage":{"prompt_tokens":0,"completion_tokens":0}})");
  CHECK(zeros.cost > 5 * 2'000);
  CHECK(zeros.estimated);
  const Settled input = cost("{" + said + R"("usage":{"prompt_tokens":0,"completion_tokens":3}})");
  CHECK(input.cost > 3 * 2'000);
  CHECK(input.estimated);
  // A model that was asked and said nothing.
  CHECK(cost(R"({"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}})").cost == 0);
}

TEST_CASE("settlement: an output that nobody stated is of the dearest kind that it may be",
          "[unit][ai]") {
  Price price = plain_price();
  price.reasoning_pico = 3'000'000;
  price.output_audio_pico = 9'000'000;
  const auto cost_of = [&](const std::string& more) {
    const std::string body =
        R"({"model":"m","stream":true,"max_tokens":50,"messages":[])" + more + "}";
    const Settled settled =
        settle(ApiKind::kChatCompletions, body, price, {kChatText}, ExchangeEnd::kUnknown);
    CHECK(settled.estimated);
    CHECK(settled.cost <= settled.reserved);
    const ChatRequest request = dialect(ApiKind::kChatCompletions).read_request(body).value();
    return settled.cost - worst_case(request, price, kRules)->input_tokens * 1'000;
  };
  CHECK(cost_of("") == 5 * 2'000);
  CHECK(cost_of(R"(,"modalities":["text","audio"])") == 5 * 9'000);
  CHECK(cost_of(R"(,"reasoning_effort":"low")") == 50 * 3'000);
}

TEST_CASE("settlement: an answer that nobody read is charged with its whole output", "[unit][ai]") {
  const std::string body = R"({"model":"m","stream":true,"max_tokens":50,"messages":[]})";
  const Settled unread = settle(ApiKind::kMessages, body, plain_price(), {}, ExchangeEnd::kUnread);
  CHECK(unread.cost == unread.reserved);
  const Settled unbegun =
      settle(ApiKind::kMessages, body, plain_price(), {}, ExchangeEnd::kUnknown);
  CHECK(unbegun.cost == unread.reserved - 50 * 2'000);
}
