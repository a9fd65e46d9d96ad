// Finds the records of an owner: by prefix where the owner stands first in the key, else by a look
// at each record of the kind.
#include "kv/owned.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/json.h"

namespace kvcs {
namespace {

using keyspace::IdAt;
using keyspace::Owner;
using keyspace::Ownership;

bool is_named_in_metadata(const KvEntry& entry, std::string_view id) {
  if (entry.metadata.empty()) return false;
  std::string quoted;
  append_json_string(quoted, id);
  return entry.metadata == quoted;
}

// The owner whose records need it to be there; nothing for all other keys.
struct Needed {
  Owner owner;
  std::string_view id;
};
std::optional<Needed> needed_owner(const KvBatch::Op& put) {
  for (const Ownership& row : keyspace::kOwnership) {
    if (!row.needs_owner || row.family != put.family || !put.key.starts_with(row.prefix)) continue;
    const std::string_view id = keyspace::owner_id(row, put.key);
    if (id.empty()) return std::nullopt;
    return Needed{row.owner, id};
  }
  return std::nullopt;
}

// The records of which one must be there: a tenant may be an organization's slug alone.
std::vector<std::string> roots_of(const Needed& needed) {
  switch (needed.owner) {
    case Owner::kOrganization:
      return {keyspace::org_config(needed.id)};
    case Owner::kUser:
      return {keyspace::user_config(needed.id)};
    case Owner::kPerson:
      return {keyspace::person_profile(needed.id)};
    case Owner::kTenant:
      return {keyspace::tenant_config(needed.id), keyspace::org_slug(needed.id)};
    default:
      return {};
  }
}

Status no_owner(const Needed& needed) {
  return not_found("No " + std::string(keyspace::owner_name(needed.owner)) + " '" +
                   printable(needed.id, kShownName) + "'.")
      .with_reason("owner_not_found");
}

}  // namespace

Status for_each_owned(const KvStore& kv, Owner owner, std::string_view id,
                      const std::function<Status(KvFamily, const KvItem&)>& visit) {
  for (const Ownership& row : keyspace::kOwnership) {
    if (row.owner != owner || row.stays) continue;
    const auto take = [&](const KvItem& item) { return visit(row.family, item); };
    if (row.at == IdAt::kNext || row.at == IdAt::kRest) {
      const std::string whole = std::string(row.prefix) + std::string(id);
      Result<KvEntry> one = kv.get(row.family, whole);
      if (!one.ok() && one.code() != Code::kNotFound) return one.status();
      if (one.ok()) KVCS_TRY(take({whole, std::move(one).value()}));
      if (row.at == IdAt::kNext) KVCS_TRY(kv_for_each(kv, row.family, whole + ":", take));
      continue;
    }
    if (row.at == IdAt::kNowhere || row.at == IdAt::kValue) continue;
    const auto look = [&](const KvItem& item) -> Status {
      const bool is_ours = row.at == IdAt::kMetadata     ? is_named_in_metadata(item.entry, id)
                           : row.at == IdAt::kWholeValue ? item.entry.value == id
                                                         : keyspace::owner_id(row, item.key) == id;
      return is_ours ? take(item) : ok();
    };
    KVCS_TRY(kv_for_each(kv, row.family, row.prefix, look));
  }
  return ok();
}

void add_owner_locks(KeyStripes::Guard& guard, const KvBatch::Op& put) {
  const auto needed = needed_owner(put);
  if (!needed) return;
  guard.add_shared(KvFamily::kSystem, keyspace::deletion(needed->owner, needed->id));
  for (const std::string& root : roots_of(*needed)) guard.add_shared(KvFamily::kConfig, root);
}

Status check_new_record(const KvStore& kv, const KvBatch& batch, const KvBatch::Op& put) {
  const auto needed = needed_owner(put);
  if (!needed) return ok();
  const Status deleting =
      kv.get(KvFamily::kSystem, keyspace::deletion(needed->owner, needed->id)).status();
  if (deleting.ok()) {
    return conflict("The " + std::string(keyspace::owner_name(needed->owner)) + " '" +
                    printable(needed->id, kShownName) +
                    "' is being deleted. Its name is free when that has ended; try again later.")
        .with_reason("name_in_deletion");
  }
  if (deleting.code() != Code::kNotFound) return deleting;
  for (const std::string& root : roots_of(*needed)) {
    const bool comes_along =
        std::any_of(batch.ops().begin(), batch.ops().end(), [&](const KvBatch::Op& op) {
          return op.family == KvFamily::kConfig && op.entry && op.key == root;
        });
    if (comes_along) return ok();
    const Status there = kv.get(KvFamily::kConfig, root).status();
    if (there.code() != Code::kNotFound) return there;
  }
  return no_owner(*needed);
}

}  // namespace kvcs
