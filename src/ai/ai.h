// The AI gateway: LLM providers behind keys and budgets. This face holds the values that its parts
// exchange; the parts are
//   prices/pricing.h    model → prices (pico-USD per token), versioned, hot-reloaded
//   worst_case.h        the most that a request may cost, before it is sent
//   budget/budget.h     reserve → settle for key, user and organization in one atomic step
//   dialects/usage.h    tokens from provider answers, JSON or SSE
//   providers.h         where a model lives: URL, credential, kind of API
//   chat_proxy.h        the data plane: authenticate → limits → reserve → forward → settle
//   ai_api.h            /v1/models, /v1/usage
//   ai_admin_api.h      /admin/usage, prices and providers
// The request path reads KV only (through caches) and never includes db/.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs::ai {

// OpenAI and those like it sell the same tokens slower (flex) or faster (priority) at another
// price.
enum class ServiceTier : uint8_t { kStandard, kFlex, kPriority };

// Tokens of one request, by kind. The kinds do not overlap: what a provider reports as a subset of
// another count (cached ⊂ prompt, reasoning ⊂ completion) has been taken out of it, so that cost is
// the plain sum over kinds of tokens × price.
struct TokenUsage {
  int64_t input = 0;  // Uncached, text.
  int64_t cache_read = 0;
  int64_t cache_write_5m = 0;  // OpenAI's cache_write and Anthropic's default bucket.
  int64_t cache_write_1h = 0;
  int64_t input_audio = 0;
  int64_t output = 0;  // Text, without reasoning.
  int64_t reasoning = 0;
  int64_t output_audio = 0;
  int64_t web_searches = 0;  // Run by the provider itself, and billed per call.
  ServiceTier tier = ServiceTier::kStandard;
  bool estimated = false;  // Counted by us, because the provider did not say.

  int64_t input_total() const {
    return input + cache_read + cache_write_5m + cache_write_1h + input_audio;
  }
  int64_t output_total() const { return output + reasoning + output_audio; }
};

// The treatment of requests while the budget store does not answer: they are refused, or they are
// admitted against the organization's fallback limit for the day. See budget/budget.h.
enum class FailureMode : uint8_t { kFailClosed, kFailOpen };

// The record of one finished request: the payload of outbox kind "usage". usage_json() of
// budget/budget_book.h writes it, parse_usage() of ledger/rows.h reads it.
struct UsageRecord {
  std::string request_id;
  int64_t ts_ms = 0;
  std::string organization_id, user_id, key_id;
  std::string provider, model;  // As priced.
  TokenUsage tokens;
  int64_t cost_nano_usd = 0;
  std::string price_version;
  int64_t first_byte_ms = 0, total_ms = 0;
  int status = 0;  // What the client saw; 499 when it left.
  bool grace = false, recovered = false;
  std::string period;  // "2026-11": the month the money was reserved in.
};

}  // namespace kvcs::ai
