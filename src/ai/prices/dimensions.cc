// The table of priced dimensions, and the questions that it answers without a request: what a row
// states, what it lacks, and which member would state it.
#include "ai/prices/dimensions.h"

#include <algorithm>

#include "base/status.h"

namespace kvcs::ai {
namespace {

constexpr Dimension kDimensions[] = {
    {.name = "input",
     .unit = PricedUnit::kInputToken,
     .count = &TokenUsage::input,
     .rate = &Rates::input,
     .stated = &Price::input_pico,
     .by_length = &PriceTier::input_pico,
     .by_service = &ServiceTierPrices::input_pico,
     .member = "input_cost_per_token",
     .must_be_stated = true},
    {.name = "output",
     .unit = PricedUnit::kOutputToken,
     .count = &TokenUsage::output,
     .rate = &Rates::output,
     .stated = &Price::output_pico,
     .by_length = &PriceTier::output_pico,
     .by_service = &ServiceTierPrices::output_pico,
     .member = "output_cost_per_token",
     .must_be_stated = true},
    {.name = "cache_read",
     .unit = PricedUnit::kInputToken,
     .count = &TokenUsage::cache_read,
     .rate = &Rates::cache_read,
     .stated = &Price::cache_read_pico,
     .by_length = &PriceTier::cache_read_pico,
     .by_service = &ServiceTierPrices::cache_read_pico,
     .member = "cache_read_input_token_cost",
     .fallback = &Rates::input},
    {.name = "cache_write",
     .unit = PricedUnit::kInputToken,
     .count = &TokenUsage::cache_write_5m,
     .rate = &Rates::cache_write_5m,
     .stated = &Price::cache_write_5m_pico,
     .by_length = &PriceTier::cache_write_pico,
     .by_service = &ServiceTierPrices::cache_write_pico,
     .member = "cache_creation_input_token_cost",
     .fallback = &Rates::input},
    {.name = "cache_write_1h",
     .unit = PricedUnit::kInputToken,
     .count = &TokenUsage::cache_write_1h,
     .rate = &Rates::cache_write_1h,
     .stated = &Price::cache_write_1h_pico,
     .by_length = &PriceTier::cache_write_1h_pico,
     .by_service = &ServiceTierPrices::cache_write_1h_pico,
     .member = "cache_creation_input_token_cost_above_1hr",
     .fallback = &Rates::cache_write_5m,
     .keeps_ratio = true},
    {.name = "reasoning",
     .unit = PricedUnit::kOutputToken,
     .count = &TokenUsage::reasoning,
     .rate = &Rates::reasoning,
     .stated = &Price::reasoning_pico,
     .by_length = &PriceTier::reasoning_pico,
     .by_service = &ServiceTierPrices::reasoning_pico,
     .member = "output_cost_per_reasoning_token",
     .fallback = &Rates::output,
     .keeps_ratio = true},
    {.name = "audio_input",
     .unit = PricedUnit::kInputToken,
     .count = &TokenUsage::input_audio,
     .rate = &Rates::input_audio,
     .stated = &Price::input_audio_pico,
     .by_length = &PriceTier::input_audio_pico,
     .by_service = &ServiceTierPrices::input_audio_pico,
     .member = "input_cost_per_audio_token",
     .fallback = &Rates::input,
     .must_be_stated = true},
    {.name = "audio_output",
     .unit = PricedUnit::kOutputToken,
     .count = &TokenUsage::output_audio,
     .rate = &Rates::output_audio,
     .stated = &Price::output_audio_pico,
     .by_length = &PriceTier::output_audio_pico,
     .by_service = &ServiceTierPrices::output_audio_pico,
     .member = "output_cost_per_audio_token",
     .fallback = &Rates::output,
     .must_be_stated = true},
    // Pictures that are sent count as plain input with most providers, and cost as much.
    {.name = "image_input",
     .unit = PricedUnit::kInputToken,
     .count = &TokenUsage::input_image,
     .rate = &Rates::input_image,
     .stated = &Price::input_image_pico,
     .by_length = &PriceTier::input_image_pico,
     .by_service = &ServiceTierPrices::input_image_pico,
     .member = "input_cost_per_image_token",
     .fallback = &Rates::input},
    {.name = "image_output",
     .unit = PricedUnit::kOutputToken,
     .count = &TokenUsage::output_image,
     .rate = &Rates::output_image,
     .stated = &Price::output_image_pico,
     .by_length = &PriceTier::output_image_pico,
     .by_service = &ServiceTierPrices::output_image_pico,
     .member = "output_cost_per_image_token",
     .fallback = &Rates::output,
     .must_be_stated = true},
    {.name = "web_search",
     .unit = PricedUnit::kCall,
     .count = &TokenUsage::web_searches,
     .rate = &Rates::web_search,
     .by_size = &Price::web_search_pico,
     .member = "web_search_cost_per_call",
     .must_be_stated = true},
    {.name = "file_search",
     .unit = PricedUnit::kCall,
     .count = &TokenUsage::file_searches,
     .rate = &Rates::file_search,
     .stated = &Price::file_search_pico,
     .member = "file_search_cost_per_call",
     .must_be_stated = true},
    {.name = "code_session",
     .unit = PricedUnit::kCall,
     .count = &TokenUsage::code_sessions,
     .rate = &Rates::code_session,
     .stated = &Price::code_session_pico,
     .member = "code_interpreter_cost_per_session",
     .must_be_stated = true},
    {.name = "image_generation",
     .unit = PricedUnit::kCall,
     .count = &TokenUsage::images_made,
     .rate = &Rates::image_made,
     .stated = &Price::image_made_pico,
     .member = "image_generation_cost_per_call",
     .must_be_stated = true},
};

constexpr std::string_view kServiceTiers[] = {"flex", "priority"};
constexpr std::string_view kSearchSizeMembers[] = {
    "search_context_size_low", "search_context_size_medium", "search_context_size_high"};
static_assert(std::size(kSearchSizeMembers) == kSearchPreview);

// The conditions of a use that are no counts, as unpriced_dimension() names them.
constexpr std::string_view kTierWord = "service_tier ", kSpeedWord = "speed ",
                           kRegionWord = "region ";

}  // namespace

std::span<const Dimension> dimensions() {
  return kDimensions;
}

std::span<const Dimension> call_dimensions() {
  const auto first =
      std::find_if(std::begin(kDimensions), std::end(kDimensions),
                   [](const Dimension& one) { return one.unit == PricedUnit::kCall; });
  return {first, std::end(kDimensions)};
}

const Dimension& dimension_of(int64_t TokenUsage::*count) {
  const auto found = std::find_if(std::begin(kDimensions), std::end(kDimensions),
                                  [&](const Dimension& one) { return one.count == count; });
  KVCS_ASSERT(found != std::end(kDimensions));
  return *found;
}

bool is_stated(const Price& price, const Dimension& dimension, std::string_view size) {
  if (dimension.by_size != nullptr) {
    return price_by_size(price.*dimension.by_size, size).has_value();
  }
  return (price.*dimension.stated).has_value();
}

int64_t call_pico(const Price& price, const Dimension& call, std::string_view search_size) {
  const auto& stated = call.by_size != nullptr ? price_by_size(price.*call.by_size, search_size)
                                               : price.*call.stated;
  return stated.value_or(0);
}

bool has_service_tier(const Price& price, std::string_view name) {
  return std::any_of(price.service_tiers.begin(), price.service_tiers.end(),
                     [&](const ServiceTierPrices& tier) { return tier.name == name; });
}

bool has_factor(const Price& price, std::string_view name) {
  return std::any_of(price.factors.begin(), price.factors.end(),
                     [&](const PriceFactor& factor) { return factor.name == name; });
}

std::string unpriced_dimension(const Price& price, const TokenUsage& usage) {
  for (const Dimension& dimension : kDimensions) {
    if (dimension.must_be_stated && usage.*dimension.count > 0 &&
        !is_stated(price, dimension, usage.search_size)) {
      return std::string(dimension.name);
    }
  }
  if (!usage.service_tier.empty() && !has_service_tier(price, usage.service_tier)) {
    return std::string(kTierWord) + usage.service_tier;
  }
  if (!usage.speed.empty() && !has_factor(price, usage.speed)) {
    return std::string(kSpeedWord) + usage.speed;
  }
  if (!usage.region.empty() && !has_factor(price, usage.region)) {
    return std::string(kRegionWord) + usage.region;
  }
  return "";
}

std::string pricing_member(std::string_view unpriced) {
  for (const Dimension& dimension : kDimensions) {
    if (dimension.name == unpriced) return std::string(dimension.member);
  }
  if (unpriced.starts_with(kTierWord)) {
    const std::string tier(unpriced.substr(kTierWord.size()));
    return "input_cost_per_token_" + tier + " and output_cost_per_token_" + tier;
  }
  for (const std::string_view word : {kSpeedWord, kRegionWord}) {
    if (!unpriced.starts_with(word)) continue;
    return "provider_specific_entry {\"" + std::string(unpriced.substr(word.size())) +
           "\": FACTOR}";
  }
  return "";
}

std::span<const std::string_view> priced_service_tiers() {
  return kServiceTiers;
}
std::span<const std::string_view> search_size_members() {
  return kSearchSizeMembers;
}

const std::optional<int64_t>& price_by_size(const SearchPrices& prices, std::string_view size) {
  if (size == "low") return prices[kSearchLow];
  if (size == "high") return prices[kSearchHigh];
  if (size == "preview" && prices[kSearchPreview]) return prices[kSearchPreview];
  return prices[kSearchMedium];
}

}  // namespace kvcs::ai
