// The HTTP route of a tool call: who calls, the limit on failed sign-ins, and nothing else; the
// call itself is call/pipeline. Runs on the workers of the HTTP server.
#include "gateway/api/gateway_api.h"

#include <algorithm>
#include <optional>

#include "base/address_block.h"
#include "http/json_api.h"
#include "identity/access.h"

namespace kvcs::gateway {
namespace {

constexpr uint64_t kCallBodyMaxBytes = 4u << 20;

// The path parameter of that name; "" when the route has none.
std::string param_of(const http::Request& request, std::string_view name) {
  for (const auto& [key, value] : request.params) {
    if (key == name) return value;
  }
  return {};
}

// The same words whatever is wrong, so that nobody learns which tenants or tokens exist.
Status auth_failed() {
  return unauthenticated("The bearer token is missing, unknown, revoked or of another tenant.")
      .with_reason("AUTH_FAILED");
}

bool has_session(const http::Request& request) {
  if (!request.header("authorization")) return true;
  const Result<std::string_view> bearer = request.bearer();
  return bearer.ok() && (bearer->starts_with("ks_") || bearer->starts_with("eyJ"));
}

// Refusals of somebody who has signed in, which say nothing of which tenants or tokens there are.
// In this door's spelling.
std::optional<Status> told_to_person(const Status& why) {
  static constexpr std::string_view kTold[][2] = {
      {"user_required", "USER_REQUIRED"},         {"user_not_found", "USER_NOT_FOUND"},
      {"insufficient_role", "INSUFFICIENT_ROLE"}, {"csrf_token_missing", "CSRF_TOKEN_MISSING"},
      {"foreign_origin", "FOREIGN_ORIGIN"},       {"user_suspended", "USER_SUSPENDED"},
      {"person_suspended", "PERSON_SUSPENDED"},   {"org_suspended", "TENANT_SUSPENDED"}};
  for (const auto& [reason, word] : kTold) {
    if (why.reason() == reason) return Status(why).with_reason(word);
  }
  return std::nullopt;
}

}  // namespace

GatewayApi::GatewayApi(Pipeline& pipeline, http::Guard token_guard, RateLimiter& rates,
                       int64_t failures_per_minute)
    : pipeline_(pipeline),
      token_guard_(std::move(token_guard)),
      rates_(rates),
      failures_per_minute_(failures_per_minute) {}

Caller GatewayApi::caller_of(const http::Request& request) {
  Caller caller;
  caller.tenant = request.principal.organization;
  caller.key_id = request.principal.key_id;
  caller.organization_id = request.principal.organization_id;
  caller.remote_ip = request.remote_ip;
  caller.request_id = request.request_id;
  caller.started_us = request.started_us;
  caller.idempotency_key = request.header("idempotency-key").value_or("");
  caller.want_timing = request.header("x-kvcs-timing").value_or("") == "1";
  return caller;
}

// The token is looked at first: a right one passes whatever others sent from its address. Failures
// are what the limit on failures holds up, and nothing else.
Result<Principal> GatewayApi::authenticate(const http::Request& request) const {
  Result<Principal> principal = token_guard_(request);
  if (principal.ok()) return principal;
  const Status& why = principal.status();
  if (why.code() == Code::kUnavailable) {
    return unavailable(why.message(), why.cause())
        .with_reason("UNAVAILABLE")
        .with_retry_after_s(std::max(why.retry_after_s(), 1));
  }
  // Nobody knows whether the token is a good one.
  if (why.code() == Code::kInternal) {
    return Status(Code::kInternal, why.message(), why.cause()).with_reason("INTERNAL");
  }
  // A suspended tenant's token is a good one: the caller may know, and it does not count as a
  // failed sign-in.
  if (why.reason() == "TENANT_SUSPENDED") return principal;
  if (has_session(request)) {
    if (std::optional<Status> told = told_to_person(why)) return std::move(*told);
  }
  const RateDecision decision =
      rates_.take("gateway:signin:" + address_block(request.remote_ip), failures_per_minute_);
  if (decision.allowed) return auth_failed();
  return rate_limited("Too many failed sign-ins from this address.",
                      static_cast<int>(decision.retry_after_s))
      .with_reason("RATE_LIMITED");
}

namespace {

constexpr http::ApiType kTypes[] = {
    {"CallAsk", R"(
path: string # The API's path; or an action of the provider, with what it takes.
method: GET|HEAD|POST|PUT|PATCH|DELETE
query: object
headers: object
body: any
action: string
account_id: string
format: compact|full
fields: any
cache: any
timeout_ms: integer(1..30000)
dry_run: boolean
idempotency_key: string
domain: string
...)"},
    {"CallAnswer", R"(
# With "format": "compact" the API's own answer instead; what is no JSON comes as it is, too.
success!: boolean
status: integer # The API's.
data: any # The API's answer, or the members of it that `fields` names.
cache: HIT|MISS|STALE|BYPASS
dry_run: boolean
request: object # Of a dry run: what would be sent, its secrets hidden.
...)"},
};

}  // namespace

std::span<const http::ApiType> GatewayApi::types() {
  return kTypes;
}

void GatewayApi::add_routes(std::vector<http::Row>& table) {
  using enum http::Method;
  const http::Need need{.family = PrincipalKind::kTenantToken,
                        .org_role = OrgRole::kMember,
                        .owner = http::OwnerFrom::kPathTenant};
  const http::Access token{guard(), access::words(need), http::Dialect::kGateway, need};
  http::Rows rows(table, *this);
  rows.add(
      kPost, "/api/v1/{tenant}/{provider}", token, kCallBodyMaxBytes, &GatewayApi::call,
      "Call a provider's API with the tenant's stored credential.",
      {.id = "callProvider", .body = "CallAsk", .answer = "CallAnswer", .also = "409 502 504"});
}

http::Guard GatewayApi::guard() const {
  return [this](const http::Request& request) -> Result<Principal> {
    Result<Principal> principal = authenticate(request);
    if (principal.ok()) return principal;
    // Counted; the server words the answer from the status itself.
    pipeline_.refuse_stranger(caller_of(request), principal.status());
    return principal;
  };
}

Result<http::Response> GatewayApi::call(http::Request& request) {
  const Caller caller = caller_of(request);
  const std::string provider = param_of(request, "provider");
  const Result<std::string> body = request.body->read_all();
  if (!body.ok()) return pipeline_.refuse(caller, provider, body.status());
  const Status kept = http::keep_tree(request, body.value());
  if (!kept.ok()) return pipeline_.refuse(caller, provider, kept);
  return pipeline_.call(caller, provider, body.value());
}

}  // namespace kvcs::gateway
