// Prices: exact from decimal text, found by every spelling of a model, never half-loaded.
#include "ai/prices/pricing.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/clock.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

constexpr const char* kYaml = R"(
models:
  openai/gpt-4o-mini:
    mode: chat
    input_cost_per_token: 1.5e-07
    output_cost_per_token: 6e-07
    cache_read_input_token_cost: 7.5e-08
    max_output_tokens: 16384
  anthropic/claude-sonnet-4:
    input_cost_per_token: "3e-06"
    output_cost_per_token: "1.5e-05"
    input_cost_per_token_above_200k_tokens: "6e-06"
    output_cost_per_token_above_200k_tokens: "2.25e-05"
    cache_creation_input_token_cost: 3.75e-06
    cache_creation_input_token_cost_above_1hr: 6e-06
aliases:
  small: openai/gpt-4o-mini
)";

int64_t cost(const Pricing& pricing, std::string_view model, const TokenUsage& usage) {
  return cost_nano_usd(*pricing.find("", "", model)->price, usage);
}

}  // namespace

TEST_CASE("pricing: LiteLLM's numbers become exact pico-dollars", "[unit][ai]") {
  const Json row = *parse_json_exact(
      R"({"input_cost_per_token":2.1875e-06,"output_cost_per_token":1.75e-05,"supports_x":true,
          "cache_read_input_token_cost":5.46875e-07,"litellm_provider":"bedrock"})");
  const Price price = *parse_price("nova", row, UnknownMembers::kRefuse);
  CHECK(price.input_pico == 2'187'500);
  CHECK(price.output_pico == 17'500'000);
  CHECK(*price.cache_read_pico == 546'875);
  CHECK(price.provider == "bedrock");
  CHECK(dump_json(price_to_json(price)["cache_read_input_token_cost"]) == "0.000000546875");
}

TEST_CASE("pricing: a bad member is named with its limit", "[unit][ai]") {
  const auto fault = [](const char* text, UnknownMembers unknown = UnknownMembers::kRefuse) {
    return parse_price("m", *parse_json_exact(text), unknown).status().message();
  };
  CHECK(fault(R"({"input_cost_per_token":-1})").find("input_cost_per_token") != std::string::npos);
  CHECK(fault(R"({"input_cost_per_token":2})").find("over the limit of 1") != std::string::npos);
  CHECK(fault(R"({"input_cost_per_token":"1e-13"})").find("decimals") != std::string::npos);
  CHECK(fault(R"({"input_cost_per_token":true})").find("number") != std::string::npos);
  CHECK(fault(R"({"input_cost_per_token":0,"tpyo":1})").find("tpyo") != std::string::npos);
  CHECK(fault(R"({"input_cost_per_token":0,"tpyo":1})", UnknownMembers::kIgnore).empty());
  CHECK(fault(R"({})").find("needs input_cost_per_token") != std::string::npos);
}

TEST_CASE("pricing: a model is found by every spelling, and an unknown one refused", "[unit][ai]") {
  const ManualClock clock;
  Pricing pricing(clock);
  REQUIRE(pricing.load_yaml(kYaml, "prices.yaml").ok());
  for (const char* name : {"gpt-4o-mini", "openai/gpt-4o-mini", "small", "gpt-4o-mini-2024-07-18",
                           "gpt-4o-mini-20240718"}) {
    INFO(name);
    CHECK(pricing.find("", "", name)->price->input_pico == 150'000);
    CHECK(pricing.find("", "openai", name).ok());
  }
  const auto unknown = pricing.find("", "openai", "gpt-9");
  CHECK(unknown.code() == Code::kInvalid);
  CHECK(unknown.status().reason() == "model_not_priced");
}

TEST_CASE("pricing: cost is rounded up once, over all kinds of tokens", "[unit][ai]") {
  const ManualClock clock;
  Pricing pricing(clock);
  REQUIRE(pricing.load_yaml(kYaml, "prices.yaml").ok());
  CHECK(cost(pricing, "gpt-4o-mini", {.input = 1}) == 150);
  CHECK(cost(pricing, "gpt-4o-mini", {.cache_read = 1}) == 75);
  CHECK(cost(pricing, "gpt-4o-mini", {.input = 1, .cache_read = 1, .output = 1, .reasoning = 1}) ==
        150 + 75 + 600 + 600);
  CHECK(cost(pricing, "claude-sonnet-4", {.cache_write_5m = 10, .cache_write_1h = 10}) ==
        37'500 + 60'000);
  CHECK(cost(pricing, "gpt-4o-mini", {}) == 0);
}

TEST_CASE("pricing: past the long-context bound the whole request costs more", "[unit][ai]") {
  const ManualClock clock;
  Pricing pricing(clock);
  REQUIRE(pricing.load_yaml(kYaml, "prices.yaml").ok());
  CHECK(cost(pricing, "claude-sonnet-4", {.input = 200'000}) == 600'000'000);
  CHECK(cost(pricing, "claude-sonnet-4", {.input = 200'001}) == 1'200'006'000);
  CHECK(cost(pricing, "claude-sonnet-4", {.input = 100'000, .cache_read = 100'001, .output = 1}) ==
        600'000'000 + 600'006'000 + 22'500);
}

TEST_CASE("pricing: absurd token counts do not overflow", "[unit][ai]") {
  const ManualClock clock;
  Pricing pricing(clock);
  REQUIRE(pricing.load_yaml(kYaml, "prices.yaml").ok());
  CHECK(cost(pricing, "claude-sonnet-4", {.input = INT64_MAX / 4, .output = INT64_MAX / 4}) > 0);
  CHECK(cost(pricing, "gpt-4o-mini", {.input = -5}) == 0);
}

TEST_CASE("pricing: an organization's price beats everybody's, which beats the file's",
          "[unit][ai]") {
  const ManualClock clock;
  Pricing pricing(clock);
  REQUIRE(pricing.load_yaml(kYaml, "prices.yaml").ok());
  const std::string before = pricing.version();
  Price everybody, theirs;
  everybody.input_pico = 1;
  theirs.input_pico = 2;
  pricing.set_overrides({{"", "gpt-4o-mini", everybody}, {"org-1", "openai/gpt-4o-mini", theirs}});
  CHECK(pricing.find("org-1", "openai", "gpt-4o-mini")->price->input_pico == 2);
  CHECK(pricing.find("org-2", "openai", "gpt-4o-mini")->price->input_pico == 1);
  CHECK(pricing.version() != before);
  pricing.set_overrides({});
  CHECK(pricing.version() == before);
}

TEST_CASE("pricing: a bad file names its line and leaves the good table", "[unit][ai]") {
  const ManualClock clock;
  Pricing pricing(clock);
  REQUIRE(pricing.load_yaml(kYaml, "prices.yaml").ok());
  const std::string good = pricing.version();
  for (const char* text :
       {"models: [", "models:\n  openai/a:\n    input_cost_per_token: x\n",
        "models:\n  bare:\n    input_cost_per_token: 0\n", "[]",
        "models:\n  openai/a: {input_cost_per_token: 0}\naliases: {b: openai/c}\n",
        "models:\n  openai/a: 3\n"}) {
    const Status status = pricing.load_yaml(text, "prices.yaml");
    INFO(text);
    CHECK(status.code() == Code::kInvalid);
    CHECK(status.message().find("prices.yaml") == 0);
  }
  CHECK(pricing.load_yaml("models:\n  openai/a:\n    input_cost_per_token: x\n", "p.yaml")
            .message()
            .find("p.yaml, line 2") == 0);
  CHECK(pricing.version() == good);
  CHECK(pricing.find("", "", "small").ok());
}

TEST_CASE("pricing: an answer in another service tier costs what that tier costs", "[unit][ai]") {
  const Json row = *parse_json_exact(
      R"({"input_cost_per_token":1.5e-07,"output_cost_per_token":6e-07,
          "cache_read_input_token_cost":7.5e-08,"input_cost_per_token_priority":2.5e-07,
          "output_cost_per_token_priority":1e-06,"cache_read_input_token_cost_priority":1.25e-07,
          "input_cost_per_token_flex":7.5e-08})");
  const Price price = *parse_price("openai/gpt-4o-mini", row, UnknownMembers::kRefuse);
  TokenUsage usage;
  usage.input = 1000;
  usage.cache_read = 1000;
  usage.output = 1000;
  CHECK(cost_nano_usd(price, usage) == 150'000 + 75'000 + 600'000);
  usage.service_tier = "priority";
  CHECK(cost_nano_usd(price, usage) == 250'000 + 125'000 + 1'000'000);
  usage.service_tier = "flex";  // What it does not state is the plain price.
  CHECK(cost_nano_usd(price, usage) == 75'000 + 75'000 + 600'000);
  const Price again =
      *parse_price("openai/gpt-4o-mini", *parse_json_exact(dump_json(price_to_json(price))),
                   UnknownMembers::kRefuse);
  CHECK(cost_nano_usd(again, usage) == 75'000 + 75'000 + 600'000);
}

TEST_CASE("pricing: a later price takes the place of a row on its day", "[unit][ai]") {
  ManualClock clock(*parse_iso8601_ms("2026-12-31T23:59:59Z"));
  Pricing pricing(clock);
  REQUIRE(pricing
              .load_yaml(R"(
models:
  google/flash:
    input_cost_per_token: 7.5e-07
    output_cost_per_token: 3.75e-06
    max_input_tokens: 1000
    later:
      from: "2027-01-01"
      input_cost_per_token: 1.5e-06
      later: {from: "2027-06-01", output_cost_per_token: 9e-06}
aliases:
  quick: google/flash
)",
                         "prices.yaml")
              .ok());
  const auto prices = [&](std::string_view name) {
    const auto found = pricing.find("", "", name);
    return std::pair(*found->price->input_pico, *found->price->output_pico);
  };
  const std::string version = pricing.find("", "google", "flash")->version;
  CHECK(prices("flash") == std::pair<int64_t, int64_t>(750'000, 3'750'000));
  clock.advance_ms(1'000);
  for (const char* name : {"flash", "google/flash", "quick", "flash-2026-09-01"}) {
    INFO(name);
    CHECK(prices(name) == std::pair<int64_t, int64_t>(1'500'000, 3'750'000));
  }
  CHECK(pricing.find("", "google", "flash")->price->max_input_tokens == 1000);
  CHECK(pricing.find("", "google", "flash")->version == version + "@2027-01-01");
  CHECK(*pricing.find_exact("", "google", "flash")->price->input_pico == 1'500'000);
  CHECK(*pricing.list().front()->input_pico == 1'500'000);
  clock.set_unix_ms(*parse_iso8601_ms("2027-07-01"));
  CHECK(prices("flash") == std::pair<int64_t, int64_t>(1'500'000, 9'000'000));
  // An override is what its admin says, on every day.
  Price theirs;
  theirs.input_pico = 2;
  pricing.set_overrides({{"", "flash", theirs}});
  CHECK(*pricing.find("", "google", "flash")->price->input_pico == 2);
}

TEST_CASE("pricing: a row has ended from its day on, and keeps its price", "[unit][ai]") {
  ManualClock clock(*parse_iso8601_ms("2026-11-29T23:59:59Z"));
  Pricing pricing(clock);
  REQUIRE(pricing
              .load_yaml("models:\n  a/old: {input_cost_per_token: 1e-06, deprecation_date: "
                         "\"2026-11-30\"}\n  a/new: {input_cost_per_token: 1e-06}\n",
                         "prices.yaml")
              .ok());
  const auto has_ended = [&](std::string_view model) {
    return pricing.has_ended(*pricing.find("", "a", model)->price);
  };
  CHECK_FALSE(has_ended("old"));
  clock.advance_ms(1'000);
  CHECK(has_ended("old"));
  CHECK_FALSE(has_ended("new"));
  CHECK(cost(pricing, "old", {.input = 1}) == 1'000);
  const Json row = price_to_json(*pricing.find("", "a", "old")->price);
  CHECK(row["deprecation_date"] == "2026-11-30");
}

TEST_CASE("pricing: a later price without a day, or out of order, is named", "[unit][ai]") {
  const ManualClock clock;
  Pricing pricing(clock);
  const auto fault = [&](const std::string& later) {
    return pricing
        .load_yaml("models:\n  a/b: {input_cost_per_token: 0, later: " + later + "}\n", "p.yaml")
        .message();
  };
  const auto names = [](const std::string& text, const char* part) {
    INFO(text);
    return text.find(part) != std::string::npos;
  };
  CHECK(names(fault("{input_cost_per_token: 1e-06}"), "a/b.later: must be an object"));
  CHECK(names(fault("soon"), "a/b.later: must be an object"));
  CHECK(names(fault("{from: 2027}"), "a/b.later.from: must be a day"));
  CHECK(names(fault("{from: \"2027-01-01\", tpyo: 1}"), "tpyo"));
  CHECK(names(fault("{from: \"2027-02-01\", later: {from: \"2027-01-01\"}}"),
              "must come after 2027-02-01"));
  CHECK(fault("{from: \"2027-02-01\", input_cost_per_token: 1e-06}").empty());
  const Json row = *parse_json_exact(R"({"input_cost_per_token":0,"later":{"from":"2027-02-01"}})");
  CHECK(names(parse_price("m", row, UnknownMembers::kRefuse).status().message(), "later"));
  const Json end = *parse_json_exact(R"({"input_cost_per_token":0,"deprecation_date":"soon"})");
  CHECK(names(parse_price("m", end, UnknownMembers::kRefuse).status().message(),
              "deprecation_date: must be a day"));
}
