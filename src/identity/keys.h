// The key service: creates, lists, revokes, rotates and expires keys of all four families. A key is
// random, shown once and never stored; its SHA-256 is. The record under the hash (what
// authentication reads) and the one in the owner's list flip in one audited batch, so that a
// revocation counts on the next request. Thread-safe.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/entropy.h"
#include "base/mutex.h"
#include "base/secret.h"
#include "identity/records.h"
#include "kv/audited_kv.h"
#include "kv/list_walk.h"

namespace kvcs {

inline constexpr size_t kKeyNameMaxBytes = 100;
inline constexpr size_t kKeysPerOwnerMax = 1000;
inline constexpr int64_t kKeyOverlapMaxS = 30 * 86'400;  // Of a rotation.

// The owner of a key. The caller has checked that the owner exists.
struct KeyOwner {
  PrincipalKind kind = PrincipalKind::kAnonymous;
  std::string organization_id;  // All but kAdminKey.
  std::string project_id;  // kProjectKey; kOrganizationKey: where uploads go that name none, or "".
  std::string user_id;     // kUserKey
};

// The members of a new key that the caller decides; the service makes the rest.
struct NewKey {
  std::string name;
  AdminRole role = AdminRole::kNone;  // kAdminKey
  int64_t expires_ms = 0;
  std::vector<std::string> scopes;  // kProjectKey, kOrganizationKey; access::scope_of()
  KeyLimits limits;                 // kUserKey
};

struct CreatedKey {
  KeyRecord record;
  Secret key;  // Shown once.
};

// In order of id; the cursor is "" on the last page.
struct KeyPage {
  std::vector<KeyRecord> keys;
  std::string cursor;
};

class KeyService final {
 public:
  KeyService(const KvStore& kv, AuditedKv& audited, const Clock& clock, Entropy& entropy);

  // Conflict when the owner has kKeysPerOwnerMax keys that work; of revoked ones, which are listed
  // too, the oldest makes room. Unavailable.
  Result<CreatedKey> create(const KeyOwner& owner, const NewKey& key, const AuditContext& who);
  // Adds to `batch` instead of writing; for records that are created together. `key_text` "" makes
  // a new key.
  CreatedKey prepare(const KeyOwner& owner, const NewKey& key, KvBatch& batch,
                     Secret key_text = {}) const;
  // A tenant token that the tenant already has. Invalid: not 16 to 512 visible ASCII characters, or
  // shaped like one of the other families. Conflict: known already.
  Result<KeyRecord> import_tenant_token(const KeyOwner& owner, const NewKey& key,
                                        const Secret& bearer, const AuditContext& who);

  Result<KeyRecord> find(const KeyOwner& owner, std::string_view key_id) const;  // NotFound
  // The key that a rotation has replaced, while it works on; nothing: there is none.
  Result<std::optional<KeyRecord>> find_replaced(const KeyRecord& key) const;
  // In order of id (which is of time). A project sees its own keys only; a project owner without a
  // project stands for all of its organization's, its own among them. A search looks at name, id
  // and key_prefix.
  Result<KeyPage> list(const KeyOwner& owner, const ListAsk& ask) const;

  // A repeat answers the same record. NotFound.
  Result<KeyRecord> revoke(const KeyOwner& owner, std::string_view key_id, const AuditContext& who);
  // A new key under the same id; the old one works for `overlap_s` more. Conflict when revoked.
  Result<CreatedKey> rotate(const KeyOwner& owner, std::string_view key_id, int64_t overlap_s,
                            const AuditContext& who);
  // 0 = never expires. Conflict when revoked.
  Result<KeyRecord> set_expiry(const KeyOwner& owner, std::string_view key_id, int64_t expires_ms,
                               const AuditContext& who);
  // List entry and all. NotFound.
  Status remove(const KeyOwner& owner, std::string_view key_id, const AuditContext& who);

 private:
  // The function by which change() alters a record.
  struct Change;
  Result<KeyRecord> change(const KeyOwner& owner, std::string_view key_id, const Change& change,
                           const AuditContext& who);
  Status put_changed(KvBatch& batch, const KeyOwner& owner, const KeyRecord& before, KeyRecord& key,
                     const Change& change) const;
  Result<std::string> find_text(const KeyOwner& owner, std::string_view key_id) const;

  const KvStore& kv_;
  AuditedKv& audited_;
  const Clock& clock_;
  Entropy& entropy_;
  Mutex making_;  // Held while keys are counted and one is written.
};

}  // namespace kvcs
