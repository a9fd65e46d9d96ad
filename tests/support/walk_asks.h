// Random requests to the AI door, over all APIs and with all that costs, and when their clients
// leave. A request follows from its draws. Pure.
#pragma once
#include <string>

#include "support/chance.h"

namespace kvcs::test {

enum class Leave { kNever, kAtOnce, kBeforeHead, kInAnswer };

struct Ask {
  std::string path, body, marker;
  Leave leave = Leave::kNever;
};
// The marker is what a provider knows the request by; support/billing_provider.h.
Ask make_ask(Random& random, const std::string& marker);

}  // namespace kvcs::test
