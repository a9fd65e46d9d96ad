// One pass over everything that an owner has: records of the key-value store by the table of
// kv/keyspace.h, artifacts and rows of portal.db by that of artifacts/schema.h, counters in memory.
// It counts, or removes in batches, each audited. A pass that is cut off has removed whole batches,
// and the next one finds the rest: what an owner is found by goes last. One thread.
#pragma once
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include "identity/records.h"
#include "kv/audited_kv.h"
#include "kv/keyspace.h"
#include "kv/kv.h"

namespace kvcs {

struct Parts;

struct OwnerRef {
  keyspace::Owner kind = keyspace::Owner::kNobody;  // Organization, project, user or tenant.
  std::string id;                                   // Of a tenant the name.
  std::string organization_id;                      // A tenant's is "" when it has no organization.
  std::string slug;                                 // An organization's, whose tenant goes with it.
};

// What a pass found, or has removed.
struct OwnerHoldings {
  int64_t users = 0, projects = 0, api_keys = 0, tokens = 0, accounts = 0, schedules = 0;
  int64_t artifacts = 0, storage_bytes = 0;
  int64_t restorable = 0;  // Deleted artifacts that can be restored until their end.
  int64_t records = 0;     // Of the key-value store, all kinds together.
  bool busy = false;       // A request of the owner is under way, whose charge is still to come.
  bool nothing() const {
    return records == 0 && projects == 0 && artifacts == 0 && restorable == 0 && !busy;
  }
};

class OwnerWalk final {
 public:
  using Cancelled = std::function<bool()>;
  OwnerWalk(Parts& parts, OwnerRef owner, AuditContext who, Cancelled cancelled);

  Result<OwnerHoldings> count();
  // Timeout with reason deletion_goes_on: cancelled, between two batches.
  Result<OwnerHoldings> remove();
  // The keys alone, so that nobody comes in with them.
  Status remove_keys();

 private:
  Status walk();
  Status collect();
  Status collect_users();
  Status walk_keys();
  Status walk_key(const KeyRecord& key);
  Status walk_views();
  Status walk_owned(keyspace::Owner kind, std::string_view id);
  Status walk_projects();
  Status walk_organization();
  Status walk_memberships();
  Status walk_slugs();
  bool is_ours(const KeyRecord& key) const;
  Status take(KvFamily family, const std::string& key);
  Status flush();

  Parts& parts_;
  const OwnerRef owner_;
  const AuditContext who_;
  const Cancelled cancelled_;
  bool removes_ = false;
  std::set<std::string, std::less<>> users_, projects_;
  std::set<std::string, std::less<>> keys_;  // Ids that any pass has seen.
  std::string tenant_;
  std::set<std::pair<KvFamily, std::string>> seen_;
  KvBatch batch_;
  OwnerHoldings found_;
};

}  // namespace kvcs
