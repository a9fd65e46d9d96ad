// Whether a provider can be reached with the key that is stored for it: its list of models is asked
// for, which costs nothing. No ledger, budget or metric counts it. Stateless; thread-safe.
#pragma once
#include <span>
#include <vector>

#include "ai/providers.h"
#include "base/clock.h"
#include "http/client/upstream.h"
#include "http/route_rows.h"
#include "ops/rate_limit.h"

namespace kvcs::ai {

inline constexpr int64_t kProviderChecksPerMinute = 6;  // Of one provider.

class ProviderCheck final {
 public:
  // All outlive it.
  ProviderCheck(const Providers& providers, http::HttpUpstream& upstream, RateLimiter& rates,
                const Clock& clock)
      : providers_(providers), upstream_(upstream), rates_(rates), clock_(clock) {}

  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();
  // POST /admin/ai/providers/{name}/test: {"provider", "ok", "status", "duration_ms", "models",
  // "error"}, 200 also where the provider fails. NotFound; RateLimited; Conflict with reason
  // secret_origin_changed.
  Result<http::Response> check(http::Request& request);

 private:
  const Providers& providers_;
  http::HttpUpstream& upstream_;
  RateLimiter& rates_;
  const Clock& clock_;
};

}  // namespace kvcs::ai
