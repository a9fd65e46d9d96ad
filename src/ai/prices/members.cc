// Tells the members of LiteLLM's rows apart: which are read, which are facts, and which are prices
// that a row cannot do without.
#include "ai/prices/members.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <utility>

#include "ai/prices/pricing.h"

namespace kvcs::ai {
namespace {

constexpr std::array<std::string_view, 23> kFacts = {
    "max_tokens",
    "comment",
    "metadata",
    "rpm",
    "tpm",
    "output_vector_size",
    "prompt_cache_min_tokens",
    "tool_use_system_prompt_tokens",
    "supported_endpoints",
    "supported_modalities",
    "supported_output_modalities",
    "supported_regions",
    "max_audio_length_hours",
    "max_audio_per_prompt",
    "max_images_per_prompt",
    "max_pdf_size_mb",
    "max_video_length",
    "max_videos_per_prompt",
    "max_document_chunks_per_query",
    "max_query_tokens",
    "uses_embed_content",
    "web_search_billing_unit",
    "gemini_native_audio",
};

// What a member's name has when it is about money.
constexpr std::array<std::string_view, 13> kMoneyWords = {
    "cost",      "price", "pricing", "multiplier", "uplift", "markup", "premium",
    "surcharge", "_fee",  "fee_",    "peak",       "usd",    "charge"};
// Of those the ones that can only lower the bill of a request, or never are part of it: batches and
// storage are sold by other APIs.
constexpr std::array<std::string_view, 6> kHarmlessWords = {
    "_batch", "cache_read_", "cache_hit", "discount", "off_peak", "_per_gb_per_day"};

// The same cost in two units; a row that states the second one is whole without the first.
constexpr std::pair<std::string_view, const char*> kSameCost[] = {
    {"input_cost_per_image", "input_cost_per_image_token"},
    {"output_cost_per_image", "output_cost_per_image_token"},
    {"input_cost_per_audio_per_second", "input_cost_per_audio_token"},
    {"output_cost_per_audio_per_second", "output_cost_per_audio_token"},
};

bool has_any(std::string_view name, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return name.find(word) != name.npos; });
}

// The number that a member is or has as its text.
std::optional<double> number_of(const Json& value) {
  if (!value.is_number() && !value.is_binary() && !value.is_string()) return std::nullopt;
  const std::string text = value.is_string() ? value.get<std::string>() : dump_json(value);
  double number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Zero, false, nothing, or an object of such.
bool is_nothing(const Json& value) {
  if (value.is_structured()) return std::all_of(value.begin(), value.end(), is_nothing);
  return value.is_null() || value == false || number_of(value) == 0.0;
}

// "fast" is a speed; regions have two letters, or are the whole world.
bool is_known_factor(std::string_view name) {
  return name == "fast" || name == "global" || name.size() == 2;
}

// A factor that no request can be told to ask for might hold for any.
bool has_unknown_factor(const Json& factors) {
  for (const auto& [name, value] : factors.items()) {
    if (is_known_factor(name)) continue;
    if (number_of(value).value_or(2) > 1) return true;
  }
  return false;
}

}  // namespace

MemberMeaning meaning_of(const std::string& member, const Json& row) {
  const Json& value = row.at(member);
  Price unused;
  const Result<bool> read = read_price_member(unused, member, row);
  if (!read.ok() || *read) {
    const bool has_stranger = member == "provider_specific_entry" && has_unknown_factor(value);
    return has_stranger ? MemberMeaning::kAddsCost : MemberMeaning::kUnderstood;
  }
  if (member.starts_with("supports_") ||
      std::find(kFacts.begin(), kFacts.end(), member) != kFacts.end()) {
    return MemberMeaning::kFact;
  }
  if (!has_any(member, kMoneyWords) && member != "provider_specific_entry") {
    return MemberMeaning::kUnknown;
  }
  if (has_any(member, kHarmlessWords) || is_nothing(value)) return MemberMeaning::kHarmless;
  for (const auto& [name, same] : kSameCost) {
    if (member == name && row.contains(same)) return MemberMeaning::kHarmless;
  }
  return MemberMeaning::kAddsCost;
}

}  // namespace kvcs::ai
