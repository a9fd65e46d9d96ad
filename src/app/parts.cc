// The one file that sees the type of every object of the daemon: to end them, it must know them
// all.
#include "app/parts.h"

#include "ai/ai_admin_api.h"
#include "ai/ai_api.h"
#include "ai/ai_metrics.h"
#include "ai/budget/budget.h"
#include "ai/chat_proxy.h"
#include "ai/objects.h"
#include "ai/prices/price_overrides.h"
#include "ai/prices/pricing.h"
#include "ai/provider_check.h"
#include "ai/providers.h"
#include "app/config_api.h"
#include "app/files.h"
#include "app/first_steps.h"
#include "app/jobs_api.h"
#include "app/master_keys.h"
#include "app/metrics_history.h"
#include "app/owner_deletion.h"
#include "app/owners_api.h"
#include "app/planned_deletion.h"
#include "app/public_url.h"
#include "app/request_metrics.h"
#include "app/status_api.h"
#include "app/wal_syncer.h"
#include "artifacts/artifact_search.h"
#include "artifacts/artifacts.h"
#include "artifacts/artifacts_api.h"
#include "artifacts/catalogue_api.h"
#include "artifacts/detail_api.h"
#include "artifacts/inference.h"
#include "artifacts/nested_api.h"
#include "artifacts/share_api.h"
#include "artifacts/shares.h"
#include "artifacts/uploads.h"
#include "artifacts/uploads_api.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "base/kept_clock.h"
#include "base/log_gatherer.h"
#include "base/store_damage.h"
#include "blob/blob.h"
#include "blob/presign.h"
#include "briefing/briefing.h"
#include "db/db.h"
#include "gateway/api/gateway_admin_api.h"
#include "gateway/api/gateway_api.h"
#include "gateway/call/call_counts.h"
#include "gateway/call/pipeline.h"
#include "gateway/call/response_cache.h"
#include "gateway/catalogue/agent_schedules.h"
#include "gateway/catalogue/canaries.h"
#include "gateway/catalogue/provider_directory.h"
#include "gateway/catalogue/tenants.h"
#include "gateway/tokens/accounts_api.h"
#include "gateway/tokens/connect.h"
#include "gateway/tokens/refresher.h"
#include "gateway/tokens/token_watch.h"
#include "gateway/tokens/tokens.h"
#include "http/client/upstream.h"
#include "http/route_rows.h"
#include "http/router.h"
#include "http/serve/live_streams.h"
#include "http/serve/server.h"
#include "identity/admin_keys_api.h"
#include "identity/adopted_tokens.h"
#include "identity/directory.h"
#include "identity/guards.h"
#include "identity/identity.h"
#include "identity/keys.h"
#include "identity/members.h"
#include "identity/orgs.h"
#include "identity/orgs_api.h"
#include "identity/people.h"
#include "identity/project_keys_api.h"
#include "identity/projects.h"
#include "identity/sessions.h"
#include "identity/users.h"
#include "identity/users_api.h"
#include "kv/audited_kv.h"
#include "ledger/alerts.h"
#include "ledger/ledger.h"
#include "ledger/ledger_api.h"
#include "ops/cron.h"
#include "ops/health.h"
#include "ops/heartbeats.h"
#include "ops/idempotency.h"
#include "ops/kv_api.h"
#include "ops/metrics.h"
#include "ops/rate_limit.h"
#include "ops/system_health.h"
#include "portal/arrivals.h"
#include "portal/bearers.h"
#include "portal/billing/billing.h"
#include "portal/billing/billing_api.h"
#include "portal/billing/webhooks.h"
#include "portal/dev_issuer.h"
#include "portal/dev_issuer_api.h"
#include "portal/device_api.h"
#include "portal/history_api.h"
#include "portal/invitations.h"
#include "portal/mailer.h"
#include "portal/me_api.h"
#include "portal/oidc_api.h"
#include "portal/passwords.h"
#include "portal/people_api.h"
#include "portal/places_api.h"
#include "portal/plans.h"
#include "portal/plans_api.h"
#include "portal/providers.h"
#include "portal/reset.h"
#include "portal/reset_api.h"
#include "portal/sign_in.h"
#include "portal/sign_in_api.h"
#include "portal/team_api.h"
#include "portal/totp.h"
#include "portal/totp_api.h"

namespace kvcs {

Parts::Parts() = default;
Parts::~Parts() = default;

std::string Parts::public_url() const {
  if (!config.http.public_url.empty()) {
    return normal_public_url(config.http.public_url).value();  // Config::validate() has read it.
  }
  if (server->port() == 0) return "http://localhost";  // It listens at socket files alone.
  std::string host = config.http.server.listen_host;
  // A server that listens on all addresses is reached on this one.
  if (host == "0.0.0.0" || host == "::") host = "127.0.0.1";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  const bool tls = !config.http.server.tls.certificate_path.empty();
  return (tls ? "https://" : "http://") + host + ":" + std::to_string(server->port());
}

namespace {

// A browser on this machine may say localhost for a server that listens on 127.0.0.1.
std::vector<std::string> origins_of_pages(const std::string& public_url) {
  const size_t path = public_url.find('/', public_url.find("://") + 3);
  std::vector<std::string> origins = {public_url.substr(0, path)};
  for (const std::string_view host : {"127.0.0.1", "[::1]"}) {
    const std::string here = "://" + std::string(host) + ":";
    const size_t at = origins.front().find(here);
    if (at == std::string::npos) continue;
    origins.push_back(origins.front().substr(0, at) +
                      "://localhost:" + origins.front().substr(at + here.size()));
  }
  return origins;
}

}  // namespace

BrowserRules Parts::browser_rules() const {
  return {[this] {
    // Asked by requests alone, so that the port is known.
    std::call_once(origins_made, [this] { origins = origins_of_pages(public_url()); });
    return &origins;
  }};
}

}  // namespace kvcs
