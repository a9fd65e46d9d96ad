// Goal: what is reserved for a request covers every answer that the request allows. Method: random
// prices, requests and answers, from seeds, over all priced dimensions at once. An answer is
// written in the words of its API, read by the meter, settled and priced as a settlement prices it.
#include "ai/worst_case.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <random>

#include "ai/settlement.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

constexpr int kRuns = 6'000;
constexpr BoundRules kRules{
    .organization_output_max = -1, .output_default = 16'384, .calls_default = 10};

// A source of choices. The edges of a range come often, for that is where bounds break.
class Dice final {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  int64_t from(int64_t min, int64_t max) {
    const uint64_t kind = random_() % 4;
    if (kind == 0) return max;
    if (kind == 1) return min;
    return min + static_cast<int64_t>(random_() % static_cast<uint64_t>(max - min + 1));
  }
  bool coin() { return random_() % 2 == 0; }

 private:
  std::mt19937_64 random_;
};

constexpr int64_t kPicoMax = 50'000'000;  // 50 USD for a million tokens.

std::optional<int64_t> maybe_price(Dice& dice, int64_t max = kPicoMax) {
  return dice.coin() ? std::optional<int64_t>(dice.from(0, max)) : std::nullopt;
}

Price random_price(Dice& dice) {
  Price price;
  price.model = "m";
  price.input_pico = dice.from(0, kPicoMax);
  price.output_pico = dice.from(0, kPicoMax);
  price.cache_read_pico = maybe_price(dice);
  price.cache_write_5m_pico = maybe_price(dice);
  price.cache_write_1h_pico = maybe_price(dice, 2 * kPicoMax);
  price.reasoning_pico = maybe_price(dice);
  price.input_audio_pico = dice.from(0, 4 * kPicoMax);
  price.output_audio_pico = dice.from(0, 4 * kPicoMax);
  price.input_image_pico = maybe_price(dice);
  price.output_image_pico = dice.from(0, 4 * kPicoMax);
  for (auto& search : price.web_search_pico) search = dice.from(0, 1'000 * kPicoMax);
  price.file_search_pico = dice.from(0, 1'000 * kPicoMax);
  price.code_session_pico = dice.from(0, 1'000 * kPicoMax);
  price.image_made_pico = dice.from(0, 1'000 * kPicoMax);
  if (dice.coin()) price.request_pico = dice.from(0, 1'000 * kPicoMax);
  if (dice.coin()) price.max_output_tokens = dice.from(1, 100'000);
  price.max_input_tokens = dice.from(5'000, 1'000'000);
  price.image_tokens_max = dice.from(0, 50'000);
  price.supports_reasoning = dice.coin();
  for (const char* name : {"flex", "priority"}) {
    price.service_tiers.push_back({name, 0, maybe_price(dice), maybe_price(dice, 4 * kPicoMax),
                                   maybe_price(dice), maybe_price(dice)});
    if (dice.coin()) {
      price.service_tiers.push_back({name, 1'000, maybe_price(dice), maybe_price(dice),
                                     maybe_price(dice), maybe_price(dice)});
    }
  }
  price.factors = {{"fast", dice.from(1'000'000, 6'000'000)},
                   {"us", dice.from(900'000, 1'200'000)}};
  for (const int64_t above : {20, 1'000}) {
    if (dice.coin()) continue;
    price.tiers.push_back(
        {above, maybe_price(dice), maybe_price(dice), maybe_price(dice), maybe_price(dice)});
  }
  return price;
}

std::string quoted(std::string_view text) {
  return '"' + std::string(text) + '"';
}

// Members of a request that cost, in the words of its API.
std::string random_members(ApiKind api, Dice& dice) {
  std::string more;
  const auto add = [&](std::string member) { more += "," + std::move(member); };
  if (dice.coin()) add(R"("service_tier":)" + quoted(dice.coin() ? "priority" : "flex"));
  switch (api) {
    case ApiKind::kChatCompletions:
      if (dice.coin()) add("\"n\":" + std::to_string(dice.from(1, 128)));
      if (dice.coin()) add(R"("modalities":["text","audio"])");
      if (dice.coin()) add(R"("web_search_options":{"search_context_size":"high"})");
      if (dice.coin()) add(R"("prediction":{"type":"content","content":"abcdefgh"})");
      if (dice.coin()) add("\"max_tokens\":" + std::to_string(dice.from(-1, 50'000)));
      break;
    case ApiKind::kResponses:
      if (dice.coin()) add(R"("previous_response_id":"resp_1")");
      if (dice.coin()) add(R"("tools":[{"type":"web_search"},{"type":"file_search"}])");
      if (dice.coin()) add(R"("prompt_cache_options":{"ttl":"12h"})");
      if (dice.coin()) add("\"max_tool_calls\":" + std::to_string(dice.from(0, 20)));
      if (dice.coin()) add("\"max_output_tokens\":" + std::to_string(dice.from(0, 50'000)));
      break;
    case ApiKind::kMessages:
      if (dice.coin()) add(R"("speed":"fast")");
      if (dice.coin()) add(R"("inference_geo":"us")");
      if (dice.coin()) add(R"("cache_control":{"type":"ephemeral","ttl":"1h"})");
      if (dice.coin()) add(R"("context_management":{"edits":[{"type":"compact_20260112"}]})");
      if (dice.coin()) add(R"("tools":[{"type":"web_search_20250305","name":"s","max_uses":3}])");
      if (dice.coin()) add("\"max_tokens\":" + std::to_string(dice.from(0, 50'000)));
      break;
    case ApiKind::kEmbeddings:
      break;
  }
  return more;
}

std::string random_content(ApiKind api, Dice& dice) {
  const std::string text = quoted(std::string(static_cast<size_t>(dice.from(1, 6'000)), 'x'));
  if (api == ApiKind::kEmbeddings || dice.coin()) return text;
  const std::string data(static_cast<size_t>(dice.from(0, 400)), 'A');
  if (api == ApiKind::kMessages) {
    return R"([{"type":"text","text":)" + text +
           R"(},{"type":"image","source":{"type":"base64","data":")" + data + "\"}}]";
  }
  if (api == ApiKind::kResponses) {
    return R"([{"type":"input_text","text":)" + text +
           R"(},{"type":"input_image","image_url":"data:image/png;base64,)" + data + "\"}]";
  }
  return R"([{"type":"text","text":)" + text +
         R"(},{"type":"input_audio","input_audio":{"data":")" + data + "\"}}]";
}

ChatRequest random_request(ApiKind api, Dice& dice) {
  const bool is_list = api == ApiKind::kChatCompletions || api == ApiKind::kMessages;
  std::string body = R"({"model":"m",)";
  body += is_list ? R"("messages":[{"role":"user","content":)" + random_content(api, dice) + "}]"
          : api == ApiKind::kResponses
              ? R"("input":[{"role":"user","content":)" + random_content(api, dice) + "}]"
              : "\"input\":" + random_content(api, dice);
  body += random_members(api, dice);
  if (api != ApiKind::kEmbeddings && dice.coin()) body += R"(,"stream":true)";
  Result<ChatRequest> request = dialect(api).read_request(body + "}");
  INFO(body.substr(0, 400) << request.status().to_string());
  REQUIRE(request.ok());
  return std::move(request).value();
}

// Takes up to what is left, often all of it.
int64_t take(int64_t& left, Dice& dice) {
  const int64_t taken = dice.from(0, left);
  left -= taken;
  return taken;
}

// An answer that the request allows, by rules of its own: the body a token a byte, pictures and
// context as large as the row says, caches as asked for.
TokenUsage random_usage(ApiKind api, const ChatRequest& request, const Price& price,
                        const WorstCase& worst, Dice& dice) {
  TokenUsage usage = request.asked;
  usage.input_audio = usage.output_audio = usage.output_image = 0;
  const bool is_messages = api == ApiKind::kMessages;
  const bool is_stored =
      !request.unbounded_by.empty() || (request.images > 0 && price.image_tokens_max == 0);
  int64_t input = is_stored ? price.max_input_tokens
                            : std::min<int64_t>(price.max_input_tokens,
                                                request.text_bytes + request.audio_bytes +
                                                    request.images * price.image_tokens_max);
  if (dice.coin()) input = dice.from(1, std::max<int64_t>(input, 1));
  input *= request.samplings;
  if (api != ApiKind::kEmbeddings) {
    usage.cache_read = take(input, dice);
    if (request.cache_writes != CacheWrites::kNone) usage.cache_write_5m = take(input, dice);
    if (request.cache_writes == CacheWrites::kLong) usage.cache_write_1h = take(input, dice);
    if (request.asked.input_audio > 0) usage.input_audio = take(input, dice);
    if (request.images > 0 && !is_messages) usage.input_image = take(input, dice);
    int64_t output = worst.output_tokens * request.choices * request.samplings;
    if (dice.coin()) output = dice.from(0, output);
    if (!is_messages) usage.reasoning = take(output, dice);
    if (request.asked.output_audio > 0) usage.output_audio = take(output, dice);
    usage.output = output;
    for (int64_t TokenUsage::*calls : {&TokenUsage::web_searches, &TokenUsage::file_searches}) {
      usage.*calls = api == ApiKind::kChatCompletions ? request.asked.*calls
                                                      : dice.from(0, worst.calls.*calls);
    }
  }
  usage.input = input;
  return usage;
}

std::string member(const char* name, int64_t value) {
  return quoted(name) + ":" + std::to_string(value);
}

// The usage object as the API spells it, and what stands beside it.
std::string answer_members(ApiKind api, const TokenUsage& usage) {
  const std::string tier =
      R"("service_tier":)" + quoted(usage.service_tier.empty() ? "default" : usage.service_tier);
  const std::string input = std::to_string(usage.input_total());
  const std::string output = std::to_string(usage.output_total());
  const std::string in = "{" + member("cached_tokens", usage.cache_read) + "," +
                         member("cache_write_tokens", usage.cache_write_5m + usage.cache_write_1h) +
                         ",\"cache_write_tokens_details\":{" +
                         member("ttl_12h_tokens", usage.cache_write_1h) + "}," +
                         member("image_tokens", usage.input_image) + "," +
                         member("audio_tokens", usage.input_audio) + "}";
  const std::string out = "{" + member("reasoning_tokens", usage.reasoning) + "," +
                          member("audio_tokens", usage.output_audio) + "}";
  switch (api) {
    case ApiKind::kMessages:
      return "\"usage\":{" + member("input_tokens", usage.input) + "," +
             member("output_tokens", usage.output_total()) + "," +
             member("cache_read_input_tokens", usage.cache_read) + "," +
             member("cache_creation_input_tokens", usage.cache_write_5m + usage.cache_write_1h) +
             ",\"cache_creation\":{" + member("ephemeral_5m_input_tokens", usage.cache_write_5m) +
             "," + member("ephemeral_1h_input_tokens", usage.cache_write_1h) +
             "},\"server_tool_use\":{" + member("web_search_requests", usage.web_searches) +
             "},\"speed\":" + quoted(usage.speed.empty() ? "standard" : usage.speed) +
             ",\"inference_geo\":" + quoted(usage.region.empty() ? "global" : usage.region) + "," +
             tier + "}";
    case ApiKind::kResponses: {
      std::string items;
      for (int64_t i = 0; i < usage.web_searches; i++) {
        items += R"({"type":"web_search_call","action":{"type":"search"}},)";
      }
      for (int64_t i = 0; i < usage.file_searches; i++) items += R"({"type":"file_search_call"},)";
      return "\"output\":[" + items + R"({"type":"message"}],"usage":{"input_tokens":)" + input +
             ",\"output_tokens\":" + output + ",\"input_tokens_details\":" + in +
             ",\"output_tokens_details\":" + out + "}," + tier;
    }
    case ApiKind::kEmbeddings:
      return "\"usage\":{\"prompt_tokens\":" + input + ",\"total_tokens\":" + input + "}," + tier;
    case ApiKind::kChatCompletions:
      break;
  }
  return "\"usage\":{\"prompt_tokens\":" + input + ",\"completion_tokens\":" + output +
         ",\"prompt_tokens_details\":" + in + ",\"completion_tokens_details\":" + out + "}," + tier;
}

// What the meter makes of the answer.
std::unique_ptr<UsageMeter> metered(ApiKind api, const ChatRequest& request,
                                    const TokenUsage& usage) {
  auto meter = dialect(api).make_meter(request);
  const std::string answer = answer_members(api, usage);
  std::string unused;
  const auto feed = [&](const char* event, const std::string& data) {
    meter->on_event(event, data, "data: " + data + "\n\n", unused);
  };
  if (!request.stream) {
    meter->on_json("{" + answer + "}");
  } else if (api == ApiKind::kMessages) {
    feed("message_start", R"({"type":"message_start","message":{)" + answer + "}}");
    feed("message_delta",
         R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},)" + answer + "}");
    feed("message_stop", R"({"type":"message_stop"})");
  } else if (api == ApiKind::kResponses) {
    feed("response.completed", R"({"type":"response.completed","response":{)" + answer + "}}");
  } else {
    feed("", "{\"choices\":[]," + answer + "}");
    feed("", "[DONE]");
  }
  return meter;
}

}  // namespace

TEST_CASE("worst case: no answer that the request allows costs more than was reserved",
          "[unit][ai]") {
  for (int seed = 1; seed <= kRuns; seed++) {
    Dice dice(static_cast<uint64_t>(seed));
    const ApiKind api =
        std::array{ApiKind::kChatCompletions, ApiKind::kResponses, ApiKind::kEmbeddings,
                   ApiKind::kMessages}[static_cast<size_t>(dice.from(0, 3))];
    const Price price = random_price(dice);
    const ChatRequest request = random_request(api, dice);
    const Result<WorstCase> worst = worst_case(request, price, kRules);
    INFO("seed " << seed << " " << worst.status().to_string());
    REQUIRE(worst.ok());
    const TokenUsage usage = random_usage(api, request, price, *worst, dice);
    const auto meter = metered(api, request, usage);
    const Settlement settled =
        settle_usage(request, price, *worst, meter.get(), ExchangeEnd::kAnswered);
    INFO(request.body.substr(0, 300));
    CHECK(settled.tokens.input_total() == usage.input_total());
    CHECK(settled.tokens.output_total() == usage.output_total());
    CHECK_FALSE(settled.tokens.estimated);
    CHECK(settled.findings.empty());
    REQUIRE(cost_nano_usd(price, settled.tokens) <= worst->cost_nano_usd);
    REQUIRE(cost_nano_usd(price, usage) <= worst->cost_nano_usd);
  }
}

TEST_CASE("worst case: what is not known of an answer is charged, and no more than was reserved",
          "[unit][ai]") {
  for (int seed = 1; seed <= kRuns; seed++) {
    Dice dice(static_cast<uint64_t>(seed));
    const Price price = random_price(dice);
    const ApiKind api = dice.coin() ? ApiKind::kChatCompletions : ApiKind::kMessages;
    const ChatRequest request = random_request(api, dice);
    const Result<WorstCase> worst = worst_case(request, price, kRules);
    REQUIRE(worst.ok());
    const Settlement settled = settle_usage(request, price, *worst, nullptr, ExchangeEnd::kUnknown);
    INFO("seed " << seed);
    CHECK(settled.tokens.estimated);
    CHECK(cost_nano_usd(price, settled.tokens) <= worst->cost_nano_usd);
    TokenUsage least;
    least.input = worst->input_tokens * request.samplings;
    least.service_tier = request.asked.service_tier;
    least.speed = request.asked.speed;
    least.region = request.asked.region;
    CHECK(cost_nano_usd(price, settled.tokens) >= cost_nano_usd(price, least));
    CHECK(
        settle_usage(request, price, *worst, nullptr, ExchangeEnd::kNotSent).tokens.input_total() ==
        0);
  }
}

TEST_CASE("worst case: each choice is reserved, up to a cost that no budget holds", "[unit][ai]") {
  Price price;
  price.output_pico = 1'000'000;  // 1,000 nano-USD a token.
  ChatRequest request;
  request.output_tokens_max = 10;
  for (const int64_t choices : {1, 2, 128}) {
    request.choices = choices;
    CHECK(worst_case(request, price, kRules)->cost_nano_usd == choices * 10 * 1'000);
  }
  request.output_tokens_max = INT64_MAX / 2;
  CHECK(worst_case(request, price, kRules)->cost_nano_usd > INT64_MAX / 4);
}

TEST_CASE(
    "worst case: the output of a request is bounded by client, price, organization or default",
    "[unit][ai]") {
  struct Row {
    int64_t client, price, organization, tokens, sent;
  };
  const std::vector<Row> rows = {
      {5, 100, 50, 5, -1},          {200, 100, 50, 100, -1}, {-1, 100, 50, 50, 50},
      {-1, 100, -1, 100, -1},       {-1, 40, 50, 40, -1},    {-1, 0, 50, 50, 50},
      {-1, 0, 9'999, 9'999, 9'999}, {-1, 0, -1, 777, 777},
  };
  for (const Row& row : rows) {
    Price price;
    price.max_output_tokens = row.price;
    ChatRequest request;
    request.output_tokens_max = row.client;
    const BoundRules rules{.organization_output_max = row.organization, .output_default = 777};
    const Result<WorstCase> worst = worst_case(request, price, rules);
    INFO(row.client << " " << row.price << " " << row.organization);
    REQUIRE(worst.ok());
    CHECK(worst->output_tokens == row.tokens);
    CHECK(worst->sent_output_tokens == row.sent);
    request.has_output = false;
    CHECK(worst_case(request, price, rules)->output_tokens == 0);
  }
}

TEST_CASE("worst case: an input that nothing bounds counts as all that the model reads",
          "[unit][ai]") {
  Price price;
  price.model = "m";
  price.input_pico = 1'000'000;
  ChatRequest request;
  request.text_bytes = 100;
  request.unbounded_by = "previous_response_id";
  const Result<WorstCase> refused = worst_case(request, price, kRules);
  CHECK(refused.status().reason() == "input_not_bounded");
  CHECK(refused.status().message().find("previous_response_id") != std::string::npos);
  price.max_input_tokens = 200'000;
  CHECK(worst_case(request, price, kRules)->input_tokens == 200'000);
  // A model whose row has prices beyond its stated maximum reads more than that.
  price.tiers = {{.above_input_tokens = 200'000, .input_pico = 2'000'000}};
  CHECK(worst_case(request, price, kRules)->input_tokens == 200'000);
  request.unbounded_by.clear();
  request.text_bytes = 300'000;
  CHECK(worst_case(request, price, kRules)->input_tokens == 300'000);
  // What costs nothing needs no bound.
  Price free;
  request.unbounded_by = "conversation";
  CHECK(worst_case(request, free, kRules).ok());
}

TEST_CASE("worst case: what is asked for without a price is refused by its name", "[unit][ai]") {
  Price price;
  price.model = "m";
  price.input_pico = price.output_pico = 1;
  const auto reason = [&](ApiKind api, const std::string& members) {
    const Result<ChatRequest> request =
        dialect(api).read_request(R"({"model":"m","max_tokens":1,)" + members + "}");
    INFO(members << request.status().to_string());
    REQUIRE(request.ok());
    const Status status = worst_case(*request, price, kRules).status();
    CHECK(status.reason() == "dimension_not_priced");
    return status.message();
  };
  const auto names = [](const std::string& text, const char* word) {
    INFO(text);
    CHECK(text.find(word) != std::string::npos);
    CHECK(text.find("/admin/ai/prices") != std::string::npos);
  };
  const ApiKind chat = ApiKind::kChatCompletions, messages = ApiKind::kMessages;
  names(reason(chat, R"("service_tier":"priority")"), "priority");
  names(reason(chat, R"("service_tier":"fast")"), "priority");
  names(reason(chat, R"("service_tier":"turbo")"), "turbo");
  names(reason(messages, R"("speed":"fast")"), "fast");
  names(reason(messages, R"("inference_geo":"us")"), "us");
  names(reason(chat, R"("modalities":["audio"])"), "audio");
  names(reason(chat, R"("modalities":["image"])"), "image");
  names(reason(chat, R"("web_search_options":{})"), "web_search");
  names(reason(messages, R"("tools":[{"type":"web_search_20250305"}])"), "web_search");
  names(reason(ApiKind::kResponses, R"("tools":[{"type":"file_search"}])"), "file_search");
  names(reason(ApiKind::kResponses, R"("tools":[{"type":"image_generation"}])"), "image");
  price.output_pico.reset();
  names(reason(chat, R"("n":1)"), "output_cost_per_token");
  const Result<ChatRequest> vectors =
      dialect(ApiKind::kEmbeddings).read_request(R"({"model":"m","input":"a"})");
  CHECK(worst_case(*vectors, price, kRules).ok());
  price.output_pico = 0;
  price.input_pico.reset();
  names(reason(chat, R"("n":1)"), "input_cost_per_token");
  price.input_pico = 0;
  for (const char* standard : {"auto", "default", "standard_only"}) {
    const Result<ChatRequest> request = dialect(chat).read_request(
        R"({"model":"m","service_tier":")" + std::string(standard) + "\"}");
    CHECK(worst_case(*request, price, kRules).ok());
  }
}

TEST_CASE("worst case: an output is lowered to half of what is left, and never under thinking",
          "[unit][ai]") {
  Price price;
  price.output_pico = 1'000'000;  // 1,000 nano-USD a token.
  price.max_output_tokens = 100'000;
  ChatRequest request;
  struct Row {
    int64_t room_tokens, thinking, tokens;  // tokens 0: it does not fit.
  };
  for (const Row& row :
       {Row{10'000, 0, 5'000}, Row{512, 0, 256}, Row{511, 0, 511}, Row{256, 0, 256}, Row{255, 0, 0},
        Row{10'000, 6'000, 10'000}, Row{10'000, 9'999, 10'000}, Row{10'000, 10'000, 0}}) {
    request.thinking_tokens = row.thinking;
    WorstCase worst = worst_case(request, price, kRules).value();
    INFO(row.room_tokens << " " << row.thinking);
    const bool fits = fit_output(request, price, row.room_tokens * 1'000, worst);
    CHECK(fits == (row.tokens > 0));
    if (!fits) continue;
    CHECK(worst.output_tokens == row.tokens);
    CHECK(worst.sent_output_tokens == row.tokens);
    CHECK(worst.cost_nano_usd == row.tokens * 1'000);
  }
}
