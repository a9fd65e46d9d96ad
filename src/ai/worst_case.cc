// Prices the guessed input and the bounded output of a request, taking for each the dearer of two
// kinds of token. The header lists the kinds that are left out.
#include "ai/worst_case.h"

#include <algorithm>
#include <utility>

namespace kvcs::ai {
namespace {

int64_t saturating_times(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX / 4 : product;
}

}  // namespace

WorstCase worst_case(const ChatRequest& chat, const Price& price, const OutputRules& rules) {
  WorstCase worst;
  if (chat.api != ApiKind::kEmbeddings) {
    worst.output_tokens = chat.output_tokens_max;
    if (worst.output_tokens < 0) {
      const bool is_bounded = price.max_output_tokens > 0;
      worst.output_tokens = is_bounded ? price.max_output_tokens : rules.default_tokens;
      if (rules.organization_max >= 0) {
        worst.output_tokens = std::min(worst.output_tokens, rules.organization_max);
      }
      worst.is_open_ended = !is_bounded && rules.organization_max < 0;
    }
  }
  TokenUsage input_only;
  input_only.input = chat.input_guess;
  input_only.service_tier = chat.tier;
  // Writing to a prompt cache can cost more than plain input.
  if (price.cache_write_5m_pico.value_or(0) > price.input_pico) {
    std::swap(input_only.input, input_only.cache_write_5m);
  }
  TokenUsage all = input_only;
  all.output = saturating_times(worst.output_tokens, chat.choices);
  // The provider decides how much of an output is reasoning.
  if (price.reasoning_pico.value_or(0) > price.output_pico) std::swap(all.output, all.reasoning);
  worst.cost_nano_usd = cost_nano_usd(price, all);
  worst.input_only_nano_usd = cost_nano_usd(price, input_only);
  return worst;
}

}  // namespace kvcs::ai
