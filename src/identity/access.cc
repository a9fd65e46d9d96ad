// Decides about callers and owners, from values alone: no store is read.
#include "identity/access.h"

#include <algorithm>

#include "identity/members.h"
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
    case PrincipalKind::kPerson:
      return "somebody who has signed in";
    case PrincipalKind::kAnonymous:
      break;
  }
  return "no key";
}

// Not empty and the same: two things without an owner do not belong together.
bool same(std::string_view a, std::string_view b) {
  return !a.empty() && a == b;
}

// A person comes to the doors of artifacts by the role in the active organization, to /admin as an
// operator, and to the gateways where the row has a role for people.
bool is_of_family(PrincipalKind caller, const http::Need& need) {
  const PrincipalKind family = need.family;
  if (caller == PrincipalKind::kPerson) {
    return family == PrincipalKind::kPerson || family == PrincipalKind::kAdminKey ||
           is_artifact_key(family) || need.org_role != OrgRole::kNone;
  }
  return is_artifact_key(family) ? is_artifact_key(caller) : caller == family;
}

Status may_person(const Principal& caller, const http::Need& need) {
  if (need.family == PrincipalKind::kAdminKey) {
    if (caller.role >= need.role) return ok();
    return forbidden("Operators of this daemon with role " +
                     std::string(admin_role_name(need.role)) + " may do this.")
        .with_reason("insufficient_role");
  }
  const bool needs_organization = need.scope != Scope::kNone || need.org_role != OrgRole::kNone;
  if (needs_organization && caller.organization_id.empty()) {
    return forbidden("No organization is active in this session. Choose one with PATCH /api/v1/me.")
        .with_reason("no_active_organization");
  }
  if (caller.org_role >= need.org_role && caller.scope >= need.scope) return ok();
  return forbidden("Your role in this organization is " +
                   std::string(org_role_name(caller.org_role)) + "; this needs a higher one.")
      .with_reason("insufficient_role");
}

}  // namespace

Status may(const Principal& caller, const http::Need& need) {
  if (need.family == PrincipalKind::kAnonymous) return ok();
  if (!is_of_family(caller.kind, need)) {
    return forbidden("This door needs " + std::string(family_words(need.family)) + ".")
        .with_reason("wrong_key_family");
  }
  if (caller.kind == PrincipalKind::kPerson) return may_person(caller, need);
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
    case PrincipalKind::kPerson:
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

bool is_operator(const Principal& caller) {
  return caller.kind == PrincipalKind::kAdminKey ||
         (caller.kind == PrincipalKind::kPerson && caller.role != AdminRole::kNone);
}

// A project key without a project reaches nothing: no project has an empty id, but an empty limit
// would be none.
std::string_view project_limit(const Principal& caller) {
  if (caller.kind == PrincipalKind::kOrganizationKey || caller.kind == PrincipalKind::kPerson) {
    return {};
  }
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

Scope scope_of_role(OrgRole role) {
  switch (role) {
    case OrgRole::kViewer:
      return Scope::kRead;
    case OrgRole::kMember:
      return Scope::kWrite;
    case OrgRole::kAdmin:
    case OrgRole::kOwner:
      return Scope::kAdmin;
    case OrgRole::kNone:
      break;
  }
  return Scope::kNone;
}

std::string_view words(const http::Need& need) {
  switch (need.family) {
    case PrincipalKind::kProjectKey:
    case PrincipalKind::kOrganizationKey:
      return need.scope == Scope::kAdmin   ? "project key, scope admin"
             : need.scope == Scope::kWrite ? "project key, scope write"
                                           : "project key, scope read";
    case PrincipalKind::kUserKey:
      return need.org_role == OrgRole::kMember ? "user key, or session of a member for a user"
                                               : "user key";
    case PrincipalKind::kTenantToken:
      return need.org_role == OrgRole::kMember ? "tenant token, or session of a member for a user"
                                               : "tenant token";
    case PrincipalKind::kAdminKey:
      if (need.org_role == OrgRole::kAdmin) {
        return need.role == AdminRole::kBilling
                   ? "admin key; or session, role admin of the organization"
               : need.role == AdminRole::kViewer
                   ? "admin key, role viewer; or session, role admin of the organization"
                   : "admin key, role admin; or session, role admin of the organization";
      }
      return need.role == AdminRole::kOwner    ? "admin key, role owner"
             : need.role == AdminRole::kAdmin  ? "admin key, role admin"
             : need.role == AdminRole::kViewer ? "admin key, role viewer"
                                               : "admin key";
    case PrincipalKind::kPerson:
      return need.org_role == OrgRole::kOwner    ? "session, role owner"
             : need.org_role == OrgRole::kAdmin  ? "session, role admin"
             : need.org_role == OrgRole::kMember ? "session, role member"
             : need.org_role == OrgRole::kViewer ? "session, role viewer"
                                                 : "session";
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
    case http::OwnerFrom::kPathOrganization:
      return "path organization";
    case http::OwnerFrom::kPathUser:
      return "path user";
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
