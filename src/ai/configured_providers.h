// AI providers and aliases that the operator writes into the configuration (ai.providers,
// ai.aliases), beside those that the admin API stores. They are read once, at the start.
#pragma once
#include "ai/ai_config.h"
#include "ai/providers.h"
#include "base/status.h"

namespace kvcs::ai {

// Adds them, or, where the configuration names none, the providers whose usual key variable is set
// (OPENAI_API_KEY, ANTHROPIC_API_KEY). Invalid names the entry: a member that does not fit, a key
// in clear, a variable that is not set; also the failure of a key file that cannot be read.
Status add_configured_providers(const AiConfig& config, Providers& providers);

}  // namespace kvcs::ai
