#include "app/app.h"

#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "app/ai_door.h"
#include "app/artifact_parts.h"
#include "app/first_start.h"
#include "app/jobs.h"
#include "app/master_key.h"
#include "app/parts.h"
#include "app/routes.h"
#include "app/store_metrics.h"
#include "artifacts/schema.h"
#include "base/file.h"
#include "base/log.h"
#include "base/thread.h"
#include "kv/keyspace.h"
#include "ledger/schema.h"
#include "version.h"

namespace kvcs {
namespace {

constexpr size_t kAdminKeysFileMaxBytes = 64 << 10;
constexpr std::string_view kMasterKeyCheck = keyspace::kMasterKeyCheck;

std::string credentials_directory() {
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  return directory == nullptr ? "" : directory;
}

// Prices and the provider catalogue. To parse them takes longer than all else at a start but the
// syncs of new stores, and needs nothing of those, so that a thread does it meanwhile.
struct ShippedFiles {
  explicit ShippedFiles(Parts& parts) {
    parts.ai = std::make_unique<AiDoor>();
    thread.emplace("start-files", [this, &parts] {
      prices = reload_prices(parts);
      catalogue = read_catalogue(parts.config);
    });
  }
  // Then `catalogue` may be used.
  Status wait() {
    thread.reset();
    return prices;
  }

  Status prices;
  Result<gateway::Catalogue> catalogue = internal("not read");
  std::optional<Thread> thread;  // Last: joined before the rest goes.
};

// A wrong master key must stop the start, not turn up at the first use of a sealed secret.
Status check_master_key(Parts& parts) {
  const Result<KvEntry> entry = parts.kv->get(KvFamily::kSystem, kMasterKeyCheck);
  if (entry.code() == Code::kNotFound) {
    KvBatch batch;
    batch.put(KvFamily::kSystem, std::string(kMasterKeyCheck),
              parts.sealer->seal("kvcs", kMasterKeyCheck));
    return parts.kv->write(batch, KvDurability::kSynced);
  }
  if (!entry.ok()) return entry.status();
  if (parts.sealer->open(entry.value().value, kMasterKeyCheck).ok()) return ok();
  return invalid(
      "The master key does not fit this data directory: what it holds was sealed under another. "
      "Restore that key (KVCS_MASTER_KEY, or master.key in the data directory).");
}

Status build_ground(Parts& parts) {
  const std::string& dir = parts.config.data_dir;
  parts.log_gatherer = std::make_unique<log::Gatherer>();
  parts.system_clock = make_system_clock();
  parts.entropy = make_system_entropy();
  KVCS_TRY(make_private_directory(dir));
  parts.lock = std::make_unique<DataDirLock>(KVCS_TRY(DataDirLock::acquire(dir)));
  parts.sealer =
      std::make_unique<Sealer>(KVCS_TRY(load_master_keys(dir, parts.config.secrets.master_key,
                                                         credentials_directory(), *parts.entropy)),
                               *parts.entropy);
  parts.metrics = std::make_unique<Metrics>();
  parts.rates = std::make_unique<RateLimiter>(parts.clock());
  return ok();
}

Status build_kv(Parts& parts) {
  const Config& config = parts.config;
  KvConfig kv;
  kv.path = config.data_dir + "/kv";
  kv.block_cache_bytes = config.kv.block_cache_bytes;
  kv.write_buffer_bytes = config.kv.write_buffer_bytes;
  kv.open_files_max = config.kv.open_files_max;
  parts.kv_engine = KVCS_TRY(open_rocks_kv(kv, parts.clock()));
  if (parts.options.kv_faults) {
    parts.kv_faulty = make_faulty_kv(*parts.kv_engine, parts.options.kv_faults);
  }
  KvStore& base = parts.kv_faulty ? *parts.kv_faulty : *parts.kv_engine;
  parts.kv_timed = make_timed_kv(base, parts.clock(), kv_timer(*parts.metrics));
  parts.kv = make_watched_kv(*parts.kv_timed);
  parts.audited = std::make_unique<AuditedKv>(*parts.kv, parts.clock(), *parts.entropy);
  parts.syncer = std::make_unique<WalSyncer>(*parts.kv, *parts.kv, config.kv.sync_interval_ms);
  return check_master_key(parts);
}

struct OpenedDatabase {
  std::unique_ptr<DbWriter> writer;
  std::unique_ptr<DbReaders> readers;
};
Result<OpenedDatabase> open_database(const Parts& parts, const std::string& name,
                                     const std::vector<Migration>& migrations) {
  const std::string path = parts.config.data_dir + "/sql/" + name + ".db";
  std::unique_ptr<Database> db = KVCS_TRY(Database::open(path, {}));
  KVCS_TRY(migrate(*db, migrations));
  OpenedDatabase opened;
  opened.writer =
      std::make_unique<DbWriter>(std::move(db), (name + "-writer").c_str(),
                                 static_cast<size_t>(parts.config.db.writer_queue_max),
                                 db_timer(*parts.metrics, parts.clock(), name, "commit"));
  opened.readers =
      KVCS_TRY(DbReaders::open(path, static_cast<size_t>(parts.config.db.readers_max),
                               db_timer(*parts.metrics, parts.clock(), name, "query")));
  return opened;
}

Status build_sql(Parts& parts) {
  KVCS_TRY(make_private_directory(parts.config.data_dir + "/sql"));
  OpenedDatabase portal = KVCS_TRY(open_database(parts, "portal", portal_migrations()));
  parts.portal_writer = std::move(portal.writer);
  parts.portal_readers = std::move(portal.readers);
  OpenedDatabase ledger = KVCS_TRY(open_database(parts, "ledger", ledger_migrations()));
  parts.ledger_writer = std::move(ledger.writer);
  parts.ledger_readers = std::move(ledger.readers);
  parts.ledger =
      std::make_unique<Ledger>(*parts.kv, *parts.ledger_writer, *parts.ledger_readers,
                               parts.clock(), static_cast<size_t>(parts.config.ledger.queue_max));
  parts.ledger_api = std::make_unique<LedgerApi>(*parts.ledger, parts.clock());
  return ok();
}

Status build_blobs_and_upstream(Parts& parts) {
  const Config& config = parts.config;
  BlobConfig blobs;
  blobs.path = config.blobs.path.empty() ? config.data_dir + "/blobs" : config.blobs.path;
  blobs.free_reserve_bytes = config.blobs.free_reserve_bytes;
  KVCS_TRY(make_private_directory(blobs.path));
  parts.blob_files = KVCS_TRY(open_file_blobs(blobs));
  parts.blobs = make_timed_blobs(*parts.blob_files, parts.clock(), blob_timer(*parts.metrics));
  // Uploads that died with the last process.
  KVCS_TRY(parts.blobs->remove_stale_temps());
  parts.presigner =
      std::make_unique<Presigner>(parts.sealer->derive("blob-url-signing"), parts.clock());
  http::UpstreamConfig upstream;
  upstream.connections_per_host_max = config.upstream.connections_per_host_max;
  upstream.connections_idle_max = config.upstream.connections_idle_max;
  upstream.dns_cache_s = config.upstream.dns_cache_s;
  upstream.ca_file = config.upstream.ca_file;
  upstream.user_agent = std::string("kvcs/") + KVCS_VERSION;
  parts.upstream = http::make_http_upstream(upstream, parts.clock());
  return ok();
}

Result<std::vector<StaticAdminKey>> static_admin_keys(const Config& config) {
  std::string text = config.secrets.admin_keys.reveal();
  if (const std::string& file = config.secrets.admin_keys_file; !file.empty()) {
    text += "\n" + KVCS_TRY(read_small_file(file, kAdminKeysFileMaxBytes));
  }
  if (const std::string directory = credentials_directory(); !directory.empty()) {
    const Result<std::string> given =
        read_small_file(directory + "/kvcs-admin-keys", kAdminKeysFileMaxBytes);
    if (given.ok()) text += "\n" + given.value();
    if (!given.ok() && given.code() != Code::kNotFound) return given.status();
  }
  return parse_static_admin_keys(text);
}

Status build_identity(Parts& parts) {
  const Clock& clock = parts.clock();
  parts.directory = std::make_unique<Directory>(
      *parts.kv, *parts.kv, static_cast<size_t>(parts.config.identity.cached_keys_max));
  parts.auth = std::make_unique<Authenticator>(*parts.directory, *parts.kv, clock,
                                               KVCS_TRY(static_admin_keys(parts.config)));
  AdminDoorLimits limits;
  limits.failures_max = parts.config.admin.failures_max;
  limits.lockout_s = parts.config.admin.lockout_s;
  limits.rate = [&parts](std::string_view remote_ip) {
    const RateDecision decision = parts.rates->take("admin:" + std::string(remote_ip),
                                                    parts.config.admin.requests_per_minute);
    return decision.allowed ? int64_t{0} : std::max<int64_t>(decision.retry_after_s, 1);
  };
  parts.admin_door = std::make_unique<AdminDoor>(*parts.auth, clock, std::move(limits));
  parts.keys = std::make_unique<KeyService>(*parts.kv, *parts.audited, clock, *parts.entropy);
  parts.organizations = std::make_unique<OrganizationService>(
      *parts.kv, *parts.audited, *parts.keys, clock, *parts.entropy,
      [&parts](std::string_view slug) { return parts.reserved_slugs.contains(slug); });
  parts.projects = std::make_unique<ProjectService>(*parts.portal_writer, *parts.portal_readers,
                                                    clock, *parts.entropy);
  parts.users =
      std::make_unique<UserService>(*parts.kv, *parts.audited, *parts.keys, clock, *parts.entropy);
  parts.users_api = std::make_unique<UsersApi>(
      *parts.users, *parts.keys, [&parts](std::string_view user_id) -> Result<int64_t> {
        return KVCS_TRY(parts.ai->budgets->view("user", user_id, "")).used_nano_usd;
      });
  parts.organizations_api =
      std::make_unique<OrganizationsApi>(*parts.organizations, *parts.projects, *parts.keys);
  parts.admin_keys_api = std::make_unique<AdminKeysApi>(*parts.keys);
  parts.kv_api = std::make_unique<KvApi>(
      *parts.kv, *parts.audited, clock,
      [&parts](KvFamily family, std::string_view key, std::string value) -> Result<std::string> {
        if (family == KvFamily::kTokens) return parts.gateway.tokens->seal_record(key, value);
        if (family == KvFamily::kConfig) return parts.gateway.providers->seal_record(key, value);
        return value;
      });
  parts.idempotency = std::make_unique<Idempotency>(*parts.kv, *parts.sealer, clock);
  return ok();
}

void add_probes(Parts& parts) {
  parts.probes->add("kv", [&parts]() -> Status {
    const Result<KvEntry> entry = parts.kv->get(KvFamily::kSystem, keyspace::kProbe);
    if (entry.code() != Code::kNotFound) KVCS_TRY(entry.status());
    return parts.syncer->last_status();
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

void add_gauges(Parts& parts) {
  Metrics& metrics = *parts.metrics;
  metrics.gauge("kvcs_resident_bytes", "Resident memory of the process.",
                [] { return static_cast<double>(resident_bytes()); });
  metrics.gauge(
      "kvcs_build_info", "Constant 1; the version is a label.", [] { return 1.0; },
      "version=\"" + Metrics::escape_label(KVCS_VERSION) + "\"");
  metrics.counter_from("kvcs_kv_syncs_total", "Times buffered writes were brought to disk.",
                       [&parts] { return static_cast<double>(parts.syncer->syncs()); });
  metrics.gauge("kvcs_ledger_queue_length", "Diagnostics that wait.",
                [&parts] { return static_cast<double>(parts.ledger->stats().queued); });
  metrics.counter_from("kvcs_ledger_dropped_total", "Diagnostics dropped on a full queue.",
                       [&parts] { return static_cast<double>(parts.ledger->stats().dropped); });
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
  metrics.gauge("kvcs_http_connections", "Open connections.", [&parts] {
    return parts.server ? static_cast<double>(parts.server->stats().connections) : 0;
  });
  metrics.gauge("kvcs_http_busy_workers", "Workers inside a request.", [&parts] {
    return parts.server ? static_cast<double>(parts.server->stats().busy_workers) : 0;
  });
  metrics.gauge("kvcs_http_parked_requests", "Requests that wait without a thread.", [&parts] {
    return parts.server ? static_cast<double>(parts.server->stats().parked_requests) : 0;
  });
  metrics.counter_from(
      "kvcs_http_blocked_waits_total",
      "Waits of requests that held a worker, as too many were parked.", [&parts] {
        return parts.server ? static_cast<double>(parts.server->stats().blocked_waits) : 0;
      });
}

Status build_operations(Parts& parts) {
  parts.probes = std::make_unique<HealthProbes>(parts.clock());
  add_probes(parts);
  add_gauges(parts);
  parts.status_api = std::make_unique<StatusApi>(
      *parts.probes, *parts.metrics, parts.clock(), [&parts] { return token_counts(parts); },
      [&parts] { return std::string(parts.gateway.tenants->frozen() ? "frozen" : "active"); },
      [&parts] { return health_warnings(parts); });
  parts.cron = std::make_unique<Cron>(*parts.kv, parts.clock(), [&parts](const JobRun& run) {
    parts.ledger->record_job_run(
        {run.job, run.started_ms, run.duration_ms, run.result, run.detail});
    report_job_run(parts, run);
  });
  for (Job& job : all_jobs(parts)) KVCS_TRY(parts.cron->add(std::move(job)));
  parts.jobs_api = std::make_unique<JobsApi>(*parts.cron);
  return ok();
}

void build_door(Parts& parts) {
  parts.route_table = all_routes(parts);
  parts.reserved_slugs = reserved_slugs(parts.route_table);
  parts.router = std::make_unique<http::Router>(
      std::vector<http::Route>(parts.route_table.begin(), parts.route_table.end()));
  parts.request_metrics = std::make_unique<RequestMetrics>(parts.router->routes(), *parts.metrics);
  parts.server = std::make_unique<http::Server>(
      parts.config.http.server, *parts.router, parts.clock(),
      [&parts](const http::RequestRecord& record) { parts.request_metrics->record(record); });
}

}  // namespace

Parts::Parts() = default;
Parts::~Parts() = default;

std::string Parts::public_url() const {
  if (!config.http.public_url.empty()) {
    std::string url = config.http.public_url;
    while (url.ends_with('/')) url.pop_back();
    return url;
  }
  std::string host = config.http.server.listen_host;
  // Who listens on all addresses is reached on this one.
  if (host == "0.0.0.0" || host == "::") host = "127.0.0.1";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  const bool tls = !config.http.server.tls.certificate_path.empty();
  return (tls ? "https://" : "http://") + host + ":" + std::to_string(server->port());
}

App::App(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
App::~App() {
  stop();
}

Result<std::unique_ptr<App>> App::create(Config config) {
  return create(std::move(config), AppOptions{});
}

Result<std::unique_ptr<App>> App::create(Config config, AppOptions options) {
  auto parts = std::make_unique<Parts>();
  parts->config = std::move(config);
  parts->options = std::move(options);
  ShippedFiles files(*parts);
  KVCS_TRY(build_ground(*parts));
  KVCS_TRY(build_kv(*parts));
  KVCS_TRY(build_sql(*parts));
  KVCS_TRY(build_blobs_and_upstream(*parts));
  KVCS_TRY(build_identity(*parts));
  build_artifacts(*parts);
  KVCS_TRY(files.wait());
  KVCS_TRY(build_ai_door(*parts));
  gateway::Catalogue catalogue = KVCS_TRY(std::move(files.catalogue));
  KVCS_TRY(build_gateway(*parts, std::move(catalogue)));
  build_background(*parts);
  KVCS_TRY(build_operations(*parts));
  build_door(*parts);
  return std::unique_ptr<App>(new App(std::move(parts)));
}

Status App::start() {
  Parts& p = *parts_;
  running_ = true;
  p.syncer->start();
  p.ledger->start();
  p.ai->budgets->start([ledger = p.ledger.get()] { ledger->notify(); });
  KVCS_TRY(p.server->start());
  const FirstStartParts first{*p.kv,   *p.audited, *p.organizations, *p.projects,
                              *p.keys, *p.entropy, p.clock()};
  first_start_ = KVCS_TRY(ensure_first_start(first, p.config.data_dir, url()));
  if (first_start_) {
    log::info("first_start.credentials_written",
              {{"path", initial_credentials_path(p.config.data_dir)}});
  }
  start_background(p);
  p.cron->start();
  p.status_api->set_ready(true);
  log::info("server.ready", {{"url", url()},
                             {"version", KVCS_VERSION},
                             {"pid", static_cast<int64_t>(::getpid())},
                             {"data_dir", p.config.data_dir}});
  return ok();
}

void App::stop() {
  if (!running_) return;
  running_ = false;
  Parts& p = *parts_;
  p.status_api->set_ready(false);
  p.server->stop(p.config.shutdown_grace_s * 1000);
  p.cron->stop();
  stop_background(p);
  for (const Status& flushed : {p.auth->flush_last_used(), p.gateway.tokens->flush_used()}) {
    if (!flushed.ok()) log::warn("last_used.flush_failed", {{"error", flushed.to_string()}});
  }
  if (Status drained = p.ledger->drain(); !drained.ok()) {
    log::warn("ledger.drain_failed", {{"error", drained.to_string()}});
  }
  p.syncer->stop();
  log::info("server.stopped");
}

Status App::reload(const Config& fresh) {
  log::Level level;
  if (log::parse_level(fresh.log.level, level)) log::set_level(level);
  if (Status prices = reload_prices(*parts_); !prices.ok()) return prices;
  if (parts_->config.http.server.tls.certificate_path.empty()) return ok();
  return parts_->server->reload_tls();
}

int App::port() const {
  return parts_->server->port();
}
std::string App::url() const {
  return parts_->public_url();
}

}  // namespace kvcs
