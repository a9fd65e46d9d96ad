// Decides about callers and owners, from values alone: no store is read.
#include "identity/access.h"

#include <algorithm>

#include "identity/records.h"

namespace kvcs::access {
namespace {

bool is_artifact_key(PrincipalKind kind) {
  return kind == PrincipalKind::kProjectKey || kind == PrincipalKind::kOrganizationKey;
}

std::string_view family_words(PrincipalKind family) {
  switch (family) {
    case PrincipalKind::kProjectKey:
    case PrincipalKind::kOrganizationKey:
      return "a project or organization key (kv_…)";
    case PrincipalKind::kUserKey:
      return "a user key (gw_live_…)";
    case PrincipalKind::kTenantToken:
      return "a tenant token (kt_…)";
    case PrincipalKind::kAdminKey:
      return "an admin key (ka_…)";
    case PrincipalKind::kAnonymous:
      break;
  }
  return "no key";
}

// Not empty and the same: two things without an owner do not belong together.
bool same(std::string_view a, std::string_view b) {
  return !a.empty() && a == b;
}

}  // namespace

Status may(const Principal& caller, const http::Need& need) {
  if (need.family == PrincipalKind::kAnonymous) return ok();
  const bool is_family =
      is_artifact_key(need.family) ? is_artifact_key(caller.kind) : caller.kind == need.family;
  if (!is_family) {
    return forbidden("This door needs " + std::string(family_words(need.family)) + ".")
        .with_reason("wrong_key_family");
  }
  if (caller.role < need.role) {
    return forbidden("The key has role " + std::string(admin_role_name(caller.role)) +
                     "; this needs " + std::string(admin_role_name(need.role)) + ".")
        .with_reason("insufficient_role");
  }
  if (caller.scope < need.scope) {
    const std::string_view has = scope_name(caller.scope);
    return forbidden("The key has " +
                     (has.empty() ? std::string("no scope") : "scope " + std::string(has)) +
                     "; this needs " + std::string(scope_name(need.scope)) +
                     ". Use a key with that scope.")
        .with_reason("insufficient_scope");
  }
  return ok();
}

bool owns(const Principal& caller, const Owner& owner) {
  switch (caller.kind) {
    case PrincipalKind::kProjectKey:
      return same(owner.organization_id, caller.organization_id) &&
             same(owner.project_id, caller.project_id);
    case PrincipalKind::kOrganizationKey:
      return same(owner.organization_id, caller.organization_id);
    case PrincipalKind::kUserKey:
      return same(owner.user_id, caller.user_id);
    case PrincipalKind::kTenantToken:
      return same(owner.tenant, caller.organization);
    case PrincipalKind::kAdminKey:
    case PrincipalKind::kAnonymous:
      break;
  }
  return false;
}

// A project key without a project reaches nothing: no project has an empty id, but an empty limit
// would be none.
std::string_view project_limit(const Principal& caller) {
  if (caller.kind == PrincipalKind::kOrganizationKey) return {};
  return caller.project_id.empty() ? "none" : std::string_view(caller.project_id);
}

std::string_view scope_name(Scope scope) {
  switch (scope) {
    case Scope::kRead:
      return "read";
    case Scope::kWrite:
      return "write";
    case Scope::kAdmin:
      return "admin";
    case Scope::kNone:
      break;
  }
  return "";
}

Scope scope_of(const std::vector<std::string>& words) {
  if (words.empty()) return Scope::kWrite;
  Scope greatest = Scope::kNone;
  for (const Scope scope : {Scope::kRead, Scope::kWrite, Scope::kAdmin}) {
    if (std::find(words.begin(), words.end(), scope_name(scope)) != words.end()) greatest = scope;
  }
  return greatest;
}

std::string_view words(const http::Need& need) {
  switch (need.family) {
    case PrincipalKind::kProjectKey:
    case PrincipalKind::kOrganizationKey:
      return need.scope == Scope::kAdmin   ? "project key, scope admin"
             : need.scope == Scope::kWrite ? "project key, scope write"
                                           : "project key, scope read";
    case PrincipalKind::kUserKey:
      return "user key";
    case PrincipalKind::kTenantToken:
      return "tenant token";
    case PrincipalKind::kAdminKey:
      return need.role == AdminRole::kOwner    ? "admin key, role owner"
             : need.role == AdminRole::kAdmin  ? "admin key, role admin"
             : need.role == AdminRole::kViewer ? "admin key, role viewer"
                                               : "admin key";
    case PrincipalKind::kAnonymous:
      break;
  }
  return need.owner == http::OwnerFrom::kSignature ? "presigned" : "public";
}

std::string_view words(http::OwnerFrom owner) {
  switch (owner) {
    case http::OwnerFrom::kCaller:
      return "caller";
    case http::OwnerFrom::kPathTenant:
      return "path tenant";
    case http::OwnerFrom::kObject:
      return "object";
    case http::OwnerFrom::kSignature:
      return "signature";
    case http::OwnerFrom::kNobody:
      break;
  }
  return "-";
}

}  // namespace kvcs::access
