// Builds who may do what: keys, organizations, projects, users, and the handlers of their routes.
// Where identity needs a door above it, such as a user's spending, it gets a function that looks
// the door up in Parts when it is called: the doors are built later.
#include <algorithm>
#include <memory>

#include "ai/budget/budget.h"
#include "ai/budget/budget_ledger.h"
#include "app/build.h"
#include "app/master_key.h"
#include "app/owner_deletion.h"
#include "app/parts.h"
#include "app/plan_limits.h"
#include "artifacts/artifact_audit.h"
#include "artifacts/artifacts.h"
#include "base/address_block.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/kept_clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/private_file.h"
#include "gateway/tokens/tokens.h"
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
#include "identity/seeded_keys.h"
#include "identity/sessions.h"
#include "identity/users.h"
#include "identity/users_api.h"
#include "kv/audited_kv.h"
#include "kv/keyspace.h"
#include "ops/idempotency.h"
#include "ops/kv_api.h"
#include "ops/rate_limit.h"

namespace kvcs {
namespace {

constexpr size_t kAdminKeysFileMaxBytes = 64 << 10;

// Keys of the configuration: the variable's, the file's, and those that systemd hands over.
Result<std::vector<StaticAdminKey>> static_admin_keys(const Config& config) {
  std::string text = config.secrets.admin_keys.reveal();
  if (const std::string& file = config.secrets.admin_keys_file; !file.empty()) {
    text += "\n" + KVCS_TRY(read_private_file(file, kAdminKeysFileMaxBytes)).reveal();
  }
  if (const std::string directory = credentials_directory(); !directory.empty()) {
    const Result<std::string> given =
        read_small_file(directory + "/kvcs-admin-keys", kAdminKeysFileMaxBytes);
    if (given.ok()) text += "\n" + given.value();
    if (!given.ok() && given.code() != Code::kNotFound) return given.status();
  }
  return parse_static_admin_keys(text);
}

// Wrong admin keys, in the audit: one record for each address block and minute, and so many a day
// in all, since anybody who reaches the port can send as many as the network carries. The address
// is kept as a keyed hash. Thread-safe.
class SignInFailures final {
 public:
  explicit SignInFailures(Parts& parts)
      : parts_(parts), key_(parts.sealer->derive("signin-hash")) {}
  void note(const http::Request& request) {
    const std::string block = address_block(request.remote_ip);
    if (!parts_.rates->take("signin:" + block, 1).allowed || !is_within_day()) return;
    const std::string subject = "signin:" + to_hex(hmac_sha256(key_.reveal(), block)).substr(0, 16);
    const Status noted =
        parts_.audited->note(subject, "refused", {"unknown", "admin-api", request.request_id});
    if (!noted.ok()) log::warn("signin.not_audited", {{"error", noted.to_string()}});
  }

 private:
  static constexpr int64_t kDayMs = 86'400'000, kRecordsPerDay = 1000;
  bool is_within_day() {
    const int64_t day = parts_.clock().unix_ms() / kDayMs;
    MutexLock lock(mutex_);
    if (day != day_) records_ = 0;
    day_ = day;
    return records_++ < kRecordsPerDay;
  }

  Parts& parts_;
  const Secret key_;
  Mutex mutex_;
  int64_t day_ KVCS_GUARDED_BY(mutex_) = 0, records_ KVCS_GUARDED_BY(mutex_) = 0;
};

// The handlers by which organizations, projects and keys are changed, and the keys of a seed.
void build_key_handlers(Parts& parts) {
  parts.organizations_api =
      std::make_unique<OrganizationsApi>(*parts.organizations, *parts.projects, *parts.keys);
  parts.project_keys_api =
      std::make_unique<ProjectKeysApi>(*parts.projects, *parts.keys, parts.kept_clock->latest());
  parts.admin_keys_api = std::make_unique<AdminKeysApi>(*parts.keys);
  parts.seeded_keys = std::make_unique<SeededKeys>(
      parts.config.seeded_keys, SeededKeys::Services{.kv = *parts.kv,
                                                     .audited = *parts.audited,
                                                     .organizations = *parts.organizations,
                                                     .projects = *parts.projects,
                                                     .keys = *parts.keys,
                                                     .customer_id_of = customer_id_of});
}

// What plans limit, and people.
void build_members(Parts& parts) {
  const Clock& clock = parts.clock();
  parts.projects = std::make_unique<ProjectService>(
      *parts.portal_writer, *parts.portal_readers, clock, *parts.entropy,
      [&parts](Database& db, std::string_view id, std::string_view action,
               const AuditContext& who) {
        return add_portal_audit(db, {"project", id, action, who.actor, who.source, who.request_id},
                                *parts.entropy, parts.clock().unix_ms());
      },
      [&parts](std::string_view organization_id) {
        return parts.deletions->check_not_begun(keyspace::Owner::kOrganization, organization_id);
      },
      [&parts](std::string_view organization_id) {
        return plan_limit(parts, organization_id, &portal::PlanLimits::projects);
      });
  // An address that is taken for a minute is taken by the clock that is never behind the store's.
  parts.people = std::make_unique<PersonService>(*parts.kv, *parts.audited,
                                                 parts.kept_clock->latest(), *parts.entropy);
  parts.members = std::make_unique<MemberService>(
      *parts.kv, *parts.audited, clock, [&parts](std::string_view organization_id) {
        return plan_limit(parts, organization_id, &portal::PlanLimits::members);
      });
}

}  // namespace

// Directory comes first: it registers with the store before anybody changes a record.
Status build_identity(Parts& parts) {
  const Clock& clock = parts.clock();
  // What a credential's end is compared with, and counted from.
  const Clock& latest = parts.kept_clock->latest();
  parts.directory = std::make_unique<Directory>(
      *parts.kv, *parts.kv, static_cast<size_t>(parts.config.identity.cached_keys_max));
  parts.auth = std::make_unique<Authenticator>(*parts.directory, *parts.kv, latest,
                                               KVCS_TRY(static_admin_keys(parts.config)),
                                               parts.config.auth.sessions, parts.browser_rules());
  parts.admin_guard = std::make_unique<AdminGuard>(
      *parts.auth, clock, parts.config.admin,
      [rates = parts.rates.get()](std::string_view whose, int requests_per_minute) {
        return rates->take("admin:" + std::string(whose), requests_per_minute).retry_after_s;
      },
      // Owners: the copies of the function.
      [failures = std::make_shared<SignInFailures>(parts)](const http::Request& request) {
        failures->note(request);
      });
  parts.keys = std::make_unique<KeyService>(*parts.kv, *parts.audited, latest, *parts.entropy);
  parts.organizations = std::make_unique<OrganizationService>(
      *parts.kv, *parts.audited, clock, *parts.entropy,
      [&parts](std::string_view slug) { return parts.reserved_slugs.contains(slug); });
  parts.token_adoption = std::make_unique<TokenAdoption>(
      *parts.kv, *parts.audited, *parts.organizations, clock, *parts.entropy);
  build_members(parts);
  parts.sessions = std::make_unique<SessionService>(*parts.kv, *parts.audited, latest,
                                                    *parts.entropy, parts.config.auth.sessions);
  parts.users = std::make_unique<UserService>(*parts.kv, *parts.audited, clock, *parts.entropy);
  parts.users_api = std::make_unique<UsersApi>(
      *parts.users, *parts.keys, [&parts](std::string_view user_id) -> Result<int64_t> {
        return KVCS_TRY(parts.ai.budgets->view("user", user_id, "")).used_nano_usd;
      });
  build_key_handlers(parts);
  // Values that come in by hand or by import may hold secrets in clear: the tool gateway knows
  // where. Counters among them do not know this ledger's rows.
  parts.kv_api = std::make_unique<KvApi>(
      *parts.kv, *parts.audited, parts.kept_clock->steady(),
      [&parts](KvFamily family, std::string_view key, std::string value) -> Result<std::string> {
        if (family == KvFamily::kTokens) return parts.gateway.tokens->seal_record(key, value);
        if (family == KvFamily::kConfig) return parts.gateway.providers->seal_record(key, value);
        if (family == KvFamily::kQuota) return ai::without_rows(key, std::move(value));
        return value;
      },
      [adoption = parts.token_adoption.get()](const KvBatch& batch, const AuditContext& who) {
        return adoption->adopt(batch, who);
      });
  parts.idempotency =
      std::make_unique<Idempotency>(*parts.kv, *parts.sealer, parts.kept_clock->steady());
  return ok();
}

}  // namespace kvcs
