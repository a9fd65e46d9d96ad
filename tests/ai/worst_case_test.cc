// Goal: what is reserved for a request covers every answer that the request allows. Method: random
// prices, requests and answers, from seeds. An answer is written in the words of its API, read by
// the meter and priced as a settlement prices it. The dimensions that are covered are plain cases;
// each that is not yet has a case of its own, which is expected to fail and says what is missing.
#include "ai/worst_case.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <random>

using namespace kvcs;
using namespace kvcs::ai;

namespace {

constexpr int kRuns = 3'000;
constexpr int64_t kDefaultOutput = 16'384;

// What a case lets vary beside text in and out, reads and five-minute writes of a prompt cache,
// reasoning, choices, kinds of API and streaming.
struct Dimensions {
  bool hour_writes = false;     // Writes to the cache for an hour, with a price of their own.
  bool dear_reads = false;      // Reads from the cache may cost more than plain input.
  bool audio = false;           // Sound in and out, with prices of their own.
  bool searches = false;        // The provider searches the web, and bills each search.
  bool service_tiers = false;   // The answer is in the service tier that was asked for.
  bool other_tier = false;      // The answer may be in another service tier.
  bool uneven_lengths = false;  // Prices for long inputs that do not keep the order of the others.
  bool byte_tokens = false;     // An input of a token a byte.
  bool open_whole_answer = false;  // No bound on the output of an answer that is not streamed.
};

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

void add_length_tiers(const Dimensions& dimensions, Dice& dice, Price& price) {
  const Price base = price;
  int64_t factor = 1;
  for (const int64_t above : {20, 1'000}) {
    factor += dice.from(0, 3);
    PriceTier tier{.above_input_tokens = above};
    if (dimensions.uneven_lengths) {
      if (dice.coin()) tier.input_pico = dice.from(0, kPicoMax);
      if (dice.coin()) tier.output_pico = dice.from(0, kPicoMax);
      if (dice.coin()) tier.cache_write_pico = dice.from(0, kPicoMax);
    } else {
      // As providers publish them: the same prices, times a factor that grows.
      tier.input_pico = base.input_pico * factor;
      tier.output_pico = base.output_pico * factor;
      if (base.cache_read_pico) tier.cache_read_pico = *base.cache_read_pico * factor;
      if (base.cache_write_5m_pico) tier.cache_write_pico = *base.cache_write_5m_pico * factor;
    }
    price.tiers.push_back(tier);
  }
}

Price random_price(const Dimensions& dimensions, Dice& dice) {
  Price price;
  price.input_pico = dice.from(0, kPicoMax);
  price.output_pico = dice.from(0, kPicoMax);
  if (dice.coin()) {
    price.cache_read_pico = dice.from(0, dimensions.dear_reads ? kPicoMax : price.input_pico);
  }
  if (dice.coin()) price.cache_write_5m_pico = dice.from(0, kPicoMax);
  if (dimensions.hour_writes) price.cache_write_1h_pico = dice.from(0, 2 * kPicoMax);
  if (dimensions.audio) {
    price.input_audio_pico = dice.from(0, 4 * kPicoMax);
    price.output_audio_pico = dice.from(0, 4 * kPicoMax);
  }
  if (dimensions.searches) price.web_search_pico.fill(dice.from(0, 1'000 * kPicoMax));
  if (dice.coin()) price.max_output_tokens = dice.from(1, 100'000);
  if (dice.coin()) add_length_tiers(dimensions, dice, price);
  // A price of reasoning does not grow with the length of the input.
  if (price.tiers.empty() && dice.coin()) price.reasoning_pico = dice.from(0, kPicoMax);
  if (dimensions.service_tiers || dimensions.other_tier) {
    price.service_tiers = {
        {"flex", 0, dice.from(0, kPicoMax), dice.from(0, kPicoMax), {}, {}},
        {"priority", 0, dice.from(0, 4 * kPicoMax), dice.from(0, 4 * kPicoMax), {}, {}}};
  }
  return price;
}

std::string quoted(std::string_view text) {
  return '"' + std::string(text) + '"';
}

ChatRequest random_request(const Dimensions& dimensions, const Price& price, Dice& dice) {
  const ApiKind api = std::array{ApiKind::kChatCompletions, ApiKind::kResponses,
                                 ApiKind::kEmbeddings, ApiKind::kMessages}[dice.from(0, 3)];
  const std::string text(static_cast<size_t>(dice.from(1, 6'000)), 'x');
  std::string body = R"({"model":"m")";
  switch (api) {
    case ApiKind::kChatCompletions:
    case ApiKind::kMessages:
      body += R"(,"messages":[{"role":"user","content":)" + quoted(text) + "}]";
      break;
    case ApiKind::kResponses:
    case ApiKind::kEmbeddings:
      body += R"(,"input":)" + quoted(text);
      break;
  }
  if (dice.coin()) {
    body += R"(,"tools":[{"type":"function","function":{"name":"f","parameters":{}}}])";
  }
  const bool is_streamed = api != ApiKind::kEmbeddings && dice.coin();
  if (is_streamed) body += R"(,"stream":true)";
  if (api == ApiKind::kChatCompletions && dice.coin()) {
    body += ",\"n\":" + std::to_string(dice.from(1, 128));
  }
  // Something must bound the output here: a stream without a bound is metered as it goes.
  const bool is_open = dimensions.open_whole_answer && !is_streamed;
  if (!is_open && (price.max_output_tokens == 0 || dice.coin())) {
    const bool is_responses = api == ApiKind::kResponses;
    body += is_responses ? ",\"max_output_tokens\":" : ",\"max_tokens\":";
    body += std::to_string(dice.from(0, 50'000));
  }
  if (dimensions.service_tiers) {
    body += R"(,"service_tier":)" + quoted(dice.coin() ? "priority" : "flex");
  }
  Result<ChatRequest> request = parse_chat_request(api, body + "}");
  INFO(request.status().to_string());
  REQUIRE(request.ok());
  return std::move(request).value();
}

// Takes up to what is left, often all of it.
int64_t take(int64_t& left, Dice& dice) {
  const int64_t taken = dice.from(0, left);
  left -= taken;
  return taken;
}

// An answer that the request allows.
TokenUsage random_usage(const Dimensions& dimensions, const ChatRequest& request,
                        const WorstCase& worst, Dice& dice) {
  TokenUsage usage;
  const bool is_embedding = request.api == ApiKind::kEmbeddings;
  const bool is_messages = request.api == ApiKind::kMessages;
  int64_t input = request.input_guess;
  if (dimensions.byte_tokens) input = static_cast<int64_t>(request.body.size());
  if (dice.coin()) input = dice.from(0, input);
  if (!is_embedding) {
    usage.cache_read = take(input, dice);
    if (dice.coin()) usage.cache_write_5m = take(input, dice);
    if (dimensions.hour_writes && is_messages) usage.cache_write_1h = take(input, dice);
    if (dimensions.audio && !is_messages) usage.input_audio = take(input, dice);
    const int64_t choice = dimensions.open_whole_answer && worst.is_open_ended
                               ? 4 * worst.output_tokens
                               : worst.output_tokens;
    int64_t output = choice * request.choices;
    if (dice.coin()) output = dice.from(0, output);
    if (!is_messages && dice.coin()) usage.reasoning = take(output, dice);
    if (dimensions.audio && !is_messages) usage.output_audio = take(output, dice);
    usage.output = output;
    if (dimensions.searches && is_messages) usage.web_searches = dice.from(0, 10);
  }
  usage.input = input;
  usage.service_tier = request.tier;
  if (dimensions.other_tier && !is_messages) {
    usage.service_tier = dice.coin() ? "priority" : "flex";
  }
  return usage;
}

std::string member(const char* name, int64_t value) {
  return quoted(name) + ":" + std::to_string(value);
}

// The usage object as the API spells it.
std::string usage_object(ApiKind api, const TokenUsage& usage) {
  const std::string input = std::to_string(usage.input_total());
  const std::string output = std::to_string(usage.output_total());
  const std::string input_details = "{" + member("cached_tokens", usage.cache_read) + "," +
                                    member("cache_write_tokens", usage.cache_write_5m) + "," +
                                    member("audio_tokens", usage.input_audio) + "}";
  const std::string output_details = "{" + member("reasoning_tokens", usage.reasoning) + "," +
                                     member("audio_tokens", usage.output_audio) + "}";
  switch (api) {
    case ApiKind::kMessages:
      return "{" + member("input_tokens", usage.input) + "," +
             member("output_tokens", usage.output_total()) + "," +
             member("cache_read_input_tokens", usage.cache_read) + "," +
             member("cache_creation_input_tokens", usage.cache_write_5m + usage.cache_write_1h) +
             ",\"cache_creation\":{" + member("ephemeral_5m_input_tokens", usage.cache_write_5m) +
             "," + member("ephemeral_1h_input_tokens", usage.cache_write_1h) +
             "},\"server_tool_use\":{" + member("web_search_requests", usage.web_searches) + "}}";
    case ApiKind::kResponses:
      return "{\"input_tokens\":" + input + ",\"output_tokens\":" + output +
             ",\"input_tokens_details\":" + input_details +
             ",\"output_tokens_details\":" + output_details + "}";
    case ApiKind::kEmbeddings:
      return "{\"prompt_tokens\":" + input + ",\"total_tokens\":" + input + "}";
    case ApiKind::kChatCompletions:
      break;
  }
  return "{\"prompt_tokens\":" + input + ",\"completion_tokens\":" + output +
         ",\"prompt_tokens_details\":" + input_details +
         ",\"completion_tokens_details\":" + output_details + "}";
}

// What the meter makes of the answer.
TokenUsage metered(const ChatRequest& request, const TokenUsage& usage) {
  const auto meter = make_usage_meter(request.api, request.client_wants_usage);
  std::string answer = "\"usage\":" + usage_object(request.api, usage);
  if (!usage.service_tier.empty()) answer += R"(,"service_tier":)" + quoted(usage.service_tier);
  std::string rewritten;
  if (!request.stream) {
    meter->on_json("{" + answer + "}");
  } else if (request.api == ApiKind::kMessages) {
    meter->on_event("message_start", R"({"type":"message_start","message":{)" + answer + "}}",
                    rewritten);
    meter->on_event("message_stop", R"({"type":"message_stop"})", rewritten);
  } else if (request.api == ApiKind::kResponses) {
    meter->on_event("response.completed",
                    R"({"type":"response.completed","response":{)" + answer + "}}", rewritten);
  } else {
    meter->on_event("", "{\"choices\":[]," + answer + "}", rewritten);
    meter->on_event("", "[DONE]", rewritten);
  }
  const TokenUsage seen = meter->usage(request.input_guess);
  CHECK(seen.input_total() == usage.input_total());
  CHECK(seen.output_total() == usage.output_total());
  CHECK_FALSE(seen.estimated);
  return seen;
}

// How many of the answers cost more than was reserved for them.
int count_broken(const Dimensions& dimensions) {
  int broken = 0;
  for (int seed = 1; seed <= kRuns; seed++) {
    Dice dice(static_cast<uint64_t>(seed));
    const Price price = random_price(dimensions, dice);
    const ChatRequest request = random_request(dimensions, price, dice);
    const OutputRules rules{
        .organization_max = dimensions.open_whole_answer || dice.coin() ? -1 : dice.from(0, 50'000),
        .default_tokens = kDefaultOutput};
    const WorstCase worst = worst_case(request, price, rules);
    const TokenUsage usage = metered(request, random_usage(dimensions, request, worst, dice));
    if (cost_nano_usd(price, usage) <= worst.cost_nano_usd) continue;
    broken++;
    if (broken == 1) UNSCOPED_INFO("first with seed " << seed);
  }
  return broken;
}

}  // namespace

TEST_CASE("worst case: no answer of text costs more than was reserved, cached, reasoned or many",
          "[unit][ai]") {
  CHECK(count_broken({}) == 0);
}

TEST_CASE("worst case: what a crash is charged is the input alone, and never more than the whole",
          "[unit][ai]") {
  for (int seed = 1; seed <= kRuns; seed++) {
    Dice dice(static_cast<uint64_t>(seed));
    const Price price = random_price({}, dice);
    const ChatRequest request = random_request({}, price, dice);
    const OutputRules rules{.organization_max = -1, .default_tokens = kDefaultOutput};
    const WorstCase worst = worst_case(request, price, rules);
    INFO("seed " << seed);
    CHECK(worst.input_only_nano_usd <= worst.cost_nano_usd);
    TokenUsage input;
    input.input = request.input_guess;
    CHECK(worst.input_only_nano_usd >= cost_nano_usd(price, input));
  }
}

TEST_CASE("worst case: each choice is reserved, up to a cost that no budget holds", "[unit][ai]") {
  Price price;
  price.output_pico = 1'000'000;  // 1,000 nano-USD a token.
  ChatRequest request;
  request.output_tokens_max = 10;
  const OutputRules rules{.organization_max = -1, .default_tokens = 7};
  for (const int64_t choices : {1, 2, 128}) {
    request.choices = choices;
    CHECK(worst_case(request, price, rules).cost_nano_usd == choices * 10 * 1'000);
  }
  request.output_tokens_max = INT64_MAX / 2;
  CHECK(worst_case(request, price, rules).cost_nano_usd > INT64_MAX / 4);
}

TEST_CASE(
    "worst case: the output of a request is bounded by client, price, organization or default",
    "[unit][ai]") {
  struct Row {
    int64_t client, price, organization, tokens;
    bool is_open_ended;
  };
  const std::vector<Row> rows = {{5, 100, 50, 5, false},     {0, 100, 50, 0, false},
                                 {-1, 100, 50, 50, false},   {-1, 100, -1, 100, false},
                                 {-1, 40, 50, 40, false},    {-1, 0, 50, 50, false},
                                 {-1, 0, 9'999, 777, false}, {-1, 0, -1, 777, true}};
  for (const Row& row : rows) {
    Price price;
    price.max_output_tokens = row.price;
    ChatRequest request;
    request.output_tokens_max = row.client;
    const WorstCase worst =
        worst_case(request, price, {.organization_max = row.organization, .default_tokens = 777});
    INFO(row.client << " " << row.price << " " << row.organization);
    CHECK(worst.output_tokens == row.tokens);
    CHECK(worst.is_open_ended == row.is_open_ended);
    request.api = ApiKind::kEmbeddings;
    CHECK(worst_case(request, price, {}).output_tokens == 0);
  }
}

// Expected to fail until the reservation covers every priced dimension. The names say the fault.

TEST_CASE(
    "worst case: FAULT writes to the cache for an hour are reserved at the price of plain ones",
    "[unit][ai][!shouldfail]") {
  CHECK(count_broken({.hour_writes = true}) == 0);
}

TEST_CASE("worst case: FAULT reads from the cache dearer than input are reserved as input",
          "[unit][ai][!shouldfail]") {
  CHECK(count_broken({.dear_reads = true}) == 0);
}

TEST_CASE("worst case: FAULT sound is reserved at the price of text", "[unit][ai][!shouldfail]") {
  CHECK(count_broken({.audio = true}) == 0);
}

TEST_CASE("worst case: FAULT nothing is reserved for searches of the web",
          "[unit][ai][!shouldfail]") {
  CHECK(count_broken({.searches = true}) == 0);
}

TEST_CASE("worst case: FAULT which kind is dearest is decided without the service tier asked for",
          "[unit][ai][!shouldfail]") {
  CHECK(count_broken({.service_tiers = true}) == 0);
}

TEST_CASE("worst case: FAULT an answer in a dearer service tier than was asked for is not covered",
          "[unit][ai][!shouldfail]") {
  CHECK(count_broken({.other_tier = true}) == 0);
}

TEST_CASE("worst case: FAULT which kind is dearest is decided without the price of long inputs",
          "[unit][ai][!shouldfail]") {
  CHECK(count_broken({.uneven_lengths = true}) == 0);
}

TEST_CASE("worst case: FAULT three bytes are taken for a token, and a token may be one byte",
          "[unit][ai][!shouldfail]") {
  CHECK(count_broken({.byte_tokens = true}) == 0);
}

TEST_CASE(
    "worst case: FAULT a whole answer that nothing bounds may be longer than what is reserved",
    "[unit][ai][!shouldfail]") {
  CHECK(count_broken({.open_whole_answer = true}) == 0);
}

TEST_CASE("worst case: FAULT a picture is taken for 1,600 tokens, and some models count far more",
          "[unit][ai][!shouldfail]") {
  // gpt-4o-mini: 2,833 tokens and 5,667 for each of up to 16 tiles of a picture in high detail.
  const Result<ChatRequest> request = parse_chat_request(
      ApiKind::kChatCompletions,
      R"({"model":"gpt-4o-mini","messages":[{"role":"user","content":[{"type":"image_url",)"
      R"("image_url":{"url":"https://example.com/cat.png","detail":"high"}}]}]})");
  REQUIRE(request.ok());
  CHECK(request->input_guess >= 2'833 + 5'667);
}
