// What a reservation sets aside for a request before it is sent: the guess of its input, and its
// output up to the bound that the request, the organization or the price states, at plain prices
// (at the price of a cache write of five minutes, or of reasoning, where that is dearer).
//
// It is no upper bound yet. Not covered: cache writes for an hour and cache reads that are dearer
// than input, sound, web searches, a dearer service tier than the one asked for, a dearest kind of
// token that a service tier or the prices of long inputs change, input of more tokens than was
// guessed (a token may be one byte, a picture many thousand tokens), and a whole answer that
// nothing bounds. tests/ai/worst_case_test.cc has a case for each that is expected to fail. Pure
// functions.
#pragma once
#include <cstdint>

#include "ai/chat_request.h"
#include "ai/prices/pricing.h"

namespace kvcs::ai {

// The bounds of the output of a request that states none itself.
struct OutputRules {
  int64_t organization_max = -1;  // Per choice; negative: the organization states none.
  int64_t default_tokens = 0;     // Set aside where neither organization nor price states a bound.
};

struct WorstCase {
  int64_t cost_nano_usd = 0;        // Input and the output that is set aside.
  int64_t input_only_nano_usd = 0;  // What a crash before the answer is charged.
  int64_t output_tokens = 0;        // Set aside for one choice.
  // True: nothing bounds the output. A stream may go past output_tokens while the budget covers it.
  bool is_open_ended = false;
};

WorstCase worst_case(const ChatRequest& chat, const Price& price, const OutputRules& rules);

}  // namespace kvcs::ai
