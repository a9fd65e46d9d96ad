// Turns credentials into sealed records and back, and writes them by compare-and-swap on the record
// that was read.
#include "gateway/tokens/tokens.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"
#include "base/json.h"
#include "gateway/outbound/outbound_auth.h"
#include "gateway/tokens/account_limit.h"
#include "kv/keyspace.h"

namespace kvcs::gateway {
namespace {

constexpr int kWriteAttemptsMax = 20;
// Beyond this a number of seconds is one of milliseconds (the year 5138 otherwise).
constexpr int64_t kSecondsMax = 100'000'000'000;

// The members that are sealed, by name in the record: for reading, writing and the size check.
using SecretMember = std::pair<const char*, Secret AccessCredential::*>;
constexpr std::array<SecretMember, 6> kSecretMembers = {{
    {"access_token", &AccessCredential::access_token},
    {"username", &AccessCredential::username},
    {"password", &AccessCredential::password},
    {"access_key_id", &AccessCredential::access_key_id},
    {"secret_access_key", &AccessCredential::secret_access_key},
    {"session_token", &AccessCredential::session_token},
}};

// Numbers, numbers in strings and ISO times: records of other systems have all three.
int64_t number_of(const Json& object, const char* name) {
  const auto it = object.find(name);
  if (it == object.end()) return 0;
  if (it->is_number_integer()) return it->get<int64_t>();
  if (it->is_number_float()) return static_cast<int64_t>(it->get<double>());
  if (!it->is_string()) return 0;
  const std::string& text = it->get_ref<const std::string&>();
  if (Result<uint64_t> digits = parse_u64(text, name); digits.ok()) {
    return static_cast<int64_t>(std::min<uint64_t>(digits.value(), INT64_MAX));
  }
  Result<int64_t> time_ms = parse_iso8601_ms(text);
  return time_ms.ok() ? time_ms.value() / 1000 : 0;
}

int64_t seconds_of(const Json& object, const char* name) {
  const int64_t number = number_of(object, name);
  return number > kSecondsMax ? number / 1000 : number;
}

// Names of other systems beside our own.
AuthType type_of(const std::string& name) {
  if (name == "oauth2" || name == "oauth") return AuthType::kOauth2RefreshToken;
  if (name == "api_key") return AuthType::kApiKeyHeader;
  Result<AuthType> type = parse_auth_type(name);
  return type.ok() ? type.value() : AuthType::kBearer;
}

Status damaged(std::string_view key, std::string_view why) {
  return internal("the record " + std::string(key) + " is damaged: " + std::string(why));
}
Status missing(const AccountId& id) {
  return not_found("No credential is stored for account " + id.account + " of " + id.provider +
                   " in tenant " + id.tenant + ".")
      .with_reason("TOKEN_MISSING");
}
Status changed_meanwhile(const AccountId& id) {
  return conflict("The credential of account " + id.account + " was changed meanwhile.");
}

// A version alone is no identity: those of a new record begin at 1 again.
std::string make_mark(int64_t version, const std::string& authority) {
  return std::to_string(version) + "-" + authority;
}
std::string key_of(const AccountId& id) {
  return keyspace::token(id.tenant, id.provider, id.account);
}
std::string used_name(const AccountId& id) {
  return keyspace::account_name(id.tenant, id.provider, id.account);
}

// Nothing for keys of another shape.
std::optional<AccountId> id_of(std::string_view key) {
  const auto parts = keyspace::parse_token(key);
  if (!parts) return {};
  return AccountId{std::string(parts->tenant), std::string(parts->provider),
                   std::string(parts->account)};
}

// Invalid when a secret or meta is larger than what the request path should carry.
Status check_sizes(const AccessCredential& credential) {
  for (const auto& [name, member] : kSecretMembers) {
    if ((credential.*member).reveal().size() <= kSecretMaxBytes) continue;
    return invalid(std::string(name) + ": over the limit of " + format_bytes(kSecretMaxBytes));
  }
  if (credential.meta.size() > kMetaMax) {
    return invalid("meta: over the limit of " + std::to_string(kMetaMax) + " members");
  }
  if (credential.secrets.size() > kMetaMax) {
    return invalid("secrets: over the limit of " + std::to_string(kMetaMax) + " members");
  }
  for (const auto& [name, secret] : credential.secrets) {
    if (!is_id_part(name)) {
      return invalid("secrets: the name '" + printable(name, kShownName) +
                     "' must be of A-Z a-z 0-9 _ . -");
    }
    if (secret.reveal().size() > kNamedSecretMaxBytes) {
      return invalid("secrets." + name + ": over the limit of " +
                     format_bytes(kNamedSecretMaxBytes));
    }
  }
  for (const auto& [name, value] : credential.meta) {
    if (!is_id_part(name)) {
      return invalid("meta: the name '" + printable(name, kShownName) +
                     "' must be of A-Z a-z 0-9 _ . -");
    }
    if (value.size() > kMetaValueMaxBytes || !is_valid_utf8(value)) {
      return invalid("meta." + name + ": not text of at most " +
                     std::to_string(kMetaValueMaxBytes) + " bytes");
    }
  }
  return ok();
}

std::string refresh_json(std::string_view key, const oauth::Grant& refresh, const Sealer& sealer) {
  const Json secrets = {{"refresh_token", refresh.refresh_token.reveal()},
                        {"service_account", refresh.service_account_json.reveal()},
                        {"client_secret", refresh.client_secret_override.reveal()}};
  const Secret plain(dump_json(secrets));
  return dump_json(
      Json{{"sealed", sealer.seal(plain.reveal(), bound_context(key, refresh.origins))},
           {"client_id", refresh.client_id_override},
           {"scope", refresh.scope},
           {"origins", origins_json(refresh.origins)}});
}

}  // namespace

// A record as it stands in KV, opened or not.
struct TokenStore::Stored {
  AccessCredential credential;
  std::vector<std::string> secret_names;  // Of `secrets`, also when they were not opened.
  TokenHealth health;
  std::string token_type;
  int64_t created_at_s = 0, updated_at_s = 0, version = 0;
  bool sealed = false;
  std::string sealed_text;  // As stored; kept when the secrets were not opened.
};

TokenStore::TokenStore(const KvStore& kv, AuditedKv& audited, WatchedKv& changes,
                       const Sealer& sealer, const Clock& clock, size_t cached_max)
    : kv_(kv),
      audited_(audited),
      used_(changes, clock),
      sealer_(sealer),
      clock_(clock),
      credentials_(cached_max),
      names_(cached_max) {
  changes.add_listener([this](KvFamily family, std::string_view key) { forget(family, key); });
}

// A changed account also changes the list of its provider's accounts, whose key is the prefix.
void TokenStore::forget(KvFamily family, std::string_view key) {
  if (family != KvFamily::kTokens || !key.starts_with(keyspace::kTokenPrefix)) return;
  credentials_.invalidate(key);
  if (const auto parts = keyspace::parse_token(key)) {
    names_.invalidate(keyspace::token_prefix(parts->tenant, parts->provider));
  }
}

// Without `open_secrets`, for views and health changes, the sealed text passes through unopened.
Result<TokenStore::Stored> TokenStore::parse(std::string_view key, std::string_view text,
                                             bool open_secrets) const {
  const Result<Json> parsed = parse_json(text);
  if (!parsed.ok()) return damaged(key, parsed.status().message());
  const Json& record = parsed.value();
  if (!record.is_object()) return damaged(key, "not an object");
  Stored stored;
  AccessCredential& credential = stored.credential;
  credential.type = type_of(text_member(record, "type"));
  credential.region = text_member(record, "region");
  credential.service = text_member(record, "service");
  credential.expires_at_s = seconds_of(record, "expires_at");
  credential.scope = text_member(record, "scope");
  if (const auto meta = record.find("meta"); meta != record.end() && meta->is_object()) {
    for (const auto& [name, value] : meta->items()) {
      if (value.is_string()) credential.meta[name] = value.get<std::string>();
      if (value.is_number_integer()) credential.meta[name] = dump_json(value);
    }
  }
  stored.health.state = parse_token_state(text_member(record, "refresh_state"));
  stored.health.failures = static_cast<int>(number_of(record, "failures"));
  stored.health.next_attempt_at_s = seconds_of(record, "next_attempt_at");
  stored.health.last_error = text_member(record, "last_error");
  credential.state = stored.health.state;
  stored.token_type = text_member(record, "token_type");
  stored.created_at_s = seconds_of(record, "created_at");
  stored.updated_at_s = seconds_of(record, "updated_at");
  stored.version = number_of(record, "version");
  credential.origins = origins_member(record, "origins");
  credential.authority = text_member(record, "authority");
  if (const auto names = record.find("secrets"); names != record.end() && names->is_array()) {
    for (const Json& name : *names) {
      if (name.is_string()) stored.secret_names.push_back(name.get<std::string>());
    }
  }
  stored.sealed_text = text_member(record, "sealed");
  stored.sealed = !stored.sealed_text.empty();
  if (stored.sealed && !open_secrets) return stored;
  Json opened;
  const Json* secrets = &record;
  if (stored.sealed) {
    const Secret plain =
        KVCS_TRY(sealer_.open(stored.sealed_text, bound_context(key, credential.origins)));
    Result<Json> inside = parse_json(plain.reveal());
    if (!inside.ok() || !inside.value().is_object()) return damaged(key, "sealed part");
    opened = std::move(inside).value();
    secrets = &opened;
  }
  for (const auto& [name, member] : kSecretMembers) {
    credential.*member = Secret(text_member(*secrets, name));
  }
  if (const auto named = secrets->find("secrets"); named != secrets->end() && named->is_object()) {
    for (const auto& [name, value] : named->items()) {
      if (value.is_string()) credential.secrets[name] = Secret(value.get<std::string>());
    }
  }
  // Imported records of another system call the access token `api_key`.
  if (credential.access_token.empty())
    credential.access_token = Secret(text_member(*secrets, "api_key"));
  return stored;
}

std::string TokenStore::serialize(std::string_view key, const Stored& stored) const {
  const AccessCredential& credential = stored.credential;
  // Secrets that were not opened are written back as they were sealed.
  std::string sealed = stored.sealed_text;
  Json names = Json(stored.secret_names);
  if (sealed.empty()) {
    Json secrets = Json::object();
    names = Json::array();
    for (const auto& [name, secret] : credential.secrets) {
      secrets["secrets"][name] = secret.reveal();
      names.push_back(name);
    }
    for (const auto& [name, member] : kSecretMembers) {
      if (!(credential.*member).empty()) secrets[name] = (credential.*member).reveal();
    }
    const Secret plain(dump_json(secrets));
    sealed = sealer_.seal(plain.reveal(), bound_context(key, credential.origins));
  }
  Json record = {{"type", auth_type_name(credential.type)}, {"sealed", std::move(sealed)}};
  if (!stored.token_type.empty()) record["token_type"] = stored.token_type;
  if (credential.expires_at_s != 0) record["expires_at"] = credential.expires_at_s;
  if (!credential.region.empty()) record["region"] = credential.region;
  if (!credential.service.empty()) record["service"] = credential.service;
  record["scope"] = credential.scope;
  record["refresh_state"] = token_state_name(stored.health.state);
  record["failures"] = stored.health.failures;
  record["next_attempt_at"] = stored.health.next_attempt_at_s;
  record["last_error"] = stored.health.last_error;
  if (stored.created_at_s != 0) record["created_at"] = stored.created_at_s;
  record["updated_at"] = stored.updated_at_s;
  record["version"] = stored.version;
  Json meta = Json::object();
  for (const auto& [name, value] : credential.meta) meta[name] = value;
  record["meta"] = std::move(meta);
  record["secrets"] = std::move(names);
  record["origins"] = origins_json(credential.origins);
  record["authority"] = credential.authority;
  return dump_json(record);
}

Result<TokenStore::CredentialPointer> TokenStore::find(const AccountId& id) const {
  Result<CredentialPointer> found = credentials_.find_or_load(
      key_of(id), [this](std::string_view key) -> Result<AccessCredential> {
        const KvEntry entry = KVCS_TRY(kv_.get(KvFamily::kTokens, key));
        AccessCredential credential = KVCS_TRY(parse(key, entry.value, true)).credential;
        // The store's own expiry ends a credential too, and the cache must not outlive it.
        if (entry.expires_at_s != 0 &&
            (credential.expires_at_s == 0 || entry.expires_at_s < credential.expires_at_s)) {
          credential.expires_at_s = entry.expires_at_s;
        }
        return credential;
      });
  if (found.code() == Code::kNotFound) return missing(id);
  return found;
}

Result<TokenStore::NamesPointer> TokenStore::list_accounts(std::string_view tenant,
                                                           std::string_view provider) const {
  return names_.find_or_load(
      keyspace::token_prefix(tenant, provider),
      [this](std::string_view prefix) -> Result<std::vector<std::string>> {
        std::vector<std::string> names;
        KVCS_TRY(kv_for_each(kv_, KvFamily::kTokens, prefix, [&](const KvItem& item) -> Status {
          names.push_back(item.key.substr(prefix.size()));
          return ok();
        }));
        return names;
      });
}

std::string AccountView::mark() const {
  return make_mark(version, authority);
}
std::string TokenStore::mark_of(const Stored& stored) {
  return make_mark(stored.version, stored.credential.authority);
}

AccountView TokenStore::view_of(const AccountId& id, Stored stored) {
  AccountView view;
  view.id = id;
  view.type = stored.credential.type;
  view.health = std::move(stored.health);
  view.expires_at_s = stored.credential.expires_at_s;
  view.updated_at_s = stored.updated_at_s;
  view.created_at_s = stored.created_at_s;
  view.version = stored.version;
  view.authority = std::move(stored.credential.authority);
  view.scope = std::move(stored.credential.scope);
  view.meta = std::move(stored.credential.meta);
  view.origins = std::move(stored.credential.origins);
  view.secrets = std::move(stored.secret_names);
  view.sealed = stored.sealed;
  return view;
}

Result<AccountView> TokenStore::find_view(const AccountId& id) const {
  const std::string key = key_of(id);
  const Result<KvEntry> entry = kv_.get(KvFamily::kTokens, key);
  if (entry.code() == Code::kNotFound) return missing(id);
  if (!entry.ok()) return entry.status();
  return view_of(id, KVCS_TRY(parse(key, entry.value().value, false)));
}

Status TokenStore::for_each_view(std::string_view tenant, std::string_view provider,
                                 const std::function<Status(const AccountView&)>& visit) const {
  const std::string prefix = keyspace::token_prefix(tenant, provider);
  return kv_for_each(kv_, KvFamily::kTokens, prefix, [&](const KvItem& item) -> Status {
    const std::optional<AccountId> id = id_of(item.key);
    if (!id || (!provider.empty() && id->provider != provider)) return ok();
    Result<Stored> parsed = parse(item.key, item.entry.value, false);
    return parsed.ok() ? visit(view_of(*id, std::move(parsed).value())) : ok();
  });
}

Result<oauth::Grant> TokenStore::find_refresh(const AccountId& id,
                                              const std::vector<std::string_view>& urls) const {
  const std::string key = keyspace::refresh(id.tenant, id.provider, id.account);
  const Result<KvEntry> entry = kv_.get(KvFamily::kTokens, key);
  if (entry.code() == Code::kNotFound) {
    return not_found("Account " + id.account + " of " + id.provider + " in tenant " + id.tenant +
                     " has nothing to refresh with.");
  }
  if (!entry.ok()) return entry.status();
  oauth::Grant refresh = KVCS_TRY(parse_refresh(key, entry.value().value));
  for (const std::string& origin : origins_of(urls)) {
    if (may_go_to(refresh.origins, origin)) continue;
    return secret_origin_changed(
        "What refreshes account " + id.account + " of " + id.provider + " in tenant " + id.tenant,
        origin, refresh.origins,
        "Connect or store the account again, or let an owner confirm the move with PUT "
        "/admin/providers/" +
            id.provider + "?rebind=true.");
  }
  return refresh;
}

Result<oauth::Grant> TokenStore::parse_refresh(std::string_view key, std::string_view text) const {
  const Result<Json> parsed = parse_json(text);
  if (!parsed.ok() || !parsed.value().is_object()) return damaged(key, "not an object");
  oauth::Grant refresh;
  refresh.client_id_override = text_member(parsed.value(), "client_id");
  refresh.scope = text_member(parsed.value(), "scope");
  refresh.origins = origins_member(parsed.value(), "origins");
  Json opened;
  const Json* secrets = &parsed.value();
  if (const std::string sealed = text_member(*secrets, "sealed"); !sealed.empty()) {
    const Secret plain = KVCS_TRY(sealer_.open(sealed, bound_context(key, refresh.origins)));
    Result<Json> inside = parse_json(plain.reveal());
    if (!inside.ok() || !inside.value().is_object()) return damaged(key, "sealed part");
    opened = std::move(inside).value();
    secrets = &opened;
  }
  refresh.refresh_token = Secret(text_member(*secrets, "refresh_token"));
  refresh.service_account_json = Secret(text_member(*secrets, "service_account"));
  refresh.client_secret_override = Secret(text_member(*secrets, "client_secret"));
  return refresh;
}

// Nowhere, when the provider is not known: an owner's rebind or a new PUT says where.
AccountOrigins TokenStore::origins_of_account(const AccountId& id,
                                              const AccessCredential& credential) const {
  if (!origin_source_) return {};
  const Result<AccountOrigins> origins = origin_source_(id, credential.meta);
  return origins.ok() ? *origins : AccountOrigins{};
}

// For bulk imports, which bring the records of other systems in clear.
std::string TokenStore::seal_record(std::string_view key, std::string value) const {
  if (key.starts_with(keyspace::kTokenPrefix)) {
    Result<Stored> stored = parse(key, value, false);
    const std::optional<AccountId> id = id_of(key);
    if (!stored.ok() || stored->sealed || !id) return value;
    stored->credential.origins = origins_of_account(*id, stored->credential).calls;
    stored->credential.authority = make_authority();
    move_secret_meta(stored->credential);
    return serialize(key, *stored);
  }
  const auto parts = keyspace::parse_refresh(key);
  if (!parts) return value;
  const Result<Json> record = parse_json(value);
  if (!record.ok() || !record->is_object() || record->contains("sealed")) return value;
  Result<oauth::Grant> refresh = parse_refresh(key, value);
  if (!refresh.ok()) return value;
  refresh->origins = origins_of_account({std::string(parts->tenant), std::string(parts->provider),
                                         std::string(parts->account)},
                                        {})
                         .refresh;
  return refresh_json(key, *refresh, sealer_);
}

Result<bool> TokenStore::rebind(const AccountId& id, const AccountOrigins& origins,
                                bool only_unbound, const AuditContext& who) {
  const std::string key = key_of(id);
  const std::string refresh_key = keyspace::refresh(id.tenant, id.provider, id.account);
  const Result<KvEntry> old = kv_.get(KvFamily::kTokens, key);
  if (old.code() == Code::kNotFound) return missing(id);
  if (!old.ok()) return old.status();
  Stored stored = KVCS_TRY(parse(key, old->value, true));
  KvBatch batch;
  if (stored.credential.origins != origins.calls &&
      (!only_unbound || stored.credential.origins.empty())) {
    stored.credential.origins = origins.calls;
    if (stored.credential.authority.empty()) stored.credential.authority = make_authority();
    move_secret_meta(stored.credential);
    stored.sealed_text.clear();
    stored.version += 1;
    batch.put(KvFamily::kTokens, key,
              KvEntry{serialize(key, stored), old->metadata, old->expires_at_s});
  }
  const Result<KvEntry> old_refresh = kv_.get(KvFamily::kTokens, refresh_key);
  if (!old_refresh.ok() && old_refresh.code() != Code::kNotFound) return old_refresh.status();
  if (old_refresh.ok()) {
    oauth::Grant refresh = KVCS_TRY(parse_refresh(refresh_key, old_refresh->value));
    if (refresh.origins != origins.refresh && (!only_unbound || refresh.origins.empty())) {
      refresh.origins = origins.refresh;
      batch.put(KvFamily::kTokens, refresh_key,
                KvEntry{refresh_json(refresh_key, refresh, sealer_), old_refresh->metadata,
                        old_refresh->expires_at_s});
    }
  }
  if (batch.empty()) return false;
  // Whoever writes refresh material writes the account's record with it, so that one comparison
  // holds for both.
  KVCS_TRY(write(key, old->value, batch, who));
  return true;
}

// No two seals are the same, and none can be guessed.
std::string TokenStore::make_authority() const {
  return sha256_hex(sealer_.seal("", "authority")).substr(0, 16);
}

Status TokenStore::write(const std::string& key, const std::optional<std::string>& expected,
                         const KvBatch& batch, const AuditContext& who) {
  const std::optional<std::string_view> view =
      expected ? std::optional<std::string_view>(*expected) : std::nullopt;
  return audited_.compare_and_swap(KvFamily::kTokens, key, view, batch, who);
}

Result<TokenStore::Prepared> TokenStore::prepare(
    const AccountId& id, const AccessCredential& credential,
    const std::optional<oauth::Grant>& refresh, const KvBatch& also,
    const std::optional<std::string>& only_mark) const {
  KVCS_TRY(check_account_id(id));
  KVCS_TRY(check_sizes(credential));
  const std::string key = key_of(id);
  const Result<KvEntry> old = kv_.get(KvFamily::kTokens, key);
  if (!old.ok() && old.code() != Code::kNotFound) return old.status();
  if (!old.ok()) KVCS_TRY(check_account_room(kv_, id.tenant));
  Stored stored;
  stored.created_at_s = clock_.unix_s();
  Prepared prepared;
  std::string mark(kNoAccountMark);
  if (old.ok()) {
    prepared.expected = old.value().value;
    mark.clear();  // A damaged record has none, is replaced, and its version counts from the start.
    if (Result<Stored> before = parse(key, *prepared.expected, false); before.ok()) {
      stored.version = before.value().version;
      stored.created_at_s = before.value().created_at_s;
      mark = mark_of(before.value());
    }
  }
  if (only_mark && *only_mark != mark) return changed_meanwhile(id);
  stored.credential = credential;
  move_secret_meta(stored.credential);
  prepared.replaced = credential.authority.empty();
  if (prepared.replaced) stored.credential.authority = make_authority();
  stored.health.state = credential.state;
  stored.version += 1;
  stored.updated_at_s = clock_.unix_s();
  // The refresh token first, in the same atomic batch: never an access token without it.
  if (refresh) {
    const std::string refresh_key = keyspace::refresh(id.tenant, id.provider, id.account);
    prepared.batch.put(KvFamily::kTokens, refresh_key,
                       refresh_json(refresh_key, *refresh, sealer_));
  }
  prepared.batch.put(KvFamily::kTokens, key, serialize(key, stored));
  prepared.batch.append(also);
  return prepared;
}

// A writer that was overtaken reads again, unless it asked for a mark.
Status TokenStore::put(const AccountId& id, const AccessCredential& credential,
                       const std::optional<oauth::Grant>& refresh, const AuditContext& who,
                       const KvBatch& also, const std::optional<std::string>& only_mark) {
  for (int attempt = 0;; ++attempt) {
    const Prepared prepared = KVCS_TRY(prepare(id, credential, refresh, also, only_mark));
    Status written = write(key_of(id), prepared.expected, prepared.batch, who);
    if (written.ok() && prepared.replaced && on_replaced_) on_replaced_(id);
    const bool again = written.code() == Code::kConflict && !only_mark;
    if (!again || attempt + 1 >= kWriteAttemptsMax) return written;
  }
}

// The tenant's record is what is compared: whatever the account has meanwhile is replaced.
Status TokenStore::put_while(const TenantRecord& tenant, const AccountId& id,
                             const AccessCredential& credential,
                             const std::optional<oauth::Grant>& refresh, const AuditContext& who,
                             const KvBatch& also) {
  const Prepared prepared = KVCS_TRY(prepare(id, credential, refresh, also, {}));
  KVCS_TRY(
      audited_.compare_and_swap(KvFamily::kConfig, tenant.key, tenant.value, prepared.batch, who));
  if (on_replaced_) on_replaced_(id);
  return ok();
}

Status TokenStore::set_health(const AccountId& id, const TokenHealth& health,
                              const AuditContext& who, const KvBatch& also,
                              const std::optional<std::string>& only_mark) {
  const std::string key = key_of(id);
  for (int attempt = 0;; ++attempt) {
    const Result<KvEntry> old = kv_.get(KvFamily::kTokens, key);
    if (old.code() == Code::kNotFound) return missing(id);
    if (!old.ok()) return old.status();
    Stored stored = KVCS_TRY(parse(key, old.value().value, false));
    if (only_mark && *only_mark != mark_of(stored)) return changed_meanwhile(id);
    stored.health = health;
    stored.version += 1;
    KvBatch batch;
    batch.put(KvFamily::kTokens, key,
              KvEntry{serialize(key, stored), old.value().metadata, old.value().expires_at_s});
    batch.append(also);
    Status written = write(key, old.value().value, batch, who);
    const bool again = written.code() == Code::kConflict && !only_mark;
    if (!again || attempt + 1 >= kWriteAttemptsMax) return written;
  }
}

Status TokenStore::remove(const AccountId& id, const AuditContext& who,
                          const std::optional<std::string>& only_authority) {
  const std::string key = key_of(id);
  KvBatch batch;
  batch.remove(KvFamily::kTokens, key);
  // An alarm of the account stays: the refresher drops alarms without an account.
  batch.remove(KvFamily::kTokens, keyspace::refresh(id.tenant, id.provider, id.account));
  batch.remove(KvFamily::kSystem, keyspace::last_used(used_name(id)));
  for (int attempt = 0;; ++attempt) {
    const Result<KvEntry> old = kv_.get(KvFamily::kTokens, key);
    if (old.code() == Code::kNotFound) return missing(id);
    if (!old.ok()) return old.status();
    if (only_authority) {
      const Result<Stored> stored = parse(key, old->value, false);
      if (!stored.ok() || stored->credential.authority != *only_authority) {
        return changed_meanwhile(id);
      }
    }
    const Status removed = write(key, old->value, batch, who);
    if (removed.ok() && on_replaced_) on_replaced_(id);
    if (removed.code() != Code::kConflict || attempt + 1 >= kWriteAttemptsMax) return removed;
  }
}

void TokenStore::note_used(const AccountId& id) {
  used_.note(used_name(id));
}
Status TokenStore::flush_used() {
  return used_.flush();
}
int64_t TokenStore::last_used_ms(const AccountId& id) const {
  return find_last_used_ms(kv_, used_name(id));
}

}  // namespace kvcs::gateway
