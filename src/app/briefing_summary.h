// The optional summary of the daily briefing: one chat completion through the daemon's own AI
// gateway, so that its price is reserved, settled and seen like any other, on the key that the
// operator named (KVCS_BRIEFING_API_KEY).
#pragma once
#include "briefing/briefing.h"

namespace kvcs {

struct Parts;

// Empty without gateway.briefing_model. `parts` outlives it.
gateway::Summarizer briefing_summarizer(Parts& parts);

}  // namespace kvcs
