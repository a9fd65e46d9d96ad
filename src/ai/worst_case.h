// The most that a request may cost, which is reserved before it is sent: an upper bound over every
// priced dimension that the request can use.
//
//   text      a token is at least a byte, so the bytes of the body bound it, and with them what a
//             provider is documented to add; never more than the model can read
//   media     by the model's published rule (max_tokens_per_image), sound by its bytes; what no
//             rule bounds, and all that is not in the body (ids, URLs, stored context, results of
//             the provider's tools), counts as the whole of what the model can read
//   caches    each token of input at the dearest that may become of it: plain, read, or written as
//             the request asks
//   output    what the client allows, or the model's maximum, for each choice; the dearest of text,
//             reasoning and what is asked for beside
//   calls     the most that the request allows, or the number that is sent along as its bound
//
// at the dearest of the prices that the length of the input may lead to, in the service tier, speed
// and region asked for. Pure functions.
#pragma once
#include <cstdint>

#include "ai/dialects/dialect.h"
#include "ai/prices/pricing.h"

namespace kvcs::ai {

// Bounds where a request states none itself.
struct BoundRules {
  int64_t organization_output_max = -1;  // Per choice; negative: the organization states none.
  int64_t output_default = 0;            // Where neither organization nor price states a bound.
  int64_t calls_default = 0;             // Of a tool that the provider runs.
};

struct WorstCase {
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;        // For one choice.
  int64_t sent_output_tokens = -1;  // The bound on the output to be sent along; -1: none.
  int64_t sent_calls = -1;          // The bound on calls to be sent along; -1: none.
  TokenUsage calls;                 // The most of each kind of call, and their size.
  int64_t cost_nano_usd = 0;        // Input, calls and output.
  int64_t input_only_nano_usd = 0;  // Input and calls.
  int64_t output_token_pico = 0;    // One token of output at its dearest.
};

// Invalid with reason input_not_bounded: the input cannot be bounded, and the price row does not
// say how much the model reads. Invalid with reason dimension_not_priced: the request asks for
// something that the row states no price for; the message names it and the call that sets it.
Result<WorstCase> worst_case(const ChatRequest& chat, const Price& price, const BoundRules& rules);

// Lowers the output of `worst` so that it fits into `room`: to half of what is left beside the
// input, or to all of it where half holds fewer than kFitTokens; never to the tokens that the
// request sets aside for thinking. False when not even that many fit.
inline constexpr int64_t kFitTokens = 256;
bool fit_output(const ChatRequest& chat, const Price& price, int64_t room_nano_usd,
                WorstCase& worst);

}  // namespace kvcs::ai
