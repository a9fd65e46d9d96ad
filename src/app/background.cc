#include "app/background.h"

#include <nlohmann/json.hpp>
#include <sys/statvfs.h>

#include "app/ai_door.h"
#include "app/backup.h"
#include "app/parts.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "briefing/summary.h"
#include "http/client/mail.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

// Nothing when the file system does not say.
std::optional<uint64_t> disk_free_bytes(const Parts& parts) {
  struct statvfs disk {};
  if (::statvfs(parts.config.data_dir.c_str(), &disk) != 0) return std::nullopt;
  return uint64_t{disk.f_bavail} * disk.f_frsize;
}

AlertChannels alert_channels(const Config& config) {
  AlertChannels channels;
  channels.webhook_url = config.alerts.webhook_url;
  channels.webhook_secret = config.secrets.alerts_webhook_secret;
  channels.slack_url = config.secrets.alerts_slack_url;
  channels.smtp_url = config.alerts.smtp_url;
  channels.smtp_from = config.alerts.smtp_from;
  channels.smtp_to = config.alerts.smtp_to;
  channels.smtp_user = config.alerts.smtp_user;
  channels.smtp_password = config.secrets.alerts_smtp_password;
  channels.allow_private_addresses = config.alerts.allow_private_addresses;
  channels.quiet_s = config.alerts.quiet_s;
  return channels;
}

Result<gateway::ProviderClient> provider_client(const gateway::ProviderDirectory& providers,
                                                std::string_view name) {
  const auto provider = KVCS_TRY(providers.find(name));
  const gateway::OauthRule& rule = provider->oauth;
  gateway::ProviderClient made{provider->auth.type, {}};
  oauth::Client& client = made.client;
  client.token_url = rule.token_url;
  client.authorize_url = rule.authorize_url;
  client.revoke_url = rule.revoke_url;
  client.issuer = rule.issuer;
  client.client_id = rule.client_id;
  client.client_secret = rule.client_secret;
  client.client_auth = KVCS_TRY(oauth::parse_client_auth(rule.client_auth));
  client.scopes = rule.scopes;
  client.scope_separator = rule.scope_separator;
  client.allow_private_addresses = provider->allow_private_addresses;
  for (const std::string_view pair : split(rule.authorize_params, '&')) {
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string value = KVCS_TRY(percent_decode(pair.substr(equals + 1), true));
    client.authorize_params[std::string(pair.substr(0, equals))] = value;
  }
  return made;
}

// A tenant has a record of its own, or is an organization's slug.
Status check_tenant(Parts& parts, std::string_view tenant) {
  const Status known = parts.gateway.tenants->find(tenant).status();
  if (known.code() != Code::kNotFound) return known;
  const Status organization = parts.directory->organization_by_slug(tenant).status();
  return organization.code() == Code::kNotFound ? known : organization;
}

void write_alert(Parts& parts, const AlertEvent& alert) {
  KvBatch batch;
  add_alert(batch, alert, parts.clock(), *parts.entropy);
  const Status written = parts.kv->write(batch, KvDurability::kSynced);
  if (!written.ok()) {
    log::error("alert.lost", {{"event", alert.event}, {"error", written.to_string()}});
  }
}

Status keep_snapshot(Parts& parts, std::string_view key, std::string json) {
  KvBatch batch;
  batch.put(KvFamily::kSystem, std::string(key), std::move(json));
  return parts.kv->write(batch, KvDurability::kBuffered);
}

}  // namespace

void build_background(Parts& parts) {
  BackgroundParts& made = parts.background;
  GatewayParts& below = parts.gateway;
  const auto mail = [ca_file = parts.config.upstream.ca_file](const Alerts::Mail& m) {
    return http::send_mail({m.url, m.user, m.password, m.from, m.to, m.subject, m.text, ca_file});
  };
  made.alerts = std::make_unique<Alerts>(*parts.ledger, *parts.upstream,
                                         alert_channels(parts.config), mail, parts.clock());
  parts.ledger->add_sink("alert", made.alerts->sink());
  const gateway::ProviderClientSource clients = [&parts](std::string_view provider) {
    return provider_client(*parts.gateway.providers, provider);
  };
  const gateway::TenantCheck tenants = [&parts](std::string_view tenant) {
    return check_tenant(parts, tenant);
  };
  made.refresher = std::make_unique<gateway::Refresher>(*parts.kv, *below.tokens, *parts.upstream,
                                                        clients, parts.clock(), *parts.entropy,
                                                        parts.config.gateway.refresh_parallel);
  made.accounts_api = std::make_unique<gateway::AccountsApi>(
      *below.tokens, *made.refresher, *parts.upstream, clients, tenants, parts.clock());
  made.connect_api = std::make_unique<gateway::ConnectApi>(
      *parts.kv, *below.tokens, *parts.upstream, clients, tenants, *parts.sealer, parts.clock(),
      *parts.entropy, [&parts] { return parts.public_url(); });
  made.watch = std::make_unique<gateway::TokenWatch>(*below.tokens, parts.clock());
  made.canaries = std::make_unique<gateway::Canaries>(
      *parts.kv, *below.tokens, *below.providers, *parts.upstream, parts.clock(), *parts.entropy);
  made.briefing = std::make_unique<briefing::DailyBriefing>(
      *parts.kv, *parts.ledger, *below.tokens, *below.providers, parts.clock(),
      briefing::make_summarizer(
          {parts.config.gateway.briefing_model, parts.config.secrets.briefing_api_key}, *parts.auth,
          *parts.ai->proxy, parts.clock()));
}

void start_background(Parts& parts) {
  // The lock of the data directory says that nobody else refreshes.
  const Result<int64_t> leases = parts.background.refresher->take_leases_back();
  if (!leases.ok()) log::warn("refresher.leases_failed", {{"error", leases.status().to_string()}});
  const Result<int64_t> armed = parts.background.refresher->rearm();
  if (!armed.ok()) log::warn("refresher.rearm_failed", {{"error", armed.status().to_string()}});
  parts.background.refresher->start();
}

void stop_background(Parts& parts) {
  parts.background.refresher->stop();
}

TokenCounts token_counts(Parts& parts) {
  const gateway::TokenSummary summary = parts.background.watch->summary();
  TokenCounts counts;
  counts.total = summary.total;
  counts.expiring_soon = summary.expiring_soon;
  counts.expired = summary.expired;
  const auto names = parts.gateway.providers->list();
  counts.providers = names.ok() ? static_cast<int64_t>(names.value().size()) : 0;
  return counts;
}

std::vector<std::string> health_warnings(Parts& parts) {
  std::vector<std::string> warnings;
  const gateway::TokenSummary tokens = parts.background.watch->summary();
  if (tokens.expired > 0) {
    warnings.push_back("Accounts of the tool gateway whose token has expired: " +
                       std::to_string(tokens.expired) + ".");
  }
  if (tokens.reauth_required > 0) {
    warnings.push_back("Accounts of the tool gateway that must be connected again: " +
                       std::to_string(tokens.reauth_required) + ".");
  }
  const std::optional<uint64_t> free_bytes = disk_free_bytes(parts);
  if (free_bytes && *free_bytes < parts.config.blobs.free_reserve_bytes) {
    warnings.push_back("Uploads are refused, as only " + format_bytes(*free_bytes) +
                       " of disk are free.");
  }
  return warnings;
}

void report_job_run(Parts& parts, const JobRun& run) {
  if (run.result == "ok") return;
  const char* event = run.job == kBackupJob ? "backup.failed" : "job.failed";
  write_alert(parts, {event, run.job, printable(run.result, kShownText)});
}

Result<std::string> snapshot_system_health(Parts& parts) {
  const std::vector<ProbeResult> results = parts.probes->run();
  Json services = Json::object();
  for (const ProbeResult& result : results) services[result.name] = health_name(result.health);
  const std::optional<uint64_t> free_bytes = disk_free_bytes(parts);
  // Uploads are refused below the reserve; a person should know before that.
  if (free_bytes && *free_bytes < 2 * parts.config.blobs.free_reserve_bytes) {
    write_alert(parts, {"disk.low", "data_dir", format_bytes(*free_bytes) + " are free."});
  }
  const std::string json = dump_json(Json{{"checked_at", format_iso8601_s(parts.clock().unix_ms())},
                                          {"status", health_name(HealthProbes::worst(results))},
                                          {"services", std::move(services)},
                                          {"disk_free_bytes", free_bytes.value_or(0)}});
  KVCS_TRY(keep_snapshot(parts, keyspace::kHealth, json));
  return json;
}

Result<std::string> snapshot_token_health(Parts& parts) {
  const int64_t now_s = parts.clock().unix_s();
  const gateway::TokenSummary summary =
      KVCS_TRY(gateway::summarize_tokens(*parts.gateway.tokens, now_s));
  KVCS_TRY(
      keep_snapshot(parts, keyspace::kTokenHealth, gateway::token_health_json(summary, now_s)));
  // Records that came by import have no alarm.
  const int64_t armed = KVCS_TRY(parts.background.refresher->rearm());
  return dump_json(Json{{"total", summary.total},
                        {"expiring_soon", summary.expiring_soon},
                        {"expired", summary.expired},
                        {"retrying", summary.retrying},
                        {"reauth_required", summary.reauth_required},
                        {"armed", armed}});
}

Result<std::string> ask_canaries(Parts& parts, const JobContext& context) {
  const auto cancelled = [&context] { return context.cancelled.load(); };
  const int64_t asked = KVCS_TRY(parts.background.canaries->run(cancelled));
  return dump_json(Json{{"asked", asked}});
}

Result<std::string> refresh_tokens(Parts& parts) {
  const int64_t asked = KVCS_TRY(parts.background.refresher->run_due());
  return asked == 0 ? std::string() : dump_json(Json{{"asked", asked}});
}

Result<std::string> deliver_alerts(Parts& parts) {
  const int64_t delivered = KVCS_TRY(parts.background.alerts->deliver_due());
  return delivered == 0 ? std::string() : dump_json(Json{{"delivered", delivered}});
}

}  // namespace kvcs
