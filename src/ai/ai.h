// The AI gateway: LLM providers behind keys and budgets. This face holds the values that its parts
// exchange; the parts are
//   dialects/dialect.h    each API: what in a request may cost, and what an answer says of its use
//   prices/dimensions.h   the table of all that may cost
//   prices/pricing.h      model → prices (pico-USD per unit), versioned, hot-reloaded
//   budget/budget.h       reserve → settle for key, user and organization in one atomic step
//   providers.h           where a model lives: URL, credential, kind of server
//   worst_case.h          the most that a request may cost, before it is sent
//   settlement.h          what a request is charged, however it ended
//   chat_proxy.h          the data plane: limits → reserve → forward → settle
//   model_list.h          the models that a key can call
//   ai_metrics.h          requests, tokens, cost and times, by provider and model
//   ai_api.h              /v1/models, /v1/usage
//   ai_admin_api.h        /admin/usage, prices and providers
//   provider_check.h      whether a provider can be reached with its key
// The request path reads KV only (through caches) and never includes db/.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "ledger/usage_record.h"

namespace kvcs::ai {

// The treatment of requests while the budget store does not answer: they are refused, or they are
// admitted against the organization's fallback limit for the day. See budget/budget.h.
enum class FailureMode : uint8_t { kFailClosed, kFailOpen };

}  // namespace kvcs::ai
