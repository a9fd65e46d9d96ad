#include "app/gateway_parts.h"

#include "app/parts.h"
#include "app/route_rows.h"
#include "app/share_files.h"

namespace kvcs {
namespace {

constexpr uint64_t kCallBodyMaxBytes = 4u << 20;
constexpr uint64_t kRecordBodyMaxBytes = 256u << 10;

gateway::PipelineLimits pipeline_limits(const GatewaySection& section) {
  gateway::PipelineLimits limits;
  limits.token_requests_per_minute = section.token_requests_per_minute;
  limits.tenant_requests_per_minute = section.tenant_requests_per_minute;
  limits.ip_requests_per_minute = section.ip_requests_per_minute;
  limits.json_answer_max_bytes = section.json_answer_max_bytes;
  limits.stream_answer_max_bytes = section.stream_answer_max_bytes;
  limits.mirror_upstream_401 = section.mirror_upstream_401;
  limits.idempotency_kept_s = section.idempotency_kept_s;
  return limits;
}

}  // namespace

Result<gateway::Catalogue> read_catalogue(const Config& config) {
  std::string directory = config.gateway.catalogue_dir;
  if (directory.empty()) {
    directory = KVCS_TRY(find_share_file("providers", "gateway.catalogue_dir"));
  }
  return gateway::load_catalogue(directory);
}

Status build_gateway(Parts& parts, gateway::Catalogue catalogue) {
  const GatewaySection& section = parts.config.gateway;
  GatewayParts& made = parts.gateway;
  made.tokens = std::make_unique<gateway::TokenStore>(*parts.kv, *parts.audited, *parts.kv,
                                                      *parts.sealer, parts.clock());
  made.providers = std::make_unique<gateway::Providers>(*parts.kv, *parts.audited, *parts.kv,
                                                        *parts.sealer, std::move(catalogue));
  made.tenants = std::make_unique<gateway::Tenants>(*parts.kv, *parts.audited, *parts.kv);
  made.cache = std::make_unique<gateway::ResponseCache>(parts.clock(), section.cache_max_bytes);
  gateway::PipelineParts pipeline{
      *made.tenants,
      *made.tokens,
      *made.providers,
      *made.cache,
      *parts.rates,
      *parts.upstream,
      *parts.metrics,
      *parts.idempotency,
      parts.clock(),
      [&parts](ErrorRecord record) { parts.ledger->record_error(std::move(record)); },
      parts.sealer->derive("gateway-ip-hash"),
      [&parts](const gateway::AccountId& id) { parts.background.refresher->token_rejected(id); }};
  made.pipeline =
      std::make_unique<gateway::Pipeline>(std::move(pipeline), pipeline_limits(section));
  made.api = std::make_unique<gateway::GatewayApi>(
      *made.pipeline, tenant_token(*parts.auth), *parts.rates, section.signin_failures_per_minute);
  made.admin_api = std::make_unique<gateway::GatewayAdminApi>(
      *made.providers, *made.tenants, *made.cache, *parts.organizations, *parts.keys);
  made.agent_schedules = std::make_unique<gateway::AgentSchedules>(
      *parts.kv, *parts.audited, *made.tenants, *parts.upstream,
      gateway::AgentWorker{section.agent_worker_url, parts.config.secrets.agent_worker_key},
      parts.clock(),
      [&parts](ErrorRecord record) { parts.ledger->record_error(std::move(record)); });
  return ok();
}

std::vector<http::Route> gateway_routes(Parts& parts) {
  using enum http::Method;
  using Api = gateway::GatewayAdminApi;
  std::vector<http::Route> routes;
  gateway::GatewayApi& door = *parts.gateway.api;
  http::Route call;
  call.method = kPost;
  call.pattern = "/api/v1/{tenant}/{provider}";
  call.guard = door.guard();
  call.body_max_bytes = kCallBodyMaxBytes;
  call.handler = [&door](http::Request& request) { return door.call(request); };
  call.dialect = http::Dialect::kGateway;
  call.who = "tenant token";
  call.summary = "Call a provider's API with the tenant's stored credential.";
  routes.push_back(std::move(call));

  Api& api = *parts.gateway.admin_api;
  const auto add_handler = [&](http::Method method, std::string pattern, AdminRole role,
                               http::Handler handler, std::string_view summary) {
    http::Route route;
    route.method = method;
    route.pattern = "/admin/" + std::move(pattern);
    route.guard = parts.admin_door->guard(role);
    route.body_max_bytes = method == kPost || method == kPut ? kRecordBodyMaxBytes : http::kNoBody;
    route.handler = std::move(handler);
    if (method == kPost) route.handler = parts.idempotency->wrap(std::move(route.handler));
    route.dialect = http::Dialect::kAdmin;
    route.who = role == AdminRole::kViewer ? "admin key, role viewer" : "admin key, role admin";
    route.summary = summary;
    routes.push_back(std::move(route));
  };
  const auto add = [&](http::Method method, std::string pattern, AdminRole role,
                       Result<http::Response> (Api::*handler)(http::Request&),
                       std::string_view summary) {
    add_handler(method, std::move(pattern), role, route_rows::on(api, handler), summary);
  };
  const AdminRole view = AdminRole::kViewer, change = AdminRole::kAdmin;
  const std::string provider = "providers/{provider}", tenant = "tenants/{tenant}";
  add(kGet, "providers", view, &Api::list_providers, "Providers: the catalogue and one's own.");
  add(kGet, provider, view, &Api::get_provider, "One provider, without its client secret.");
  add(kPut, provider, change, &Api::put_provider, "Add one, or change the catalogue's entry.");
  add(kDelete, provider, change, &Api::remove_provider, "Remove what was put.");
  add(kGet, "tenants", view, &Api::list_tenants, "Tenants of the tool gateway.");
  add(kGet, tenant, view, &Api::get_tenant, "One tenant.");
  add(kPut, tenant, change, &Api::put_tenant, "Set a tenant up, with its organization.");
  add(kDelete, tenant, change, &Api::remove_tenant, "Remove it; the organization stays.");
  add(kPost, tenant + "/suspend", change, &Api::suspend_tenant, "Refuse its calls from now on.");
  add(kPost, tenant + "/resume", change, &Api::resume_tenant, "Make its calls again.");
  add(kPost, tenant + "/tokens", change, &Api::create_token, "Create a token; shown once.");
  add(kGet, tenant + "/tokens", view, &Api::list_tokens,
      "Its tokens; never the tokens themselves.");
  add(kDelete, tenant + "/tokens/{token_id}", change, &Api::revoke_token, "Revoke, at once.");
  add(kGet, "system/mode", view, &Api::get_mode, "active, or frozen: no calls are made.");
  add(kPut, "system/mode", change, &Api::put_mode, "Freeze the gateway, or make it active.");
  add(kDelete, "cache", change, &Api::purge_cache,
      "Forget cached answers of ?tenant=, ?provider=, ?account_id=.");
  gateway::AgentSchedules& schedules = *parts.gateway.agent_schedules;
  add_handler(kGet, "agent-schedules/{tenant}", view,
              route_rows::on(schedules, &gateway::AgentSchedules::get),
              "When its agents are to run.");
  add_handler(kPut, "agent-schedules/{tenant}", change,
              route_rows::on(schedules, &gateway::AgentSchedules::put),
              "Replace the whole schedule by an array of entries.");
  return routes;
}

}  // namespace kvcs
