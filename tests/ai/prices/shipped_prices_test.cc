// Goal: the price table that is shipped can be trusted: each row says where it was read and when,
// bounds what a request of its model can cost, and no figure contradicts another. Method: the file
// itself, row by row; a few rows are compared with the providers' published figures.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "ai/prices/dimensions.h"
#include "base/clock.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

std::string source_folder() {
  const char* folder = std::getenv("KVCS_SOURCE_DIR");
  return folder == nullptr ? "." : folder;
}

const Pricing& shipped() {
  static const auto pricing = [] {
    static const ManualClock clock(*parse_iso8601_ms("2026-11-30T12:00:00Z"));
    auto loaded = std::make_unique<Pricing>(clock);
    std::ifstream file(source_folder() + "/config/prices.yaml");
    std::ostringstream text;
    text << file.rdbuf();
    const Status status = loaded->load_yaml(text.str(), "prices.yaml");
    INFO(status.to_string());
    REQUIRE(status.ok());
    return loaded;
  }();
  return *pricing;
}

bool is_embedding(const Price& price) {
  return price.mode == "embedding";
}

const Price& row(const std::string& name) {
  const size_t slash = name.find('/');
  const auto found = shipped().find_exact("", name.substr(0, slash), name.substr(slash + 1));
  INFO(name);
  REQUIRE(found.has_value());
  return *found->price;
}

// What a million tokens cost, in micro-USD.
int64_t cost_of_million(const Price& price, int64_t TokenUsage::*count,
                        std::string_view service_tier = "", std::string_view speed = "") {
  TokenUsage usage;
  usage.*count = 100'000;
  usage.service_tier = service_tier;
  usage.speed = speed;
  return cost_nano_usd(price, usage) / 100;
}

}  // namespace

TEST_CASE("shipped prices: each row says where and when it was read", "[unit][ai]") {
  CHECK(shipped().list().size() > 135);
  for (const auto& price : shipped().list()) {
    INFO(price->provider << "/" << price->model);
    const bool names_page = price->source.find("https://") != std::string::npos;
    CHECK(names_page);
    CHECK(price->date.size() == 10);
    CHECK(price->date >= "2026-07-01");
    CHECK(price->date <= "2026-11-30");
  }
}

TEST_CASE("shipped prices: each row bounds what a request of its model can cost", "[unit][ai]") {
  for (const auto& price : shipped().list()) {
    INFO(price->provider << "/" << price->model);
    const std::set<std::string> modes = {"chat", "responses", "embedding"};
    CHECK(modes.count(price->mode) == 1);
    CHECK(price->input_pico > 0);
    CHECK(price->max_input_tokens > 0);
    if (is_embedding(*price)) continue;
    CHECK(price->output_pico >= price->input_pico);
    CHECK(price->max_output_tokens > 0);
    CHECK(price->max_output_tokens <= price->max_input_tokens);
    CHECK(price->image_tokens_max < price->max_input_tokens);
  }
}

TEST_CASE("shipped prices: dearer tiers are dearer, and cheaper ones cheaper", "[unit][ai]") {
  for (const auto& price : shipped().list()) {
    INFO(price->provider << "/" << price->model);
    const auto rates = [&](std::string_view tier, int64_t input) {
      TokenUsage conditions;
      conditions.service_tier = tier;
      return rates_of(*price, conditions, input);
    };
    const Rates plain = rates("", 1);
    for (const Dimension& dimension : dimensions()) {
      if (dimension.unit == PricedUnit::kCall) continue;
      INFO(dimension.name);
      const auto rate = dimension.rate;
      if (dimension.rate != &Rates::cache_read) {
        CHECK(rates("", price->max_input_tokens).*rate >= plain.*rate);
      }
      if (has_service_tier(*price, "priority")) CHECK(rates("priority", 1).*rate >= plain.*rate);
      if (has_service_tier(*price, "flex")) CHECK(rates("flex", 1).*rate <= plain.*rate);
    }
    CHECK(plain.cache_read <= plain.input);
    CHECK(plain.cache_write_1h >= plain.cache_write_5m);
    for (const PriceFactor& factor : price->factors) CHECK(factor.millionths > 1'000'000);
  }
}

TEST_CASE("shipped prices: models that reason say so", "[unit][ai]") {
  for (const char* name :
       {"openai/o3", "openai/gpt-5", "openai/gpt-6-sol", "anthropic/claude-haiku-4-5",
        "google/gemini-2.5-pro", "deepseek/deepseek-flash", "xai/grok-4.7",
        "groq/openai/gpt-oss-120b", "mistral/magistral-medium-2509"}) {
    INFO(name);
    CHECK(row(name).supports_reasoning);
  }
  for (const char* name : {"openai/gpt-4o", "openai/gpt-4.1", "groq/llama-3.1-8b-instant",
                           "xai/grok-4.20-0309-non-reasoning"}) {
    INFO(name);
    CHECK_FALSE(row(name).supports_reasoning);
  }
}

TEST_CASE("shipped prices: tiers, fast modes, tools and pictures are as published", "[unit][ai]") {
  CHECK(cost_of_million(row("openai/gpt-4o"), &TokenUsage::output, "priority") == 17'000'000);
  CHECK(cost_of_million(row("openai/gpt-5"), &TokenUsage::input, "flex") == 625'000);
  CHECK(cost_of_million(row("anthropic/claude-opus-5"), &TokenUsage::output, "", "fast") ==
        50'000'000);
  for (const char* name : {"claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8"}) {
    INFO(name);  // Their fast mode was removed.
    CHECK_FALSE(has_factor(row(std::string("anthropic/") + name), "fast"));
  }
  TokenUsage usage;
  usage.input = usage.output = 1'000;
  usage.region = "us";
  CHECK(cost_nano_usd(row("anthropic/claude-opus-4-8"), usage) == 33'000'000);
  usage = {};
  usage.web_searches = 5;
  CHECK(cost_nano_usd(row("openai/gpt-5"), usage) == 50'000'000);
  usage.search_size = "preview";
  CHECK(cost_nano_usd(row("openai/gpt-5"), usage) == 50'000'000);
  CHECK(cost_nano_usd(row("openai/gpt-4o"), usage) == 125'000'000);
  usage = {};
  usage.file_searches = 4;
  CHECK(cost_nano_usd(row("openai/gpt-4.1"), usage) == 10'000'000);
  usage = {};
  usage.code_sessions = 1;
  CHECK(cost_nano_usd(row("openai/o3"), usage) == 30'000'000);
  CHECK(row("openai/gpt-4o-search-preview").searches_per_request == 1);
  CHECK(row("openai/gpt-4o-mini").image_tokens_max == 2'833 + 8 * 5'667);
  CHECK(row("openai/gpt-4o").image_tokens_max == 85 + 8 * 170);
  CHECK(row("anthropic/claude-opus-4-7").image_tokens_max == 4'784);
  CHECK(row("anthropic/claude-haiku-4-5").image_tokens_max == 1'600);
  // The provider's bound is at the number, not above it.
  CHECK(rates_of(row("xai/grok-4.6"), {}, 200'000).input == 4'000'000);
  CHECK(rates_of(row("xai/grok-4.6"), {}, 199'999).input == 2'000'000);
}

TEST_CASE("shipped prices: a cache write that is kept longer costs what its provider asks",
          "[unit][ai]") {
  for (const auto& price : shipped().list()) {
    if (price->provider != "openai" || !price->cache_write_5m_pico) continue;
    INFO(price->model);
    CHECK(*price->cache_write_5m_pico * 4 == *price->input_pico * 5);  // 30 minutes.
    REQUIRE(price->cache_write_1h_pico.has_value());
    CHECK(*price->cache_write_1h_pico * 2 == *price->input_pico * 5);  // 12 hours.
    const Rates beyond = rates_of(*price, {}, 300'000);
    CHECK(beyond.cache_write_1h == 2 * beyond.cache_write_5m);
  }
  CHECK(cost_of_million(row("openai/gpt-6.2-sol"), &TokenUsage::cache_write_1h) == 5'000'000);
  CHECK(cost_of_million(row("openai/gpt-6.2-astra"), &TokenUsage::input, "priority") == 16'000'000);
}

TEST_CASE("shipped prices: what has ended says when, and what is promised ends by itself",
          "[unit][ai]") {
  const std::pair<const char*, const char*> ends[] = {
      {"openai/gpt-4o-2024-05-13", "2026-10-23"},    {"openai/o3", "2026-12-11"},
      {"openai/gpt-4o-mini", "2027-01-14"},          {"openai/gpt-5.1", "2027-04-01"},
      {"anthropic/claude-sonnet-4-5", "2026-11-30"}, {"anthropic/claude-opus-4-5", "2027-01-22"},
      {"google/gemini-2.5-pro", "2026-12-01"},       {"groq/llama-3.1-8b-instant", "2026-08-16"},
      {"mistral/mistral-medium-2508", "2026-08-31"}};
  for (const auto& [name, day] : ends) {
    INFO(name);
    CHECK(row(name).deprecation_date == day);
    CHECK(shipped().has_ended(row(name)) == (std::string(day) <= "2026-11-30"));
  }
  CHECK_FALSE(shipped().has_ended(row("openai/gpt-6-luna")));
  for (const char* name : {"gemini-3.6-flash", "gemini-3.7-flash", "gemini-3.8-flash"}) {
    INFO(name);
    const Price& now = row(std::string("google/") + name);
    REQUIRE(now.later != nullptr);
    CHECK(now.later->from == "2027-01-01");
    CHECK(now.reasoning_pico == now.output_pico);
    CHECK(now.later->reasoning_pico == now.later->output_pico);
    for (const std::string_view tier : {"", "flex", "priority"}) {
      TokenUsage conditions;
      conditions.service_tier = tier;
      const Rates before = rates_of(now, conditions, 1),
                  after = rates_of(*now.later, conditions, 1);
      CHECK(after.input == 2 * before.input);
      CHECK(after.output == 2 * before.output);
      CHECK(after.cache_read == 2 * before.cache_read);
    }
  }
}

TEST_CASE("shipped prices: a name that moves between models has no price of its own",
          "[unit][ai]") {
  for (const auto& price : shipped().list()) {
    INFO(price->provider << "/" << price->model);
    const bool moves = price->model.ends_with("-latest");
    CHECK((!moves || shipped().has_ended(*price)));
  }
  for (const char* name : {"mistral/mistral-large-latest", "mistral-medium-latest",
                           "mistral-small-latest", "codestral-latest", "gemini-flash-latest"}) {
    INFO(name);
    CHECK(shipped().find("", "", name).status().reason() == "model_not_priced");
  }
}
