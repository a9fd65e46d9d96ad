// Handlers of /admin for AI money, prices and model providers. App owns one; thread-safe.
#pragma once
#include <functional>

#include "ai/budget/budget.h"
#include "ai/prices/price_overrides.h"
#include "ai/prices/pricing.h"
#include "ai/providers.h"
#include "http/route_rows.h"
#include "identity/orgs.h"
#include "identity/users.h"
#include "ledger/ledger.h"
#include "ledger/usage_report.h"

namespace kvcs::ai {

class AiAdminApi final {
 public:
  AiAdminApi(OrganizationService& organizations, UserService& users, Budgets& budgets,
             Pricing& pricing, PriceOverrides& overrides, Providers& providers, AuditedKv& audited,
             Ledger& ledger, const Clock& clock);

  // The rows of these handlers and the types that they read and answer; those of usage stand apart,
  // since the ledger's rows of request bodies come between.
  void add_usage_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> usage_types();
  static std::span<const http::ApiType> types();

  // GET /admin/users/{user_id}/usage. `projected_usd` is project_month() of base/money.h.
  Result<http::Response> user_usage(http::Request& request);
  Result<http::Response> user_history(http::Request& request);  // GET …/usage/history
  Result<http::Response> reset_quota(http::Request& request);   // POST …/reset-quota
  // GET /admin/organizations/{org_id}/usage and …/usage/history
  Result<http::Response> organization_usage(http::Request& request);
  Result<http::Response> organization_history(http::Request& request);
  // GET /admin/usage?group_by=&split_by=&from=&to=&org_id=&user_id=&key_id=&model=&provider=
  // &format=csv
  Result<http::Response> usage(http::Request& request);
  Result<http::Response> usage_rows(http::Request& request);  // GET /admin/usage/requests

  // Prices: {model} or {provider}/{model}; ?org_id= for one organization's.
  Result<http::Response> put_price(http::Request& request);
  Result<http::Response> get_price(http::Request& request);
  Result<http::Response> remove_price(http::Request& request);
  Result<http::Response> list_prices(http::Request& request);

  Result<http::Response> put_provider(http::Request& request);
  Result<http::Response> get_provider(http::Request& request);
  Result<http::Response> remove_provider(http::Request& request);
  Result<http::Response> list_providers(http::Request& request);
  // PUT|DELETE /admin/organizations/{org_id}/ai-credentials/{name}: {"api_key": …}
  Result<http::Response> put_credential(http::Request& request);
  Result<http::Response> remove_credential(http::Request& request);

 private:
  Result<Json> report_budget(const UsageAsk& ask);

  OrganizationService& organizations_;
  UserService& users_;
  Budgets& budgets_;
  Pricing& pricing_;
  PriceOverrides& overrides_;
  Providers& providers_;
  AuditedKv& audited_;
  Ledger& ledger_;
  const Clock& clock_;
};

}  // namespace kvcs::ai
