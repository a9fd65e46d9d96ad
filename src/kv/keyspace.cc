// How keys are put together and taken apart, and the family of one that comes without it. Each
// builder allocates once: the hot path builds a few keys per request.
#include "kv/keyspace.h"

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "base/bytes.h"
#include "base/id.h"

namespace kvcs::keyspace {
namespace {

std::string concat(std::initializer_list<std::string_view> parts) {
  size_t size = 0;
  for (const auto part : parts) size += part.size();
  std::string key;
  key.reserve(size);
  for (const auto part : parts) key.append(part);
  return key;
}

// Padded so that keys sort by number; a negative time sorts first as zero.
std::string padded(int64_t number, size_t digits) {
  std::string text = std::to_string(std::max<int64_t>(number, 0));
  if (text.size() < digits) text.insert(0, digits - text.size(), '0');
  return text;
}
constexpr size_t kDueDigits = 12;     // Seconds until the year 33658.
constexpr size_t kOutboxDigits = 15;  // Milliseconds until the same.
constexpr size_t kUuidBytes = 36;
constexpr std::string_view kConfigEnd = "config", kKeysPart = "keys", kTokensPart = "tokens",
                           kCredentialPart = "credential", kMembersEnd = "members",
                           kProfileEnd = "profile", kActiveEnd = "active";
constexpr std::string_view kUserPrefix = "user:";

// The id in "{kind}:{id}:{end}".
std::optional<std::string_view> id_before(std::string_view key, std::string_view kind_prefix,
                                          std::string_view end) {
  if (!key.starts_with(kind_prefix)) return {};
  const auto parts = split(key, ':');
  if (parts.size() != 3 || parts[2] != end) return {};
  return parts[1];
}

// The parts of "org:{org_id}:{part}:{id}".
std::optional<OrgPart> org_part(std::string_view key, std::string_view part) {
  if (!key.starts_with(kOrgPrefix)) return {};
  const auto parts = split(key, ':');
  if (parts.size() != 4 || parts[2] != part) return {};
  return OrgPart{parts[1], parts[3]};
}

bool starts_with_one_of(std::string_view key, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return key.starts_with(prefix); });
}

}  // namespace

std::string api_key(std::string_view sha256_hex) {
  return concat({"apikey:", sha256_hex});
}
std::string tenant_auth(std::string_view sha256_hex) {
  return concat({"tenant_auth:", sha256_hex});
}
std::string admin_key(std::string_view sha256_hex) {
  return concat({"adminkey:", sha256_hex});
}
std::string org_config(std::string_view org_id) {
  return concat({kOrgPrefix, org_id, ":config"});
}
std::string org_slug(std::string_view slug) {
  return concat({kOrgSlugPrefix, slug});
}
std::string org_key(std::string_view org_id, std::string_view key_id) {
  return concat({kOrgPrefix, org_id, ":keys:", key_id});
}
std::string org_key_prefix(std::string_view org_id) {
  return org_key(org_id, {});
}
std::string tenant_token(std::string_view org_id, std::string_view token_id) {
  return concat({kOrgPrefix, org_id, ":tokens:", token_id});
}
std::string tenant_token_prefix(std::string_view org_id) {
  return tenant_token(org_id, {});
}
std::string org_credential(std::string_view org_id, std::string_view provider) {
  return concat({kOrgPrefix, org_id, ":credential:", provider});
}
std::string user_config(std::string_view user_id) {
  return concat({kUserPrefix, user_id, ":config"});
}
std::string user_email(std::string_view org_id, std::string_view email) {
  return concat({kUserEmailPrefix, org_id, ":", email});
}
std::string_view email_of_user(std::string_view user_email_key) {
  return user_email_key.substr(user_email_key.rfind(':') + 1);  // An address has no ':'.
}
std::string user_key(std::string_view user_id, std::string_view key_id) {
  return concat({kUserPrefix, user_id, ":keys:", key_id});
}
std::string user_key_prefix(std::string_view user_id) {
  return user_key(user_id, {});
}
std::string org_members(std::string_view org_id) {
  return concat({kOrgPrefix, org_id, ":members"});
}
std::string person_profile(std::string_view person_id) {
  return concat({kPersonPrefix, person_id, ":profile"});
}
std::string person_password(std::string_view person_id) {
  return concat({kPersonPrefix, person_id, ":password"});
}
std::string person_reset(std::string_view person_id) {
  return concat({kPersonPrefix, person_id, ":reset"});
}
std::string person_totp(std::string_view person_id) {
  return concat({kPersonPrefix, person_id, kTotpSuffix});
}
std::string person_active(std::string_view person_id) {
  return concat({kPersonPrefix, person_id, ":active"});
}
std::string person_org(std::string_view person_id, std::string_view org_id) {
  return concat({kPersonPrefix, person_id, ":org:", org_id});
}
std::string person_org_prefix(std::string_view person_id) {
  return person_org(person_id, {});
}
std::string person_sign_in(std::string_view person_id, std::string_view sha256_hex) {
  return concat({kPersonPrefix, person_id, ":sign_in:", sha256_hex});
}
std::string person_sign_in_prefix(std::string_view person_id) {
  return person_sign_in(person_id, {});
}
std::string sign_in(std::string_view sha256_hex) {
  return concat({"sign_in:", sha256_hex});
}
std::string session(std::string_view sha256_hex) {
  return concat({kSessionPrefix, sha256_hex});
}
std::string session_of(std::string_view person_id, std::string_view session_id) {
  return concat({"session_of:", person_id, ":", session_id});
}
std::string session_of_prefix(std::string_view person_id) {
  return session_of(person_id, {});
}
std::string org_invitation(std::string_view org_id, std::string_view invitation_id) {
  return concat({kOrgPrefix, org_id, ":invitation:", invitation_id});
}
std::string org_invitation_prefix(std::string_view org_id) {
  return org_invitation(org_id, {});
}
std::string invitation(std::string_view sha256_hex) {
  return concat({"invitation:", sha256_hex});
}
std::string org_billing(std::string_view org_id) {
  return concat({"org:", org_id, ":billing"});
}
std::string billing_customer(std::string_view customer_id) {
  return concat({"billing_customer:", customer_id});
}
std::string billing_event(std::string_view event_id) {
  return concat({"billing_event:", event_id});
}
std::string admin_key_view(std::string_view key_id) {
  return concat({"admin:keys:", key_id});
}
std::string api_config(std::string_view provider) {
  return concat({kApiConfigPrefix, provider});
}
std::string tenant_config(std::string_view tenant) {
  return concat({kTenantConfigPrefix, tenant});
}
std::string agent_schedule(std::string_view tenant) {
  return concat({"agent_job_schedule:", tenant});
}
std::string ai_provider(std::string_view name) {
  return concat({kAiProviderPrefix, name});
}
std::string ai_price(std::string_view model) {
  return concat({kAiPricePrefix, model});
}
std::string ai_org_price(std::string_view org_id, std::string_view model) {
  return concat({kAiPricePrefix, org_id, ":", model});
}
std::string ai_object_prefix(std::string_view org_id) {
  return concat({kAiObjectPrefix, org_id, ":"});
}
std::string ai_object(std::string_view org_id, std::string_view provider, std::string_view id) {
  return concat({kAiObjectPrefix, org_id, ":", provider, ":", id});
}
std::string token(std::string_view tenant, std::string_view provider, std::string_view account) {
  return concat({kTokenPrefix, tenant, ":", provider, ":", account});
}
std::string token_prefix(std::string_view tenant, std::string_view provider) {
  if (tenant.empty()) return std::string(kTokenPrefix);
  if (provider.empty()) return concat({kTokenPrefix, tenant, ":"});
  return token(tenant, provider, {});
}
std::string refresh(std::string_view tenant, std::string_view provider, std::string_view account) {
  return concat({kRefreshPrefix, tenant, ":", provider, ":", account});
}
std::string refresh_due(int64_t due_unix_s, std::string_view tenant, std::string_view provider,
                        std::string_view account) {
  return concat({kRefreshDuePrefix, padded(due_unix_s, kDueDigits), ":", tenant, ":", provider, ":",
                 account});
}
std::string refresh_due_before(int64_t unix_s) {
  return concat({kRefreshDuePrefix, padded(unix_s, kDueDigits)});
}
std::string quota(std::string_view kind, std::string_view id, std::string_view month) {
  return concat({kQuotaPrefix, kind, ":", id, ":", month});
}
std::string grace(std::string_view org_id, std::string_view day) {
  return concat({"grace:", org_id, ":", day});
}
std::string gateway_calls(std::string_view org_id, std::string_view month) {
  return concat({"calls:", org_id, ":", month});
}
std::string adjustments_of(std::string_view user_id) {
  return concat({"adjustment:", user_id, ":"});
}
std::string adjustment(std::string_view user_id, int64_t unix_ms) {
  return adjustments_of(user_id) + padded(unix_ms, kOutboxDigits);
}
std::string last_used(std::string_view key_id) {
  return concat({"last_used:", key_id});
}
std::string account_name(std::string_view tenant, std::string_view provider,
                         std::string_view account) {
  return concat({tenant, ":", provider, ":", account});
}
std::string briefing(std::string_view day) {
  return concat({"briefing:", day});
}
std::string oauth_state(std::string_view sha256_hex) {
  return concat({"oauth_state:", sha256_hex});
}
std::string cron(std::string_view job) {
  return concat({"cron:", job});
}
std::string idempotency(std::string_view scope, std::string_view hash) {
  return concat({"idempotency:", scope, ":", hash});
}
std::string outbox(int64_t unix_ms, std::string_view id) {
  return concat({padded(unix_ms, kOutboxDigits), ":", id});
}
std::string leaving(std::string_view org_id) {
  return concat({kLeavingPrefix, org_id});
}
std::string deletion(Owner owner, std::string_view id) {
  return concat({kDeletionPrefix, owner_name(owner), ":", id});
}

std::string_view owner_name(Owner owner) {
  switch (owner) {
    case Owner::kOrganization:
      return "organization";
    case Owner::kProject:
      return "project";
    case Owner::kUser:
      return "user";
    case Owner::kTenant:
      return "tenant";
    case Owner::kPerson:
      return "person";
    case Owner::kKey:
      return "key";
    case Owner::kHolder:
      return "holder";
    case Owner::kHistory:
      return "history";
    case Owner::kNobody:
      break;
  }
  return "nobody";
}

std::string_view owner_id(const Ownership& row, std::string_view key) {
  std::string_view rest = key.substr(std::min(row.prefix.size(), key.size()));
  if (row.at == IdAt::kRest) return rest;
  if (row.at == IdAt::kAfterTime) rest = rest.substr(std::min(rest.find(':'), rest.size()));
  if (row.at == IdAt::kAfterTime && !rest.empty()) rest = rest.substr(1);
  if (row.at != IdAt::kNext && row.at != IdAt::kAfterTime) return {};
  return rest.substr(0, rest.find(':'));
}

std::optional<std::string_view> parse_org_config(std::string_view key) {
  return id_before(key, kOrgPrefix, kConfigEnd);
}
std::optional<std::string_view> parse_user_config(std::string_view key) {
  return id_before(key, kUserPrefix, kConfigEnd);
}
std::optional<std::string_view> parse_org_members(std::string_view key) {
  return id_before(key, kOrgPrefix, kMembersEnd);
}
std::optional<std::string_view> parse_person_profile(std::string_view key) {
  return id_before(key, kPersonPrefix, kProfileEnd);
}
std::optional<std::string_view> parse_person_active(std::string_view key) {
  return id_before(key, kPersonPrefix, kActiveEnd);
}
std::string_view organization_of_person(std::string_view key) {
  if (!key.starts_with(kPersonPrefix)) return {};
  const auto parts = split(key, ':');
  return parts.size() == 4 && parts[2] == "org" ? parts[3] : std::string_view();
}
std::optional<OrgPart> parse_org_key(std::string_view key) {
  return org_part(key, kKeysPart);
}
std::optional<OrgPart> parse_tenant_token(std::string_view key) {
  return org_part(key, kTokensPart);
}
std::optional<OrgPart> parse_org_credential(std::string_view key) {
  return org_part(key, kCredentialPart);
}
std::optional<std::string_view> parse_ai_provider(std::string_view key) {
  if (!key.starts_with(kAiProviderPrefix)) return {};
  return key.substr(kAiProviderPrefix.size());
}
// A model's name may hold a ':' ("llama3:8b"), so an organization is told by the form of its id.
std::optional<PriceParts> parse_ai_price(std::string_view key) {
  if (!key.starts_with(kAiPricePrefix)) return {};
  const std::string_view rest = key.substr(kAiPricePrefix.size());
  if (rest.size() > kUuidBytes + 1 && rest[kUuidBytes] == ':' &&
      is_uuid(rest.substr(0, kUuidBytes))) {
    return PriceParts{rest.substr(0, kUuidBytes), rest.substr(kUuidBytes + 1)};
  }
  return PriceParts{{}, rest};
}
std::optional<AiObjectParts> parse_ai_object(std::string_view key) {
  if (!key.starts_with(kAiObjectPrefix)) return {};
  const auto parts = split(key, ':');
  if (parts.size() != 4) return {};
  return AiObjectParts{parts[1], parts[2], parts[3]};
}
std::optional<AccountParts> parse_token(std::string_view key) {
  if (!key.starts_with(kTokenPrefix)) return {};
  const auto parts = split(key, ':');
  if (parts.size() != 4) return {};
  return AccountParts{parts[1], parts[2], parts[3]};
}
std::optional<AccountParts> parse_refresh(std::string_view key) {
  if (!key.starts_with(kRefreshPrefix)) return {};
  const auto parts = split(key, ':');
  if (parts.size() != 4) return {};
  return AccountParts{parts[1], parts[2], parts[3]};
}
std::optional<DueParts> parse_refresh_due(std::string_view key) {
  if (!key.starts_with(kRefreshDuePrefix)) return {};
  const auto parts = split(key, ':');
  if (parts.size() != 5) return {};
  const Result<uint64_t> due_s = parse_u64(parts[1], "due");
  if (!due_s.ok()) return {};
  return DueParts{static_cast<int64_t>(due_s.value()), {parts[2], parts[3], parts[4]}};
}

bool is_credential(std::string_view key) {
  return key.find(":credential:") != key.npos;
}
bool is_password(std::string_view key) {
  return key.starts_with(kPersonPrefix) &&
         (key.ends_with(":password") || key.ends_with(":reset") || key.ends_with(kTotpSuffix));
}
bool is_of_directory(std::string_view key) {
  return key == kStoreMark || key == kAuditHead || key == kMasterKeyCheck || key == kSecretsBound ||
         key.starts_with(kDeletionPrefix);
}

bool is_private_state(std::string_view key) {
  return starts_with_one_of(key, {"oauth_", "session", "invitation:", "idempotency:", kSetupToken,
                                  kDevIssuerKey, "agent_state:"});
}

KvFamily family_of_key(std::string_view key) {
  if (starts_with_one_of(key, {"apikey:", "tenant_auth:", "adminkey:"})) return KvFamily::kAuth;
  if (starts_with_one_of(key, {kTokenPrefix, kRefreshPrefix, kRefreshDuePrefix}))
    return KvFamily::kTokens;
  if (starts_with_one_of(key, {kQuotaPrefix, "grace:", "calls:", "adjustment:"}))
    return KvFamily::kQuota;
  if (starts_with_one_of(key, {kUserPrefix, "org:"}) && key.ends_with(":quota")) {
    return KvFamily::kQuota;
  }
  if (starts_with_one_of(
          key, {"system:", "system_state:", "briefing:", "cron:", "idempotency:", "last_used:",
                "oauth_state:", "agent_state:", kAiObjectPrefix, kDeletionPrefix, kLeavingPrefix,
                kSessionPrefix, "session_of:", "invitation:", "billing_event:"})) {
    return KvFamily::kSystem;
  }
  return KvFamily::kConfig;
}

}  // namespace kvcs::keyspace
