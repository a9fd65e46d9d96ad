// Plans over HTTP: which there are, what the caller's organization has used of its own, and which
// one an operator gives an organization. Thread-safe.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/http.h"
#include "http/route_rows.h"
#include "identity/orgs.h"
#include "portal/plans.h"

namespace kvcs::portal {

// What an organization has of each thing that plans limit; of calls and money in this month.
struct PlanUse {
  std::string month;
  int64_t projects = 0, members = 0, artifacts = 0, storage_bytes = 0;
  int64_t ai_nano_usd = 0, gateway_calls = 0;
  std::optional<int64_t> ai_projected_nano_usd;  // project_month() of base/money.h.
};

class PlansApi final {
 public:
  // App knows the doors that count.
  using UseOf = std::function<Result<PlanUse>(std::string_view organization_id)>;
  // All outlive it.
  PlansApi(const Plans& plans, OrganizationService& organizations, UseOf use_of);

  // `reader`: whoever may read the organization's artifacts.
  void add_routes(std::vector<http::Row>& table, const http::Access& person,
                  const http::Access& reader);
  void add_admin_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  // The JSON of GET /api/v1/usage, for /api/v1/quota too.
  Result<std::string> describe_use(std::string_view organization_id) const;

  Result<http::Response> list(http::Request& request);   // GET /api/v1/plans
  Result<http::Response> usage(http::Request& request);  // GET /api/v1/usage
  Result<http::Response> get(http::Request& request);    // GET /admin/organizations/{org_id}/plan
  Result<http::Response> set(http::Request& request);    // PUT

 private:
  const Plans& plans_;
  OrganizationService& organizations_;
  const UseOf use_of_;
};

}  // namespace kvcs::portal
