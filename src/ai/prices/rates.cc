// What one request costs by a row: the prices for its length, service tier, speed and region, and
// the sum of its counts.
#include <algorithm>

#include "ai/prices/dimensions.h"
#include "base/money.h"

namespace kvcs::ai {
namespace {

// `amount` × `part` / `whole`, rounded up: what keeps its ratio when `whole` becomes `amount`.
int64_t in_ratio(int64_t amount, int64_t part, int64_t whole) {
  if (whole == amount) return part;
  if (whole <= 0) return std::max(amount, part);
  const __int128 product = static_cast<__int128>(amount) * part + (whole - 1);
  return static_cast<int64_t>(std::min<__int128>(product / whole, INT64_MAX / 4));
}

// Of the rows of `tiers` that hold for an input of `input_tokens`, the price with the highest bound
// that is stated. A tier for long inputs holds for the whole request, not only for the tokens above
// its bound.
std::optional<int64_t> price_by_length(const Price& price, const Dimension& dimension,
                                       int64_t input_tokens) {
  std::optional<int64_t> pico;
  for (const PriceTier& tier : price.tiers) {
    if (input_tokens <= tier.above_input_tokens) break;
    if (tier.*dimension.by_length) pico = tier.*dimension.by_length;
  }
  return pico;
}

// A price of a service tier: for inputs of any length, and for those above a bound.
struct ServicePrice {
  std::optional<int64_t> any_length, long_input;
};
ServicePrice price_by_service(const Price& price, const Dimension& dimension, std::string_view name,
                              int64_t input_tokens) {
  ServicePrice found;
  int64_t bound = 0;
  for (const ServiceTierPrices& tier : price.service_tiers) {
    const std::optional<int64_t>& pico = tier.*dimension.by_service;
    if (tier.name != name || !pico || input_tokens < tier.above_input_tokens) continue;
    if (tier.above_input_tokens == 0) {
      found.any_length = pico;
    } else if (input_tokens > tier.above_input_tokens && tier.above_input_tokens > bound) {
      found.long_input = pico;
      bound = tier.above_input_tokens;
    }
  }
  return found;
}

// Three stages of the same prices: as the row states them, then for the length of the input, then
// for the service tier. Each stage is whole: what is not stated has fallen back.
struct Stages {
  Rates plain, by_length, by_service;
};

void resolve_tokens(const Price& price, const Dimension& dimension, const TokenUsage& conditions,
                    int64_t input_tokens, Stages& stages) {
  const std::optional<int64_t>& stated = price.*dimension.stated;
  const auto rate = dimension.rate;
  const auto parent = dimension.fallback;
  const bool follows = parent != nullptr && (!stated || dimension.keeps_ratio);
  const int64_t plain = stated ? *stated : parent != nullptr ? stages.plain.*parent : 0;
  stages.plain.*rate = plain;

  int64_t amount = plain;
  if (const auto own = price_by_length(price, dimension, input_tokens)) {
    amount = *own;
  } else if (follows) {
    amount = in_ratio(stages.by_length.*parent, plain, stages.plain.*parent);
  }
  stages.by_length.*rate = amount;

  const ServicePrice service =
      conditions.service_tier.empty()
          ? ServicePrice{}
          : price_by_service(price, dimension, conditions.service_tier, input_tokens);
  if (service.long_input) {
    amount = *service.long_input;
  } else if (service.any_length) {
    amount = in_ratio(amount, *service.any_length, plain);
  } else if (follows) {
    amount = in_ratio(stages.by_service.*parent, amount, stages.by_length.*parent);
  }
  stages.by_service.*rate = amount;
}

void multiply(const Price& price, std::string_view name, Rates& rates) {
  if (name.empty()) return;
  for (const PriceFactor& factor : price.factors) {
    if (factor.name != name) continue;
    for (const Dimension& dimension : dimensions()) {
      if (dimension.unit == PricedUnit::kCall) continue;
      rates.*dimension.rate = in_ratio(factor.millionths, rates.*dimension.rate, 1'000'000);
    }
  }
}

// Where neither the length of the input nor a service tier has a say, as for most requests.
Rates plain_rates(const Price& price) {
  Rates rates;
  for (const Dimension& dimension : dimensions()) {
    if (dimension.unit == PricedUnit::kCall) continue;
    const int64_t fallback = dimension.fallback != nullptr ? rates.*dimension.fallback : 0;
    rates.*dimension.rate = (price.*dimension.stated).value_or(fallback);
  }
  return rates;
}

Rates token_rates(const Price& price, const TokenUsage& conditions, int64_t input_tokens) {
  if (price.tiers.empty() && conditions.service_tier.empty()) return plain_rates(price);
  Stages stages;
  for (const Dimension& dimension : dimensions()) {
    if (dimension.unit != PricedUnit::kCall) {
      resolve_tokens(price, dimension, conditions, input_tokens, stages);
    }
  }
  return stages.by_service;
}

}  // namespace

Rates rates_of(const Price& price, const TokenUsage& conditions, int64_t input_tokens) {
  Rates rates = token_rates(price, conditions, input_tokens);
  multiply(price, conditions.speed, rates);
  multiply(price, conditions.region, rates);
  for (const Dimension& call : call_dimensions()) {
    rates.*call.rate = call_pico(price, call, conditions.search_size);
  }
  return rates;
}

int64_t cost_nano_usd(const Price& price, const TokenUsage& usage) {
  const Rates rates = rates_of(price, usage, usage.input_total());
  __int128 pico = price.request_pico;
  for (const Dimension& dimension : dimensions()) {
    const int64_t count = std::max<int64_t>(usage.*dimension.count, 0);
    pico += static_cast<__int128>(count) * (rates.*dimension.rate);
  }
  // A figure that no budget can hold stays representable.
  constexpr __int128 kMaxPico = static_cast<__int128>(INT64_MAX) / 2 * 1000;
  return pico_to_nano_ceil(std::min(pico, kMaxPico));
}

}  // namespace kvcs::ai
