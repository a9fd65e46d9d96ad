// Every key string in the store, built and taken apart here and nowhere else
// (tests/kv/keyspace_test.cc refuses a key in another file). This table is the documentation. Pure
// functions.
//
// No part of a key holds a ':', but for e-mail addresses and model names, which stand at the end.
//
// family  key                                            value (JSON unless said)
// auth    apikey:{sha256 hex}                            project, organization or user key → record
// auth    tenant_auth:{sha256 hex}                       tenant token → principal record
// auth    adminkey:{sha256 hex}                          admin key → principal record
// config  org:{org_id}:config                            organization
// config  org_slug:{slug}                                org_id, or alias:{org_id}; plain text
// config  org:{org_id}:keys:{key_id}                     project or organization key, admin view
// config  org:{org_id}:tokens:{token_id}                 tenant token, admin view
// config  org:{org_id}:credential:{provider}             sealed AI provider key of an organization
// config  user:{user_id}:config                          AI user
// config  user_email:{org_id}:{email}                    user_id, plain text (uniqueness)
// config  user:{user_id}:keys:{key_id}                   user key, admin view
// config  org:{org_id}:members                           people of an organization and their roles
// config  org:{org_id}:invitation:{invitation_id}         who may join, as what, until when
// config  org:{org_id}:billing                           what it pays for
// config  billing_customer:{customer_id}                 org_id, plain text (uniqueness)
// config  admin:keys:{key_id}                            admin key, admin view
// config  person:{person_id}:profile                     who has signed in: name, address, rights
// config  person:{person_id}:password                    argon2id, plain text
// config  person:{person_id}:reset                       sha256 hex of a reset link, plain text
// config  person:{person_id}:totp                        second factor: sealed secret, codes
// config  person:{person_id}:org:{org_id}                an organization that has the person
// config  person:{person_id}:active                      where the person's bearers act
// config  person:{person_id}:sign_in:{sha256 hex}        issuer and subject, for people
// config  sign_in:{sha256 hex}                           person_id, plain text (uniqueness)
// config  api_config:{provider}                          tool provider
// config  tenant_config:{tenant}                         tenant
// config  agent_job_schedule:{tenant}                    when its agents are to run
// config  ai_provider:{name}                             AI provider
// config  ai_price:{model} / ai_price:{org_id}:{model}   price overrides
// tokens  tokens:{tenant}:{provider}:{account}           sealed access token record
// tokens  refresh:{tenant}:{provider}:{account}          sealed refresh material
// tokens  refresh_due:{unix s, 12 digits}:{t}:{p}:{a}    alarm list, in order of time
// quota   quota:{key|user|org}:{id}:{YYYY-MM}            absolute counters
// quota   grace:{org_id}:{YYYY-MM-DD}                    fail-open spending of one day
// quota   calls:{org_id}:{YYYY-MM}                       tool calls of one month, a number
// quota   adjustment:{user_id}:{unix ms, 15 digits}      why an admin reset a user's use
// system  system:…                                       one record each, see the constants below
// system  briefing:{YYYY-MM-DD}  cron:{job}  idempotency:{scope}:{hash}
// system  last_used:{key_id}  last_used:{t}:{p}:{a}      unix ms of a key, of an account
// system  ai_object:{org_id}:{provider}:{id}             whose a thing at a shared provider is
// system  oauth_state:{sha256 hex}  agent_state:{tenant}:{key}  system_state:mode
// system  session:{sha256 hex}                           a signed-in browser or command line
// system  session_of:{person_id}:{session_id}            sha256 hex of its token, plain text
// system  invitation:{sha256 hex}                        "{org_id}:{invitation_id}", and ":used" or
//                                                        ":withdrawn" of a closed one; plain text
// system  billing_event:{event_id}                       type of an event of Stripe that was taken
// system  deletion:{kind of owner}:{id}                  an owner that is being deleted
// system  leaving:{org_id}                               when an organization is to be deleted
// outbox  {unix ms, 15 digits}:{id}                      record bound for SQL, see kv/outbox.h
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kv/kv.h"

namespace kvcs::keyspace {

// The prefixes of the kinds of keys: for scans, and for listeners of changes.
inline constexpr std::string_view kOrgPrefix = "org:";
inline constexpr std::string_view kOrgSlugPrefix = "org_slug:";
inline constexpr std::string_view kUserEmailPrefix = "user_email:";  // Of all organizations.
inline constexpr std::string_view kApiConfigPrefix = "api_config:";
inline constexpr std::string_view kTenantConfigPrefix = "tenant_config:";
inline constexpr std::string_view kAiProviderPrefix = "ai_provider:";
inline constexpr std::string_view kAiPricePrefix = "ai_price:";
inline constexpr std::string_view kAiObjectPrefix = "ai_object:";
inline constexpr std::string_view kTokenPrefix = "tokens:";
inline constexpr std::string_view kRefreshPrefix = "refresh:";
inline constexpr std::string_view kRefreshDuePrefix = "refresh_due:";
inline constexpr std::string_view kQuotaPrefix = "quota:";
inline constexpr std::string_view kPersonPrefix = "person:";
inline constexpr std::string_view kTotpSuffix = ":totp";
inline constexpr std::string_view kSessionPrefix = "session:";
inline constexpr std::string_view kDeletionPrefix = "deletion:";
inline constexpr std::string_view kLeavingPrefix = "leaving:";

// Whose a record is. What an owner has goes with it (app/owner_deletion.h); kHistory stays as long
// as its own rules say, and kNobody is the daemon's.
enum class Owner : uint8_t {
  kNobody,
  kHistory,
  kOrganization,
  kProject,
  kUser,
  kTenant,
  kPerson,
  kKey,     // A key or token, by its id; that has an owner of its own.
  kHolder,  // Of keys: the user, project or tenant that the record names.
};
std::string_view owner_name(Owner owner);
// Where the owner's id stands: next behind the prefix, up to a ':' or the end; all of the rest;
// behind a time; as a JSON string in the metadata; within the value; as the value, plain text.
enum class IdAt : uint8_t { kNowhere, kNext, kRest, kAfterTime, kMetadata, kValue, kWholeValue };

struct Ownership {
  KvFamily family;
  std::string_view prefix;
  Owner owner;
  IdAt at = IdAt::kNowhere;
  bool needs_owner = false;  // A new record is refused without its owner; see kv/owned.h.
  bool stays = false;        // It has the owner's name, and is another's: that of its other row.
};
// Every kind of key, once for each kind of owner. tests/kv/keyspace_test.cc finds one that lacks.
inline constexpr Ownership kOwnership[] = {
    {KvFamily::kAuth, "apikey:", Owner::kHolder, IdAt::kValue},
    {KvFamily::kAuth, "tenant_auth:", Owner::kHolder, IdAt::kValue},
    {KvFamily::kAuth, "adminkey:", Owner::kNobody},
    {KvFamily::kConfig, "org:", Owner::kOrganization, IdAt::kNext, true},
    {KvFamily::kConfig, "org_slug:", Owner::kOrganization, IdAt::kWholeValue},
    {KvFamily::kConfig, "org_slug:", Owner::kTenant, IdAt::kRest, true, true},
    {KvFamily::kConfig, "user:", Owner::kUser, IdAt::kNext, true},
    {KvFamily::kConfig, "user_email:", Owner::kOrganization, IdAt::kNext, true},
    {KvFamily::kConfig, "billing_customer:", Owner::kOrganization, IdAt::kMetadata},
    {KvFamily::kConfig, "admin:keys:", Owner::kNobody},
    {KvFamily::kConfig, "person:", Owner::kPerson, IdAt::kNext, true},
    {KvFamily::kConfig, "sign_in:", Owner::kPerson, IdAt::kWholeValue},
    {KvFamily::kConfig, "api_config:", Owner::kNobody},
    {KvFamily::kConfig, "tenant_config:", Owner::kTenant, IdAt::kRest, true},
    {KvFamily::kConfig, "agent_job_schedule:", Owner::kTenant, IdAt::kRest, true},
    {KvFamily::kConfig, "ai_provider:", Owner::kNobody},
    {KvFamily::kConfig, "ai_price:", Owner::kOrganization, IdAt::kNext},  // Or nobody's.
    {KvFamily::kTokens, "tokens:", Owner::kTenant, IdAt::kNext, true},
    {KvFamily::kTokens, "refresh:", Owner::kTenant, IdAt::kNext, true},
    {KvFamily::kTokens, "refresh_due:", Owner::kTenant, IdAt::kAfterTime},
    {KvFamily::kQuota, "quota:key:", Owner::kKey, IdAt::kNext},
    {KvFamily::kQuota, "quota:user:", Owner::kUser, IdAt::kNext},
    {KvFamily::kQuota, "quota:org:", Owner::kOrganization, IdAt::kNext},
    {KvFamily::kQuota, "user:", Owner::kUser, IdAt::kNext},         // Of another system.
    {KvFamily::kQuota, "org:", Owner::kOrganization, IdAt::kNext},  // Of another system.
    {KvFamily::kQuota, "grace:", Owner::kOrganization, IdAt::kNext},
    {KvFamily::kQuota, "calls:", Owner::kOrganization, IdAt::kNext},
    {KvFamily::kQuota, "adjustment:", Owner::kUser, IdAt::kNext},
    {KvFamily::kSystem, "system:", Owner::kNobody},
    {KvFamily::kSystem, "system_state:", Owner::kNobody},
    {KvFamily::kSystem, "briefing:", Owner::kHistory},
    {KvFamily::kSystem, "cron:", Owner::kNobody},
    {KvFamily::kSystem, "idempotency:", Owner::kKey, IdAt::kNext},
    {KvFamily::kSystem, "last_used:", Owner::kKey, IdAt::kNext},
    {KvFamily::kSystem, "last_used:", Owner::kTenant, IdAt::kNext},
    {KvFamily::kSystem, "oauth_state:", Owner::kTenant, IdAt::kMetadata},
    {KvFamily::kSystem, "agent_state:", Owner::kTenant, IdAt::kNext},
    {KvFamily::kSystem, "ai_object:", Owner::kOrganization, IdAt::kNext},
    {KvFamily::kSystem, "session:", Owner::kPerson, IdAt::kValue},
    {KvFamily::kSystem, "session_of:", Owner::kPerson, IdAt::kNext, true},
    {KvFamily::kSystem, "invitation:", Owner::kOrganization, IdAt::kMetadata},
    {KvFamily::kSystem, "billing_event:", Owner::kHistory},
    {KvFamily::kSystem, "deletion:", Owner::kNobody},
    {KvFamily::kSystem, "leaving:", Owner::kOrganization, IdAt::kNext},
    {KvFamily::kOutbox, "", Owner::kHistory},
};
// The owner's id in a key with the row's prefix; "" where it does not stand in the key.
std::string_view owner_id(const Ownership& row, std::string_view key);

// Single keys of the system family: each names one record.
inline constexpr std::string_view kGatewayMode = "system_state:mode";  // "active" or "frozen".
inline constexpr std::string_view kFirstStartDone = "system:first_start";
inline constexpr std::string_view kSetupToken = "system:setup_token";
inline constexpr std::string_view kMasterKeyCheck = "system:master_key_check";
inline constexpr std::string_view kDevIssuerKey = "system:dev_issuer_key";  // Sealed.
// Every secret of before is bound to where it may be sent (base/origins.h).
inline constexpr std::string_view kSecretsBound = "system:secrets_bound";
// Which data directory the store belongs to, and how often that was started.
inline constexpr std::string_view kStoreMark = "system:store_mark";
inline constexpr std::string_view kAuditHead = "system:audit_head";  // The newest row that SQL has.
inline constexpr std::string_view kHealth = "system:health";
inline constexpr std::string_view kTokenHealth = "system:token_health";
inline constexpr std::string_view kProviderHealth = "system:provider_health";
inline constexpr std::string_view kChargesJournal = "system:charges_journal";
inline constexpr std::string_view kProbe = "system:probe";  // Written by health checks.

std::string api_key(std::string_view sha256_hex);
std::string tenant_auth(std::string_view sha256_hex);
std::string admin_key(std::string_view sha256_hex);
std::string org_config(std::string_view org_id);
std::string org_slug(std::string_view slug);
std::string org_key(std::string_view org_id, std::string_view key_id);
std::string org_key_prefix(std::string_view org_id);
std::string tenant_token(std::string_view org_id, std::string_view token_id);
std::string tenant_token_prefix(std::string_view org_id);
std::string org_credential(std::string_view org_id, std::string_view provider);
std::string user_config(std::string_view user_id);
std::string user_email(std::string_view org_id, std::string_view email);
std::string_view email_of_user(std::string_view user_email_key);
std::string user_key(std::string_view user_id, std::string_view key_id);
std::string user_key_prefix(std::string_view user_id);
std::string org_members(std::string_view org_id);
std::string person_profile(std::string_view person_id);
std::string person_password(std::string_view person_id);
std::string person_reset(std::string_view person_id);
std::string person_totp(std::string_view person_id);
std::string person_active(std::string_view person_id);
std::string person_org(std::string_view person_id, std::string_view org_id);
std::string person_org_prefix(std::string_view person_id);
std::string person_sign_in(std::string_view person_id, std::string_view sha256_hex);
std::string person_sign_in_prefix(std::string_view person_id);
std::string sign_in(std::string_view sha256_hex);
std::string session(std::string_view sha256_hex);
std::string session_of(std::string_view person_id, std::string_view session_id);
std::string session_of_prefix(std::string_view person_id);
std::string org_invitation(std::string_view org_id, std::string_view invitation_id);
std::string org_invitation_prefix(std::string_view org_id);
std::string invitation(std::string_view sha256_hex);
std::string org_billing(std::string_view org_id);
std::string billing_customer(std::string_view customer_id);
std::string billing_event(std::string_view event_id);
std::string admin_key_view(std::string_view key_id);
std::string api_config(std::string_view provider);
std::string tenant_config(std::string_view tenant);
std::string agent_schedule(std::string_view tenant);
std::string ai_provider(std::string_view name);
std::string ai_price(std::string_view model);
std::string ai_org_price(std::string_view org_id, std::string_view model);
std::string ai_object_prefix(std::string_view org_id);
std::string ai_object(std::string_view org_id, std::string_view provider, std::string_view id);
std::string token(std::string_view tenant, std::string_view provider, std::string_view account);
// The accounts of one provider; of all providers of the tenant when `provider` is empty; of every
// tenant when that is empty too.
std::string token_prefix(std::string_view tenant, std::string_view provider);
std::string refresh(std::string_view tenant, std::string_view provider, std::string_view account);
std::string refresh_due(int64_t due_unix_s, std::string_view tenant, std::string_view provider,
                        std::string_view account);
std::string refresh_due_before(int64_t unix_s);  // Scan bound: keys below are due.
std::string quota(std::string_view kind, std::string_view id, std::string_view month);
std::string grace(std::string_view org_id, std::string_view day);
std::string gateway_calls(std::string_view org_id, std::string_view month);
std::string adjustments_of(std::string_view user_id);  // The prefix of a user's adjustments.
std::string adjustment(std::string_view user_id, int64_t unix_ms);
std::string last_used(std::string_view key_id);
// The name of an account for last_used(), which takes a key's id or this. An id has no ':', so the
// two never meet.
std::string account_name(std::string_view tenant, std::string_view provider,
                         std::string_view account);
std::string briefing(std::string_view day);
std::string oauth_state(std::string_view sha256_hex);
std::string cron(std::string_view job);
std::string idempotency(std::string_view scope, std::string_view hash);
std::string outbox(int64_t unix_ms, std::string_view id);
std::string deletion(Owner owner, std::string_view id);
std::string leaving(std::string_view org_id);

// Keys taken apart. The views point into the key, which must outlive them; nothing for keys of
// another kind or shape.
struct OrgPart {
  std::string_view org_id, id;
};
struct AccountParts {
  std::string_view tenant, provider, account;
};
struct DueParts {
  int64_t due_unix_s = 0;
  AccountParts account;
};
struct AiObjectParts {
  std::string_view org_id, provider, id;
};
struct PriceParts {
  std::string_view org_id, model;  // The former is "" for a price of all organizations.
};
std::optional<std::string_view> parse_org_config(std::string_view key);   // The organization's id.
std::optional<std::string_view> parse_user_config(std::string_view key);  // The user's id.
std::optional<std::string_view> parse_org_members(std::string_view key);  // The organization's id.
std::optional<std::string_view> parse_person_profile(std::string_view key);  // The person's id.
std::optional<std::string_view> parse_person_active(std::string_view key);   // The person's id.
// Of an entry of person_org(); "" for any other key.
std::string_view organization_of_person(std::string_view key);
std::optional<OrgPart> parse_org_key(std::string_view key);
std::optional<OrgPart> parse_tenant_token(std::string_view key);
std::optional<OrgPart> parse_org_credential(std::string_view key);  // `id`: the provider's name.
std::optional<std::string_view> parse_ai_provider(std::string_view key);  // The provider's name.
std::optional<PriceParts> parse_ai_price(std::string_view key);
std::optional<AiObjectParts> parse_ai_object(std::string_view key);
std::optional<AccountParts> parse_token(std::string_view key);
std::optional<AccountParts> parse_refresh(std::string_view key);
std::optional<DueParts> parse_refresh_due(std::string_view key);

// A sealed key of a provider (org_credential), also under a prefix of another system's store that a
// bulk import brought.
bool is_credential(std::string_view key);
// The password of a person.
bool is_password(std::string_view key);
// A key of the system family that belongs to this data directory alone, and is not imported.
bool is_of_directory(std::string_view key);
// A key of the system family whose value is a secret or what a client was answered.
bool is_private_state(std::string_view key);

// The family of a key that comes without one (bulk import):
//   auth    apikey: tenant_auth: adminkey:
//   tokens  tokens: refresh: refresh_due:
//   quota   quota: grace: calls:, and user:…:quota, org:…:quota
//   system  system: system_state: briefing: cron: idempotency: last_used: oauth_state: agent_state:
//           ai_object: deletion: leaving: session: session_of: invitation: billing_event:
//   config  every other key. No key belongs to the outbox: a record there is not imported.
KvFamily family_of_key(std::string_view key);

}  // namespace kvcs::keyspace
