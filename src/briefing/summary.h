// The optional summary of the daily briefing: one chat completion through the daemon's own AI
// gateway, so that its price is reserved, settled and seen like any other, on the key that the
// operator named (KVCS_BRIEFING_API_KEY). Runs on the thread of the briefing's job.
#pragma once
#include <string>

#include "base/clock.h"
#include "base/secret.h"
#include "briefing/briefing.h"

namespace kvcs {
class Authenticator;
}
namespace kvcs::ai {
class ChatProxy;
}

namespace kvcs::briefing {

struct SummaryConfig {
  std::string model;  // "" = no summary.
  Secret api_key;     // A user key, which pays.
};
// Empty without a model. All references outlive the Summarizer.
Summarizer make_summarizer(SummaryConfig config, const Authenticator& auth, ai::ChatProxy& proxy,
                           const Clock& clock);

}  // namespace kvcs::briefing
