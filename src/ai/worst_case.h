// The most that a request may cost, computed before it is sent: what a reservation sets aside.
// Pure functions.
#pragma once
#include <cstdint>

#include "ai/chat_request.h"
#include "ai/prices/pricing.h"

namespace kvcs::ai {

// What bounds the output of a request that states no bound itself.
struct OutputRules {
  int64_t organization_max = -1;  // Per choice; negative: the organization states none.
  int64_t default_tokens = 0;     // Set aside where neither organization nor price states a bound.
};

struct WorstCase {
  int64_t cost_nano_usd = 0;        // Input and the most output.
  int64_t input_only_nano_usd = 0;  // What a crash before the answer is charged.
  int64_t output_tokens = 0;        // Set aside for one choice.
  // True: nothing bounds the output. A stream may go past output_tokens while the budget covers it.
  bool is_open_ended = false;
};

WorstCase worst_case(const ChatRequest& chat, const Price& price, const OutputRules& rules);

}  // namespace kvcs::ai
