// Walks an owner's records. Keys go first, so that nobody comes in any more; the owner's users and
// projects follow, each with what is its own; then the tenant and the organization themselves.
#include "app/owner_walk.h"

#include <array>

#include "ai/budget/budget.h"
#include "app/parts.h"
#include "artifacts/artifacts.h"
#include "gateway/call/call_counts.h"
#include "gateway/tokens/tokens.h"
#include "identity/identity.h"
#include "identity/projects.h"
#include "kv/owned.h"
#include "portal/billing/billing.h"

namespace kvcs {
namespace {

using keyspace::Owner;

constexpr size_t kBatchRecords = 400;
constexpr size_t kBatchArtifacts = 50;

Status goes_on() {
  return Status(Code::kTimeout, "The deletion goes on by itself.").with_reason("deletion_goes_on");
}

std::string view_of(const KeyRecord& key) {
  if (key.kind == PrincipalKind::kTenantToken) {
    return keyspace::tenant_token(key.organization_id, key.id);
  }
  if (key.kind == PrincipalKind::kUserKey) return keyspace::user_key(key.user_id, key.id);
  return keyspace::org_key(key.organization_id, key.id);
}

}  // namespace

OwnerWalk::OwnerWalk(Parts& parts, OwnerRef owner, AuditContext who, Cancelled cancelled)
    : parts_(parts),
      owner_(std::move(owner)),
      who_(std::move(who)),
      cancelled_(std::move(cancelled)) {}

Result<OwnerHoldings> OwnerWalk::count() {
  removes_ = false;
  KVCS_TRY(walk());
  return found_;
}

// What is kept in memory for a while is written first: it would come after the walk else.
Result<OwnerHoldings> OwnerWalk::remove() {
  removes_ = true;
  KVCS_TRY(parts_.auth->flush_last_used());
  KVCS_TRY(parts_.gateway.tokens->flush_used());
  KVCS_TRY(parts_.gateway.calls->flush());
  KVCS_TRY(parts_.ai.budgets->reconcile());
  KVCS_TRY(walk());
  return found_;
}

Status OwnerWalk::remove_keys() {
  removes_ = true;
  KVCS_TRY(collect());
  KVCS_TRY(walk_keys());
  return flush();
}

Status OwnerWalk::walk() {
  KVCS_TRY(collect());
  KVCS_TRY(walk_keys());
  KVCS_TRY(walk_views());
  // A key is gone before the last that its requests have left, such as when it was used.
  for (const std::string& key : keys_) KVCS_TRY(walk_owned(Owner::kKey, key));
  for (const std::string& user : users_) {
    found_.busy |= removes_ && !parts_.ai.budgets->forget(owner_.organization_id, "user", user);
    KVCS_TRY(walk_owned(Owner::kUser, user));
  }
  KVCS_TRY(walk_projects());
  if (!tenant_.empty()) KVCS_TRY(walk_owned(Owner::kTenant, tenant_));
  if (owner_.kind == Owner::kOrganization) KVCS_TRY(walk_organization());
  return flush();
}

Status OwnerWalk::collect() {
  found_ = {};
  seen_.clear();
  users_.clear();
  projects_.clear();
  switch (owner_.kind) {
    case Owner::kUser:
      users_.insert(owner_.id);
      break;
    case Owner::kProject:
      projects_.insert(owner_.id);
      break;
    case Owner::kTenant:
      tenant_ = owner_.id;
      break;
    default:
      tenant_ = owner_.slug;
      KVCS_TRY(collect_users());
      for (std::string& id : KVCS_TRY(parts_.projects->list_ids(owner_.id))) {
        projects_.insert(std::move(id));
      }
  }
  found_.users = static_cast<int64_t>(users_.size());
  return ok();
}

// By their records, and by the index of addresses: one that was imported may lack an entry there,
// and of one that is half gone the entry may be all that is left.
Status OwnerWalk::collect_users() {
  const auto by_record = [&](const KvItem& item) -> Status {
    const auto id = keyspace::parse_user_config(item.key);
    if (!id) return ok();
    const Result<User> user = parse_user(item.entry.value);
    if (user.ok() && user.value().organization_id == owner_.id) users_.emplace(*id);
    return ok();
  };
  const std::string any = keyspace::user_config("");
  const std::string prefix = any.substr(0, any.find(':') + 1);
  KVCS_TRY(kv_for_each(*parts_.kv, KvFamily::kConfig, prefix, by_record));
  const auto by_email = [&](const KvItem& item) -> Status {
    users_.insert(item.entry.value);
    return ok();
  };
  return kv_for_each(*parts_.kv, KvFamily::kConfig, keyspace::user_email(owner_.id, ""), by_email);
}

bool OwnerWalk::is_ours(const KeyRecord& key) const {
  const bool is_of_tenant = !tenant_.empty() && key.kind == PrincipalKind::kTenantToken &&
                            key.organization_id == std::string(kOrganizationBySlug) + tenant_;
  switch (owner_.kind) {
    case Owner::kUser:
      return key.user_id == owner_.id;
    case Owner::kProject:
      return key.project_id == owner_.id;
    case Owner::kTenant:
      return is_of_tenant ||
             (key.kind == PrincipalKind::kTenantToken && !owner_.organization_id.empty() &&
              key.organization_id == owner_.organization_id);
    default:
      return is_of_tenant || key.organization_id == owner_.id || users_.count(key.user_id) != 0;
  }
}

// The records under the hashes; those of rotated-out keys and of imports stand in no list.
Status OwnerWalk::walk_keys() {
  const std::array<std::pair<std::string, PrincipalKind>, 2> tables = {
      std::pair{keyspace::api_key(""), PrincipalKind::kUserKey},
      std::pair{keyspace::tenant_auth(""), PrincipalKind::kTenantToken}};
  for (const auto& [prefix, family] : tables) {
    const auto look = [&, kind = family](const KvItem& item) -> Status {
      const Result<KeyRecord> key = parse_key(item.entry.value, kind);
      if (!key.ok() || !is_ours(key.value())) return ok();
      if (seen_.count({KvFamily::kAuth, item.key}) == 0) {
        ++(kind == PrincipalKind::kTenantToken ? found_.tokens : found_.api_keys);
      }
      // The record by which the key is found goes after what is the key's own.
      KVCS_TRY(walk_key(key.value()));
      return take(KvFamily::kAuth, item.key);
    };
    KVCS_TRY(kv_for_each(*parts_.kv, KvFamily::kAuth, prefix, look));
  }
  return ok();
}

// The key's entry in its owner's list, and what is the key's own.
Status OwnerWalk::walk_key(const KeyRecord& key) {
  if (key.id.empty()) return ok();
  keys_.insert(key.id);
  KVCS_TRY(walk_owned(Owner::kKey, key.id));
  if (removes_ && key.kind == PrincipalKind::kUserKey) {
    found_.busy |= !parts_.ai.budgets->forget(key.organization_id, "key", key.id);
  }
  const std::string view = view_of(key);
  const Status there = parts_.kv->get(KvFamily::kConfig, view).status();
  if (there.ok()) return take(KvFamily::kConfig, view);
  return there.code() == Code::kNotFound ? ok() : there;
}

// Entries of lists whose key has no record any more.
Status OwnerWalk::walk_views() {
  std::vector<std::pair<std::string, PrincipalKind>> lists;
  if (!owner_.organization_id.empty() && owner_.kind != Owner::kUser) {
    if (owner_.kind != Owner::kTenant) {
      lists.emplace_back(keyspace::org_key_prefix(owner_.organization_id),
                         PrincipalKind::kProjectKey);
    }
    lists.emplace_back(keyspace::tenant_token_prefix(owner_.organization_id),
                       PrincipalKind::kTenantToken);
  }
  for (const std::string& user : users_) {
    lists.emplace_back(keyspace::user_key_prefix(user), PrincipalKind::kUserKey);
  }
  for (const auto& [prefix, family] : lists) {
    const auto look = [&, kind = family](const KvItem& item) -> Status {
      const Result<KeyRecord> key = parse_key(item.entry.value, kind);
      if (!key.ok() || !is_ours(key.value())) return ok();
      keys_.insert(key.value().id);
      KVCS_TRY(walk_owned(Owner::kKey, key.value().id));
      return take(KvFamily::kConfig, item.key);
    };
    KVCS_TRY(kv_for_each(*parts_.kv, KvFamily::kConfig, prefix, look));
  }
  return ok();
}

Status OwnerWalk::walk_owned(Owner kind, std::string_view id) {
  return for_each_owned(
      *parts_.kv, kind, id, [this](KvFamily family, const KvItem& item) -> Status {
        if (seen_.count({family, item.key}) == 0) {
          found_.accounts += keyspace::parse_token(item.key) ? 1 : 0;
          found_.schedules += item.key.starts_with(keyspace::agent_schedule("")) ? 1 : 0;
        }
        return take(family, item.key);
      });
}

// A project's row holds its artifacts together, and goes after them.
Status OwnerWalk::walk_projects() {
  for (const std::string& project : projects_) {
    const ArtifactUsage usage = KVCS_TRY(parts_.artifacts.service->usage_of_project(project));
    found_.artifacts += static_cast<int64_t>(usage.artifacts);
    found_.storage_bytes += static_cast<int64_t>(usage.storage_bytes);
    found_.restorable += static_cast<int64_t>(usage.deleted_artifacts);
    const auto ids = KVCS_TRY(parts_.projects->list_ids(owner_.organization_id));
    const bool is_there = std::find(ids.begin(), ids.end(), project) != ids.end();
    found_.projects += is_there ? 1 : 0;
    if (!removes_ || !is_there) continue;
    KVCS_TRY(flush());
    while (KVCS_TRY(parts_.artifacts.service->remove_some_of(project, kBatchArtifacts, who_.actor,
                                                             who_.request_id)) > 0) {
      if (cancelled_()) return goes_on();
    }
    KVCS_TRY(parts_.projects->remove(owner_.organization_id, project, who_));
  }
  return ok();
}

// What users are found by, their addresses, is of the organization and goes last.
Status OwnerWalk::walk_organization() {
  KVCS_TRY(flush());
  found_.busy |= removes_ && !parts_.ai.budgets->forget(owner_.id, "org", owner_.id);
  // Once more, before the record goes that says who it is at Stripe: what was paid for meanwhile.
  if (removes_) KVCS_TRY(parts_.portal.billing->end_subscription(owner_.id));
  KVCS_TRY(walk_owned(Owner::kOrganization, owner_.id));
  KVCS_TRY(walk_memberships());
  KVCS_TRY(walk_slugs());
  if (!removes_) return ok();
  return parts_.artifacts.service->forget_organization(owner_.id);
}

// By a look at every person: once the organization's own record of its members is gone nobody can
// join, and none of these entries comes after it.
Status OwnerWalk::walk_memberships() {
  KVCS_TRY(flush());
  return kv_for_each(*parts_.kv, KvFamily::kConfig, keyspace::kPersonPrefix,
                     [&](const KvItem& item) -> Status {
                       const bool is_ours = keyspace::organization_of_person(item.key) == owner_.id;
                       return is_ours ? take(KvFamily::kConfig, item.key) : ok();
                     });
}

// The slugs that a rename has brought name the organization in their values.
Status OwnerWalk::walk_slugs() {
  const auto look = [&](const KvItem& item) -> Status {
    const bool is_ours = parse_slug_alias(item.entry.value) == owner_.id;
    return is_ours ? take(KvFamily::kConfig, item.key) : ok();
  };
  return kv_for_each(*parts_.kv, KvFamily::kConfig, keyspace::kOrgSlugPrefix, look);
}

Status OwnerWalk::take(KvFamily family, const std::string& key) {
  if (!seen_.emplace(family, key).second) return ok();
  found_.records++;
  if (!removes_) return ok();
  batch_.remove(family, key);
  return batch_.ops().size() < kBatchRecords ? ok() : flush();
}

Status OwnerWalk::flush() {
  if (batch_.empty()) return ok();
  KVCS_TRY(parts_.audited->write(std::exchange(batch_, KvBatch()), who_));
  return cancelled_() ? goes_on() : ok();
}

}  // namespace kvcs
