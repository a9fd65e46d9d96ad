// Goal: the price of every kind of token follows the length of the input, the service tier, the
// speed and the region by the providers' rules, and nothing that is asked for is free because its
// price is not known. Method: one row that states each rule, and the sums by hand.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "ai/prices/dimensions.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

Price price_of(const char* members, const char* model = "openai/model") {
  const Json row = parse_json_exact(members).value();
  Result<Price> price = parse_price(model, row, UnknownMembers::kRefuse);
  INFO(price.status().to_string());
  REQUIRE(price.ok());
  return *price;
}

TokenUsage in_tier(std::string_view tier) {
  TokenUsage conditions;
  conditions.service_tier = tier;
  return conditions;
}

// Prices in pico-USD: 1e-12 is 1.
const char* const kRow = R"({
  "input_cost_per_token":1000e-12,"output_cost_per_token":4000e-12,
  "cache_read_input_token_cost":100e-12,"cache_creation_input_token_cost":1250e-12,
  "cache_creation_input_token_cost_above_1hr":2000e-12,
  "output_cost_per_reasoning_token":6000e-12,
  "input_cost_per_token_above_272k_tokens":2000e-12,
  "output_cost_per_token_above_272k_tokens":6000e-12,
  "cache_read_input_token_cost_above_272k_tokens":200e-12,
  "cache_creation_input_token_cost_above_272k_tokens":2500e-12,
  "input_cost_per_token_priority":1700e-12,"output_cost_per_token_priority":8000e-12,
  "cache_read_input_token_cost_priority":170e-12,
  "input_cost_per_token_above_272k_tokens_priority":5000e-12,
  "input_cost_per_token_flex":500e-12,"output_cost_per_token_flex":2000e-12,
  "provider_specific_entry":{"fast":6.0,"us":1.1}})";

}  // namespace

TEST_CASE("rates: a long input changes the price of the whole request, ratios kept", "[unit][ai]") {
  const Price price = price_of(kRow);
  const Rates at = rates_of(price, {}, 272'000), above = rates_of(price, {}, 272'001);
  CHECK(at.input == 1000);
  CHECK(at.reasoning == 6000);
  CHECK(at.cache_write_1h == 2000);
  CHECK(above.input == 2000);
  CHECK(above.output == 6000);
  CHECK(above.cache_read == 200);
  CHECK(above.cache_write_5m == 2500);
  // Twice the default bucket, and one and a half times the output, as below the bound.
  CHECK(above.cache_write_1h == 4000);
  CHECK(above.reasoning == 9000);
}

TEST_CASE("rates: a service tier has its own prices, for long inputs too", "[unit][ai]") {
  const Price price = price_of(kRow);
  const Rates priority = rates_of(price, in_tier("priority"), 1);
  CHECK(priority.input == 1700);
  CHECK(priority.output == 8000);
  CHECK(priority.cache_read == 170);
  CHECK(priority.cache_write_5m == 1250);  // Not stated: the plain price.
  CHECK(priority.reasoning == 12'000);
  const Rates long_priority = rates_of(price, in_tier("priority"), 272'001);
  CHECK(long_priority.input == 5000);     // Stated.
  CHECK(long_priority.output == 12'000);  // 6000 × 8000 / 4000.
  CHECK(long_priority.cache_read == 340);
  CHECK(long_priority.reasoning == 18'000);
  const Rates flex = rates_of(price, in_tier("flex"), 272'001);
  CHECK(flex.input == 1000);
  CHECK(flex.output == 3000);
  CHECK(rates_of(price, in_tier("scale"), 1).input == 1000);
}

TEST_CASE("rates: a price that is not stated falls back after every rule", "[unit][ai]") {
  const Price price = price_of(
      R"({"input_cost_per_token":10e-12,"output_cost_per_token":40e-12,
          "input_cost_per_token_above_200k_tokens":20e-12,
          "input_cost_per_token_priority":15e-12,"output_cost_per_token_priority":60e-12})");
  const Rates rates = rates_of(price, in_tier("priority"), 200'001);
  CHECK(rates.input == 30);
  for (const int64_t Rates::*rate :
       {&Rates::cache_read, &Rates::cache_write_5m, &Rates::cache_write_1h, &Rates::input_audio,
        &Rates::input_image}) {
    CHECK(rates.*rate == 30);
  }
  for (const int64_t Rates::*rate :
       {&Rates::output, &Rates::reasoning, &Rates::output_audio, &Rates::output_image}) {
    CHECK(rates.*rate == 60);
  }
}

TEST_CASE("rates: prices of every kind of token may differ by length and service tier",
          "[unit][ai]") {
  for (const Dimension& dimension : dimensions()) {
    if (dimension.unit == PricedUnit::kCall) continue;
    INFO(dimension.name);
    const std::string name(dimension.member);
    Json row = {{"input_cost_per_token", "1e-12"}, {"output_cost_per_token", "2e-12"}};
    row[name] = "11e-12";
    row[name + "_above_128k_tokens"] = "12e-12";
    row[name + "_above_199999_tokens"] = "13e-12";
    row[name + "_priority"] = "14e-12";
    row[name + "_above_200k_tokens_priority"] = "15e-12";
    const Price price = price_of(dump_json(row).c_str());
    const auto rate = [&](std::string_view tier, int64_t input) {
      return rates_of(price, in_tier(tier), input).*dimension.rate;
    };
    CHECK(rate("", 128'000) == 11);
    CHECK(rate("", 128'001) == 12);
    CHECK(rate("", 200'000) == 13);
    CHECK(rate("priority", 1) == 14);
    CHECK(rate("priority", 200'001) == 15);
    const Price again = price_of(dump_json(price_to_json(price)).c_str());
    CHECK(rates_of(again, in_tier("priority"), 200'001).*dimension.rate == 15);
    CHECK(rates_of(again, {}, 200'000).*dimension.rate == 13);
  }
}

TEST_CASE("rates: speed and region multiply tokens, rounded up, and no calls", "[unit][ai]") {
  const Price price = price_of(
      R"({"input_cost_per_token":3e-12,"output_cost_per_token":100e-12,
          "web_search_cost_per_call":0.01,"regional_processing_uplift_multiplier_us":1.05,
          "provider_specific_entry":{"fast":6.0,"us":1.1}})");
  TokenUsage conditions;
  conditions.speed = "fast";
  CHECK(rates_of(price, conditions, 1).input == 18);
  conditions.region = "us";  // Stated twice: the dearer one, once.
  CHECK(rates_of(price, conditions, 1).input == 20);
  CHECK(rates_of(price, conditions, 1).output == 660);
  CHECK(rates_of(price, conditions, 1).web_search == 10'000'000'000);
  conditions.region = "eu";
  CHECK(rates_of(price, conditions, 1).output == 600);
}

TEST_CASE("rates: searches cost by the size of their context", "[unit][ai]") {
  const Price price = price_of(
      R"({"input_cost_per_token":0,"file_search_cost_per_1k_calls":2.5,
          "search_context_cost_per_query":{"search_context_size_low":0.025,
          "search_context_size_medium":0.0275,"search_context_size_high":0.03}})");
  const auto search = [&](const char* size) {
    TokenUsage usage;
    usage.web_searches = 2;
    usage.search_size = size;
    return cost_nano_usd(price, usage);
  };
  CHECK(search("low") == 50'000'000);
  CHECK(search("") == 55'000'000);
  CHECK(search("medium") == 55'000'000);
  CHECK(search("high") == 60'000'000);
  CHECK(search("preview") == 55'000'000);
  const Price two_tools = price_of(R"({"input_cost_per_token":0,"web_search_cost_per_call":0.01,
                   "web_search_preview_cost_per_call":0.025})");
  TokenUsage one;
  one.web_searches = 1;
  CHECK(cost_nano_usd(two_tools, one) == 10'000'000);
  one.search_size = "preview";
  CHECK(cost_nano_usd(two_tools, one) == 25'000'000);
  TokenUsage files;
  files.file_searches = 3;
  CHECK(cost_nano_usd(price, files) == 7'500'000);
}

TEST_CASE("rates: every count of a usage is charged", "[unit][ai]") {
  Json row = Json::object();
  int64_t expected = 0, pico = 1'000;
  TokenUsage usage;
  for (const Dimension& dimension : dimensions()) {
    pico *= 2;
    row[std::string(dimension.member)] = std::to_string(pico) + "e-12";
    usage.*dimension.count = 1'000;
    expected += pico;
  }
  row["input_cost_per_request"] = "5e-9";
  CHECK(cost_nano_usd(price_of(dump_json(row).c_str()), usage) == expected + 5);
}

TEST_CASE("rates: what a row states no price for is named, with the member that would",
          "[unit][ai]") {
  const Price bare = price_of(R"({"input_cost_per_token":0,"output_cost_per_token":0})");
  for (const Dimension& dimension : dimensions()) {
    INFO(dimension.name);
    TokenUsage usage;
    usage.*dimension.count = 1;
    const std::string unpriced = unpriced_dimension(Price(), usage);
    CHECK(unpriced == (dimension.must_be_stated ? dimension.name : ""));
    if (!dimension.must_be_stated) continue;
    const std::string member = pricing_member(unpriced);
    CHECK(member == dimension.member);
    Json row = {{"input_cost_per_token", 0}, {"output_cost_per_token", 0}};
    row[member] = "0.001";
    CHECK(unpriced_dimension(price_of(dump_json(row).c_str()), usage).empty());
    CHECK(&dimension_of(dimension.count) == &dimension);
  }
  TokenUsage usage = in_tier("priority");
  CHECK(unpriced_dimension(bare, usage) == "service_tier priority");
  CHECK(pricing_member("service_tier priority") ==
        "input_cost_per_token_priority and output_cost_per_token_priority");
  CHECK(unpriced_dimension(price_of(kRow), usage).empty());
  usage = {};
  usage.speed = "fast";
  CHECK(unpriced_dimension(bare, usage) == "speed fast");
  CHECK(pricing_member("speed fast") == R"(provider_specific_entry {"fast": FACTOR})");
  usage.region = "eu";
  CHECK(unpriced_dimension(price_of(kRow), usage) == "region eu");
  CHECK(pricing_member("region eu") == R"(provider_specific_entry {"eu": FACTOR})");
}

TEST_CASE("rates: a search model searches once a request unless its row says otherwise",
          "[unit][ai]") {
  const char* plain = R"({"input_cost_per_token":0})";
  const auto searches = [&](const char* model, const char* members) {
    return price_of(members, model).searches_per_request;
  };
  CHECK(searches("openai/gpt-4o-search-preview", plain) == 1);
  CHECK(searches("openai/gpt-5-search-api-2026-01-01", plain) == 1);
  CHECK(searches("perplexity/sonar-pro", plain) == 1);
  CHECK(searches("openai/o3-deep-research", plain) == 0);
  CHECK(searches("openai/gpt-5", plain) == 0);
  CHECK(searches("openai/search-embed", R"({"input_cost_per_token":0,"mode":"embedding"})") == 0);
  const char* never = R"({"input_cost_per_token":0,"searches_per_request":0})";
  CHECK(searches("openai/gpt-4o-search-preview", never) == 0);
  const std::string again =
      dump_json(price_to_json(price_of(never, "openai/gpt-4o-search-preview")));
  CHECK(searches("openai/gpt-4o-search-preview", again.c_str()) == 0);
}
