// Every live object of the daemon, in the order of construction; destruction is the reverse. The
// route table, the job table and App work on this; a module that is added puts its objects here.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "app/background.h"
#include "app/config.h"
#include "app/files.h"
#include "app/gateway_parts.h"
#include "app/jobs_api.h"
#include "app/request_metrics.h"
#include "app/status_api.h"
#include "app/wal_syncer.h"
#include "artifacts/artifact_search.h"
#include "artifacts/artifacts.h"
#include "artifacts/artifacts_api.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "base/log_gatherer.h"
#include "blob/blob.h"
#include "blob/presign.h"
#include "db/db.h"
#include "http/client/upstream.h"
#include "http/route_rows.h"
#include "http/router.h"
#include "http/serve/server.h"
#include "identity/admin_keys_api.h"
#include "identity/directory.h"
#include "identity/guards.h"
#include "identity/identity.h"
#include "identity/keys.h"
#include "identity/orgs.h"
#include "identity/orgs_api.h"
#include "identity/projects.h"
#include "identity/users.h"
#include "identity/users_api.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"
#include "ledger/ledger.h"
#include "ledger/ledger_api.h"
#include "ops/cron.h"
#include "ops/health.h"
#include "ops/idempotency.h"
#include "ops/kv_api.h"
#include "ops/metrics.h"
#include "ops/rate_limit.h"

namespace kvcs {

struct AiDoor;

// What tests replace.
struct AppOptions {
  const Clock* clock = nullptr;  // Null: the system's.
  KvFaultPlan kv_faults;         // Set: the store fails by this plan.
};

struct Parts {
  Parts();
  ~Parts();

  Config config;
  AppOptions options;

  // --- the ground
  std::unique_ptr<log::Gatherer> log_gatherer;
  std::unique_ptr<Clock> system_clock;
  std::unique_ptr<Entropy> entropy;
  std::unique_ptr<DataDirLock> lock;
  std::unique_ptr<Sealer> sealer;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<RateLimiter> rates;

  // --- stores
  std::unique_ptr<KvStore> kv_engine;
  std::unique_ptr<KvStore> kv_faulty;  // Tests only.
  std::unique_ptr<KvStore> kv_timed;
  std::unique_ptr<WatchedKv> kv;  // What everyone writes through.
  std::unique_ptr<AuditedKv> audited;
  std::unique_ptr<WalSyncer> syncer;
  std::unique_ptr<DbWriter> portal_writer;
  std::unique_ptr<DbReaders> portal_readers;
  std::unique_ptr<DbWriter> ledger_writer;
  std::unique_ptr<DbReaders> ledger_readers;
  std::unique_ptr<Ledger> ledger;
  std::unique_ptr<LedgerApi> ledger_api;
  std::unique_ptr<BlobStore> blob_files;
  std::unique_ptr<BlobStore> blobs;  // Those, timed.
  std::unique_ptr<Presigner> presigner;
  std::unique_ptr<http::HttpUpstream> upstream;

  // --- identity
  std::set<std::string, std::less<>> reserved_slugs;  // From the route table.
  std::unique_ptr<Directory> directory;
  std::unique_ptr<Authenticator> auth;
  std::unique_ptr<AdminDoor> admin_door;
  std::unique_ptr<KeyService> keys;
  std::unique_ptr<OrganizationService> organizations;
  std::unique_ptr<ProjectService> projects;
  std::unique_ptr<UserService> users;
  std::unique_ptr<UsersApi> users_api;
  std::unique_ptr<OrganizationsApi> organizations_api;
  std::unique_ptr<AdminKeysApi> admin_keys_api;
  std::unique_ptr<KvApi> kv_api;
  std::unique_ptr<Idempotency> idempotency;

  // --- artifacts
  std::unique_ptr<ArtifactService> artifacts;
  std::unique_ptr<ArtifactSearch> artifact_search;
  std::unique_ptr<ArtifactsApi> artifacts_api;
  // --- the doors
  std::unique_ptr<AiDoor> ai;

  // --- tool gateway
  GatewayParts gateway;
  BackgroundParts background;

  // --- operations
  std::unique_ptr<HealthProbes> probes;
  std::unique_ptr<StatusApi> status_api;
  std::once_flag openapi_made;
  std::string openapi;  // Made when it is first asked for.
  std::unique_ptr<Cron> cron;
  std::unique_ptr<JobsApi> jobs_api;

  // --- the door
  std::vector<http::Row> route_table;
  std::unique_ptr<http::Router> router;
  std::unique_ptr<RequestMetrics> request_metrics;
  std::unique_ptr<http::Server> server;

  const Clock& clock() const { return options.clock != nullptr ? *options.clock : *system_clock; }
  // http.public_url, or the address that the server is bound to. After the server's start.
  std::string public_url() const;
};

}  // namespace kvcs
