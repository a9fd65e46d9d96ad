// The table of priced dimensions: everything that a request can be billed for. A line says how a
// use is counted, which price of a row it costs and which member of the row states that price.
// Reserving, settling, refusing, reading, writing and importing prices all follow this table, so a
// new dimension is a field of TokenUsage, of Rates and of Price, and a line here. Pure functions.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ai/prices/pricing.h"

namespace kvcs::ai {

enum class PricedUnit : uint8_t { kInputToken, kOutputToken, kCall };

struct Dimension {
  std::string_view name;  // In refusals: "web_search", "audio_output", …
  PricedUnit unit = PricedUnit::kInputToken;
  int64_t TokenUsage::*count = nullptr;
  int64_t Rates::*rate = nullptr;
  // Where a row has the price: one of these two.
  std::optional<int64_t> Price::*stated = nullptr;
  SearchPrices Price::*by_size = nullptr;
  // Prices of tokens alone may differ by the length of the input and by the service tier.
  std::optional<int64_t> PriceTier::*by_length = nullptr;
  std::optional<int64_t> ServiceTierPrices::*by_service = nullptr;
  // The name of the price in a row, LiteLLM's. Those by length and service tier append
  // "_above_200k_tokens", "_priority", or both in this order.
  std::string_view member;
  // What is charged by a row that does not state the price; its line comes before this one. Null:
  // nothing, and a request that asks for it is refused.
  int64_t Rates::*fallback = nullptr;
  // A row that states other prices for long inputs or a service tier may leave this one out; it
  // then keeps its ratio to the price of `fallback`, because it is a multiple of that by the
  // providers' rules. The others keep the amount that is stated without a tier.
  bool keeps_ratio = false;
  // A request that asks for it is refused when the row does not state its price.
  bool must_be_stated = false;
};

// In the order in which rows are written; a fallback stands before what falls back on it.
std::span<const Dimension> dimensions();
// The lines that are billed by the call; they stand last.
std::span<const Dimension> call_dimensions();
// The line that counts `count`; every count of TokenUsage has one.
const Dimension& dimension_of(int64_t TokenUsage::*count);
// Whether the row states the price of `dimension`; of web searches that of `search_size` ("" =
// medium).
bool is_stated(const Price& price, const Dimension& dimension, std::string_view search_size);

// Whether the row has prices for a service tier, or a factor for a speed or region.
bool has_service_tier(const Price& price, std::string_view name);
bool has_factor(const Price& price, std::string_view name);

// What one use of a line of call_dimensions() costs, in pico-USD; 0 where the row does not state
// it.
int64_t call_pico(const Price& price, const Dimension& call, std::string_view search_size);

// The members of a price row that would price `unpriced`, which is what unpriced_dimension()
// answered: "web_search_cost_per_call". For the sentence that tells an admin what to set.
std::string pricing_member(std::string_view unpriced);

// Service tiers that a request may ask for and that have prices of their own. Batches are another
// API.
std::span<const std::string_view> priced_service_tiers();
// The names of the prices of web searches by size, indexed by SearchSize, but for that of the
// preview, which is "web_search_preview_cost_per_call".
std::span<const std::string_view> search_size_members();
// `size`: as in TokenUsage::search_size; "preview" is OpenAI's older tool.
const std::optional<int64_t>& price_by_size(const SearchPrices& prices, std::string_view size);

}  // namespace kvcs::ai
