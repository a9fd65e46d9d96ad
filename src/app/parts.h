// Every live object of the daemon, in the order of construction; destruction is the reverse. App,
// the route table and the job table work on this. What several modules use stands in Parts itself;
// the objects of one door stand in a struct of its own. The types are only declared here: a file
// that works with an object includes that object's header.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "app/config.h"
#include "identity/browser_session.h"
#include "kv/kv.h"

namespace kvcs {

class AdminGuard;
class AdminKeysApi;
class Alerts;
class ArtifactDetailApi;
class ArtifactInspector;
class ArtifactSearch;
class ArtifactService;
class ArtifactsApi;
class AuditedKv;
class Authenticator;
class BlobStore;
class CatalogueApi;
class Clock;
class Cron;
class DataDirLock;
class DbReaders;
class DbWriter;
class Directory;
class Entropy;
class FirstSteps;
class HealthProbes;
class Heartbeats;
class Idempotency;
class InferenceEngine;
class JobsApi;
class MasterKeys;
class KeptClock;
class KeyService;
class KvApi;
class Ledger;
class LedgerApi;
class Metrics;
class NestedArtifactsApi;
class OrganizationService;
class OrganizationsApi;
class OwnerDeletions;
class OwnersApi;
class PlannedDeletions;
class Presigner;
class ProjectKeysApi;
class ProjectService;
class RateLimiter;
class RequestMetrics;
class MetricsHistory;
class Sealer;
class ShareApi;
class ShareService;
class SeededKeys;
class ConfigApi;
class StatusApi;
class StoreDamage;
class SystemHealth;
class MemberService;
class PersonService;
class SessionService;
class TokenAdoption;
class UploadService;
class UploadsApi;
class UserService;
class UsersApi;
class WalSyncer;

namespace ai {
class AiAdminApi;
class AiApi;
class Budgets;
class AiMetrics;
class AiObjects;
class ProviderCheck;
class ChatProxy;
class PriceOverrides;
class Pricing;
class Providers;
}  // namespace ai

namespace briefing {
class DailyBriefing;
}

namespace gateway {
class AccountsApi;
class AgentSchedules;
class CallCounts;
class Canaries;
class ConnectApi;
class GatewayAdminApi;
class GatewayApi;
class Pipeline;
class ProviderDirectory;
class Refresher;
class ResponseCache;
class Tenants;
class TokenStore;
class TokenWatch;
}  // namespace gateway

namespace portal {
class Arrivals;
class Billing;
class BillingApi;
class HistoryApi;
class Bearers;
class DevIssuer;
class DeviceApi;
class DevIssuerApi;
class InvitationService;
class Mailer;
class MeApi;
class OidcApi;
class PasswordHasher;
class PeopleApi;
class PlacesApi;
class Plans;
class PlansApi;
class Providers;
class ResetApi;
class ResetService;
class SignInApi;
class SignInService;
class TeamApi;
class TotpApi;
class TotpService;
class Webhooks;
}  // namespace portal

namespace http {
class HttpUpstream;
class LiveStreams;
class Router;
class Server;
struct Row;
}  // namespace http

namespace log {
class Gatherer;
}

// Objects that tests put in the place of real ones.
struct AppOptions {
  const Clock* clock = nullptr;  // Null: the system's.
  KvFaultPlan kv_faults;         // Set: the store fails by this plan.
};

// In the order of construction, as in Parts.
struct ArtifactParts {
  std::unique_ptr<ArtifactService> service;
  std::unique_ptr<ArtifactSearch> search;
  std::unique_ptr<ArtifactsApi> api;
  std::unique_ptr<InferenceEngine> engine;
  std::unique_ptr<NestedArtifactsApi> nested_api;
  std::unique_ptr<CatalogueApi> catalogue_api;
  std::unique_ptr<ShareService> shares;
  std::unique_ptr<ShareApi> share_api;
  std::unique_ptr<ArtifactInspector> inspector;
  std::unique_ptr<ArtifactDetailApi> detail_api;
  std::unique_ptr<UploadService> uploads;
  std::unique_ptr<UploadsApi> uploads_api;
};

// Pricing stands first: it is filled from files while the stores still open.
struct AiParts {
  std::unique_ptr<ai::Pricing> pricing;
  std::unique_ptr<ai::PriceOverrides> overrides;
  std::unique_ptr<ai::Providers> providers;
  std::unique_ptr<ai::Budgets> budgets;
  std::unique_ptr<ai::AiMetrics> metrics;
  std::unique_ptr<ai::AiObjects> objects;
  std::unique_ptr<ai::ProviderCheck> provider_check;
  std::unique_ptr<ai::ChatProxy> proxy;
  std::unique_ptr<ai::AiApi> api;
  std::unique_ptr<ai::AiAdminApi> admin_api;
};

// Down to agent_schedules: the parts that serve calls and their administration. From refresher on:
// the parts that keep the accounts' credentials good.
struct GatewayParts {
  std::unique_ptr<gateway::TokenStore> tokens;
  std::unique_ptr<gateway::ProviderDirectory> providers;
  std::unique_ptr<gateway::Tenants> tenants;
  std::unique_ptr<gateway::ResponseCache> cache;
  std::unique_ptr<gateway::CallCounts> calls;
  std::unique_ptr<gateway::Pipeline> pipeline;
  std::unique_ptr<gateway::GatewayApi> api;
  std::unique_ptr<gateway::GatewayAdminApi> admin_api;
  std::unique_ptr<gateway::AgentSchedules> agent_schedules;
  std::unique_ptr<gateway::Refresher> refresher;
  std::unique_ptr<gateway::TokenWatch> watch;
  std::unique_ptr<gateway::AccountsApi> accounts_api;
  std::unique_ptr<gateway::ConnectApi> connect_api;
  std::unique_ptr<gateway::Canaries> canaries;
};

struct PortalParts {
  std::unique_ptr<portal::PasswordHasher> hasher;
  std::unique_ptr<portal::TotpService> totp;
  std::unique_ptr<portal::TotpApi> totp_api;
  std::unique_ptr<portal::SignInService> sign_in;
  std::unique_ptr<portal::SignInApi> sign_in_api;
  std::unique_ptr<portal::InvitationService> invitations;
  std::unique_ptr<portal::ResetService> reset;
  std::unique_ptr<portal::ResetApi> reset_api;
  std::unique_ptr<portal::Providers> providers;
  std::unique_ptr<portal::DevIssuer> dev_issuer;  // Null without auth.dev_issuer.
  std::unique_ptr<portal::DevIssuerApi> dev_issuer_api;
  std::unique_ptr<portal::Arrivals> arrivals;
  std::unique_ptr<portal::Bearers> bearers;
  std::unique_ptr<portal::OidcApi> oidc_api;
  std::unique_ptr<portal::TeamApi> team_api;
  std::unique_ptr<portal::PlacesApi> places_api;
  std::unique_ptr<portal::PlansApi> plans_api;
  std::unique_ptr<portal::Billing> billing;
  std::unique_ptr<portal::Webhooks> webhooks;
  std::unique_ptr<portal::BillingApi> billing_api;
  std::unique_ptr<portal::HistoryApi> history_api;
  std::unique_ptr<portal::PeopleApi> people_api;
  std::unique_ptr<portal::MeApi> me_api;
  std::unique_ptr<portal::DeviceApi> device_api;
  // Null: no server is configured. Ends first: its thread makes letters with what stands above.
  std::unique_ptr<portal::Mailer> mailer;
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
  std::unique_ptr<KeptClock> kept_clock;  // Of what has an end.
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
  std::unique_ptr<DbReaders> portal_readers, portal_searchers;
  std::unique_ptr<DbWriter> ledger_writer;
  std::unique_ptr<DbReaders> ledger_readers;
  std::unique_ptr<Ledger> ledger;
  std::unique_ptr<LedgerApi> ledger_api;
  std::unique_ptr<StoreDamage> staged_damage;  // Of uploads in several requests.
  std::unique_ptr<BlobStore> blob_files;
  std::unique_ptr<BlobStore> blobs;  // Those, timed.
  std::unique_ptr<Presigner> presigner;
  std::unique_ptr<http::HttpUpstream> upstream;

  // --- identity
  std::set<std::string, std::less<>> reserved_slugs;  // From the route table.
  std::unique_ptr<portal::Plans> plans;
  std::unique_ptr<Directory> directory;
  std::unique_ptr<Authenticator> auth;
  std::unique_ptr<http::LiveStreams> live_streams;
  std::unique_ptr<AdminGuard> admin_guard;
  std::unique_ptr<KeyService> keys;
  std::unique_ptr<OrganizationService> organizations;
  std::unique_ptr<TokenAdoption> token_adoption;
  std::unique_ptr<ProjectService> projects;
  std::unique_ptr<UserService> users;
  std::unique_ptr<PersonService> people;
  std::unique_ptr<MemberService> members;
  std::unique_ptr<SessionService> sessions;
  std::unique_ptr<UsersApi> users_api;
  std::unique_ptr<OrganizationsApi> organizations_api;
  std::unique_ptr<ProjectKeysApi> project_keys_api;
  std::unique_ptr<AdminKeysApi> admin_keys_api;
  std::unique_ptr<SeededKeys> seeded_keys;
  std::unique_ptr<KvApi> kv_api;
  std::unique_ptr<Idempotency> idempotency;

  // --- the doors, and what looks over them
  ArtifactParts artifacts;
  AiParts ai;
  GatewayParts gateway;
  PortalParts portal;
  std::unique_ptr<briefing::DailyBriefing> briefing;
  std::unique_ptr<FirstSteps> first_steps;

  // --- operations
  std::unique_ptr<Alerts> alerts;
  std::unique_ptr<HealthProbes> probes;
  std::unique_ptr<Heartbeats> heartbeats;
  std::unique_ptr<SystemHealth> health;
  std::unique_ptr<StatusApi> status_api;
  std::unique_ptr<ConfigApi> config_api;
  std::once_flag openapi_made;
  std::string openapi;  // Made when it is first asked for.
  std::unique_ptr<Cron> cron;
  std::unique_ptr<JobsApi> jobs_api;
  std::unique_ptr<OwnerDeletions> deletions;
  // Ends what is paid for an organization elsewhere, once its deletion is planned or begun. A
  // failure holds the deletion up, and is asked again; ok when there is nothing to end. May be
  // empty.
  std::function<Status(std::string_view organization_id)> before_organization_goes;
  std::unique_ptr<PlannedDeletions> planned_deletions;
  std::unique_ptr<OwnersApi> owners_api;
  std::unique_ptr<MasterKeys> master_keys;

  // --- the HTTP server
  std::vector<http::Row> route_table;
  std::unique_ptr<http::Router> router;
  std::unique_ptr<RequestMetrics> request_metrics;
  std::unique_ptr<MetricsHistory> metrics_history;
  std::function<void(const Status& why)> on_server_failed;  // Set before the server's start.
  std::unique_ptr<http::Server> server;
  std::unique_ptr<http::Router> ops_router;
  std::unique_ptr<http::Server> ops_server;  // Null without ops.listen.

  const Clock& clock() const { return options.clock != nullptr ? *options.clock : *system_clock; }
  // http.public_url, or the address that the server is bound to. After the server's start.
  std::string public_url() const;
  // How the pages' own requests are told from those of other sites. Good while Parts live.
  BrowserRules browser_rules() const;
  mutable std::once_flag origins_made;  // By the first request that asks.
  mutable std::vector<std::string> origins;
};

}  // namespace kvcs
