// Goal: who may and whose are decided alike for every kind of caller. Method: each kind against
// each need, and against things of its own and of others.
#include "identity/access.h"

#include <catch2/catch.hpp>

using namespace kvcs;

namespace {

Principal caller(PrincipalKind kind) {
  Principal who;
  who.kind = kind;
  who.organization_id = "o1";
  who.organization = "acme";
  if (kind == PrincipalKind::kProjectKey) who.project_id = "p1";
  if (kind == PrincipalKind::kUserKey) who.user_id = "u1";
  return who;
}

}  // namespace

TEST_CASE("access: a scope includes those before it, and unknown words give nothing",
          "[unit][identity]") {
  CHECK(access::scope_of({}) == Scope::kWrite);
  CHECK(access::scope_of({"read"}) == Scope::kRead);
  CHECK(access::scope_of({"admin", "read"}) == Scope::kAdmin);
  CHECK(access::scope_of({"owner"}) == Scope::kNone);
  CHECK(access::scope_of({"Write", "write "}) == Scope::kNone);
  CHECK(access::scope_of({"owner", "read"}) == Scope::kRead);
  const Scope scopes[] = {Scope::kNone, Scope::kRead, Scope::kWrite, Scope::kAdmin};
  for (const PrincipalKind kind : {PrincipalKind::kProjectKey, PrincipalKind::kOrganizationKey}) {
    for (const Scope has : scopes) {
      for (const Scope needs : scopes) {
        Principal who = caller(kind);
        who.scope = has;
        const Status may = access::may(who, {.family = PrincipalKind::kProjectKey, .scope = needs});
        CHECK(may.ok() == (has >= needs));
        if (!may.ok()) CHECK(may.reason() == "insufficient_scope");
      }
    }
  }
}

TEST_CASE("access: a person acts by the role in the active organization, and as an operator",
          "[unit][identity]") {
  const OrgRole roles[] = {OrgRole::kViewer, OrgRole::kMember, OrgRole::kAdmin, OrgRole::kOwner};
  for (const OrgRole has : roles) {
    for (const OrgRole needs : roles) {
      Principal who = caller(PrincipalKind::kPerson);
      who.org_role = has;
      who.scope = access::scope_of_role(has);
      const Status may = access::may(who, {.family = PrincipalKind::kPerson, .org_role = needs});
      CHECK(may.ok() == (has >= needs));
      who.organization_id = "";
      CHECK(access::may(who, {.family = PrincipalKind::kPerson, .org_role = needs}).reason() ==
            "no_active_organization");
    }
  }
  Principal viewer = caller(PrincipalKind::kPerson);
  viewer.org_role = OrgRole::kViewer;
  viewer.scope = access::scope_of_role(OrgRole::kViewer);
  CHECK(access::may(viewer, {.family = PrincipalKind::kProjectKey, .scope = Scope::kRead}).ok());
  CHECK_FALSE(
      access::may(viewer, {.family = PrincipalKind::kProjectKey, .scope = Scope::kWrite}).ok());
  CHECK(access::may(viewer, {.family = PrincipalKind::kAdminKey, .role = AdminRole::kBilling})
            .reason() == "insufficient_role");
  CHECK(access::may(viewer, {.family = PrincipalKind::kUserKey}).reason() == "wrong_key_family");
  viewer.role = AdminRole::kViewer;
  CHECK(access::may(viewer, {.family = PrincipalKind::kAdminKey, .role = AdminRole::kViewer}).ok());
  CHECK_FALSE(
      access::may(viewer, {.family = PrincipalKind::kAdminKey, .role = AdminRole::kAdmin}).ok());
  CHECK(access::owns(viewer, {.organization_id = viewer.organization_id}));
  CHECK_FALSE(access::owns(viewer, {.organization_id = "other"}));
  CHECK_FALSE(access::owns(viewer, {.project_id = viewer.project_id}));
}

TEST_CASE("access: roles include those below them, and no family stands in for another",
          "[unit][identity]") {
  const AdminRole roles[] = {AdminRole::kBilling, AdminRole::kViewer, AdminRole::kAdmin,
                             AdminRole::kOwner};
  for (const AdminRole has : roles) {
    for (const AdminRole needs : roles) {
      Principal who = caller(PrincipalKind::kAdminKey);
      who.role = has;
      const Status may = access::may(who, {.family = PrincipalKind::kAdminKey, .role = needs});
      CHECK(may.ok() == (has >= needs));
      if (!may.ok()) CHECK(may.reason() == "insufficient_role");
    }
  }
  const PrincipalKind families[] = {PrincipalKind::kAnonymous, PrincipalKind::kProjectKey,
                                    PrincipalKind::kUserKey, PrincipalKind::kTenantToken,
                                    PrincipalKind::kAdminKey};
  for (const PrincipalKind has : families) {
    for (const PrincipalKind needs : families) {
      const Status may = access::may(caller(has), {.family = needs});
      CHECK(may.ok() == (needs == PrincipalKind::kAnonymous || has == needs));
      if (!may.ok()) CHECK(may.reason() == "wrong_key_family");
    }
  }
}

TEST_CASE("access: a caller owns what is its own, and nothing without an owner",
          "[unit][identity]") {
  const auto project = caller(PrincipalKind::kProjectKey),
             organization = caller(PrincipalKind::kOrganizationKey),
             user = caller(PrincipalKind::kUserKey), tenant = caller(PrincipalKind::kTenantToken);
  CHECK(access::owns(project, {.organization_id = "o1", .project_id = "p1"}));
  CHECK_FALSE(access::owns(project, {.organization_id = "o1", .project_id = "p2"}));
  CHECK_FALSE(access::owns(project, {.organization_id = "o2", .project_id = "p1"}));
  CHECK_FALSE(access::owns(project, {.organization_id = "o1"}));
  CHECK(access::owns(organization, {.organization_id = "o1", .project_id = "p2"}));
  CHECK_FALSE(access::owns(organization, {.organization_id = "o2", .project_id = "p1"}));
  CHECK(access::owns(user, {.user_id = "u1"}));
  CHECK_FALSE(access::owns(user, {.organization_id = "o1", .user_id = "u2"}));
  CHECK(access::owns(tenant, {.tenant = "acme"}));
  CHECK_FALSE(access::owns(tenant, {.tenant = "Acme"}));
  CHECK(access::project_limit(project) == "p1");
  CHECK(access::project_limit(organization).empty());
  for (const PrincipalKind kind :
       {PrincipalKind::kAnonymous, PrincipalKind::kProjectKey, PrincipalKind::kOrganizationKey,
        PrincipalKind::kUserKey, PrincipalKind::kTenantToken, PrincipalKind::kAdminKey}) {
    Principal empty;
    empty.kind = kind;
    CHECK_FALSE(access::owns(empty, {}));
    // Without a project there is no limit for organization keys alone.
    CHECK(access::project_limit(empty).empty() == (kind == PrincipalKind::kOrganizationKey));
  }
}
