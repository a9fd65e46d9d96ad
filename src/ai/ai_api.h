// Handlers for callers with a user key: models they may use, what they have spent. Thread-safe.
#pragma once
#include "ai/budget/budget.h"
#include "ai/model_list.h"
#include "ai/prices/price_overrides.h"
#include "ai/prices/pricing.h"
#include "ai/providers.h"
#include "http/route_rows.h"
#include "identity/directory.h"
#include "ledger/ledger.h"

namespace kvcs::ai {

class AiApi final {
 public:
  AiApi(const Directory& directory, const Providers& providers, const Pricing& pricing,
        PriceOverrides& overrides, const Budgets& budgets, Ledger& ledger, const Clock& clock);

  // The rows of these handlers, for keys that `user_key` lets in, and the types that they answer.
  void add_routes(std::vector<http::Row>& table, const http::Guard& user_key);
  static std::span<const http::ApiType> types();

  // GET /v1/models; OpenAI's list, or Anthropic's when the request names an anthropic-version.
  Result<http::Response> models(http::Request& request);
  Result<http::Response> model(http::Request& request);  // GET /v1/models/{model}, with its slashes
  Result<http::Response> usage(http::Request& request);  // GET /v1/usage
  Result<http::Response> request_usage(http::Request& request);  // GET /v1/usage/{request_id}

 private:
  const Directory& directory_;
  const ModelList models_;
  const Budgets& budgets_;
  Ledger& ledger_;
  const Clock& clock_;
};

}  // namespace kvcs::ai
