// Bounds the input, the output and the calls of a request and prices them at their dearest.
#include "ai/worst_case.h"

#include <algorithm>
#include <optional>

#include "ai/prices/dimensions.h"
#include "base/bytes.h"
#include "base/money.h"

namespace kvcs::ai {
namespace {

int64_t saturating_times(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX / 4 : product;
}

// Whether input costs nothing, of whatever kind, length and service tier.
bool has_free_input(const Price& price) {
  const auto is_dear = [](const std::optional<int64_t>& pico) { return pico.value_or(0) > 0; };
  for (const Dimension& one : dimensions()) {
    if (one.unit != PricedUnit::kInputToken) continue;
    if (one.stated != nullptr && is_dear(price.*one.stated)) return false;
    for (const PriceTier& tier : price.tiers) {
      if (one.by_length != nullptr && is_dear(tier.*one.by_length)) return false;
    }
    for (const ServiceTierPrices& tier : price.service_tiers) {
      if (one.by_service != nullptr && is_dear(tier.*one.by_service)) return false;
    }
  }
  return true;
}

// What the model can read at all; 0: not known. A row whose prices reach beyond its stated maximum
// says of that maximum that it is none.
int64_t context_of(const Price& price) {
  const int64_t last_tier = price.tiers.empty() ? 0 : price.tiers.back().above_input_tokens;
  return price.max_input_tokens > last_tier ? price.max_input_tokens : 0;
}

Status input_not_bounded(const Price& price, std::string_view what) {
  return invalid("What " + printable(what, kShownName) +
                 " brings into the input cannot be bounded before it is sent: the price of '" +
                 printable(price.model, kShownValue) +
                 "' does not say how much the model reads. An admin can set max_input_tokens with "
                 "PUT /admin/ai/prices/{model}.")
      .with_reason("input_not_bounded");
}

Status dimension_not_priced(const Price& price, std::string_view dimension) {
  return invalid("The request asks for " + printable(dimension, kShownValue) +
                 ", for which the price of '" + printable(price.model, kShownValue) +
                 "' has no member, so that its cost cannot be bounded. An admin can set " +
                 pricing_member(dimension) + " with PUT /admin/ai/prices/{model}.")
      .with_reason("dimension_not_priced");
}

Result<int64_t> input_bound(const ChatRequest& chat, const Price& price) {
  const int64_t context = context_of(price);
  std::string unbounded = chat.unbounded_by;
  if (unbounded.empty() && chat.images > 0 && price.image_tokens_max == 0) unbounded = "an image";
  const int64_t in_body = chat.text_bytes + chat.added_tokens + chat.audio_bytes +
                          saturating_times(chat.images, price.image_tokens_max);
  // A request for embeddings has many inputs, each of which may be as long as the model reads.
  if (!chat.has_output && (unbounded.empty() || context > 0)) {
    return in_body + (unbounded.empty() ? 0 : saturating_times(chat.images, context));
  }
  if (!unbounded.empty()) {
    if (context > 0) return context;
    if (price.max_input_tokens > 0) return std::max(price.max_input_tokens, in_body);
    if (!has_free_input(price)) return input_not_bounded(price, unbounded);
  }
  return context > 0 ? std::min(in_body, context) : in_body;
}

// The dearest of what may become of one token of input.
int64_t dearest_input(const ChatRequest& chat, const Rates& rates) {
  int64_t pico = std::max(rates.input, rates.cache_read);
  if (chat.cache_writes != CacheWrites::kNone) pico = std::max(pico, rates.cache_write_5m);
  if (chat.cache_writes == CacheWrites::kLong) pico = std::max(pico, rates.cache_write_1h);
  if (chat.asked.input_audio > 0) pico = std::max(pico, rates.input_audio);
  if (chat.images > 0 || !chat.unbounded_by.empty()) pico = std::max(pico, rates.input_image);
  return pico;
}

int64_t dearest_output(const ChatRequest& chat, const Rates& rates) {
  int64_t pico = std::max(rates.output, rates.reasoning);
  if (chat.asked.output_audio > 0) pico = std::max(pico, rates.output_audio);
  // A model that makes pictures may make them unasked.
  pico = std::max(pico, rates.output_image);
  return pico;
}

struct Dearest {
  int64_t input = 0, output = 0;
};

// Over all lengths that the input may turn out to have.
Dearest dearest(const ChatRequest& chat, const Price& price, int64_t input_tokens) {
  Dearest most;
  const auto look_under = [&](const TokenUsage& conditions, int64_t tokens) {
    const Rates rates = rates_of(price, conditions, tokens);
    most.input = std::max(most.input, dearest_input(chat, rates));
    most.output = std::max(most.output, dearest_output(chat, rates));
  };
  // A provider may serve a request in the standard tier, whichever tier it asked for.
  std::optional<TokenUsage> standard;
  if (!chat.asked.service_tier.empty()) {
    standard = chat.asked;
    standard->service_tier.clear();
  }
  const auto look = [&](int64_t tokens) {
    look_under(chat.asked, tokens);
    if (standard) look_under(*standard, tokens);
  };
  const auto look_above = [&](int64_t bound) {
    if (input_tokens > bound) look(bound + 1);
  };
  look(0);
  for (const PriceTier& tier : price.tiers) look_above(tier.above_input_tokens);
  for (const ServiceTierPrices& tier : price.service_tiers) look_above(tier.above_input_tokens);
  return most;
}

int64_t output_bound(const ChatRequest& chat, const Price& price, const BoundRules& rules,
                     int64_t& sent) {
  sent = -1;
  if (!chat.has_output) return 0;
  const int64_t can = price.max_output_tokens;
  if (chat.output_tokens_max > 0) {
    return can > 0 ? std::min(chat.output_tokens_max, can) : chat.output_tokens_max;
  }
  int64_t bound = can;
  if (can == 0) bound = sent = rules.output_default;
  const int64_t organization = rules.organization_output_max;
  if (organization >= 0 && (organization < bound || can == 0)) bound = sent = organization;
  return bound;
}

int64_t output_total(const ChatRequest& chat, int64_t tokens) {
  const int64_t each = saturating_times(tokens, chat.samplings);
  return saturating_times(each, chat.choices) + chat.prediction_bytes;
}

int64_t to_nano(__int128 pico) {
  constexpr __int128 kMaxPico = static_cast<__int128>(INT64_MAX) / 2 * 1000;
  return pico_to_nano_ceil(std::min(pico, kMaxPico));
}

__int128 input_pico(const ChatRequest& chat, const Price& price, const WorstCase& worst,
                    int64_t each) {
  __int128 pico = static_cast<__int128>(worst.input_tokens) * chat.samplings * each;
  for (const Dimension& call : call_dimensions()) {
    const int64_t count = worst.calls.*call.count;
    if (count == 0) continue;
    pico += static_cast<__int128>(count) * call_pico(price, call, worst.calls.search_size);
  }
  return pico + price.request_pico;
}

void set_costs(const ChatRequest& chat, const Price& price, WorstCase& worst) {
  // Several readings of the input are billed as one sum, whose length decides about the prices.
  const Dearest most = dearest(chat, price, saturating_times(worst.input_tokens, chat.samplings));
  const __int128 input = input_pico(chat, price, worst, most.input);
  worst.output_token_pico = most.output;
  worst.input_only_nano_usd = to_nano(input);
  worst.cost_nano_usd =
      to_nano(input + static_cast<__int128>(output_total(chat, worst.output_tokens)) * most.output);
}

}  // namespace

Result<WorstCase> worst_case(const ChatRequest& chat, const Price& price, const BoundRules& rules) {
  const std::string unpriced = unpriced_dimension(price, chat.asked);
  if (!unpriced.empty()) return dimension_not_priced(price, unpriced);
  WorstCase worst;
  worst.input_tokens = KVCS_TRY(input_bound(chat, price));
  worst.output_tokens = output_bound(chat, price, rules, worst.sent_output_tokens);
  if (chat.calls_unbounded) worst.sent_calls = rules.calls_default;
  worst.calls.search_size = chat.asked.search_size;
  for (const Dimension& call : call_dimensions()) {
    // Each tool without a bound stands in `asked` as one call.
    const int64_t open = saturating_times(chat.open_calls.*call.count, worst.sent_calls - 1);
    worst.calls.*call.count = chat.asked.*call.count + std::max<int64_t>(open, 0);
  }
  // Some models search in every request.
  worst.calls.web_searches = std::max(worst.calls.web_searches, price.searches_per_request);
  const std::string unpriced_calls = unpriced_dimension(price, worst.calls);
  if (!unpriced_calls.empty()) return dimension_not_priced(price, unpriced_calls);
  set_costs(chat, price, worst);
  return worst;
}

bool fit_output(const ChatRequest& chat, const Price& price, int64_t room_nano_usd,
                WorstCase& worst) {
  if (!chat.has_output || worst.output_token_pico == 0) return false;
  const __int128 left_pico =
      (static_cast<__int128>(room_nano_usd) - worst.input_only_nano_usd) * 1000 -
      static_cast<__int128>(chat.prediction_bytes) * worst.output_token_pico;
  if (left_pico <= 0) return false;
  const __int128 each =
      static_cast<__int128>(worst.output_token_pico) * chat.choices * chat.samplings;
  const auto tokens = static_cast<int64_t>(std::min<__int128>(left_pico / each, INT64_MAX / 4));
  const int64_t least = std::max(kFitTokens, chat.thinking_tokens + 1);
  if (tokens < least) return false;
  const int64_t half = tokens / 2;
  worst.output_tokens = std::min(worst.output_tokens, half >= least ? half : tokens);
  worst.sent_output_tokens = worst.output_tokens;
  set_costs(chat, price, worst);
  return true;
}

}  // namespace kvcs::ai
