// The daemon's configuration: one struct of plain structs with the defaults in place, read from
// kvcs.yaml and then overridden by KVCS_* environment variables. `config_fields` is the one table
// of what can be set: file, environment, printing and checking all walk it. A field "http.listen"
// is `listen:` under `http:` in the file and KVCS_HTTP_LISTEN in the environment.
//
// The settings of a module stand in the module's own struct, with their defaults; Config
// holds those structs as they are, and only what belongs to no module is defined here. The table
// alone knows which name of kvcs.yaml is which member. Secrets come from the environment or a file
// that the environment names, never from kvcs.yaml. Values.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ai/ai_config.h"
#include "artifacts/artifacts.h"
#include "base/secret.h"
#include "base/status.h"
#include "blob/blob.h"
#include "briefing/summary.h"
#include "gateway/gateway_config.h"
#include "http/client/upstream.h"
#include "http/serve/server_config.h"
#include "identity/guards.h"
#include "identity/seeded_keys.h"
#include "kv/kv.h"
#include "ledger/alerts.h"
#include "ledger/retention.h"
#include "portal/portal.h"

namespace kvcs {

// `server` is the HTTP server's own struct; its listen_host and listen_port are made of `listen`.
struct HttpSection {
  std::string listen = "127.0.0.1:8080";
  std::string public_url;  // "" = http(s)://<listen>; what links and presigned URLs begin with.
  std::string web_dir;     // Serve the web pages from here instead of the embedded ones.
  http::ServerConfig server;
};

// What watches over the daemon: the listener of probes and metrics alone, and the watchdog.
struct OpsSection {
  std::string listen;      // "" = none.
  int stuck_after_s = 30;  // At one piece of work; see ops/heartbeats.h.
};

// Of each of the two databases.
struct DbSection {
  int readers_max = 4;
  int writer_queue_max = 4096;
};

struct LogSection {
  std::string format = "auto";
  std::string level = "info";
};

// Memory for parsed key records; see identity/directory.h.
struct IdentitySection {
  int cached_keys_max = 100'000;
};

// Copies of the stores, each night; see app/backup.h.
struct BackupSection {
  std::string directory;  // "" = none.
  int keep = 7;
};

// Secrets of App itself; those of a module are in its own struct. All are read from the environment
// alone, and `config print` shows *** for what is set.
struct SecretSection {
  Secret master_key;            // KVCS_MASTER_KEY, base64 of 32 bytes; "" = <data_dir>/master.key
  Secret admin_keys;            // KVCS_ADMIN_KEYS: comma-separated, each `key` or `role:key`
  std::string admin_keys_file;  // KVCS_ADMIN_KEYS_FILE: the same, one per line
};

// Where a value comes from. What stands later here wins over what stands before.
enum class ConfigSource : uint8_t { kDefault, kFile, kEnvironment, kArgument };

struct Config {
  std::string data_dir = "data";
  int shutdown_grace_s = 30;
  HttpSection http;
  OpsSection ops;
  KvConfig kv;                   // `path` is made of data_dir.
  int kv_sync_interval_ms = 40;  // Buffered writes reach the disk at most so much later.
  BlobConfig blobs;              // `path` "" = <data_dir>/blobs
  ArtifactConfig artifacts;
  DbSection db;
  LedgerConfig ledger;
  LogSection log;
  AdminGuardLimits admin;
  IdentitySection identity;
  SeededKeysConfig seeded_keys;  // identity.seeded_organizations, KVCS_API_KEY_SEED
  portal::PortalConfig auth;
  portal::MailConfig mail;
  gateway::GatewayConfig gateway;
  briefing::SummaryConfig briefing;  // gateway.briefing_model, KVCS_BRIEFING_API_KEY
  AlertChannels alerts;
  BackupSection backup;
  http::UpstreamConfig upstream;
  ai::AiConfig ai;
  SecretSection secrets;
  std::map<std::string, ConfigSource> sources;  // Of what was set, by the name in kvcs.yaml.

  ConfigSource source_of(const std::string& path) const;
};

// One thing that can be set. Pointers are into the Config that was given to config_fields.
struct ConfigField {
  std::string path;  // "http.workers_max"
  std::variant<bool*, int*, int64_t*, uint64_t*, std::string*, std::vector<std::string>*, Secret*>
      target;
  std::string help;                  // One line; kvcs.yaml.example and `config print` show it.
  int64_t min = 0, max = INT64_MAX;  // Numbers
  bool environment_only = false;
  bool structured = false;    // A map or list of any shape, kept as YAML flow text.
  std::string variable = {};  // The name of its variable, where that is not KVCS_ and the path.

  std::string environment_name() const;  // "KVCS_HTTP_WORKERS_MAX"
};
std::vector<ConfigField> config_fields(Config& config);

// The variables of a process, or what a test or a command puts in their place.
using Environment = std::map<std::string, std::string>;
Environment process_environment();

struct LoadedConfig {
  Config config;
  std::vector<std::string> faults;  // Empty: the configuration is good.
  std::vector<std::string> notes;   // What is set and has no effect.
};
// Reads KVCDN_* variables (app/kvcdn_environment.h), `yaml_path` ("" = none) over them, then the
// KVCS_* variables, then `arguments`, the options of a command line by the names of their
// variables; then validates. Collects every fault.
LoadedConfig load_config(const std::string& yaml_path, const Environment& environment,
                         const Environment& arguments = {});
// The text of a file, for tests; `name` is what faults are prefixed with.
LoadedConfig load_config_text(std::string_view yaml, const Environment& environment,
                              const std::string& name, const Environment& arguments = {});
// Checks fields that must agree with each other: addresses, pairs, orders. Returns all faults, not
// the first alone.
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
