// Builds the three doors over the stores and identity: artifacts, the AI gateway, the tool gateway.
// Runs on the thread that creates App; nothing is served yet.
#include <algorithm>

#include "ai/ai_admin_api.h"
#include "ai/ai_api.h"
#include "ai/ai_metrics.h"
#include "ai/budget/budget.h"
#include "ai/budget/budget_ledger.h"
#include "ai/chat_proxy.h"
#include "ai/configured_providers.h"
#include "ai/objects.h"
#include "ai/prices/price_overrides.h"
#include "ai/prices/pricing.h"
#include "ai/provider_check.h"
#include "ai/providers.h"
#include "app/build.h"
#include "app/first_steps.h"
#include "app/parts.h"
#include "app/plan_limits.h"
#include "artifacts/artifact_audit.h"
#include "artifacts/artifact_search.h"
#include "artifacts/artifacts.h"
#include "artifacts/artifacts_api.h"
#include "artifacts/uploads.h"
#include "artifacts/uploads_api.h"
#include "base/address_block.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "base/kept_clock.h"
#include "blob/blob.h"
#include "blob/presign.h"
#include "briefing/briefing.h"
#include "briefing/summary.h"
#include "db/db.h"
#include "gateway/api/gateway_admin_api.h"
#include "gateway/api/gateway_api.h"
#include "gateway/call/call_counts.h"
#include "gateway/call/pipeline.h"
#include "gateway/call/response_cache.h"
#include "gateway/call/route.h"
#include "gateway/catalogue/agent_schedules.h"
#include "gateway/catalogue/canaries.h"
#include "gateway/catalogue/provider_client.h"
#include "gateway/catalogue/provider_directory.h"
#include "gateway/catalogue/secret_binding.h"
#include "gateway/catalogue/tenants.h"
#include "gateway/tokens/accounts_api.h"
#include "gateway/tokens/connect.h"
#include "gateway/tokens/refresher.h"
#include "gateway/tokens/token_watch.h"
#include "gateway/tokens/tokens.h"
#include "http/client/upstream.h"
#include "identity/directory.h"
#include "identity/identity.h"
#include "identity/keys.h"
#include "identity/orgs.h"
#include "identity/users.h"
#include "kv/audited_kv.h"
#include "ledger/alerts.h"
#include "ledger/ledger.h"
#include "ledger/rows.h"
#include "ops/idempotency.h"
#include "ops/metrics.h"
#include "ops/rate_limit.h"

namespace kvcs {
namespace {

// So many rows of the error ledger a day let one tenant have a quarter of all within their age.
int64_t tenant_error_rows_per_day(const LedgerConfig& limits) {
  const int64_t days = limits.error_max_age_s > 0 ? limits.error_max_age_s / 86'400 : 30;
  return std::max<int64_t>(limits.error_max_rows / 4 / std::max<int64_t>(days, 1), 1);
}

// Counts that the proxy and the budgets keep, under the names that dashboards know.
void add_ai_metrics(Metrics& metrics, const AiParts& ai) {
  const ai::ChatProxy& proxy = *ai.proxy;
  const ai::Budgets& budgets = *ai.budgets;
  metrics.gauge("kvcs_ai_open_streams", "Answers being streamed.",
                [&proxy] { return static_cast<double>(proxy.stats().open_streams); });
  metrics.counter_from("kvcs_ai_upstream_errors_total", "Providers that failed or refused.",
                       [&proxy] { return static_cast<double>(proxy.stats().upstream_errors); });
  metrics.counter_from("kvcs_ai_client_gone_total", "Clients that left before their answer's end.",
                       [&proxy] { return static_cast<double>(proxy.stats().client_gone); });
  metrics.gauge("kvcs_ai_open_reservations", "Requests with money set aside.",
                [&budgets] { return static_cast<double>(budgets.stats().open_reservations); });
  metrics.gauge("kvcs_ai_unwritten_charges", "Charges that the store has not taken.",
                [&budgets] { return static_cast<double>(budgets.stats().unwritten_settlements); });
  metrics.counter_from("kvcs_ai_grace_requests_total", "Requests admitted without the store.",
                       [&budgets] { return static_cast<double>(budgets.stats().grace_requests); });
  metrics.counter_from("kvcs_ai_recovered_charges_total", "Charges that a dead process left.",
                       [&budgets] { return static_cast<double>(budgets.stats().recovered); });
}

// Refresh and canary reach what calls reach, and no account is stored that they would not serve.
gateway::AccountCheck make_reach_check(const GatewayParts& gateway) {
  return [providers = gateway.providers.get(),
          tenants = gateway.tenants.get()](const gateway::AccountId& id) -> Status {
    const auto provider = KVCS_TRY(providers->find(id.provider));
    if (!provider->allow_private_addresses) return ok();
    const auto tenant = KVCS_TRY(tenants->find(id.tenant));
    return gateway::check_reach(*tenant, *provider);
  };
}

// For accounts that somebody stores or consents to now.
gateway::AccountOriginSource make_reachable_origins(gateway::AccountCheck may_reach,
                                                    gateway::AccountOriginSource origins) {
  return [may_reach = std::move(may_reach), origins = std::move(origins)](
             const gateway::AccountId& id,
             const gateway::Meta& meta) -> Result<gateway::AccountOrigins> {
    KVCS_TRY(may_reach(id));
    return origins(id, meta);
  };
}

// The parts that keep the accounts' credentials good, and the routes that show and change them.
void build_accounts(Parts& parts) {
  GatewayParts& gateway = parts.gateway;
  const gateway::ProviderClientSource clients =
      [providers = gateway.providers.get()](std::string_view provider) {
        return gateway::find_provider_client(*providers, provider);
      };
  const gateway::TenantCheck check = [tenants = gateway.tenants.get(),
                                      directory = parts.directory.get()](std::string_view tenant) {
    return gateway::check_tenant(*tenants, *directory, tenant);
  };
  const gateway::TenantCheck check_active = [tenants = gateway.tenants.get(),
                                             directory =
                                                 parts.directory.get()](std::string_view tenant) {
    return gateway::check_tenant_active(*tenants, *directory, tenant);
  };
  const gateway::AccountCheck may_reach = make_reach_check(gateway);
  gateway.refresher = std::make_unique<gateway::Refresher>(
      *parts.kv, *gateway.tokens, *parts.upstream, clients, parts.clock(), *parts.entropy,
      parts.config.gateway.refresh_parallel, may_reach);
  const gateway::AccountOriginSource origins =
      gateway::make_account_origin_source(*gateway.providers, *gateway.tenants);
  gateway.tokens->set_origin_source(origins);
  gateway.tokens->set_on_replaced([cache = gateway.cache.get()](const gateway::AccountId& id) {
    cache->purge(id.tenant, id.provider, id.account);
  });
  const gateway::AccountOriginSource reachable = make_reachable_origins(may_reach, origins);
  gateway.watch = std::make_unique<gateway::TokenWatch>(*gateway.tokens, parts.clock());
  gateway.accounts_api = std::make_unique<gateway::AccountsApi>(
      *gateway.tokens, *gateway.refresher, *parts.upstream, clients, reachable, check,
      *gateway.watch, parts.clock());
  gateway.connect_api = std::make_unique<gateway::ConnectApi>(
      *parts.kv, *parts.audited, *gateway.tokens, *parts.upstream, clients, reachable, check_active,
      [tenants = gateway.tenants.get()](std::string_view tenant) {
        return tenants->find_root(tenant);
      },
      *parts.sealer, parts.kept_clock->latest(), parts.clock(), *parts.entropy,
      [&parts] { return parts.public_url(); });
  gateway.connect_api->set_maker_look(
      [auth = parts.auth.get()](std::string_view maker) { return auth->may_still(maker); });
  gateway.canaries = std::make_unique<gateway::Canaries>(
      *parts.kv, *gateway.tokens, *gateway.providers, *parts.upstream, parts.clock(),
      *parts.entropy,
      [tenants = gateway.tenants.get(), check_active, may_reach](const gateway::AccountId& id) {
        return !tenants->frozen() && check_active(id.tenant).ok() && may_reach(id).ok();
      });
  parts.briefing = std::make_unique<briefing::DailyBriefing>(
      *parts.kv, *parts.ledger, *gateway.tokens, *gateway.providers, parts.clock(),
      briefing::make_summarizer(parts.config.briefing, *parts.auth, *parts.ai.proxy,
                                parts.clock()));
  parts.first_steps = std::make_unique<FirstSteps>(parts);
}

// What artifacts.requests_per_minute is taken for beside requests. A search takes one request more
// for so many ids, which are compared under each model of its organization; a slice that was not
// asked for lately one for so many bytes of its file's header: some tenths of a millisecond of a
// processor.
constexpr size_t kSearchIdsPerRequest = 2048;
constexpr uint64_t kSliceBytesPerRequest = 8 << 10;
constexpr uint64_t kRowsPerRequest = 1000;  // That a list looks through.

// Whatever fits into half of a minute's worth is not refused for good.
Status take_rate(RateLimiter& rates, const std::string& whose, int64_t per_minute, uint64_t cost,
                 std::string_view what) {
  const auto bounded = per_minute < 0 ? 0 : std::min(static_cast<int64_t>(cost), per_minute / 2);
  const RateDecision decision = rates.take(whose, per_minute, bounded);
  if (decision.allowed) return ok();
  return rate_limited(std::string(what) + " counts as " + std::to_string(bounded) +
                          " requests, of which " + std::to_string(per_minute) +
                          " a minute are allowed.",
                      static_cast<int>(decision.retry_after_s))
      .with_reason("rate_limited");
}

void set_charges(const Parts& parts, ArtifactsApiConfig& config) {
  RateLimiter* const rates = parts.rates.get();
  const int64_t per_minute = parts.config.artifacts.requests_per_minute;
  config.charge_search = [=](const http::Request& request, size_t ids) {
    return take_rate(*rates, "project:" + request.principal.key_id, per_minute,
                     ids / kSearchIdsPerRequest,
                     "A search of " + std::to_string(ids) + " ids with this key");
  };
  config.charge_rows = [=](const http::Request& request, uint64_t rows) {
    return take_rate(*rates, "project:" + request.principal.key_id, per_minute,
                     rows / kRowsPerRequest,
                     "A list that looks through " + std::to_string(rows) +
                         " artifacts for name, model or dtype");
  };
  config.charge_slice = [=](const http::Request& request, uint64_t header_bytes) {
    return take_rate(
        *rates, "slice:" + address_block(request.remote_ip), per_minute,
        std::max<uint64_t>(header_bytes / kSliceBytesPerRequest, 1),
        "A slice for this address, with " + format_bytes(header_bytes) + " of its file's header,");
  };
}

}  // namespace

void build_artifacts(Parts& parts) {
  parts.artifacts.service = std::make_unique<ArtifactService>(
      parts.config.artifacts, *parts.portal_writer, *parts.portal_readers, *parts.blobs,
      parts.clock(), *parts.entropy,
      [&parts](std::string_view organization_id) { return artifact_quota(parts, organization_id); },
      [&parts](const BlobDamage& damage) {
        raise_alert(*parts.kv, {"blob.damaged", damage.sha256, damage.message}, parts.clock(),
                    *parts.entropy);
      });
  parts.artifacts.service->set_searchers(*parts.portal_searchers);
  parts.artifacts.service->end_deleted_by(parts.kept_clock->steady());
  // First of the sources: it needs no key-value store, which the others fill or read.
  parts.ledger->add_source([&parts]() -> Status {
    return move_artifact_audit(*parts.portal_writer, *parts.portal_readers, *parts.ledger).status();
  });
  parts.artifacts.search = std::make_unique<ArtifactSearch>(
      *parts.portal_writer, *parts.portal_readers, *parts.blobs, *parts.entropy);
  ArtifactsApiConfig config;
  config.public_url = parts.config.http.public_url;
  config.describe_use = [&parts](std::string_view organization_id) {
    return parts.portal.plans_api->describe_use(organization_id);
  };
  set_charges(parts, config);
  config.own_url = [&parts] { return parts.public_url(); };
  parts.artifacts.api = std::make_unique<ArtifactsApi>(
      *parts.artifacts.service, *parts.artifacts.search, *parts.presigner,
      parts.kept_clock->latest(), std::move(config),
      [directory = parts.directory.get()](
          std::string_view organization_id) -> Result<ArtifactsApi::Holder> {
        const auto organization = KVCS_TRY(directory->organization(organization_id));
        ArtifactsApi::Holder holder{shown_slug(*organization), organization->active,
                                    organization->more_slugs};
        holder.other_slugs.push_back(organization->slug);
        return holder;
      });
  parts.artifacts.uploads = std::make_unique<UploadService>(
      *parts.artifacts.service, *parts.portal_writer, *parts.portal_readers, *parts.blobs,
      parts.clock(), *parts.entropy);
  parts.artifacts.uploads_api = std::make_unique<UploadsApi>(
      *parts.artifacts.uploads, parts.config.artifacts, *parts.artifacts.search, parts.clock());
  build_artifact_doors(parts);
}

// The sink of usage rows is added before budgets bring rows into the outbox.
Status build_ai(Parts& parts) {
  AiParts& ai = parts.ai;
  const ai::AiConfig& config = parts.config.ai;
  ai.overrides =
      std::make_unique<ai::PriceOverrides>(*parts.kv, *parts.audited, *parts.kv, *ai.pricing);
  ai.providers = std::make_unique<ai::Providers>(*parts.kv, *parts.audited, *parts.kv,
                                                 *parts.sealer, *ai.pricing);
  KVCS_TRY(ai::add_configured_providers(config, *ai.providers));
  parts.ledger->add_group_sink("usage", usage_sink);
  ai.budgets = std::make_unique<ai::Budgets>(
      *parts.kv, parts.clock(),
      [directory = parts.directory.get()](std::string_view kind, std::string_view id) {
        return ai::budget_name(*directory, kind, id);
      });
  parts.ledger->add_source([budgets = ai.budgets.get()] { return budgets->reconcile(); });
  // Requests that a dead process left open are charged before the first request can reserve.
  KVCS_TRY(ai.budgets->recover(parts.config.data_dir + "/charges.journal",
                               [rows = ai::KnownUsageRows(*parts.kv, *parts.ledger)](
                                   std::string_view id) mutable { return rows.contain(id); }));
  ai.metrics = std::make_unique<ai::AiMetrics>(*parts.metrics);
  ai.objects = std::make_unique<ai::AiObjects>(
      *parts.kv, *parts.audited, parts.kept_clock->latest(),
      [directory = parts.directory.get()](std::string_view organization_id) {
        return directory->organization(organization_id).status();
      });
  ai.proxy = std::make_unique<ai::ChatProxy>(
      config.proxy, *parts.directory, *ai.providers, *ai.pricing, *ai.overrides, *ai.budgets,
      *parts.rates, *parts.upstream, *parts.ledger, *ai.metrics, *ai.objects, parts.clock(),
      [plans = parts.plans.get()](const Organization& organization) {
        return plans->of(organization).limits.ai_budget_nano_usd;
      });
  ai.api = std::make_unique<ai::AiApi>(*parts.directory, *ai.providers, *ai.pricing, *ai.overrides,
                                       *ai.budgets, *parts.ledger, parts.clock());
  ai.admin_api = std::make_unique<ai::AiAdminApi>(*parts.organizations, *parts.users, *ai.budgets,
                                                  *ai.pricing, *ai.overrides, *ai.providers,
                                                  *parts.audited, *parts.ledger, parts.clock());
  ai.provider_check = std::make_unique<ai::ProviderCheck>(*ai.providers, *parts.upstream,
                                                          *parts.rates, parts.clock());
  add_ai_metrics(*parts.metrics, ai);
  return ok();
}

Status build_gateway(Parts& parts, gateway::Catalogue catalogue) {
  const gateway::GatewayConfig& config = parts.config.gateway;
  GatewayParts& gateway = parts.gateway;
  const auto record_error = [ledger = parts.ledger.get()](ErrorRecord record) {
    ledger->record_error(std::move(record));
  };
  gateway.tokens = std::make_unique<gateway::TokenStore>(*parts.kv, *parts.audited, *parts.kv,
                                                         *parts.sealer, parts.clock());
  gateway.providers = std::make_unique<gateway::ProviderDirectory>(
      *parts.kv, *parts.audited, *parts.kv, *parts.sealer, std::move(catalogue));
  gateway.tenants = std::make_unique<gateway::Tenants>(*parts.kv, *parts.audited, *parts.kv,
                                                       *parts.entropy, *parts.sealer);
  gateway.calls = std::make_unique<gateway::CallCounts>(*parts.kv, parts.clock());
  gateway.cache = std::make_unique<gateway::ResponseCache>(parts.clock(), config.cache_max_bytes);
  gateway::PipelineParts pipeline{
      *gateway.tenants, *gateway.tokens, *gateway.providers, *gateway.cache, *parts.rates,
      *parts.upstream, *parts.metrics, *parts.idempotency, parts.clock(), record_error,
      parts.sealer->derive("gateway-ip-hash"),
      // The refresher is made below, and stands before the first call.
      [&gateway](const gateway::AccountId& id) { gateway.refresher->token_rejected(id); }};
  // A token of another system may name its organization by the slug; the count goes by the id.
  pipeline.take_call = [&parts](std::string_view organization_id) -> Status {
    if (organization_id.empty()) return ok();  // A tenant without one has no plan.
    const auto organization = KVCS_TRY(parts.directory->organization(organization_id));
    return parts.gateway.calls->take(organization->id,
                                     parts.plans->of(*organization).limits.gateway_calls);
  };
  pipeline.error_rows_per_day = tenant_error_rows_per_day(parts.config.ledger);
  gateway.pipeline = std::make_unique<gateway::Pipeline>(std::move(pipeline), config.limits);
  gateway.pipeline->count_earlier_strangers(*parts.ledger);
  gateway.api =
      std::make_unique<gateway::GatewayApi>(*gateway.pipeline, tenant_token(*parts.auth),
                                            *parts.rates, config.signin_failures_per_minute);
  gateway.admin_api = std::make_unique<gateway::GatewayAdminApi>(
      *gateway.providers, *gateway.tenants, *gateway.cache, *parts.organizations, *parts.keys,
      *parts.audited,
      [&gateway](std::string_view provider, const AuditContext& who) {
        return gateway::rebind_accounts(
            *gateway.tokens,
            gateway::make_account_origin_source(*gateway.providers, *gateway.tenants), provider,
            false, who);
      },
      [&gateway] { return gateway.connect_api->redirect_uri(); });
  gateway.agent_schedules = std::make_unique<gateway::AgentSchedules>(
      *parts.kv, *parts.audited, *gateway.tenants, *parts.upstream, config.agent_worker,
      parts.clock(), record_error);
  build_accounts(parts);
  return ok();
}

}  // namespace kvcs
