// The route table: every door of the daemon in one list. The rows themselves stand beside their
// handlers (http/route_rows.h); this file says in which order they come and who may use them.
#include "app/routes.h"

#include <algorithm>

#include "ai/ai_admin_api.h"
#include "ai/ai_api.h"
#include "ai/chat_proxy.h"
#include "ai/objects.h"
#include "ai/provider_check.h"
#include "app/api/openapi.h"
#include "app/caller_api.h"
#include "app/config_api.h"
#include "app/first_steps.h"
#include "app/jobs_api.h"
#include "app/master_keys.h"
#include "app/metrics_history.h"
#include "app/owners_api.h"
#include "app/parts.h"
#include "app/status_api.h"
#include "artifacts/artifacts_api.h"
#include "artifacts/catalogue_api.h"
#include "artifacts/detail_api.h"
#include "artifacts/nested_api.h"
#include "artifacts/share_api.h"
#include "artifacts/uploads_api.h"
#include "base/bytes.h"
#include "briefing/briefing.h"
#include "gateway/api/gateway_admin_api.h"
#include "gateway/api/gateway_api.h"
#include "gateway/catalogue/agent_schedules.h"
#include "gateway/tokens/accounts_api.h"
#include "gateway/tokens/connect.h"
#include "http/problem.h"
#include "http/router.h"
#include "http/static_files.h"
#include "identity/access.h"
#include "identity/admin_keys_api.h"
#include "identity/guards.h"
#include "identity/identity.h"
#include "identity/orgs_api.h"
#include "identity/project_keys_api.h"
#include "identity/seeded_keys.h"
#include "identity/users_api.h"
#include "ledger/ledger_api.h"
#include "ops/idempotency.h"
#include "ops/kv_api.h"
#include "ops/rate_limit.h"
#include "portal/billing/billing_api.h"
#include "portal/dev_issuer_api.h"
#include "portal/device_api.h"
#include "portal/history_api.h"
#include "portal/me_api.h"
#include "portal/oidc_api.h"
#include "portal/people_api.h"
#include "portal/places_api.h"
#include "portal/plans_api.h"
#include "portal/reset_api.h"
#include "portal/sign_in_api.h"
#include "portal/team_api.h"
#include "portal/totp_api.h"

namespace kvcs {
namespace {

// A provider may take an hour (providers' timeout_ms at most).
constexpr int64_t kModelCallRunningS = 2 * 3600;

// What a search costs of the rate of its key: it compares with the blocks of every artifact.
constexpr int64_t kSearchCost = 20;

constexpr int64_t kPersonChangesPerMinute = 300;

// A project or organization key and its rate. The key is looked at first, so that only its holder
// uses it up.
http::Guard limited_artifact_key(Parts& parts, Scope at_least) {
  return [key = artifact_key(*parts.auth, at_least), rates = parts.rates.get(),
          per_minute = parts.config.artifacts.requests_per_minute](
             const http::Request& request) -> Result<Principal> {
    Principal principal = KVCS_TRY(key(request));
    const int64_t cost = request.path == kArtifactSearchPath ? kSearchCost : 1;
    const RateDecision decision = rates->take("project:" + principal.key_id, per_minute, cost);
    if (decision.allowed) return principal;
    return rate_limited("Too many requests with this key: it may make " +
                            std::to_string(per_minute) + " a minute, a search counting as " +
                            std::to_string(kSearchCost) + ".",
                        static_cast<int>(decision.retry_after_s))
        .with_reason("rate_limited");
  };
}

// A session, and how often a person may change something: each change is a write that waits for the
// disk, and a row of the audit. Reading is not counted.
http::Guard limited_person(const Parts& parts, http::Guard check) {
  return [check = std::move(check),
          rates = parts.rates.get()](const http::Request& request) -> Result<Principal> {
    Principal principal = KVCS_TRY(check(request));
    if (request.method == http::Method::kGet || request.method == http::Method::kHead) {
      return principal;
    }
    const RateDecision decision =
        rates->take("changes:" + principal.key_id, kPersonChangesPerMinute);
    if (decision.allowed) return principal;
    return rate_limited("Too many changes: a person may make " +
                            std::to_string(kPersonChangesPerMinute) + " a minute.",
                        static_cast<int>(decision.retry_after_s))
        .with_reason("rate_limited");
  };
}

http::ArtifactAccess artifact_access(Parts& parts) {
  const auto at_least = [&parts](Scope scope) {
    const http::Need need{
        .family = PrincipalKind::kProjectKey, .scope = scope, .owner = http::OwnerFrom::kCaller};
    return http::Access{limited_artifact_key(parts, scope), access::words(need),
                        http::Dialect::kPortal, need};
  };
  return {at_least(Scope::kRead), at_least(Scope::kWrite), at_least(Scope::kAdmin)};
}

// For what everybody may read and its owner may too: whoever has no good key is nobody. Too many
// requests with one, and a store that does not answer, are refused as elsewhere.
http::Access anybody_access(const http::Access& with_key) {
  const auto look = [key = with_key.guard](const http::Request& request) -> Result<Principal> {
    Result<Principal> principal = key(request);
    const bool is_nobody =
        principal.code() == Code::kUnauthenticated || principal.code() == Code::kForbidden;
    return is_nobody ? Principal{} : principal;
  };
  http::Access access = http::everyone();
  access.guard = look;
  return access;
}

// A role includes those below it.
http::AdminAccess admin_access(const AdminGuard& guard) {
  const auto at_least = [&guard](AdminRole role, OrgRole own = OrgRole::kNone) {
    const http::Need need{.family = PrincipalKind::kAdminKey, .role = role, .org_role = own};
    return http::Access{guard.guard(need), access::words(need), http::Dialect::kAdmin, need};
  };
  return {at_least(AdminRole::kBilling),
          at_least(AdminRole::kViewer),
          at_least(AdminRole::kAdmin),
          at_least(AdminRole::kOwner),
          at_least(AdminRole::kBilling, OrgRole::kAdmin),
          at_least(AdminRole::kViewer, OrgRole::kAdmin),
          at_least(AdminRole::kAdmin, OrgRole::kAdmin)};
}

portal::PersonAccess person_access(const Parts& parts) {
  const auto at_least = [&parts](OrgRole role) {
    const http::Need need{
        .family = PrincipalKind::kPerson, .org_role = role, .owner = http::OwnerFrom::kCaller};
    return http::Access{limited_person(parts, person(*parts.auth, role)), access::words(need),
                        http::Dialect::kPortal, need};
  };
  const auto of_leaving = [&](OrgRole role) {
    http::Access access = at_least(role);
    access.guard = limited_person(parts, person_of_leaving(*parts.auth, role));
    return access;
  };
  return {at_least(OrgRole::kNone),   at_least(OrgRole::kViewer), at_least(OrgRole::kMember),
          at_least(OrgRole::kAdmin),  at_least(OrgRole::kOwner),  of_leaving(OrgRole::kViewer),
          of_leaving(OrgRole::kOwner)};
}

// The tool gateway gives its callers a rule of its own (gateway/call/pipeline), so does the
// creation of an upload (artifacts/uploads), and Stripe is told the key
// (portal/billing/billing_api).
bool keeps_own_answers(const http::Row& row) {
  return row.dialect == http::Dialect::kGateway || row.pattern.starts_with("/api/v1/billing/");
}

void add_portal(std::vector<http::Row>& table, Parts& parts) {
  const portal::PersonAccess person = person_access(parts);
  const http::Need anybody{.family = PrincipalKind::kProjectKey, .owner = http::OwnerFrom::kCaller};
  parts.portal.sign_in_api->add_routes(table, person.person);
  parts.portal.totp_api->add_routes(table, person.person);
  parts.portal.reset_api->add_routes(table);
  parts.portal.oidc_api->add_routes(table, person.person);
  parts.portal.device_api->add_routes(table, person.person);
  if (parts.portal.dev_issuer_api) parts.portal.dev_issuer_api->add_routes(table);
  parts.portal.me_api->add_routes(table,
                                  {limited_artifact_key(parts, Scope::kNone),
                                   "project key or session", http::Dialect::kPortal, anybody},
                                  person.person);
  parts.portal.places_api->add_routes(table, person);
  parts.portal.plans_api->add_routes(table, person.person, artifact_access(parts).read);
  const http::Guard known = [auth = parts.auth.get()](const http::Request& request) {
    return auth->authenticate(request);
  };
  parts.portal.billing_api->add_routes(
      table, person.owner,
      {known, "any key or session", http::Dialect::kPortal, {.owner = http::OwnerFrom::kCaller}});
  parts.portal.team_api->add_routes(table, person);
  parts.portal.history_api->add_routes(table, person);
  parts.first_steps->add_routes(table, person.viewer);
  parts.owners_api->add_person_routes(table, person);
}

// Made at the first request and kept: the table does not change while the daemon runs.
void add_description(std::vector<http::Row>& table, Parts& parts) {
  const auto describe = [&parts](http::Request&) -> Result<http::Response> {
    std::call_once(parts.openapi_made, [&] {
      parts.openapi = openapi_json(parts.route_table, all_api_types(), parts.public_url());
    });
    http::Response response = http::json_response(200, {});
    response.static_body = parts.openapi;
    return response;
  };
  http::add_row(table, http::Method::kGet, "/openapi.json", http::everyone(), http::kNoBody,
                describe, "This description.", {.id = "getDescription", .answer = "object"})
      .access_log = false;
}

void make_posts_idempotent(std::vector<http::Row>& table, const Parts& parts) {
  const IdempotencyRule model_call{.kept_s = parts.config.ai.idempotency_kept_s,
                                   .running_s = kModelCallRunningS};
  for (http::Row& route : table) {
    if (!takes_idempotency_key(route) || keeps_own_answers(route)) continue;
    const bool is_model_call =
        route.dialect == http::Dialect::kOpenAi || route.dialect == http::Dialect::kAnthropic;
    route.handler = parts.idempotency->wrap(std::move(route.handler),
                                            is_model_call ? model_call : IdempotencyRule{});
  }
}

// A parameter that no handler reads is a typing error, or a filter that the caller believes in. The
// programs' doors refuse it; a browser comes to the others with parameters of whoever sent it.
void refuse_unknown_queries(std::vector<http::Row>& table) {
  for (http::Row& route : table) {
    if (route.pattern.starts_with("/admin/") || route.pattern.starts_with("/api/v1/")) {
      route.guard = http::with_known_query(std::move(route.guard), route.shape.query);
    }
  }
}

}  // namespace

// Two rows may match one path (a literal beats a parameter), so the order says nothing about that.
// It is the order of /openapi.json, and the first row below a path decides in which dialect a
// request is refused that no row matches.
std::vector<http::Row> all_routes(Parts& parts) {
  const http::AdminAccess admin = admin_access(*parts.admin_guard);
  const http::ArtifactAccess artifact = artifact_access(parts);
  const http::Guard user = user_key(*parts.auth);
  std::vector<http::Row> table;
  parts.status_api->add_routes(table);
  add_description(table, parts);
  add_portal(table, parts);
  // Before the artifacts' /v1/artifacts: what nobody knows under /v1 is refused in OpenAI's words.
  parts.ai.proxy->add_routes(table, user, parts.config.ai.request_max_bytes);
  parts.ai.api->add_routes(table, user);
  parts.ai.admin_api->add_usage_routes(table, admin);
  parts.ledger_api->add_body_routes(table, admin);
  parts.ai.admin_api->add_routes(table, admin);
  parts.ai.provider_check->add_routes(table, admin);
  parts.ai.objects->add_routes(table, admin);
  parts.artifacts.api->add_routes(table, artifact);
  parts.artifacts.detail_api->add_routes(table, artifact);
  parts.artifacts.share_api->add_routes(table, artifact);
  parts.artifacts.nested_api->add_routes(table, artifact, anybody_access(artifact.read));
  parts.artifacts.catalogue_api->add_routes(table);
  parts.artifacts.uploads_api->add_routes(table, artifact);
  parts.project_keys_api->add_routes(table, artifact);
  parts.seeded_keys->add_routes(table, admin.owner);
  parts.gateway.api->add_routes(table);
  parts.gateway.admin_api->add_routes(table, admin);
  parts.gateway.agent_schedules->add_routes(table, admin);
  parts.gateway.accounts_api->add_routes(table, admin);
  parts.gateway.connect_api->add_routes(table, admin);
  parts.briefing->add_routes(table, admin);
  parts.jobs_api->add_routes(table, admin);
  parts.master_keys->add_routes(table, admin);
  parts.portal.people_api->add_routes(table, admin);
  parts.portal.plans_api->add_admin_routes(table, admin);
  parts.portal.reset_api->add_admin_routes(table, admin);
  parts.portal.totp_api->add_admin_routes(table, admin);
  parts.users_api->add_routes(table, admin);
  parts.organizations_api->add_routes(table, admin);
  parts.owners_api->add_routes(table, admin);
  parts.status_api->add_admin_routes(table, admin);
  parts.config_api->add_routes(table, admin);
  parts.metrics_history->add_routes(table, admin);
  caller_api::add_route(table, "/admin/me", admin.billing, *parts.directory, *parts.projects,
                        "Which admin key this is.");
  parts.admin_keys_api->add_routes(table, admin);
  parts.kv_api->add_routes(table, admin);
  parts.ledger_api->add_routes(table, admin);
  make_posts_idempotent(table, parts);
  refuse_unknown_queries(table);
  for (http::Route& page : http::static_routes(parts.config.http.web_dir)) {
    http::Row row;
    static_cast<http::Route&>(row) = std::move(page);
    table.push_back(std::move(row));
  }
  return table;
}

std::vector<http::ApiType> all_api_types() {
  using enum http::Dialect;
  std::vector<http::ApiType> all;
  for (const std::span<const http::ApiType> types : {http::problem_types(kAdmin),
                                                     StatusApi::types(),
                                                     caller_api::types(),
                                                     ConfigApi::types(),
                                                     MetricsHistory::types(),
                                                     UsersApi::types(),
                                                     OrganizationsApi::types(),
                                                     AdminKeysApi::types(),
                                                     KvApi::types(),
                                                     LedgerApi::types(),
                                                     JobsApi::types(),
                                                     MasterKeys::types(),
                                                     ai::AiObjects::types(),
                                                     ai::ProviderCheck::types(),
                                                     http::problem_types(kOpenAi),
                                                     http::problem_types(kAnthropic),
                                                     ai::AiAdminApi::usage_types(),
                                                     LedgerApi::body_types(),
                                                     ai::AiAdminApi::types(),
                                                     ai::ChatProxy::types(),
                                                     ai::AiApi::types(),
                                                     http::problem_types(kPortal),
                                                     http::problem_types(kGateway),
                                                     ArtifactsApi::types(),
                                                     ArtifactDetailApi::types(),
                                                     ShareApi::types(),
                                                     NestedArtifactsApi::types(),
                                                     CatalogueApi::types(),
                                                     ProjectKeysApi::types(),
                                                     SeededKeys::types(),
                                                     OrganizationsApi::tenant_token_types(),
                                                     portal::SignInApi::types(),
                                                     portal::MeApi::types(),
                                                     portal::OidcApi::types(),
                                                     portal::DeviceApi::types(),
                                                     portal::PeopleApi::types(),
                                                     portal::ResetApi::types(),
                                                     portal::TotpApi::types(),
                                                     portal::PlacesApi::types(),
                                                     portal::PlansApi::types(),
                                                     portal::BillingApi::types(),
                                                     OwnersApi::types(),
                                                     portal::TeamApi::types(),
                                                     portal::HistoryApi::types(),
                                                     FirstSteps::types(),
                                                     gateway::GatewayApi::types(),
                                                     gateway::GatewayAdminApi::types(),
                                                     gateway::AccountsApi::types(),
                                                     gateway::AgentSchedules::types(),
                                                     gateway::ConnectApi::types(),
                                                     briefing::DailyBriefing::types()}) {
    all.insert(all.end(), types.begin(), types.end());
  }
  return all;
}

std::set<std::string, std::less<>> reserved_slugs(const std::vector<http::Row>& table) {
  // Public artifacts stand at the root, tenants under /api/v1; both are checked whether or not the
  // table has their rows, so that a later release cannot take an organization's name away.
  std::set<std::string, std::less<>> reserved = {
      "api",       "v1",        "admin",         "app",      "auth",    "blobs",
      "me",        "orgs",      "organizations", "projects", "members", "invitations",
      "api-keys",  "artifacts", "uploads",       "quota",    "usage",   "billing",
      "telemetry", "audit",     "docs",          "oidc",     "mcp",     "oauth",
      "connect",   "assets"};
  for (const http::Row& route : table) {
    const std::vector<std::string_view> segments = split(route.pattern, '/');
    if (segments.size() > 1 && !segments[1].starts_with('{')) reserved.emplace(segments[1]);
    if (segments.size() > 3 && segments[1] == "api" && segments[2] == "v1" &&
        !segments[3].starts_with('{')) {
      reserved.emplace(segments[3]);
    }
  }
  return reserved;
}

}  // namespace kvcs
