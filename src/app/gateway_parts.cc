#include "app/gateway_parts.h"

#include "app/parts.h"
#include "app/share_files.h"

namespace kvcs {
namespace {

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
  made.providers = std::make_unique<gateway::ProviderDirectory>(
      *parts.kv, *parts.audited, *parts.kv, *parts.sealer, std::move(catalogue));
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

}  // namespace kvcs
