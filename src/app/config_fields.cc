// The table of everything that can be configured; a new field is one line in its section.
#include "app/config.h"
#include "base/bytes.h"

namespace kvcs {
namespace {

// Each row: the name in kvcs.yaml, the member of Config, a line of help, and for numbers the least
// and the greatest value. `kvcs config print` shows them in this order.
using Fields = std::vector<ConfigField>;

// What callers share (http/serve/shares.h).
void add_shares(Fields& fields, http::ServerConfig& s) {
  fields.push_back({"http.streams_max", &s.streams_max,
                    "Requests at work at once, those that wait for a provider too; beyond: 503.", 1,
                    10'000});
  fields.push_back({"http.streams_key_percent", &s.streams_key_percent,
                    "Of streams_max: for one key, or one address without a key; beyond: 429.", 1,
                    100});
  fields.push_back({"http.streams_organization_percent", &s.streams_organization_percent,
                    "Of streams_max: for one organization; beyond: 429.", 1, 100});
  fields.push_back({"http.streams_keyless_percent", &s.streams_keyless_percent,
                    "Of streams_max: for all callers without a key together; beyond: 503.", 1,
                    100});
  fields.push_back({"http.streams_reserved", &s.streams_reserved,
                    "Besides streams_max: for admin keys alone.", 0, 10'000});
  fields.push_back({"http.memory_max_bytes", &s.memory_max_bytes,
                    "Bodies and answers in memory while their clients are waited for; beyond: 503.",
                    64 << 20, int64_t{1} << 40});
  fields.push_back({"http.memory_key_percent", &s.memory_key_percent,
                    "Of memory_max_bytes: for one key, or one address without a key; beyond: 429.",
                    1, 100});
  fields.push_back({"http.memory_organization_percent", &s.memory_organization_percent,
                    "Of memory_max_bytes: for one organization; beyond: 429.", 1, 100});
  fields.push_back({"http.connections_max", &s.connections_max, "Open connections.", 1, 1'000'000});
  fields.push_back({"http.connections_address_percent", &s.connections_address_percent,
                    "Of connections_max: for one address (IPv6: one /64); trusted_proxies have no "
                    "such limit.",
                    1, 100});
}

void add_root_and_http(Fields& fields, Config& c) {
  http::ServerConfig& s = c.http.server;
  fields.push_back(
      {"data_dir", &c.data_dir, "Everything that is kept lives under this directory."});
  fields.push_back({"shutdown_grace_s", &c.shutdown_grace_s,
                    "Requests in flight may finish for so long after SIGTERM.", 0, 3600});
  fields.push_back({"http.listen", &c.http.listen,
                    "HOST:PORT, with port 0 for any free one, or unix:/PATH; or a list of these."});
  fields.push_back(
      {"http.public_url", &c.http.public_url,
       "What all links begin with. Empty: as the caller reaches it, or for others <listen>."});
  fields.push_back({"http.web_dir", &c.http.web_dir,
                    "Serve the web pages from this directory instead of the built-in ones."});
  fields.push_back({"http.workers_min", &s.workers_min, "Worker threads kept.", 1, 10'000});
  fields.push_back({"http.workers_max", &s.workers_max,
                    "Worker threads at most. A request that waits for a provider holds none.", 1,
                    10'000});
  add_shares(fields, s);
  fields.push_back(
      {"http.head_max_bytes", &s.head_max_bytes, "Request line and headers.", 1024, 1 << 20});
  fields.push_back({"http.uri_max_bytes", &s.uri_max_bytes, "Path and query.", 256, 1 << 16});
  fields.push_back({"http.headers_max", &s.headers_max, "Header lines.", 8, 1000});
  fields.push_back(
      {"http.head_timeout_ms", &s.head_timeout_ms, "For a whole request head.", 100, 600'000});
  fields.push_back({"http.body_idle_timeout_ms", &s.body_idle_timeout_ms,
                    "Between two pieces of a request body.", 100, 600'000});
  fields.push_back({"http.public_body_timeout_ms", &s.public_body_timeout_ms,
                    "For a whole request body where no key is needed.", 100, 600'000});
  fields.push_back({"http.write_timeout_ms", &s.write_timeout_ms,
                    "For a client that does not read its response.", 100, 600'000});
  fields.push_back({"http.idle_timeout_ms", &s.idle_timeout_ms,
                    "Between two requests of one connection.", 100, 3'600'000});
  fields.push_back({"http.requests_per_connection_max", &s.requests_per_connection_max,
                    "Then the connection is closed.", 1, INT32_MAX});
  fields.push_back({"http.trusted_proxies", &s.trusted_proxies,
                    "Addresses or CIDR ranges believed for X-Forwarded-*."});
  fields.push_back({"http.access_log", &s.access_log, "One line per request."});
  fields.push_back({"http.cors_allowed_origins", &s.cors.allowed_origins,
                    "Web origins that may call the API; \"*\" allows all."});
  fields.push_back({"ops.listen", &c.ops.listen,
                    "HOST:PORT of a listener for probes and metrics alone; empty: none."});
  fields.push_back({"ops.stuck_after_s", &c.ops.stuck_after_s,
                    "A thread at one piece of work for longer is stuck: no more word to systemd.",
                    1, 3600});
  fields.push_back({"tls.certificate_path", &s.tls.certificate_path,
                    "PEM chain; read again on SIGHUP. Empty: plain HTTP."});
  fields.push_back({"tls.key_path", &s.tls.key_path, "PEM private key."});
}

// Of the plan default; they stand among the artifacts' fields, where they came from.
void add_quota(Fields& fields, portal::PlansConfig& p) {
  fields.push_back({"artifacts.quota_organizations", &p.organizations,
                    "Of the plan default: organizations, as /api/v1/quota reports them; -1: what "
                    "the file of plans says.",
                    -1});
  fields.push_back({"artifacts.quota_projects", &p.projects,
                    "Of the plan default: projects of one organization; -1: likewise.", -1});
  fields.push_back({"artifacts.quota_artifacts", &p.artifacts,
                    "Of the plan default: artifacts of one organization; -1: likewise.", -1});
  fields.push_back({"artifacts.quota_storage_bytes", &p.storage_bytes,
                    "Of the plan default: bytes of one organization's artifacts; -1: likewise.",
                    -1});
}

void add_stores(Fields& fields, Config& c) {
  fields.push_back({"kv.block_cache_bytes", &c.kv.block_cache_bytes,
                    "Memory for blocks of the key-value store.", 1 << 20, int64_t{1} << 40});
  fields.push_back({"kv.write_buffer_bytes", &c.kv.write_buffer_bytes,
                    "Write buffer per column family.", 1 << 20, int64_t{1} << 32});
  fields.push_back({"kv.open_files_max", &c.kv.open_files_max, "Table files.", 16, 100'000});
  fields.push_back(
      {"kv.free_reserve_bytes", &c.kv.free_reserve_bytes,
       "Below so much free disk only removals, revocations and sign-ins are written, below "
       "an eighth of it nothing; 0: no limit.",
       0, int64_t{1} << 60});
  fields.push_back({"kv.sync_interval_ms", &c.kv_sync_interval_ms,
                    "A power cut loses at most so much of buffered writes, and what a sync takes.",
                    1, 60'000});
  fields.push_back({"blobs.path", &c.blobs.path, "Artifact bytes; empty: <data_dir>/blobs."});
  fields.push_back({"blobs.free_reserve_bytes", &c.blobs.free_reserve_bytes,
                    "Uploads are refused when less disk than this would stay free.", 0,
                    int64_t{1} << 60});
  fields.push_back({"blobs.organization_percent", &c.blobs.owner_percent,
                    "Of the disk above that, what one organization's uploads may hold ahead.", 1,
                    100});
}

void add_artifacts_and_databases(Fields& fields, Config& c) {
  ArtifactConfig& a = c.artifacts;
  fields.push_back({"artifacts.object_bytes_max", &a.object_bytes_max, "Largest artifact.", 1});
  fields.push_back({"artifacts.url_lifetime_s", &a.url_lifetime_s,
                    "How long a presigned URL may be used.", 10, 7 * 86'400});
  fields.push_back({"artifacts.pending_lifetime_s", &a.pending_lifetime_s,
                    "An upload not confirmed by then is removed.", 60, 30 * 86'400});
  fields.push_back({"artifacts.resumable_lifetime_s", &a.resumable_lifetime_s,
                    "A resumable upload that has rested so long is removed, after half of it at "
                    "the earliest.",
                    60, 30 * 86'400});
  fields.push_back({"artifacts.resumable_open_key", &a.resumable_open_key,
                    "Unfinished resumable uploads of one key, parts too.", 1, 1'000'000});
  fields.push_back({"artifacts.resumable_open_organization", &a.resumable_open_organization,
                    "Unfinished resumable uploads of one organization, parts too.", 1, 1'000'000});
  fields.push_back({"artifacts.orphan_age_s", &a.orphan_age_s,
                    "A blob that no artifact names is left alone when it is younger.", 60,
                    30 * 86'400});
  fields.push_back({"artifacts.trash_age_s", &a.trash_age_s,
                    "How long such blobs are kept in the trash before they are removed.", 0,
                    365 * 86'400});
  fields.push_back({"artifacts.deleted_lifetime_s", &a.deleted_lifetime_s,
                    "How long a deleted artifact can be restored; 0: it is gone at once.", 0,
                    366 * 86'400});
  fields.push_back({"artifacts.sweep_max_percent", &a.sweep_max_percent,
                    "A sweep stops when more of all blobs are such; 100: never.", 1, 100});
  fields.push_back({"artifacts.scrub_bytes_per_second", &a.scrub_bytes_per_second,
                    "How fast blob-scrub reads.", 1 << 20, int64_t{1} << 40});
  fields.push_back({"artifacts.serve_suspended", &a.serve_suspended,
                    "Public artifacts of a suspended organization are served on."});
  fields.push_back({"artifacts.engine_url", &a.engine_url,
                    "Who answers …/infer by running a model; empty: 501. It gets a POST with the "
                    "question and a URL to the bytes, of http.public_url, else of http.listen."});
  fields.push_back(
      {"artifacts.engine_timeout_s", &a.engine_timeout_s, "Of one question to it.", 1, 3600});
  fields.push_back({"artifacts.requests_per_minute", &a.requests_per_minute,
                    "Requests with one kv_ key, a search counting as 20 and more, and slices "
                    "for one address, by their files' headers; -1: no limit.",
                    -1, 10'000'000});
  add_quota(fields, c.auth.plans);
  fields.push_back(
      {"db.readers_max", &c.db.readers_max, "Reading connections per database.", 1, 64});
  fields.push_back({"db.writer_queue_max", &c.db.writer_queue_max,
                    "Writes that may wait per database; beyond: 503.", 16, 1'000'000});
}

void add_ledger(Fields& fields, LedgerConfig& l) {
  fields.push_back(
      {"ledger.queue_max", &l.queue_max, "Diagnostics that may wait.", 100, 1'000'000});
  fields.push_back({"ledger.error_max_age_s", &l.error_max_age_s, "Age of error rows.", 60});
  fields.push_back({"ledger.error_max_rows", &l.error_max_rows, "Number of error rows.", 100});
  fields.push_back({"ledger.audit_max_age_s", &l.audit_max_age_s, "Age of audit rows.", 60});
  fields.push_back({"ledger.audit_max_rows", &l.audit_max_rows, "Number of audit rows.", 100});
  fields.push_back({"ledger.job_run_max_age_s", &l.job_run_max_age_s, "Age of job runs.", 60});
  fields.push_back({"ledger.job_run_max_rows", &l.job_run_max_rows, "Number of job runs.", 100});
  fields.push_back({"ledger.usage_max_age_s", &l.usage_max_age_s,
                    "Age of single AI requests; sums by day stay.", 86'400});
  fields.push_back(
      {"ledger.usage_max_rows", &l.usage_max_rows, "Number of single AI requests.", 100});
  fields.push_back({"ledger.usage_max_bytes", &l.usage_max_bytes,
                    "Disk for single AI requests, at 200 bytes each.", 20'000});
  fields.push_back(
      {"ledger.usage_days_max_age_s", &l.usage_days_max_age_s, "Age of the sums by day.", 86'400});
  fields.push_back({"ledger.body_max_age_s", &l.body_max_age_s,
                    "Age of bodies, of organizations with log_bodies.", 60});
  fields.push_back(
      {"ledger.body_max_rows", &l.body_max_rows, "Number of requests with bodies.", 1});
  fields.push_back({"ledger.dead_max_rows", &l.dead_max_rows,
                    "Records that no table takes; more stay in the outbox.", 1});
  fields.push_back({"ledger.dead_max_bytes", &l.dead_max_bytes, "Likewise, of them all.", 1 << 16});
}

void add_gateway(Fields& fields, Config& c) {
  gateway::GatewayConfig& g = c.gateway;
  // Ten million a minute is no limit that a box reaches.
  constexpr int64_t kRateMax = 10'000'000;
  fields.push_back({"gateway.token_requests_per_minute", &g.limits.token_requests_per_minute,
                    "Calls with one tenant token; -1: no limit.", -1, kRateMax});
  fields.push_back({"gateway.tenant_requests_per_minute", &g.limits.tenant_requests_per_minute,
                    "Calls of one tenant, unless its record says; -1: no limit.", -1, kRateMax});
  fields.push_back({"gateway.ip_requests_per_minute", &g.limits.ip_requests_per_minute,
                    "Calls with good tokens from one address; -1: no limit.", -1, kRateMax});
  fields.push_back({"gateway.signin_failures_per_minute", &g.signin_failures_per_minute,
                    "Wrong tenant tokens from one address; -1: no limit.", -1, kRateMax});
  fields.push_back({"gateway.json_answer_max_bytes", &g.limits.json_answer_max_bytes,
                    "Largest answer that is wrapped or projected.", 1024, 1 << 30});
  fields.push_back({"gateway.stream_answer_max_bytes", &g.limits.stream_answer_max_bytes,
                    "Largest answer that is streamed.", 1024});
  fields.push_back({"gateway.cache_max_bytes", &g.cache_max_bytes,
                    "Memory for answers of providers that allow caching.", 0, int64_t{1} << 40});
  fields.push_back({"gateway.mirror_upstream_401", &g.limits.mirror_upstream_401,
                    "An upstream's 401 is answered as 401; else as 502."});
  fields.push_back({"gateway.idempotency_kept_s", &g.limits.idempotency_kept_s,
                    "How long the answer to a call with an idempotency_key is kept.", 1,
                    7 * 86'400});
  fields.push_back({"gateway.refresh_parallel", &g.refresh_parallel,
                    "Token endpoints asked at once by the refresher.", 1, 64});
  fields.push_back({"gateway.briefing_model", &c.briefing.model,
                    "Summarizes the daily briefing, paid by KVCS_BRIEFING_API_KEY; empty: none."});
  fields.push_back({"gateway.agent_worker_url", &g.agent_worker.url,
                    "Where what agent schedules have for the day is POSTed; empty: nowhere."});
  fields.push_back({"gateway.catalogue_dir", &g.catalogue_dir,
                    "The provider catalogue; empty: ./config/providers or the installed one."});
}

void add_alerts_and_backup(Fields& fields, Config& c) {
  AlertChannels& a = c.alerts;
  fields.push_back({"alerts.webhook_url", &a.webhook_url,
                    "Alerts are POSTed here, signed with KVCS_ALERTS_WEBHOOK_SECRET."});
  fields.push_back({"alerts.smtp_url", &a.smtp_url, "smtp://HOST:PORT or smtps://HOST:PORT."});
  fields.push_back({"alerts.smtp_user", &a.smtp_user, "Empty: no login."});
  fields.push_back({"alerts.smtp_from", &a.smtp_from, "The sender's address."});
  fields.push_back({"alerts.smtp_to", &a.smtp_to, "Addresses, by commas."});
  fields.push_back({"alerts.quiet_s", &a.quiet_s, "One alert per event and subject in so long.", 0,
                    30 * 86'400});
  fields.push_back({"alerts.allow_private_addresses", &a.allow_private_addresses,
                    "Webhooks inside the own network."});
  fields.push_back({"backup.directory", &c.backup.directory,
                    "Each night the stores are copied into it; empty: never."});
  fields.push_back({"backup.keep", &c.backup.keep, "Older copies are removed.", 1, 1000});
}

void add_secrets(Fields& fields, Config& c) {
  // Secrets have no section: the name is that of the variable without KVCS_, in lower case.
  const auto add_secret = [&fields](const char* path, auto* target, const char* help) {
    ConfigField field{path, target, help};
    field.environment_only = true;
    fields.push_back(std::move(field));
  };
  add_secret("master_key", &c.secrets.master_key,
             "Base64 of 32 bytes that seal secrets at rest; empty: <data_dir>/master.key.");
  add_secret("admin_keys", &c.secrets.admin_keys,
             "Further admin keys, comma-separated, each KEY or ROLE:KEY.");
  add_secret("alerts_webhook_secret", &c.alerts.webhook_secret,
             "Signs what alerts.webhook_url gets (HMAC-SHA256); empty: no signature.");
  add_secret("alerts_slack_url", &c.alerts.slack_url, "A Slack-compatible webhook for alerts.");
  add_secret("alerts_smtp_password", &c.alerts.smtp_password, "The password of alerts.smtp_user.");
  add_secret("briefing_api_key", &c.briefing.api_key,
             "The user key that pays for the summaries of gateway.briefing_model.");
  add_secret("agent_worker_key", &c.gateway.agent_worker.key,
             "Bearer key for gateway.agent_worker_url.");
  // Under the names that Stripe's own tools know.
  add_secret("stripe_secret_key", &c.auth.billing.secret_key, "Stripe's secret key; empty: none.");
  fields.back().variable = "STRIPE_SECRET_KEY";
  add_secret("stripe_webhook_secret", &c.auth.billing.webhook_secret,
             "What Stripe signs events with; several with commas during a rotation.");
  fields.back().variable = "STRIPE_WEBHOOK_SECRET";
  add_secret("api_key_seed", &c.seeded_keys.seed,
             "Of the keys of identity.seeded_organizations (KVCDN_API_KEY_SEED).");
  add_secret(
      "api_key_admin_secret", &c.seeded_keys.admin_secret,
      "Bearer of POST /api/v1/admin/api-keys (KVCDN_ADMIN_SECRET); empty: admin keys alone.");
  add_secret("admin_keys_file", &c.secrets.admin_keys_file, "A file with such keys, one a line.");
}

void add_rest(Fields& fields, Config& c) {
  fields.push_back({"log.format", &c.log.format,
                    "json: a line of JSON each; text: words; auto: text in a terminal."});
  fields.push_back({"log.level", &c.log.level, "debug, info, warn or error; SIGHUP reloads it."});
  fields.push_back({"admin.requests_per_minute", &c.admin.requests_per_minute,
                    "Requests to /admin per key; of those without one, per address.", 1,
                    1'000'000});
  fields.push_back({"admin.failures_max", &c.admin.failures_max,
                    "Wrong admin keys from one address (IPv6: /64) before it may try no more.", 1,
                    1000});
  fields.push_back({"admin.lockout_s", &c.admin.lockout_s, "How long.", 1, 86'400});
  fields.push_back({"identity.cached_keys_max", &c.identity.cached_keys_max,
                    "Key records kept in memory.", 100, 10'000'000});
  fields.push_back({"identity.seeded_organizations", &c.seeded_keys.organizations,
                    "Slugs that get a key made of KVCS_API_KEY_SEED; made when not there."});
  fields.push_back({"auth.session_idle_s", &c.auth.sessions.idle_s,
                    "A session that is not used for so long ends.", 300, 400 * 86'400});
  fields.push_back({"auth.session_lifetime_s", &c.auth.sessions.lifetime_s,
                    "A session ends so long after its sign-in, however much it is used.", 300,
                    400 * 86'400});
  fields.push_back({"auth.signup", &c.auth.sign_up,
                    "Whose first sign-in makes an account: open (everybody's), invited, closed; "
                    "empty: invited, with dev_issuer open."});
  fields.push_back({"auth.dev_issuer", &c.auth.dev_issuer,
                    "Serve an issuer at /oidc that signs anybody in without a password; on "
                    "loopback addresses alone."});
  ConfigField sign_ins{
      "auth.providers", &c.auth.providers,
      "NAME: {issuer, client_id, client_secret_env|client_secret_file, scopes, "
      "audience, cli_client_id, admins, allowed_domains, role_claim, role_map: {VALUE: "
      "ORG_SLUG/ROLE}}; OpenID Connect. Of admins: addresses that the issuer has verified, or "
      "subjects, also as sub:SUBJECT. Register two addresses there, /auth/callback, which is used "
      "while there is one provider, and /auth/callback/NAME, which is used from the second on."};
  sign_ins.structured = true;
  fields.push_back(std::move(sign_ins));
  fields.push_back({"plans.file", &c.auth.plans.file,
                    "The file of plans; empty: the shipped one, whose head explains it."});
  fields.push_back({"billing.stripe_url", &c.auth.billing.stripe_url,
                    "Where Stripe's API is; billing is on with STRIPE_SECRET_KEY and "
                    "STRIPE_WEBHOOK_SECRET."});
  fields.push_back({"mail.smtp_url", &c.mail.smtp_url,
                    "Invitations and reset links are mailed by it: smtps://USER@HOST:465, or "
                    "smtp://USER@HOST:587 with STARTTLS; empty: no mail."});
  fields.push_back({"mail.password_file", &c.mail.password_file,
                    "A file (0600) with the password of the user in it."});
  fields.push_back(
      {"mail.password_env", &c.mail.password_env, "Or the name of the variable that holds it."});
  fields.push_back({"mail.from", &c.mail.from, "The sender's address."});
  http::UpstreamConfig& u = c.upstream;
  fields.push_back(
      {"upstream.connections_per_host_max", &u.connections_per_host_max,
       "Connections to one host; http.streams_max and streams_reserved together, if that is more.",
       1, 10'000});
  fields.push_back({"upstream.connections_idle_max", &u.connections_idle_max,
                    "Idle connections kept.", 0, 10'000});
  fields.push_back({"upstream.dns_cache_s", &u.dns_cache_s, "Age of a DNS answer.", 0, 86'400});
  fields.push_back({"upstream.ca_file", &u.ca_file, "CA bundle; empty: the system's."});
}

void add_ai(Fields& fields, Config& c) {
  ai::AiConfig& a = c.ai;
  fields.push_back({"ai.prices_path", &a.prices_path,
                    "Price table; empty: the shipped one, whose head explains its members."});
  ConfigField providers{"ai.providers", &a.providers,
                        "NAME: {kind: openai|anthropic|openai_compatible, base_url, api_key_env, "
                        "headers, models, timeout_ms, stream_options, cancel_stops_billing}."};
  providers.structured = true;
  fields.push_back(std::move(providers));
  ConfigField aliases{"ai.aliases", &a.aliases,
                      "NAME: [provider/model, …]; the next is tried when one refuses or fails."};
  aliases.structured = true;
  fields.push_back(std::move(aliases));
  fields.push_back({"ai.output_tokens_default", &a.proxy.output_tokens_default,
                    "Sent along when neither the client nor the price names a maximum.", 1,
                    10'000'000});
  fields.push_back({"ai.tool_calls_default", &a.proxy.tool_calls_default,
                    "Sent along for searches and other calls that the client does not bound.", 1,
                    10'000});
  fields.push_back({"ai.answer_max_bytes", &a.proxy.answer_max_bytes,
                    "One answer that is not streamed.", 1024, int64_t{1} << 32});
  fields.push_back({"ai.event_max_bytes", &a.proxy.event_max_bytes, "One streamed event.", 1024,
                    int64_t{1} << 30});
  fields.push_back(
      {"ai.request_max_bytes", &a.request_max_bytes, "One request body.", 1024, int64_t{1} << 30});
  fields.push_back({"ai.idle_timeout_ms", &a.proxy.idle_timeout_ms,
                    "Between two bytes of a provider's stream.", 100, 3'600'000});
  fields.push_back({"ai.read_on_ms", &a.proxy.read_on_ms,
                    "A provider is read on for its figures after the client has left.", 0,
                    600'000});
  fields.push_back(
      {"ai.read_on_max_bytes", &a.proxy.read_on_max_bytes, "As far as this.", 0, int64_t{1} << 30});
  fields.push_back({"ai.idempotency_kept_s", &a.idempotency_kept_s,
                    "How long the answer to a request with an Idempotency-Key is kept.", 1,
                    7 * 86'400});
  fields.push_back({"ai.body_log_max_bytes", &a.proxy.body_log_max_bytes,
                    "What is kept of a request's and of an answer's body, with log_bodies.", 16,
                    1 << 20});
}

}  // namespace

std::string ConfigField::environment_name() const {
  if (!variable.empty()) return variable;
  std::string name = "KVCS_";
  for (const char c : path) {
    name += c == '.' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return name;
}

std::vector<ConfigField> config_fields(Config& config) {
  Fields fields;
  add_root_and_http(fields, config);
  add_stores(fields, config);
  add_artifacts_and_databases(fields, config);
  add_ledger(fields, config.ledger);
  add_ai(fields, config);
  add_gateway(fields, config);
  add_alerts_and_backup(fields, config);
  add_rest(fields, config);
  add_secrets(fields, config);
  return fields;
}

}  // namespace kvcs
