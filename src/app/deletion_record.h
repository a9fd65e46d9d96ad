// The record of a deletion that is under way, as it is stored under `deletion:{kind}:{id}`, and the
// batch that a deletion begins with. Functions without state: the daemon begins deletions
// (owner_deletion.h), and a repair those that the store has forgotten (deletion_recall.h).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "app/owner_walk.h"
#include "identity/records.h"
#include "kv/audited_kv.h"
#include "kv/keyspace.h"
#include "kv/kv.h"

namespace kvcs {

// The owner that a key of such a record names; nothing for other keys.
struct DeletionOwner {
  keyspace::Owner kind = keyspace::Owner::kNobody;
  std::string id;
  auto operator<=>(const DeletionOwner&) const = default;
};
std::optional<DeletionOwner> parse_deletion_key(std::string_view key);

struct DeletionRecord {
  OwnerRef owner;
  AuditContext who;
  int64_t began_ms = 0, removed = 0;
  // The organization of whose deletion this is a part: the tombstone of its tenant, which is no
  // deletion of its own.
  std::string part_of;
  bool asked = false;  // Whether it may begin is being looked at; nothing has gone.

  std::string key() const;
  std::string to_json() const;
  // Internal when it is damaged.
  static Result<DeletionRecord> parse(const std::string& text);
};

struct DeletionBegin {
  KvBatch batch;
  std::string lock;  // The record whose absence says that no other deletion has the owner's name.
};
// The source that the audit has for records of deletions that are only asked for.
inline constexpr std::string_view kDeletionAsked = "deletion-asked";

// `record` comes, beside what the owner is, and nothing goes.
DeletionBegin tombstones(const DeletionRecord& record);
// The owner's own record goes and `record` comes in its place. `user`: who is deleted, of a user
// whose record is there.
DeletionBegin deletion_begin(const DeletionRecord& record, const std::optional<User>& user);

}  // namespace kvcs
