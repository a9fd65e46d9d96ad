// The daemon's configuration: one struct of plain structs with the defaults in place, read from
// kvcs.yaml and then overridden by KVCS_* environment variables. `config_fields` is the one table
// of what can be set: file, environment, printing and checking all walk it. A field "http.listen"
// is `listen:` under `http:` in the file and KVCS_HTTP_LISTEN in the environment.
//
// Modules take their own sub-struct by const&. Secrets come from the environment or a file that the
// environment names, never from kvcs.yaml. Values.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/secret.h"
#include "base/status.h"
#include "http/serve/server_config.h"

namespace kvcs {

struct HttpSection {
  std::string listen = "127.0.0.1:8080";
  std::string public_url;  // "" = http(s)://<listen>; what links and presigned URLs begin with.
  std::string web_dir;     // Serve the web pages from here instead of the embedded ones.
  http::ServerConfig server;
};

struct KvSection {
  uint64_t block_cache_bytes = 64u << 20;
  uint64_t write_buffer_bytes = 16u << 20;
  int open_files_max = 512;
  int sync_interval_ms = 40;  // Buffered writes reach the disk at most so much later.
};

struct BlobSection {
  std::string path;  // "" = <data_dir>/blobs
  uint64_t free_reserve_bytes = 256u << 20;
};

struct ArtifactSection {
  uint64_t object_bytes_max = uint64_t{1} << 40;
  int url_lifetime_s = 900;
  int64_t pending_lifetime_s = 6 * 3600;  // An upload not confirmed by then is swept away.
  // Limits of each organization.
  uint64_t quota_organizations = 10, quota_projects = 100, quota_artifacts = 1000;
  uint64_t quota_storage_bytes = uint64_t{1} << 40;
};

struct DbSection {
  int readers_max = 4;
  int writer_queue_max = 4096;
};

struct LedgerSection {
  int queue_max = 10'000;
  int64_t error_max_age_s = 30 * 86'400, error_max_rows = 1'000'000;
  int64_t audit_max_age_s = 400 * 86'400, audit_max_rows = 10'000'000;
  int64_t job_run_max_age_s = 30 * 86'400, job_run_max_rows = 100'000;
  int64_t usage_max_age_s = 400 * 86'400, usage_max_rows = 50'000'000;
  uint64_t usage_max_bytes = uint64_t{8} << 30;
  int64_t usage_days_max_age_s = 1100 * 86'400;
  int64_t body_max_age_s = 7 * 86'400, body_max_rows = 100'000;
};

struct LogSection {
  std::string level = "info";
};

struct AdminSection {
  int requests_per_minute = 600;  // Per address.
  int failures_max = 10;          // Wrong keys from one address before it is locked out.
  int lockout_s = 300;
};

struct IdentitySection {
  int cached_keys_max = 100'000;
};

struct GatewaySection {
  // Requests per minute; -1: no limit.
  int64_t token_requests_per_minute = 600;
  int64_t tenant_requests_per_minute = 3'000;
  int64_t ip_requests_per_minute = 30;
  int64_t signin_failures_per_minute = 30;  // Of one address.
  uint64_t json_answer_max_bytes = 16u << 20;
  uint64_t stream_answer_max_bytes = 1u << 30;
  uint64_t cache_max_bytes = 64u << 20;
  bool mirror_upstream_401 = true;
  int64_t idempotency_kept_s = 86'400;
  int refresh_parallel = 8;    // Token endpoints asked at once.
  std::string briefing_model;  // "" = no summary; its key is in SecretSection.
  // Gets what agent schedules have for the day; "" = nobody. Its key is in SecretSection.
  std::string agent_worker_url;
  std::string catalogue_dir;  // "" = ./config/providers, or where it was installed.
};

// Copies of the stores, each night; see app/backup.h.
struct BackupSection {
  std::string directory;  // "" = none.
  int keep = 7;
};

struct UpstreamSection {
  int connections_per_host_max = 1200;
  int connections_idle_max = 512;
  int dns_cache_s = 60;
  std::string ca_file;  // "" = the system's.
};

struct AiSection {
  std::string prices_path;  // "" = prices.yaml among the shipped files.
  std::string providers;    // YAML: {NAME: {kind, base_url, api_key_env, headers, models, …}}
  std::string aliases;      // YAML: {NAME: [provider/model, …]}, tried in order
  int64_t output_tokens_default = 16'384;
  uint64_t answer_max_bytes = 64u << 20;
  uint64_t event_max_bytes = 8u << 20;
  uint64_t request_max_bytes = 32u << 20;
  int idle_timeout_ms = 120'000;
  int64_t idempotency_kept_s = 86'400;
  uint64_t body_log_max_bytes = 16u << 10;
};

// Who is told; without any channel alerts are only kept. Secrets are in SecretSection.
struct AlertSection {
  std::string webhook_url;
  std::string smtp_url, smtp_user, smtp_from, smtp_to;
  int64_t quiet_s = 3600;  // One alert per event and subject in so long.
  bool allow_private_addresses = false;
};

// Never from the file; `config print` shows *** for what is set.
struct SecretSection {
  Secret master_key;             // KVCS_MASTER_KEY, base64 of 32 bytes; "" = <data_dir>/master.key
  Secret admin_keys;             // KVCS_ADMIN_KEYS: comma-separated, each `key` or `role:key`
  Secret alerts_webhook_secret;  // KVCS_ALERTS_WEBHOOK_SECRET: signs what the webhook gets
  Secret alerts_slack_url;       // KVCS_ALERTS_SLACK_URL: the whole URL is a secret
  Secret alerts_smtp_password;   // KVCS_ALERTS_SMTP_PASSWORD
  Secret briefing_api_key;       // KVCS_BRIEFING_API_KEY: a user key that pays for summaries
  Secret agent_worker_key;       // KVCS_AGENT_WORKER_KEY: Bearer for gateway.agent_worker_url
  std::string admin_keys_file;   // KVCS_ADMIN_KEYS_FILE: the same, one per line
};

struct Config {
  std::string data_dir = "data";
  int shutdown_grace_s = 30;
  HttpSection http;
  KvSection kv;
  BlobSection blobs;
  ArtifactSection artifacts;
  DbSection db;
  LedgerSection ledger;
  LogSection log;
  AdminSection admin;
  IdentitySection identity;
  GatewaySection gateway;
  AlertSection alerts;
  BackupSection backup;
  UpstreamSection upstream;
  AiSection ai;
  SecretSection secrets;
};

// One thing that can be set. Pointers are into the Config that was given to config_fields.
struct ConfigField {
  std::string path;  // "http.workers_max"
  std::variant<bool*, int*, int64_t*, uint64_t*, std::string*, std::vector<std::string>*, Secret*>
      target;
  std::string help;                  // One line; kvcs.yaml.example and `config print` show it.
  int64_t min = 0, max = INT64_MAX;  // Numbers
  bool environment_only = false;
  bool structured = false;  // A map or list of any shape, kept as YAML flow text.

  std::string environment_name() const;  // "KVCS_HTTP_WORKERS_MAX"
};
std::vector<ConfigField> config_fields(Config& config);

using Environment = std::map<std::string, std::string>;
Environment process_environment();

struct LoadedConfig {
  Config config;
  std::vector<std::string> faults;  // Empty: the configuration is good.
};
// Reads `yaml_path` ("" = none), then the environment, then validates; collects every fault.
LoadedConfig load_config(const std::string& yaml_path, const Environment& environment);
// The text of a file, for tests; `name` is what faults are prefixed with.
LoadedConfig load_config_text(std::string_view yaml, const Environment& environment,
                              const std::string& name);
// What the fields say together: addresses, pairs, orders. All faults, not the first.
std::vector<std::string> validate(const Config& config);
// kvcs.yaml with every field, secrets as ***; loads back to the same configuration.
std::string print_config_yaml(const Config& config, bool with_help);
std::string print_config_json(const Config& config);

// "127.0.0.1:8080", "[::1]:8080", ":8080" → host, port. Invalid otherwise.
struct ListenAddress {
  std::string host;
  int port = 0;
};
Result<ListenAddress> parse_listen(std::string_view text);

}  // namespace kvcs
