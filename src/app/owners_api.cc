// Deletion over HTTP: looks the owner up, refuses one that holds what is to be named, and brings
// the deletion on for a while on the request's own thread.
#include "app/owners_api.h"

#include <nlohmann/json.hpp>

#include "app/parts.h"
#include "app/planned_deletion.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/counted.h"
#include "base/json.h"
#include "gateway/catalogue/tenants.h"
#include "http/json_api.h"
#include "identity/admin_common.h"
#include "identity/orgs.h"
#include "identity/projects.h"
#include "identity/users.h"
#include "ops/cron.h"
#include "portal/billing/billing.h"

namespace kvcs {
namespace {

using keyspace::Owner;

constexpr int64_t kWaitMs = 10'000;

std::string name_of(const OwnerRef& owner) {
  return std::string(keyspace::owner_name(owner.kind)) + ":" + owner.id;
}

Json holdings_json(const OwnerRef& owner, const OwnerHoldings& holdings) {
  return Json{{"owner", name_of(owner)},
              {"users", holdings.users},
              {"projects", holdings.projects},
              {"artifacts", holdings.artifacts},
              {"storage_bytes", holdings.storage_bytes},
              {"restorable", holdings.restorable},
              {"api_keys", holdings.api_keys},
              {"tokens", holdings.tokens},
              {"accounts", holdings.accounts},
              {"schedules", holdings.schedules},
              {"records", holdings.records}};
}

// "2 artifacts", "0 artifacts and 1 deleted that can be restored".
std::string artifacts_text(const OwnerHoldings& holdings) {
  std::string text = counted(holdings.artifacts, "artifact");
  if (holdings.restorable == 0) return text;
  return text + " and " + std::to_string(holdings.restorable) + " deleted that can be restored";
}

// Keys, tokens, accounts and schedules go without a word; people, projects and files do not, nor
// those that were deleted and can be restored.
Status check_holdings(const OwnerRef& owner, const OwnerHoldings& holdings) {
  const Json details = holdings_json(owner, holdings);
  const std::string way_out =
      " Delete these first (artifacts with ?permanent=true), or repeat with ?force=true, which "
      "deletes them too; ?dry_run=true lists all that would go.";
  if (owner.kind == Owner::kOrganization && holdings.users + holdings.projects > 0) {
    return conflict("The organization has " + counted(holdings.users, "user") + " and " +
                    counted(holdings.projects, "project") + " with " + artifacts_text(holdings) +
                    "." + way_out)
        .with_reason("org_not_empty")
        .with_details_json(dump_json(details));
  }
  if (owner.kind == Owner::kProject && holdings.artifacts + holdings.restorable > 0) {
    return conflict("The project has " + artifacts_text(holdings) + "." + way_out)
        .with_reason("project_not_empty")
        .with_details_json(dump_json(details));
  }
  return ok();
}

constexpr http::ApiType kTypes[] = {
    {"LeavingOrganization", R"(
organization_id!: id
status!: active|suspended
deletion_at!: time? # Null: none is planned.
subscription: live|ending|ended # What became of what was paid for it; absent where nothing was.)"},
    {"Holdings", R"(
# What would be deleted with the owner, counted.
owner!: string # Its kind and its id, with a colon between them.
users!: integer
projects!: integer
artifacts!: integer
storage_bytes!: integer
restorable!: integer # Artifacts that were deleted and can be restored.
api_keys!: integer
tokens!: integer
accounts!: integer
schedules!: integer
records!: integer)"},
    {"DeletionBegun", R"(
owner!: string
job!: string # The job that brings the deletion to its end.)"},
};

Json leaving_json(const Organization& organization) {
  return Json{{"organization_id", organization.id},
              {"status", organization.active ? "active" : "suspended"},
              {"deletion_at", time_json(organization.deletion_ms)}};
}

}  // namespace

std::span<const http::ApiType> OwnersApi::types() {
  return kTypes;
}

void OwnersApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kNoBody;
  http::Rows rows(table, *this, "/admin");
  const std::string_view query = "force dry_run";
  const auto own = [&](http::OwnerFrom owner) { return with_owner(access.own_admin, owner); };
  rows.add(kDelete, "/users/{user_id}", own(http::OwnerFrom::kPathUser), kNoBody,
           &OwnersApi::remove_user, "Delete a user and its keys.",
           {.id = "deleteUser",
            .query = query,
            .status = 204,
            .also = "200:Holdings 202:DeletionBegun 409"});
  rows.add(kDelete, "/organizations/{org_id}/projects/{project_id}",
           own(http::OwnerFrom::kPathOrganization), kNoBody, &OwnersApi::remove_project,
           "Delete a project and its keys; with ?force=true its artifacts too.",
           {.id = "adminDeleteProject",
            .query = query,
            .status = 204,
            .also = "200:Holdings 202:DeletionBegun 409"});
  rows.add(kDelete, "/organizations/{org_id}", access.owner, kNoBody,
           &OwnersApi::remove_organization,
           "Delete an organization and its tenant; with ?force=true users and projects too.",
           {.id = "adminDeleteOrganization",
            .query = query,
            .status = 204,
            .also = "200:Holdings 202:DeletionBegun 409"});
  rows.add(kDelete, "/tenants/{tenant}", access.admin, kNoBody, &OwnersApi::remove_tenant,
           "Delete a tenant, its tokens, accounts and schedule; the organization stays.",
           {.id = "deleteTenant",
            .query = query,
            .status = 204,
            .also = "200:Holdings 202:DeletionBegun 409"});
}

void OwnersApi::add_person_routes(std::vector<http::Row>& table,
                                  const portal::PersonAccess& access) {
  using enum http::Method;
  const std::string one = "/api/v1/organizations/{org_id}";
  http::Rows rows(table, *this, one);
  rows.add(kDelete, "/projects/{project_id}", with_owner(access.admin, http::OwnerFrom::kObject),
           http::kNoBody, &OwnersApi::remove_project,
           "Delete a project and its keys; with ?force=true its artifacts too.",
           {.id = "deleteProject",
            .query = "force dry_run",
            .status = 204,
            .also = "200:Holdings 202:DeletionBegun 409"});
  rows.add(kDelete, "", portal::at_path(access.leaving_owner, one), http::kNoBody,
           &OwnersApi::give_up_organization,
           "Suspend the organization at once, and delete it in 7 days; ?force=true, of an operator "
           "with role owner, deletes it now.",
           {.id = "deleteOrganization",
            .query = "force",
            .status = 202,
            .answer = "LeavingOrganization",
            .also = "409"});
  rows.add(kPost, "/restore", portal::at_path(access.leaving_owner, one), http::kib(1),
           &OwnersApi::restore_organization,
           "Take a planned deletion back; a subscription that has ended meanwhile stays ended.",
           {.id = "restoreOrganization", .answer = "LeavingOrganization", .also = "409"});
}

// What was done is done, also where this cannot be read.
Json OwnersApi::leaving_answer(const Organization& organization) const {
  Json answer = leaving_json(organization);
  const Result<std::string> standing = parts_.portal.billing->standing(organization.id);
  if (standing.ok() && !standing->empty()) answer["subscription"] = *standing;
  return answer;
}

Result<http::Response> OwnersApi::give_up_organization(http::Request& request) {
  const Principal& caller = request.principal;
  if (KVCS_TRY(http::read_flag(request, "force"))) {
    if (caller.role == AdminRole::kOwner) return remove_organization(request);
    return forbidden("force: only an operator of this daemon with role owner deletes at once.")
        .with_reason("insufficient_role");
  }
  return http::private_reply(202, leaving_answer(KVCS_TRY(parts_.planned_deletions->plan(
                                      caller.organization_id, portal::by(request)))));
}

Result<http::Response> OwnersApi::restore_organization(http::Request& request) {
  return http::private_reply(200, leaving_answer(KVCS_TRY(parts_.planned_deletions->take_back(
                                      request.principal.organization_id, portal::by(request)))));
}

Result<http::Response> OwnersApi::remove_user(http::Request& request) {
  const std::string_view id = request.param("user_id");
  if (const auto begun = KVCS_TRY(deletions_.find(Owner::kUser, id))) return go_on(request, *begun);
  const User user = KVCS_TRY(parts_.users->find(id));
  return remove(request, {Owner::kUser, user.id, user.organization_id, ""});
}

Result<http::Response> OwnersApi::remove_project(http::Request& request) {
  const std::string_view organization_id = request.param("org_id");
  const std::string_view id = request.param("project_id");
  const auto begun = KVCS_TRY(deletions_.find(Owner::kProject, id));
  if (begun && begun->organization_id == organization_id) return go_on(request, *begun);
  const Organization organization = KVCS_TRY(parts_.organizations->find(organization_id));
  const Project project = KVCS_TRY(parts_.projects->find(organization.id, id));
  return remove(request, {Owner::kProject, project.id, organization.id, ""});
}

Result<http::Response> OwnersApi::remove_tenant(http::Request& request) {
  const std::string_view tenant = request.param("tenant");
  if (const auto begun = KVCS_TRY(deletions_.find(Owner::kTenant, tenant)))
    return go_on(request, *begun);
  KVCS_TRY(parts_.gateway.tenants->find_record(tenant));
  const Result<Organization> organization = parts_.organizations->find_by_slug(tenant);
  if (!organization.ok() && organization.code() != Code::kNotFound) return organization.status();
  return remove(request, {Owner::kTenant, std::string(tenant),
                          organization.ok() ? organization.value().id : "", ""});
}

Result<http::Response> OwnersApi::remove_organization(http::Request& request) {
  const std::string_view id = request.param("org_id");
  if (const auto begun = KVCS_TRY(deletions_.find(Owner::kOrganization, id)))
    return go_on(request, *begun);
  const Organization organization = KVCS_TRY(parts_.organizations->find(id));
  return remove(request,
                {Owner::kOrganization, organization.id, organization.id, organization.slug});
}

Result<http::Response> OwnersApi::remove(http::Request& request, const OwnerRef& owner) {
  const bool is_dry = KVCS_TRY(http::read_flag(request, "dry_run"));
  const bool is_forced = KVCS_TRY(http::read_flag(request, "force"));
  if (is_dry) return show(owner);
  OwnerDeletions::HoldingsCheck check;
  if (!is_forced && (owner.kind == Owner::kOrganization || owner.kind == Owner::kProject)) {
    check = [&owner](const OwnerHoldings& holdings) { return check_holdings(owner, holdings); };
    // Before anything is kept out for the sake of a deletion that is to be refused.
    const OwnerHoldings holdings = KVCS_TRY(deletions_.count(owner));
    KVCS_TRY(check(holdings));
  }
  KVCS_TRY(deletions_.begin(owner, admin_api::who(request), check));
  return bring_on(owner);
}

Result<http::Response> OwnersApi::go_on(const http::Request& request, const OwnerRef& owner) {
  return KVCS_TRY(http::read_flag(request, "dry_run")) ? show(owner) : bring_on(owner);
}

Result<http::Response> OwnersApi::show(const OwnerRef& owner) const {
  const OwnerHoldings holdings = KVCS_TRY(deletions_.count(owner));
  return http::reply(200, holdings_json(owner, holdings));
}

// A store that fails on the way leaves the deletion to the job.
Result<http::Response> OwnersApi::bring_on(const OwnerRef& owner) {
  const Clock& clock = *parts_.system_clock;
  const int64_t end_us = clock.mono_us() + kWaitMs * 1000;
  const Result<bool> ended = deletions_.go_on(owner, [&] { return clock.mono_us() >= end_us; });
  if (ended.ok() && ended.value()) return http::empty_response(204);
  (void)parts_.cron->run_now(kDeletionJob);  // Else it comes within a minute.
  return http::reply(202, Json{{"owner", name_of(owner)}, {"job", kDeletionJob}});
}

}  // namespace kvcs
