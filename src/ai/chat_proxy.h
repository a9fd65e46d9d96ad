// The data plane of the AI gateway: a request goes limits → reserve → forward → settle, streaming
// or not, in the API that the client speaks. Thread-safe; a request runs on one fiber, which holds
// no thread while it waits for the provider.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ai/ai_config.h"
#include "ai/budget/budget.h"
#include "ai/dialects/dialect.h"
#include "ai/prices/price_overrides.h"
#include "ai/prices/pricing.h"
#include "ai/providers.h"
#include "base/clock.h"
#include "http/client/upstream.h"
#include "http/route_rows.h"
#include "identity/directory.h"
#include "ledger/alerts.h"
#include "ledger/ledger.h"
#include "ops/rate_limit.h"

namespace kvcs::http {
class SseParser;
}

namespace kvcs::ai {

class AiMetrics;
class AiObjects;
class BegunAnswer;
enum class ExchangeEnd : uint8_t;

// What an organization may spend in a month whatever its budget says, by its plan, in nano-USD;
// negative: no more is said. Asked for each request, from memory.
using OrganizationCap = std::function<int64_t(const Organization& organization)>;

class ChatProxy final {
 public:
  // All references outlive the proxy.
  ChatProxy(const ProxyConfig& config, const Directory& directory, const Providers& providers,
            const Pricing& pricing, PriceOverrides& overrides, Budgets& budgets,
            RateLimiter& limiter, http::HttpUpstream& upstream, Ledger& ledger, AiMetrics& metrics,
            AiObjects& objects, const Clock& clock, OrganizationCap cap = {});

  // The rows of these handlers, for keys that `user_key` lets in, and the types that they read and
  // answer.
  void add_routes(std::vector<http::Row>& table, const http::Guard& user_key,
                  uint64_t body_max_bytes);
  static std::span<const http::ApiType> types();

  Result<http::Response> chat_completions(http::Request& request);
  Result<http::Response> responses(http::Request& request);
  Result<http::Response> embeddings(http::Request& request);
  Result<http::Response> messages(http::Request& request);
  // Costs nothing and is not billed: the models allowed and the requests per minute apply, and
  // whose budget is 0 or used up is refused as by the others.
  Result<http::Response> count_tokens(http::Request& request);

  struct Stats {
    int64_t open_streams, upstream_errors, client_gone;
  };
  Stats stats() const;

  // One request on its way; chat_call.h.
  struct Call;

 private:
  Result<http::Response> handle(http::Request& request, const Dialect& dialect);
  Status load_caller(Call& call) const;
  // Where the model lives, with credentials; Forbidden when it is not allowed.
  Status find_targets(Call& call) const;
  // NotFound when the request names something at a shared provider that is not the organization's.
  Status check_objects(Call& call) const;
  // Notes the id of the answer, once it is known and before the client has it.
  void remember_answer(Call& call) const;
  Status find_prices(Call& call) const;
  // What each target may cost at the most.
  Status bound_targets(Call& call) const;
  Status take_rate(Call& call) const;
  // Sets aside the dearest of the targets from the chosen one on.
  Status reserve(Call& call) const;
  Status fit_and_reserve(Call& call, const BudgetAsk& ask) const;
  int64_t organization_limit(const Organization& organization) const;
  BudgetLimits budget_limits(const Call& call) const;
  BudgetAsk budget_ask(const Call& call) const;
  http::Response refusal(const Call& call, const Status& why) const;

  // One exchange with the chosen target. When it does not take one of our edits, the request goes
  // out once more without it.
  Result<std::unique_ptr<BegunAnswer>> exchange(Call& call) const;
  // Tries the targets in turn until one of them gives an answer that the client gets.
  Result<http::Response> answer_from_targets(std::shared_ptr<Call> call) const;
  // After a try that may have cost something, and before another: settles it, goes on to the next
  // target and reserves for that.
  Status begin_next_try(Call& call, int status, ExchangeEnd end) const;
  Result<http::Response> fail(Call& call, Status failure) const;
  // The answer of the chosen target for the client; nothing when the next one is to be asked.
  Result<std::optional<http::Response>> take_answer(std::shared_ptr<Call>& call,
                                                    std::unique_ptr<BegunAnswer>& answer) const;
  // Reads a stream up to its first content: whether it has any, says that it failed, or breaks off.
  enum class Beginning : uint8_t { kAnswers, kFails, kBreaks };
  Beginning look_at_beginning(Call& call, BegunAnswer& answer) const;

  // The provider's answer, read to its end, with the headers that may pass.
  Result<http::Response> whole_answer(const Call& call, BegunAnswer& answer) const;
  http::Response answer_whole(Call& call, http::Response response, bool client_left) const;
  http::Response answer_stream(std::shared_ptr<Call> call,
                               std::unique_ptr<BegunAnswer> answer) const;
  Result<http::Response> pass_error(Call& call, BegunAnswer& answer) const;
  Status pump(Call& call, BegunAnswer& answer, http::SseParser& parser, http::BodyWriter& client,
              bool& client_left) const;
  Status relay(Call& call, BegunAnswer& answer, http::BodyWriter& client) const;
  // Providers have aliases of their own ("gpt-4o" answers as "gpt-4o-2024-08-06"): the model that
  // answered may have a price of its own, which counts from here on.
  void reprice(Call& call) const;
  // The record of this try, charged by the one rule of settlement.h.
  UsageRecord make_record(const Call& call, int status, ExchangeEnd end,
                          std::vector<AlertEvent>& alerts) const;
  // The last try: charges it. Returns the cost.
  int64_t settle(Call& call, int status, ExchangeEnd end) const;
  // What is done once for a request, with the record of its last try.
  void end_request(const Call& call, Reservation& held, UsageRecord&& record,
                   std::vector<AlertEvent>&& alerts) const;
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
  AiMetrics& metrics_;
  AiObjects& objects_;
  const Clock& clock_;
  const OrganizationCap cap_;
  mutable std::atomic<int64_t> open_streams_{0}, upstream_errors_{0}, client_gone_{0};
};

}  // namespace kvcs::ai
