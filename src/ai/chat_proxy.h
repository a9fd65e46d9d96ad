// The data plane of the AI gateway: a request goes limits → reserve → forward → settle, streaming
// or not, in the API that the client speaks. Thread-safe; a request runs on one fiber, which holds
// no thread while it waits for the provider.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "ai/ai_config.h"
#include "ai/budget/budget.h"
#include "ai/chat_request.h"
#include "ai/prices/price_overrides.h"
#include "ai/prices/pricing.h"
#include "ai/providers.h"
#include "base/clock.h"
#include "http/client/upstream.h"
#include "http/route_rows.h"
#include "identity/directory.h"
#include "ledger/ledger.h"
#include "ops/rate_limit.h"

namespace kvcs::ai {

class ChatProxy final {
 public:
  // All references outlive the proxy.
  ChatProxy(const ProxyConfig& config, const Directory& directory, const Providers& providers,
            const Pricing& pricing, PriceOverrides& overrides, Budgets& budgets,
            RateLimiter& limiter, http::HttpUpstream& upstream, Ledger& ledger, const Clock& clock);

  // The rows of these handlers, for keys that `user_key` lets in, and the types that they read and
  // answer.
  void add_routes(std::vector<http::Row>& table, const http::Guard& user_key,
                  uint64_t body_max_bytes);
  static std::span<const http::ApiType> types();

  Result<http::Response> chat_completions(http::Request& request);
  Result<http::Response> responses(http::Request& request);
  Result<http::Response> embeddings(http::Request& request);
  Result<http::Response> messages(http::Request& request);
  // Costs nothing and is not billed: the models allowed and the requests per minute apply.
  Result<http::Response> count_tokens(http::Request& request);

  struct Stats {
    int64_t open_streams, upstream_errors, client_gone;
  };
  Stats stats() const;

 private:
  struct Call;
  Result<http::Response> handle(http::Request& request, ApiKind api, std::string_view path);
  Status load_caller(Call& call) const;
  // Where the model lives, with credentials; Forbidden when it is not allowed.
  Status find_targets(Call& call) const;
  Status find_prices(Call& call) const;
  Status take_rate(Call& call) const;
  Status reserve(Call& call) const;
  http::Response refusal(const Call& call, const Status& why) const;
  Result<std::unique_ptr<http::UpstreamResponse>> forward(Call& call) const;
  // The provider's answer, read to its end, with the headers that may pass.
  Result<http::Response> whole_answer(const Call& call, http::UpstreamResponse& upstream) const;
  Result<http::Response> answer_whole(Call& call, http::UpstreamResponse& upstream) const;
  http::Response answer_stream(std::shared_ptr<Call> call,
                               std::unique_ptr<http::UpstreamResponse> upstream) const;
  Result<http::Response> pass_error(Call& call, http::UpstreamResponse& upstream) const;
  Status pump(Call& call, http::UpstreamResponse& upstream, http::BodyWriter& client) const;
  Status relay(Call& call, http::UpstreamResponse& upstream, http::BodyWriter& client) const;
  // Providers have aliases of their own ("gpt-4o" answers as "gpt-4o-2024-08-06"): the model that
  // answered may have a price of its own, which counts from here on.
  void reprice(Call& call) const;
  // A stream without a bound on its output goes on while the budget covers it.
  Status keep_within_budget(Call& call) const;
  void settle(Call& call, int status, bool billed) const;
  // Keeps both bodies, redacted, for an organization that asked for it.
  void log_bodies(const Call& call, const UsageRecord& record) const;
  // Corrects tokens_per_minute from the guess to what was used.
  void return_tokens(const Call& call, int64_t used_tokens) const;

  const ProxyConfig config_;
  const Directory& directory_;
  const Providers& providers_;
  const Pricing& pricing_;
  PriceOverrides& overrides_;
  Budgets& budgets_;
  RateLimiter& limiter_;
  http::HttpUpstream& upstream_;
  Ledger& ledger_;
  const Clock& clock_;
  mutable std::atomic<int64_t> open_streams_{0}, upstream_errors_{0}, client_gone_{0};
};

}  // namespace kvcs::ai
