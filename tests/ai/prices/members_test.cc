// Goal: of every member of LiteLLM's rows it is known whether a bill may be too small without it.
// Method: rows of one member beside the plain prices.
#include "ai/prices/members.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace kvcs;
using namespace kvcs::ai;

namespace {

MemberMeaning meaning(const std::string& member, const char* value, const char* more = "{}") {
  Json row = parse_json_exact(more).value();
  row[member] = parse_json_exact(value).value();
  return meaning_of(member, row);
}

}  // namespace

TEST_CASE("price members: what is read is understood, with length and service tier too",
          "[unit][ai]") {
  for (const char* name :
       {"input_cost_per_token", "output_cost_per_token_above_272k_tokens_priority",
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
        "cache_read_input_token_cost_flex", "input_cost_per_audio_token_priority",
        "output_cost_per_reasoning_token", "output_cost_per_image_token",
        "file_search_cost_per_1k_calls", "code_interpreter_cost_per_session",
        "input_cost_per_request", "regional_processing_uplift_multiplier_eu"}) {
    INFO(name);
    CHECK(meaning(name, "1e-6") == MemberMeaning::kUnderstood);
  }
  CHECK(meaning("supports_reasoning", "true") == MemberMeaning::kUnderstood);
  CHECK(meaning("max_output_tokens", "5") == MemberMeaning::kUnderstood);
  CHECK(meaning("provider_specific_entry", R"({"fast":6.0,"us":1.1})") ==
        MemberMeaning::kUnderstood);
  // A value that parse_price() refuses is its matter.
  CHECK(meaning("input_cost_per_token", "-1") == MemberMeaning::kUnderstood);
}

TEST_CASE("price members: a price that is not read and may be due is told apart", "[unit][ai]") {
  for (const char* name : {"output_cost_per_image",
                           "input_cost_per_second",
                           "output_cost_per_character",
                           "citation_cost_per_token",
                           "input_cost_per_query",
                           "cost_per_second",
                           "computer_use_input_cost_per_1k_tokens",
                           "regional_endpoint_uplift_multiplier",
                           "input_cost_per_token_above_128k",
                           "output_cost_per_token_turbo",
                           "input_cost_per_token_priority_above_272k_tokens",
                           "input_cost_per_video_per_second",
                           "web_search_cost_per_call_above_200k_tokens",
                           "tiered_pricing",
                           "ocr_cost_per_page",
                           "cache_creation_input_audio_token_cost",
                           "markup_percent",
                           "peak_factor",
                           "premium_hours_factor",
                           "fee_percent"}) {
    INFO(name);
    CHECK(meaning(name, "0.01") == MemberMeaning::kAddsCost);
    CHECK(meaning(name, R"("0.01")") == MemberMeaning::kAddsCost);
    CHECK(meaning(name, R"([{"range":[0,32000],"input_cost_per_token":1e-7}])") ==
          MemberMeaning::kAddsCost);
    CHECK(meaning(name, "0.0") == MemberMeaning::kHarmless);
    CHECK(meaning(name, R"({"a":0})") == MemberMeaning::kHarmless);
  }
  CHECK(meaning("provider_specific_entry", R"({"turbo":2})") == MemberMeaning::kAddsCost);
  CHECK(meaning("provider_specific_entry", R"({"turbo":"2"})") == MemberMeaning::kAddsCost);
  CHECK(meaning("provider_specific_entry", R"({"off_hours":0.5})") == MemberMeaning::kUnderstood);
  CHECK(meaning("provider_specific_entry", "2") == MemberMeaning::kAddsCost);
  CHECK(meaning("search_context_cost_per_query", "0.01") == MemberMeaning::kAddsCost);
}

TEST_CASE("price members: discounts, batches, storage and doubled prices do no harm",
          "[unit][ai]") {
  for (const char* name :
       {"input_cost_per_token_batches", "output_cost_per_token_above_200k_tokens_batches",
        "cache_read_input_audio_token_cost", "input_cost_per_token_cache_hit",
        "vector_store_cost_per_gb_per_day", "file_search_cost_per_gb_per_day"}) {
    INFO(name);
    CHECK(meaning(name, "0.01") == MemberMeaning::kHarmless);
  }
  CHECK(meaning("output_cost_per_image", "0.039", R"({"output_cost_per_image_token":3e-5})") ==
        MemberMeaning::kHarmless);
}

TEST_CASE("price members: facts are facts, and a stranger without money in its name is told",
          "[unit][ai]") {
  for (const char* name : {"supports_vision", "max_tokens", "tpm", "supported_output_modalities",
                           "prompt_cache_min_tokens"}) {
    INFO(name);
    CHECK(meaning(name, "1") == MemberMeaning::kFact);
  }
  CHECK(meaning("display_name", R"("GPT")") == MemberMeaning::kUnknown);
}
