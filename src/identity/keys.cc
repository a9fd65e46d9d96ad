// Writes key records. Each key stands in two places, under its hash and in its owner's list, and
// every change writes both in one batch by compare-and-swap on the list entry: that entry is the
// lock.
#include "identity/keys.h"

#include <algorithm>
#include <functional>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/id.h"
#include "identity/names.h"
#include "kv/keyspace.h"
#include "kv/last_used.h"

namespace kvcs {
namespace {

// Two admins who change one key at once: the second reads again and repeats. More in a row than
// this is no accident.
constexpr int kRaceAttemptsMax = 8;
constexpr size_t kPrefixShownBytes = 4;  // Of the random part.

// The prefix of a family's keys, and how many random bytes follow it as hex: at least 192 bits,
// which nobody guesses.
struct Family {
  std::string_view prefix;
  size_t random_bytes;
};
Family family_of(PrincipalKind kind) {
  switch (kind) {
    case PrincipalKind::kProjectKey:
    case PrincipalKind::kOrganizationKey:
      return {"kv_", 32};
    case PrincipalKind::kUserKey:
      return {"gw_live_", 24};
    case PrincipalKind::kTenantToken:
      return {"kt_", 32};
    case PrincipalKind::kAdminKey:
      return {"ka_", 32};
    case PrincipalKind::kPerson:  // Has sessions: sessions.h.
    case PrincipalKind::kAnonymous:
      break;
  }
  KVCS_ASSERT(false);
  return {};
}

// Where the owner's list begins. The list of an organization holds the keys of all its projects.
std::string list_prefix(const KeyOwner& owner) {
  switch (owner.kind) {
    case PrincipalKind::kProjectKey:
    case PrincipalKind::kOrganizationKey:
      return keyspace::org_key_prefix(owner.organization_id);
    case PrincipalKind::kUserKey:
      return keyspace::user_key_prefix(owner.user_id);
    case PrincipalKind::kTenantToken:
      return keyspace::tenant_token_prefix(owner.organization_id);
    default:
      return keyspace::admin_key_view("");
  }
}
std::string list_key(const KeyOwner& owner, std::string_view key_id) {
  return list_prefix(owner) + std::string(key_id);
}
std::string auth_key(PrincipalKind kind, std::string_view hash) {
  if (kind == PrincipalKind::kTenantToken) return keyspace::tenant_auth(hash);
  if (kind == PrincipalKind::kAdminKey) return keyspace::admin_key(hash);
  return keyspace::api_key(hash);
}

// One list holds an organization's own keys and those of all its projects; a project owner without
// a project stands for all of them. A project that an organization key names is where its uploads
// go, not its owner.
bool belongs_to(const KeyRecord& key, const KeyOwner& owner) {
  if (owner.kind == PrincipalKind::kOrganizationKey) return key.kind == owner.kind;
  return owner.kind != PrincipalKind::kProjectKey || owner.project_id.empty() ||
         (key.kind == PrincipalKind::kProjectKey && key.project_id == owner.project_id);
}

// Enough to tell two keys apart in a list, too little to guess one.
std::string shown_prefix(std::string_view key, size_t family_bytes) {
  return std::string(key.substr(0, family_bytes + kPrefixShownBytes)) + "…";
}

void put_both(KvBatch& batch, const KeyOwner& owner, const KeyRecord& key) {
  const std::string json = key_to_json(key);
  batch.put(KvFamily::kAuth, auth_key(key.kind, key.key_hash), json);
  batch.put(KvFamily::kConfig, list_key(owner, key.id), json);
}

// A tenant's token may have none.
Result<std::string> name_of_key(const std::string& wanted) {
  return wanted.empty() ? Result<std::string>(wanted) : normal_name(wanted);
}

// The names of all records of a key that let somebody in: the key's own, and that of the one which
// a rotation replaced and which still works. Whatever changes or removes a key goes by this list.
std::vector<std::string> records_of(const KeyRecord& key) {
  std::vector<std::string> names;
  for (const std::string& hash : {key.key_hash, key.previous_key_hash}) {
    if (!hash.empty()) names.push_back(auth_key(key.kind, hash));
  }
  return names;
}

// The record of the key that a rotation replaced: as the new one in everything, but that it ends by
// itself and is never given more time than it had.
void put_replaced(KvBatch& batch, const KeyRecord& key, std::string key_prefix, int64_t end_ms) {
  KeyRecord old = key;
  old.key_hash = key.previous_key_hash;
  old.key_prefix = std::move(key_prefix);
  old.previous_key_hash.clear();
  old.expires_ms = key.expires_ms == 0 ? end_ms : std::min(key.expires_ms, end_ms);
  // The store removes it by itself, with the second rounded up.
  batch.put(KvFamily::kAuth, auth_key(old.kind, old.key_hash),
            KvEntry{key_to_json(old), {}, (old.expires_ms + 999) / 1000});
}

Status no_such_key(std::string_view key_id) {
  return not_found("No key '" + printable(key_id, kShownName) + "'.").with_reason("key_not_found");
}
Status key_is_revoked() {
  return conflict("The key is revoked; create a new one.").with_reason("key_revoked");
}

// All that the store has of a key, whose entry in the owner's list has this name.
void remove_key(KvBatch& batch, const std::string& list_name, const KeyRecord& key) {
  for (std::string& name : records_of(key)) batch.remove(KvFamily::kAuth, std::move(name));
  batch.remove(KvFamily::kConfig, list_name);
  batch.remove(KvFamily::kSystem, keyspace::last_used(key.id));
}

// Of keys that fill the list the one that was revoked first makes room.
Status make_room(const KeyOwner& owner, const std::vector<KeyRecord>& keys, KvBatch& batch) {
  const KeyRecord* oldest = nullptr;
  for (const KeyRecord& key : keys) {
    if (key.status != KeyStatus::kRevoked) continue;
    if (oldest == nullptr || key.revoked_ms < oldest->revoked_ms) oldest = &key;
  }
  if (oldest == nullptr) {
    return conflict("There are " + std::to_string(kKeysPerOwnerMax) +
                    " keys already, none of them revoked; revoke some first.")
        .with_reason("too_many_keys");
  }
  remove_key(batch, list_key(owner, oldest->id), *oldest);
  return ok();
}

}  // namespace

// Edits the record; a failure stops without a write. `overlap_end_ms` is until when a key that the
// edit replaces works on.
struct KeyService::Change {
  std::function<Status(KeyRecord& key)> edit;
  int64_t overlap_end_ms = 0;
};

KeyService::KeyService(const KvStore& kv, AuditedKv& audited, const Clock& clock, Entropy& entropy)
    : kv_(kv), audited_(audited), clock_(clock), entropy_(entropy) {}

CreatedKey KeyService::prepare(const KeyOwner& owner, const NewKey& wanted, KvBatch& batch,
                               Secret key) const {
  const Family family = family_of(owner.kind);
  if (key.empty()) {
    key = Secret(std::string(family.prefix) + to_hex(entropy_.bytes(family.random_bytes)));
  }
  KeyRecord record;
  record.kind = owner.kind;
  record.id = make_uuid_v7(entropy_, clock_.unix_ms());
  record.name = wanted.name;
  record.organization_id = owner.organization_id;
  record.project_id = owner.project_id;
  record.user_id = owner.user_id;
  record.role = wanted.role;
  record.key_hash = sha256_hex(key.reveal());
  record.key_prefix = shown_prefix(key.reveal(), family.prefix.size());
  record.scopes = wanted.scopes;
  record.limits = wanted.limits;
  record.created_ms = clock_.unix_ms();
  record.expires_ms = wanted.expires_ms;
  put_both(batch, owner, record);
  return {std::move(record), std::move(key)};
}

Result<CreatedKey> KeyService::create(const KeyOwner& owner, const NewKey& wanted,
                                      const AuditContext& who) {
  NewKey named = wanted;
  named.name = KVCS_TRY(name_of_key(wanted.name));
  const MutexLock lock(making_);
  const KeyPage page = KVCS_TRY(list(owner, {.limit = kKeysPerOwnerMax}));
  KvBatch batch;
  if (page.keys.size() >= kKeysPerOwnerMax) KVCS_TRY(make_room(owner, page.keys, batch));
  CreatedKey created = prepare(owner, named, batch);
  KVCS_TRY(audited_.write(batch, who));
  return created;
}

Result<KeyRecord> KeyService::import_tenant_token(const KeyOwner& owner, const NewKey& wanted,
                                                  const Secret& bearer, const AuditContext& who) {
  KVCS_ASSERT(owner.kind == PrincipalKind::kTenantToken);
  const std::string& text = bearer.reveal();
  bool visible = text.size() >= 16 && text.size() <= 512;
  for (const char c : text) visible = visible && c >= 0x21 && c <= 0x7e;
  if (!visible) return invalid("token: must have 16 to 512 visible ASCII characters.");
  if (family_of_bearer(text) != PrincipalKind::kTenantToken) {
    return invalid("token: ka_, kv_, gw_live_ and ks_ begin keys of other families.");
  }
  const std::string name = KVCS_TRY(name_of_key(wanted.name));
  KeyRecord record;
  record.kind = owner.kind;
  record.id = make_uuid_v7(entropy_, clock_.unix_ms());
  record.name = name;
  record.organization_id = owner.organization_id;
  record.key_hash = sha256_hex(text);
  record.key_prefix = shown_prefix(text, 0);
  record.scopes = wanted.scopes;
  record.created_ms = clock_.unix_ms();
  record.expires_ms = wanted.expires_ms;
  KvBatch batch;
  put_both(batch, owner, record);
  // Taken by its hash: the same bearer cannot stand for two tenants.
  const Status stored = audited_.compare_and_swap(
      KvFamily::kAuth, auth_key(record.kind, record.key_hash), std::nullopt, batch, who);
  if (stored.code() == Code::kConflict) {
    return conflict("The token is known already.").with_reason("token_exists");
  }
  KVCS_TRY(Status(stored));
  return record;
}

// The record as stored, which compare-and-swap needs byte by byte. The id comes from a path: only
// what has the shape of an id becomes part of a key.
Result<std::string> KeyService::find_text(const KeyOwner& owner, std::string_view key_id) const {
  if (!is_uuid(key_id) && !is_slug(key_id)) return no_such_key(key_id);
  Result<KvEntry> entry = kv_.get(KvFamily::kConfig, list_key(owner, key_id));
  if (entry.code() == Code::kNotFound) return no_such_key(key_id);
  if (!entry.ok()) return entry.status();
  return entry.value().value;
}

Result<KeyRecord> KeyService::find(const KeyOwner& owner, std::string_view key_id) const {
  const std::string text = KVCS_TRY(find_text(owner, key_id));
  KeyRecord key = KVCS_TRY(parse_key(text, owner.kind));
  if (!belongs_to(key, owner)) return no_such_key(key_id);
  key.last_used_ms = find_last_used_ms(kv_, key.id);
  return key;
}

Result<std::optional<KeyRecord>> KeyService::find_replaced(const KeyRecord& key) const {
  if (key.previous_key_hash.empty()) return std::optional<KeyRecord>();
  const std::string name = auth_key(key.kind, key.previous_key_hash);
  const Result<KvEntry> stored = kv_.get(KvFamily::kAuth, name);
  if (stored.code() == Code::kNotFound) return std::optional<KeyRecord>();
  KVCS_TRY(stored.status());
  KeyRecord old = KVCS_TRY(parse_key(stored.value().value, key.kind));
  if (old.expires_ms <= clock_.unix_ms()) return std::optional<KeyRecord>();
  return std::optional<KeyRecord>(std::move(old));
}

Result<KeyPage> KeyService::list(const KeyOwner& owner, const ListAsk& ask) const {
  KeyPage page;
  const auto step = [&](const KvItem& item) -> Result<Walked> {
    // Before the whole record is read, which takes longer.
    if (!ask.search.fits_members(item.entry.value, {"name", "key_id", "key_prefix"})) {
      return Walked::kPassed;
    }
    KeyRecord key = KVCS_TRY(parse_key(item.entry.value, owner.kind));
    if (!belongs_to(key, owner)) return Walked::kPassed;
    key.last_used_ms = find_last_used_ms(kv_, key.id);
    page.keys.push_back(std::move(key));
    return Walked::kTaken;
  };
  page.cursor = KVCS_TRY(walk_list(kv_, KvFamily::kConfig, list_prefix(owner), ask, step));
  return page;
}

// What the store shall hold of a key after a change: each record that it had before goes, or says
// what the key says now.
Status KeyService::put_changed(KvBatch& batch, const KeyOwner& owner, const KeyRecord& before,
                               KeyRecord& key, const Change& change) const {
  std::string old_prefix = before.key_prefix;
  int64_t old_end_ms = change.overlap_end_ms;
  if (!key.previous_key_hash.empty() && key.previous_key_hash == before.previous_key_hash) {
    const std::optional<KeyRecord> old = KVCS_TRY(find_replaced(key));
    if (old) {
      old_prefix = old->key_prefix;
      old_end_ms = old->expires_ms;
    } else {
      key.previous_key_hash.clear();  // Its time is over.
    }
  }
  const std::vector<std::string> kept = records_of(key);
  for (std::string& name : records_of(before)) {
    if (std::find(kept.begin(), kept.end(), name) == kept.end()) {
      batch.remove(KvFamily::kAuth, std::move(name));
    }
  }
  if (!key.previous_key_hash.empty()) put_replaced(batch, key, std::move(old_prefix), old_end_ms);
  put_both(batch, owner, key);
  return ok();
}

// Reads, edits and writes until nobody came between. `edit` may run several times and must have no
// effect but on its argument.
Result<KeyRecord> KeyService::change(const KeyOwner& owner, std::string_view key_id,
                                     const Change& change, const AuditContext& who) {
  Status stored;
  for (int attempt = 0; attempt < kRaceAttemptsMax; attempt++) {
    const std::string text = KVCS_TRY(find_text(owner, key_id));
    const KeyRecord before = KVCS_TRY(parse_key(text, owner.kind));
    if (!belongs_to(before, owner)) return no_such_key(key_id);
    KeyRecord key = before;
    KVCS_TRY(change.edit(key));
    // A record of another system names no hash; what cannot be found cannot be changed.
    if (key.key_hash.empty()) {
      return conflict("The key's record names no hash; delete its owner or import it again.");
    }
    KvBatch batch;
    KVCS_TRY(put_changed(batch, owner, before, key, change));
    stored =
        audited_.compare_and_swap(KvFamily::kConfig, list_key(owner, key_id), text, batch, who);
    if (stored.ok()) return key;
    if (stored.code() != Code::kConflict) return stored;
  }
  return stored;
}

Result<KeyRecord> KeyService::revoke(const KeyOwner& owner, std::string_view key_id,
                                     const AuditContext& who) {
  const KeyRecord present = KVCS_TRY(find(owner, key_id));
  if (present.status == KeyStatus::kRevoked) return present;
  return change(owner, key_id, {[this](KeyRecord& key) {
                  if (key.status == KeyStatus::kRevoked) return ok();
                  key.status = KeyStatus::kRevoked;
                  key.revoked_ms = clock_.unix_ms();
                  key.previous_key_hash.clear();
                  return ok();
                }},
                who);
}

// Only one old key works at a time: a second rotation ends the first.
Result<CreatedKey> KeyService::rotate(const KeyOwner& owner, std::string_view key_id,
                                      int64_t overlap_s, const AuditContext& who) {
  const Family family = family_of(owner.kind);
  Secret fresh(std::string(family.prefix) + to_hex(entropy_.bytes(family.random_bytes)));
  const auto replace = [&](KeyRecord& key) -> Status {
    if (key.status == KeyStatus::kRevoked) return key_is_revoked();
    key.previous_key_hash = overlap_s > 0 ? key.key_hash : "";
    key.key_hash = sha256_hex(fresh.reveal());
    key.key_prefix = shown_prefix(fresh.reveal(), family.prefix.size());
    return ok();
  };
  KeyRecord record =
      KVCS_TRY(change(owner, key_id, {replace, clock_.unix_ms() + overlap_s * 1000}, who));
  return CreatedKey{std::move(record), std::move(fresh)};
}

Result<KeyRecord> KeyService::set_expiry(const KeyOwner& owner, std::string_view key_id,
                                         int64_t expires_ms, const AuditContext& who) {
  return change(owner, key_id, {[expires_ms](KeyRecord& key) -> Status {
                  if (key.status == KeyStatus::kRevoked) return key_is_revoked();
                  key.expires_ms = expires_ms;
                  return ok();
                }},
                who);
}

Status KeyService::remove(const KeyOwner& owner, std::string_view key_id, const AuditContext& who) {
  const std::string text = KVCS_TRY(find_text(owner, key_id));
  KvBatch batch;
  remove_key(batch, list_key(owner, key_id), KVCS_TRY(parse_key(text, owner.kind)));
  return audited_.write(batch, who);
}

}  // namespace kvcs
