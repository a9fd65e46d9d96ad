// Caches of parsed records over KV, and the listener that drops an entry when its key is written.
// The listener runs on the thread of the write, before the write is answered.
#include "identity/directory.h"

#include <algorithm>

#include "base/bytes.h"
#include "kv/keyspace.h"
#include "kv/last_used.h"

namespace kvcs {
namespace {
// Bounds of memory; a full cache drops any entry to make room.
constexpr size_t kOrganizationsMax = 10'000;
constexpr size_t kUsersMax = 100'000;
constexpr size_t kSlugsMax = 200'000;
constexpr size_t kSessionsMax = 50'000;
constexpr size_t kPeopleMax = 20'000;
constexpr size_t kRostersMax = 10'000;
}  // namespace

Directory::Directory(const KvStore& kv, WatchedKv& changes, size_t keys_max)
    : kv_(kv),
      organizations_(kOrganizationsMax),
      users_(kUsersMax),
      keys_(keys_max),
      slugs_(kSlugsMax),
      sessions_(kSessionsMax),
      people_(kPeopleMax),
      active_places_(kPeopleMax),
      rosters_(kRostersMax) {
  changes.add_listener([this](KvFamily family, std::string_view key) { forget(family, key); });
}

// Every write of the store comes by here, so the common case, a key of another kind, must be cheap.
void Directory::forget(KvFamily family, std::string_view key) {
  if (family == KvFamily::kAuth) {
    keys_.invalidate(key);
  } else if (family == KvFamily::kConfig) {
    if (key.starts_with(keyspace::kOrgSlugPrefix)) {
      slugs_.invalidate(key);
    } else if (const auto organization = keyspace::parse_org_config(key)) {
      organizations_.invalidate(*organization);
    } else if (const auto user = keyspace::parse_user_config(key)) {
      users_.invalidate(*user);
    } else if (const auto person = keyspace::parse_person_profile(key)) {
      people_.invalidate(*person);
    } else if (const auto active = keyspace::parse_person_active(key)) {
      active_places_.invalidate(*active);
    } else if (const auto of = keyspace::parse_org_members(key)) {
      rosters_.invalidate(*of);
    }
  } else if (family == KvFamily::kSystem && key.starts_with(keyspace::kSessionPrefix)) {
    sessions_.invalidate(key);
  }
}

Result<std::shared_ptr<const Organization>> Directory::organization(std::string_view id) const {
  if (id.starts_with(kOrganizationBySlug)) {
    const std::string_view slug = id.substr(kOrganizationBySlug.size());
    auto known = organization_by_slug(slug);
    if (known.code() != Code::kNotFound) return known;
    // A tenant that was imported and has nothing else here: a name to check paths against.
    Organization bare;
    bare.slug = bare.name = slug;
    return std::make_shared<const Organization>(std::move(bare));
  }
  // A load that a write overtakes is not kept (kv/record_cache.h): the cache never holds what is
  // older than the last write.
  return organizations_.find_or_load(id, [this](std::string_view of) -> Result<Organization> {
    const std::string key = keyspace::org_config(of);
    return parse_organization(KVCS_TRY(kv_.get(KvFamily::kConfig, key)).value);
  });
}

Result<std::shared_ptr<const User>> Directory::user(std::string_view id) const {
  return users_.find_or_load(id, [this](std::string_view of) -> Result<User> {
    const std::string key = keyspace::user_config(of);
    return parse_user(KVCS_TRY(kv_.get(KvFamily::kConfig, key)).value);
  });
}

Result<std::shared_ptr<const KeyRecord>> Directory::key(PrincipalKind kind,
                                                        std::string_view sha256_hex) const {
  const std::string name = kind == PrincipalKind::kAdminKey      ? keyspace::admin_key(sha256_hex)
                           : kind == PrincipalKind::kTenantToken ? keyspace::tenant_auth(sha256_hex)
                                                                 : keyspace::api_key(sha256_hex);
  const bool shares_table =
      kind == PrincipalKind::kProjectKey || kind == PrincipalKind::kOrganizationKey;
  const PrincipalKind family = shares_table ? PrincipalKind::kUserKey : kind;
  return keys_.find_or_load(name, [&](std::string_view key) -> Result<KeyRecord> {
    const KvEntry entry = KVCS_TRY(kv_.get(KvFamily::kAuth, key));
    KeyRecord record = KVCS_TRY(parse_key(entry.value, family));
    if (record.id.empty()) record.id = "imported-" + std::string(sha256_hex.substr(0, 16));
    // The store's own expiry ends a record too, and the cache must not outlive it.
    if (entry.expires_at_s != 0) {
      const int64_t store_ms = entry.expires_at_s * 1000;
      record.expires_ms = record.expires_ms == 0 ? store_ms : std::min(record.expires_ms, store_ms);
    }
    return record;
  });
}

Result<std::shared_ptr<const Organization>> Directory::organization_by_slug(
    std::string_view slug) const {
  // "": no organization has it. Kept too, as every call of an imported tenant asks.
  const auto load = [this](std::string_view key) -> Result<std::string> {
    Result<KvEntry> entry = kv_.get(KvFamily::kConfig, key);
    if (entry.code() == Code::kNotFound) return std::string();
    return entry.ok() ? Result<std::string>(std::move(entry->value)) : std::move(entry).status();
  };
  const auto id = KVCS_TRY(slugs_.find_or_load(keyspace::org_slug(slug), load));
  if (id->empty() || !parse_slug_alias(*id).empty())
    return not_found("No organization \"" + printable(slug) + "\".");
  return organization(*id);
}

Result<std::shared_ptr<const Session>> Directory::session(std::string_view token_sha256_hex) const {
  return sessions_.find_or_load(
      keyspace::session(token_sha256_hex), [&](std::string_view key) -> Result<Session> {
        const KvEntry entry = KVCS_TRY(kv_.get(KvFamily::kSystem, key));
        Session session = KVCS_TRY(parse_session(entry.value));
        session.token_hash = token_sha256_hex;
        session.used_ms =
            std::make_shared<std::atomic<int64_t>>(find_last_used_ms(kv_, session.id));
        return session;
      });
}

Result<std::shared_ptr<const Person>> Directory::person(std::string_view id) const {
  return people_.find_or_load(id, [this](std::string_view of) -> Result<Person> {
    return parse_person(KVCS_TRY(kv_.get(KvFamily::kConfig, keyspace::person_profile(of))).value);
  });
}

Result<std::shared_ptr<const ActivePlace>> Directory::active_place(
    std::string_view person_id) const {
  return active_places_.find_or_load(person_id, [this](std::string_view of) -> Result<ActivePlace> {
    const Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::person_active(of));
    if (entry.code() == Code::kNotFound) return ActivePlace{};
    if (!entry.ok()) return entry.status();
    return parse_active_place(entry->value);
  });
}

Result<std::shared_ptr<const Roster>> Directory::roster(std::string_view organization_id) const {
  return rosters_.find_or_load(organization_id, [this](std::string_view of) -> Result<Roster> {
    const Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::org_members(of));
    if (entry.code() == Code::kNotFound) return Roster{};
    if (!entry.ok()) return entry.status();
    return parse_roster(entry->value);
  });
}

}  // namespace kvcs
