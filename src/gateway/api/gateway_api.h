// The door of the tool gateway: POST /api/v1/{tenant}/{provider} and its guard. Thread-safe.
#pragma once
#include "gateway/call/pipeline.h"
#include "http/route_rows.h"

namespace kvcs::gateway {

class GatewayApi final {
 public:
  // `token_guard` finds out whose bearer it is (identity's tenant_token); `pipeline` counts what
  // was refused. Failed sign-ins of one address block beyond `failures_per_minute` are refused as
  // RateLimited; a good token never is. All outlive it.
  GatewayApi(Pipeline& pipeline, http::Guard token_guard, RateLimiter& rates,
             int64_t failures_per_minute);

  // The row of call(), and the types that it reads and answers.
  void add_routes(std::vector<http::Row>& table);
  static std::span<const http::ApiType> types();

  // Unauthenticated with reason AUTH_FAILED for whatever is wrong with the bearer, another tenant's
  // path included; Forbidden with TENANT_SUSPENDED; RateLimited; Unavailable.
  http::Guard guard() const;
  Result<http::Response> call(http::Request& request);
  // The caller of a request, for doors that are not HTTP routes of their own.
  static Caller caller_of(const http::Request& request);

 private:
  Result<Principal> authenticate(const http::Request& request) const;

  Pipeline& pipeline_;
  const http::Guard token_guard_;
  RateLimiter& rates_;
  const int64_t failures_per_minute_;
};

}  // namespace kvcs::gateway
