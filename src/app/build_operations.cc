// Builds what watches over the daemon (alerts, probes, metrics, jobs) and, last, the HTTP server
// over the route table. Gauges are read by threads of the server while it serves.
#include "ai/ai_metrics.h"
#include "ai/budget/budget.h"
#include "app/build.h"
#include "app/certificate_watch.h"
#include "app/config_api.h"
#include "app/jobs.h"
#include "app/jobs_api.h"
#include "app/master_key.h"
#include "app/master_keys.h"
#include "app/metrics_history.h"
#include "app/owner_deletion.h"
#include "app/owners_api.h"
#include "app/parts.h"
#include "app/planned_deletion.h"
#include "app/request_metrics.h"
#include "app/routes.h"
#include "app/status_api.h"
#include "app/wal_syncer.h"
#include "artifacts/artifacts.h"
#include "artifacts/uploads_api.h"
#include "base/build_info.h"
#include "base/clock.h"
#include "base/disk_probe.h"
#include "base/entropy.h"
#include "base/log_gatherer.h"
#include "base/store_damage.h"
#include "base/thread.h"
#include "db/db.h"
#include "db/db_damage.h"
#include "gateway/call/pipeline.h"
#include "gateway/catalogue/provider_directory.h"
#include "gateway/catalogue/tenants.h"
#include "gateway/tokens/refresher.h"
#include "gateway/tokens/token_watch.h"
#include "http/client/mail.h"
#include "http/client/upstream.h"
#include "http/router.h"
#include "http/serve/live_streams.h"
#include "http/serve/server.h"
#include "identity/identity.h"
#include "kv/keyspace.h"
#include "kv/rocks_kv.h"
#include "ledger/alerts.h"
#include "ledger/ledger.h"
#include "ops/cron.h"
#include "ops/health.h"
#include "ops/heartbeats.h"
#include "ops/metrics.h"
#include "ops/system_health.h"

namespace kvcs {
namespace {

Status write_and_read_kv(KvStore& kv, const Clock& clock) {
  const std::string value = std::to_string(clock.unix_ms());
  KvBatch batch;
  batch.put(KvFamily::kSystem, std::string(keyspace::kProbe), value);
  KVCS_TRY(kv.write(batch, KvDurability::kBuffered));
  // Another probe may have written meanwhile; what counts is that something is there.
  return kv.get(KvFamily::kSystem, keyspace::kProbe).status();
}

// The number that migrations keep is written as it is.
Status write_and_read_sql(Database& db) {
  return db.set_schema_number(KVCS_TRY(db.schema_number()));
}

// The probes that write, each for a part whose writes can fail alone.
void add_writing_probes(Parts& parts) {
  HealthProbes& probes = *parts.probes;
  probes.add_writing("kv", [&parts]() -> Status {
    KVCS_TRY(write_and_read_kv(*parts.kv, parts.clock()));
    return parts.syncer->last_status();
  });
  // A restart mends nothing, and all that can be read is still served.
  probes.add_writing("kv", [&parts] { return damage_of_rocks(*parts.kv_engine).status(); });
  probes.add_writing("portal.db",
                     [&parts] { return parts.portal_writer->run(write_and_read_sql); });
  probes.add_writing("ledger.db",
                     [&parts] { return parts.ledger_writer->run(write_and_read_sql); });
  for (const char* name : {"portal.db", "ledger.db"}) {
    const auto damage = damage_of_database(parts.config.data_dir + "/sql/" + name);
    probes.add_writing(name, [damage] { return damage->status(); });
  }
  std::string blobs = parts.config.blobs.path;
  if (blobs.empty()) blobs = parts.config.data_dir + "/blobs";
  probes.add_writing("blobs", [blobs] { return probe_disk(blobs); });
  probes.add_writing("blobs", [&parts] { return parts.staged_damage->status(); });
  probes.add_writing("journal", [&parts] { return parts.ai.budgets->journal_status(); });
}

// The probes that /health asks each time; they read only, so that asking often harms nothing.
void add_probes(Parts& parts) {
  add_writing_probes(parts);
  parts.probes->add("kv", [&parts]() -> Status {
    const Result<KvEntry> entry = parts.kv->get(KvFamily::kSystem, keyspace::kProbe);
    return entry.code() == Code::kNotFound ? ok() : entry.status();
  });
  // Named after what this database was in the cloud; monitors know the word.
  parts.probes->add("d1", [&parts]() -> Status {
    const auto select = [](Database& db) -> Status {
      Statement one = KVCS_TRY(db.prepare("SELECT 1"));
      return one.step().status();
    };
    KVCS_TRY(parts.portal_readers->run(select));
    return parts.ledger_readers->run(select);
  });
}

// Values that somebody keeps already; they are read when /metrics is printed.
void add_gauges(Parts& parts) {
  Metrics& metrics = *parts.metrics;
  metrics.gauge("kvcs_resident_bytes", "Resident memory of the process.",
                [] { return static_cast<double>(resident_bytes()); });
  metrics.gauge("kvcs_stuck_threads",
                "Threads at one piece of work for longer than ops.stuck_after_s.",
                [&parts] { return static_cast<double>(parts.heartbeats->look().size()); });
  metrics.gauge(
      "kvcs_build_info", "Constant 1; the version is a label.", [] { return 1.0; },
      "version=\"" + Metrics::escape_label(version()) + "\"");
  metrics.counter_from("kvcs_log_lines_dropped_total",
                       "Lines of the log that stderr did not take: it is closed, or not read.",
                       [] { return static_cast<double>(log::dropped_lines()); });
  metrics.counter_from("kvcs_kv_syncs_total", "Times buffered writes were brought to disk.",
                       [&parts] { return static_cast<double>(parts.syncer->syncs()); });
  metrics.counter_from(
      "kvcs_kv_damage_total", "Times a damaged file or value of the key-value store was met.",
      [&parts] { return static_cast<double>(damage_of_rocks(*parts.kv_engine).met()); });
  for (const char* name : {"portal", "ledger"}) {
    metrics.counter_from(
        "kvcs_db_damage_total", "Times a call found its database damaged.",
        [damage = damage_of_database(parts.config.data_dir + "/sql/" + name + ".db")] {
          return static_cast<double>(damage->met());
        },
        "database=\"" + std::string(name) + "\"");
  }
  metrics.gauge("kvcs_ledger_queue_length", "Diagnostics that wait.",
                [&parts] { return static_cast<double>(parts.ledger->stats().queued); });
  metrics.counter_from("kvcs_ledger_dropped_total", "Diagnostics dropped on a full queue.",
                       [&parts] { return static_cast<double>(parts.ledger->stats().dropped); });
  metrics.counter_from("kvcs_ledger_dead_total",
                       "Records that no table took, set aside in outbox_dead.",
                       [&parts] { return static_cast<double>(parts.ledger->stats().dead); });
  metrics.gauge("kvcs_ledger_left_in_outbox",
                "Keys of the outbox with records that no table takes, as outbox_dead is full.",
                [&parts] { return static_cast<double>(parts.ledger->stats().left_in_outbox); });
  metrics.gauge(
      "kvcs_ledger_outbox_age_seconds", "Age of the oldest record not yet in SQL.",
      [&parts] { return static_cast<double>(parts.ledger->stats().oldest_outbox_age_ms) / 1000; });
  const auto writer = [&](const char* name, DbWriter& db) {
    metrics.gauge(
        "kvcs_db_writer_queue_length", "Writes that wait.",
        [&db] { return static_cast<double>(db.stats().queued); },
        "database=\"" + std::string(name) + "\"");
  };
  writer("portal", *parts.portal_writer);
  writer("ledger", *parts.ledger_writer);
}

// The server's; /metrics may be printed before that is made.
void add_server_gauges(Parts& parts) {
  Metrics& metrics = *parts.metrics;
  metrics.gauge("kvcs_http_connections", "Open connections.", [&parts] {
    return parts.server ? static_cast<double>(parts.server->stats().connections) : 0;
  });
  metrics.counter_from(
      "kvcs_http_refused_connections_total",
      "Connections that were refused because all places were taken.", [&parts] {
        return parts.server ? static_cast<double>(parts.server->stats().refused_connections) : 0;
      });
  metrics.gauge("kvcs_http_held_bytes",
                "Bodies and answers in memory while their clients are waited for.", [&parts] {
                  return parts.server ? static_cast<double>(parts.server->stats().held_bytes) : 0;
                });
  metrics.gauge("kvcs_tls_certificate_expires_timestamp_seconds",
                "When the TLS certificate ends, in Unix time; 0 without TLS.", [&parts] {
                  return parts.server ? static_cast<double>(parts.server->certificate_expires_s())
                                      : 0;
                });
  for (size_t i = 0; i < http::kShareCount; i++) {
    metrics.counter_from(
        "kvcs_http_refused_by_share_total",
        "Requests and connections refused because all was taken, or their caller's share of it.",
        [&parts, i] {
          return parts.server ? static_cast<double>(parts.server->stats().refused[i]) : 0;
        },
        "share=\"" + std::string(http::share_name(static_cast<http::Share>(i))) + "\"");
  }
  metrics.counter_from(
      "kvcs_http_given_up_connections_total",
      "Idle connections that were closed to make room for others.", [&parts] {
        return parts.server ? static_cast<double>(parts.server->stats().given_up_connections) : 0;
      });
  const auto refused_put = [&](const char* share, uint64_t ArtifactService::Refused::*count) {
    metrics.counter_from(
        "kvcs_artifacts_refused_by_share_total",
        "Uploads refused as their organization has its share of the disk, or their URL an upload.",
        [&parts, count] { return static_cast<double>(parts.artifacts.service->refused().*count); },
        "share=\"" + std::string(share) + "\"");
  };
  refused_put("organization_disk", &ArtifactService::Refused::by_disk_share);
  refused_put("upload_url", &ArtifactService::Refused::by_turn);
  metrics.gauge("kvcs_http_busy_workers", "Workers inside a request.", [&parts] {
    return parts.server ? static_cast<double>(parts.server->stats().busy_workers) : 0;
  });
  metrics.gauge("kvcs_http_parked_requests", "Requests that wait without a thread.", [&parts] {
    return parts.server ? static_cast<double>(parts.server->stats().parked_requests) : 0;
  });
  metrics.counter_from(
      "kvcs_http_blocked_waits_total",
      "Waits of requests that held a worker: too many were parked, or epoll refused the "
      "descriptor.",
      [&parts] {
        return parts.server ? static_cast<double>(parts.server->stats().blocked_waits) : 0;
      });
}

// Mail is sent by the http module, which the ledger knows as a function.
void build_alerts(Parts& parts) {
  const auto mail = [ca_file = parts.config.upstream.ca_file](const Alerts::Mail& m) {
    return http::send_mail({m.url, m.user, m.password, m.from, m.to, m.subject, m.text, ca_file});
  };
  parts.alerts = std::make_unique<Alerts>(*parts.ledger, *parts.upstream, parts.config.alerts, mail,
                                          parts.clock());
  parts.ledger->add_sink("alert", parts.alerts->sink());
}

// The gateway is asked when a monitor asks: its counts change, and it keeps them for a while
// itself.
void build_status(Parts& parts) {
  parts.health = std::make_unique<SystemHealth>(
      *parts.probes, *parts.kv, parts.clock(), parts.config.data_dir,
      parts.config.blobs.free_reserve_bytes, [&parts](const std::string& free_text) {
        raise_alert(*parts.kv, {"disk.low", "data_dir", free_text + " are free."}, parts.clock(),
                    *parts.entropy);
      });
  parts.status_api = std::make_unique<StatusApi>(
      *parts.probes, *parts.heartbeats, *parts.metrics, parts.clock(),
      [&gateway = parts.gateway] {
        const gateway::TokenSummary summary = gateway.watch->summary();
        const auto names = gateway.providers->list();
        return TokenCounts{summary.total, summary.expiring_soon, summary.expired,
                           names.ok() ? static_cast<int64_t>(names.value().size()) : 0};
      },
      [&parts] { return std::string(parts.gateway.tenants->frozen() ? "frozen" : "active"); },
      [&parts] {
        // The daemon's own state alone; what an organization's accounts need is told by alerts.
        std::vector<std::string> all = parts.health->warnings();
        if (auto ending = certificate_warning(parts)) all.push_back(std::move(*ending));
        return all;
      });
}

// A server of its own for a handful of monitors: other threads, other connections and other shares
// than the main one has, so that it answers while that one is full.
http::ServerConfig ops_config(const ListenAddress& address) {
  // Two scrapers, probes, and somebody who looks; and for how long one of them may say nothing.
  static constexpr int kConnections = 64, kSilenceMs = 2000;
  http::ServerConfig config;
  config.listen_host = address.host;
  config.listen_port = address.port;
  config.takes_inherited = false;
  config.workers_min = 1;
  config.workers_max = config.connections_max = config.streams_max = kConnections;
  config.connections_address_percent = 100;  // Those that say nothing make room.
  config.head_max_bytes = 8 << 10;
  config.uri_max_bytes = 1000;
  config.head_timeout_ms = config.body_idle_timeout_ms = config.write_timeout_ms = kSilenceMs;
  config.access_log = false;
  config.memory_max_bytes = 64 << 20;
  return config;
}

Status build_ops_server(Parts& parts) {
  if (parts.config.ops.listen.empty()) return ok();
  static constexpr std::string_view kPaths[] = {"/livez", "/readyz", "/health", "/metrics"};
  std::vector<http::Route> routes;
  for (const http::Row& row : parts.route_table) {
    if (std::find(std::begin(kPaths), std::end(kPaths), row.pattern) == std::end(kPaths)) continue;
    routes.push_back(row);
    routes.back().is_probe = true;
    if (row.pattern != "/metrics") continue;
    routes.back().handler = [status = parts.status_api.get()](http::Request& request) {
      return status->all_metrics(request);
    };
  }
  parts.ops_router = std::make_unique<http::Router>(std::move(routes));
  parts.ops_server = std::make_unique<http::Server>(
      ops_config(KVCS_TRY(parse_listen(parts.config.ops.listen))), *parts.ops_router, parts.clock(),
      nullptr, [&parts](const Status& why) { parts.on_server_failed(why); });
  return ok();
}

// The loops that the daemon cannot do without. Each is named as its thread is.
void watch_loops(Parts& parts) {
  Heartbeats& heartbeats = *parts.heartbeats;
  parts.server->add_pulses([&heartbeats](std::string name, std::function<Pulse()> pulse) {
    heartbeats.add(std::move(name), std::move(pulse));
  });
  const auto add = [&heartbeats](const char* name, const auto& loop) {
    heartbeats.add(name, [&loop] { return loop.pulse(); });
  };
  add("portal-writer", *parts.portal_writer);
  add("ledger-writer", *parts.ledger_writer);
  add("ledger", *parts.ledger);
  add("budget-writer", *parts.ai.budgets);
  add("wal-syncer", *parts.syncer);
  add("cron", *parts.cron);
  add("refresher", *parts.gateway.refresher);
}

void build_master_keys(Parts& parts) {
  const Config& config = parts.config;
  parts.master_keys = std::make_unique<MasterKeys>(MasterKeys::Parts{
      *parts.kv, *parts.audited, *parts.sealer, *parts.entropy,
      master_key_file(config.data_dir, config.secrets.master_key, credentials_directory()),
      [&parts] { parts.presigner->set_keys(parts.sealer->derive_all(kUrlSigning)); },
      [&parts] { return parts.cron->run_now("reseal"); }});
}

std::optional<int64_t> stored_bytes(const Parts& parts) {
  int64_t bytes = 0;
  const Status read = parts.portal_readers->run([&](Database& db) -> Status {
    Statement sum =
        KVCS_TRY(db.prepare("SELECT coalesce(sum(storage_bytes), 0) FROM organization_usage"));
    KVCS_TRY(sum.step());
    bytes = sum.integer(0);
    return ok();
  });
  return read.ok() ? std::optional(bytes) : std::nullopt;
}

MetricTotals read_totals(const Parts& parts) {
  MetricTotals now;
  for (size_t i = 0; i < kPlanes; i++) now.planes[i] = parts.request_metrics->plane(i);
  const ai::AiMetrics::Totals ai = parts.ai.metrics->totals();
  now.input_tokens = ai.input_tokens;
  now.output_tokens = ai.output_tokens;
  now.cost_nano_usd = ai.cost_nano_usd;
  now.ai_providers = parts.ai.metrics->by_provider();
  now.gateway_providers = parts.gateway.pipeline->provider_counts().all();
  now.connections = static_cast<int64_t>(parts.server->stats().connections);
  now.storage_bytes = stored_bytes(parts);
  return now;
}

}  // namespace

Status build_operations(Parts& parts) {
  // Before the ledger starts: its outbox may hold alerts of the last life.
  build_alerts(parts);
  parts.probes = std::make_unique<HealthProbes>(parts.clock());
  // By the system's time, whatever tests do to the clock: it is threads that are measured.
  parts.heartbeats = std::make_unique<Heartbeats>(*parts.system_clock,
                                                  int64_t{parts.config.ops.stuck_after_s} * 1000);
  add_probes(parts);
  add_gauges(parts);
  add_server_gauges(parts);
  build_status(parts);
  parts.config_api = std::make_unique<ConfigApi>(parts.config);
  parts.metrics_history =
      std::make_unique<MetricsHistory>([&parts] { return read_totals(parts); }, parts.clock());
  const auto on_finished = [&parts, report = job_reporter(parts)](const JobRun& run) {
    parts.ledger->record_job_run(
        {run.job, run.started_ms, run.duration_ms, run.result, run.detail});
    report(run);
  };
  parts.deletions = std::make_unique<OwnerDeletions>(parts);
  parts.planned_deletions = std::make_unique<PlannedDeletions>(parts);
  parts.owners_api = std::make_unique<OwnersApi>(parts, *parts.deletions);
  parts.cron = std::make_unique<Cron>(*parts.kv, parts.clock(), on_finished);
  build_master_keys(parts);
  for (Job& job : all_jobs(parts)) KVCS_TRY(parts.cron->add(std::move(job)));
  parts.jobs_api = std::make_unique<JobsApi>(*parts.cron, *parts.audited, parts.config.backup);
  return ok();
}

namespace {

// Whether a caller who was let in before may go on. When that cannot be told he may.
bool still_admits(const Parts& parts, const Principal& principal) {
  const Status known = parts.auth->still_admits(principal);
  if (known.code() == Code::kUnauthenticated || known.code() == Code::kForbidden) return false;
  if (principal.kind != PrincipalKind::kTenantToken) return true;
  if (parts.gateway.tenants->frozen()) return false;
  // A tenant that is deleted may have an organization, which stays and has its name.
  const std::string& tenant = principal.organization;
  const std::string deletion = keyspace::deletion(keyspace::Owner::kTenant, tenant);
  if (parts.kv->get(KvFamily::kSystem, deletion).ok()) return false;
  const Status active =
      gateway::check_tenant_active(*parts.gateway.tenants, *parts.directory, tenant);
  return active.code() != Code::kForbidden && active.code() != Code::kNotFound;
}

// A stream ends with the write that suspends or removes its caller's user, organization or tenant,
// and one of the tool gateway with the write that freezes it.
// The last of the store's listeners, so that what is looked up is what was written.
void end_refused_streams(Parts& parts) {
  parts.live_streams = std::make_unique<http::LiveStreams>(
      [&parts](const Principal& principal) { return still_admits(parts, principal); });
  parts.kv->add_listener(
      [streams = parts.live_streams.get()](KvFamily family, std::string_view key) {
        if (family == KvFamily::kSystem && key == keyspace::kGatewayMode) {
          streams->check([](const Principal& principal) {
            return principal.kind == PrincipalKind::kTenantToken;
          });
        }
        if (!is_owner_record(family, key)) return;
        streams->check([&](const Principal& principal) { return depends_on(principal, key); });
      });
}

}  // namespace

// The slugs that rows take are known once the table is; organizations ask for them when they are
// made.
Status build_server(Parts& parts) {
  parts.route_table = all_routes(parts);
  parts.reserved_slugs = reserved_slugs(parts.route_table);
  parts.router = std::make_unique<http::Router>(
      std::vector<http::Route>(parts.route_table.begin(), parts.route_table.end()));
  parts.request_metrics = std::make_unique<RequestMetrics>(parts.router->routes(), *parts.metrics);
  end_refused_streams(parts);
  http::ServerConfig config = parts.config.http.server;
  // The protocol wants it in refusals too.
  config.answer_headers.push_back(
      {std::string(kUploadsPath), "tus-resumable", std::string(tus::kVersion)});
  parts.server = std::make_unique<http::Server>(
      config, *parts.router, parts.clock(),
      [&parts](const http::RequestRecord& record) { parts.request_metrics->record(record); },
      [&parts](const Status& why) { parts.on_server_failed(why); }, parts.live_streams.get(),
      [auth = parts.auth.get()](const Principal& caller) { return auth->look_up_again(caller); });
  watch_loops(parts);
  return build_ops_server(parts);
}

}  // namespace kvcs
