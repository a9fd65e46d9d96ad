// What AI requests were, as metrics with the labels provider, model, outcome and organization:
//
//   kvcs_ai_requests_total         requests, each try of an alias by itself
//   kvcs_ai_tokens_total           tokens, by `kind` too: input, cache_read, output, …
//   kvcs_ai_cost_usd_total         what they cost, in USD
//   kvcs_ai_first_token_seconds    histogram: until the first text of a stream, or the head of an
//                                  answer that is not streamed
//
// No label is a name that a caller made up: the model is the one of the price row, and a request
// that was priced by no row has the model "other". Each metric has at most kSeriesMax series; what
// comes beyond them is counted under "other" as provider, model and organization. Thread-safe.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "ledger/usage_record.h"
#include "ops/metrics.h"
#include "ops/provider_counts.h"

namespace kvcs::ai {

class AiMetrics final {
 public:
  static constexpr size_t kSeriesMax = 1000;

  // The instruments are in `metrics`, which outlives this and prints its page only while this
  // lives.
  explicit AiMetrics(Metrics& metrics);
  ~AiMetrics();
  // Counts one request, or one try of it, that has been settled. Takes no lock but for the first
  // request of a series.
  void record(const UsageRecord& record, std::string_view organization_slug, UsageOutcome outcome);
  // The sums of all that was recorded.
  struct Totals {
    int64_t input_tokens = 0, output_tokens = 0, cost_nano_usd = 0;
  };
  Totals totals() const;
  // The same requests by provider, ordered by name; what a provider failed are its own errors and
  // silence, not what it refused.
  std::vector<ProviderCount> by_provider() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::ai
