// Handlers by which people make and see organizations and projects of their own.
#include "portal/places_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/log.h"
#include "http/json_api.h"
#include "identity/records.h"
#include "portal/own_places.h"

namespace kvcs::portal {
namespace {

constexpr http::ApiType kTypes[] = {
    {"NewPlace", R"(
name!: string(1..200) = "My Org"
slug: string(1..64) # Stands in public URLs. Default: made of the name.)"},
    {"PlaceChange", R"(
name: string(1..200)
slug: string(1..64) # In public URLs; those with a slug of before redirect.)"},
    {"Place", R"(
organization_id!: id
slug!: string
name!: string
status!: active|suspended
role!: owner|admin|member|viewer # The caller's.
created_at!: time
deletion_at: time # When it goes, with all that it has, unless an owner restores it.)"},
    {"PlaceList", R"(
organizations!: [Place])"},
    {"MyProject", R"(
project_id!: id
organization_id!: id
slug!: string
name!: string
created_at!: time)"},
    {"MyProjectList", R"(
projects!: [MyProject])"},
};

Json place_json(const Organization& organization, OrgRole role) {
  Json place{{"organization_id", organization.id},
             {"slug", shown_slug(organization)},
             {"name", organization.name},
             {"status", organization.active ? "active" : "suspended"},
             {"role", org_role_name(role)},
             {"created_at", time_json(organization.created_ms)}};
  if (organization.deletion_ms != 0) place["deletion_at"] = time_json(organization.deletion_ms);
  return place;
}

Json project_json(const Project& project) {
  return Json{{"project_id", project.id},
              {"organization_id", project.organization_id},
              {"slug", project.slug},
              {"name", project.name},
              {"created_at", time_json(project.created_ms)}};
}

struct Change {
  std::string name, slug;  // "" leaves what is.
};
Result<Change> read_change(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  Change change;
  change.name = reader.optional_string("name", {.max_bytes = 200}).value_or("");
  change.slug = reader.optional_string("slug", {.max_bytes = 64}).value_or("");
  KVCS_TRY(reader.finish());
  if (!change.name.empty() || !change.slug.empty()) return change;
  return invalid("name, slug: give at least one of them.");
}

struct NewPlace {
  std::string name, slug;
};
Result<NewPlace> read_new_place(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  NewPlace place;
  place.name = reader.string("name", {.max_bytes = 200});
  place.slug = reader.optional_string("slug", {.max_bytes = 64}).value_or("");
  KVCS_TRY(reader.finish());
  return place;
}

}  // namespace

PlacesApi::PlacesApi(OrganizationService& organizations, ProjectService& projects,
                     MemberService& members, const Directory& directory,
                     std::set<std::string> kept_slugs)
    : organizations_(organizations),
      projects_(projects),
      members_(members),
      directory_(directory),
      kept_slugs_(std::move(kept_slugs)) {}

std::span<const http::ApiType> PlacesApi::types() {
  return kTypes;
}

void PlacesApi::add_routes(std::vector<http::Row>& table, const PersonAccess& access) {
  using enum http::Method;
  using http::kib;
  http::Rows rows(table, *this);
  const std::string all = "/api/v1/organizations", one = all + "/{org_id}";
  rows.add(kGet, all, access.person, http::kNoBody, &PlacesApi::list,
           "The organizations that the caller is a member of.",
           {.id = "listOrganizations", .answer = "PlaceList"});
  rows.add(kPost, all, access.person, kib(2), &PlacesApi::create,
           "Make an organization, with a project; the caller is its owner.",
           {.id = "createOrganization",
            .body = "NewPlace",
            .status = 201,
            .answer = "Place",
            .also = "409"});
  rows.add(kGet, one, at_path(access.leaving_viewer, one), http::kNoBody, &PlacesApi::get,
           "One of them.", {.id = "getOrganization", .answer = "Place"});
  rows.add(kPatch, one, at_path(access.admin, one), kib(2), &PlacesApi::change,
           "Rename it; public URLs with a slug of before redirect.",
           {.id = "updateOrganization", .body = "PlaceChange", .answer = "Place", .also = "409"});
  for (const std::string& place : {one, std::string("/api/v1")}) {
    const std::string projects = place + "/projects", project = projects + "/{project_id}";
    http::Rows of_place(table, *this, "", id_end_of(place));
    of_place.add(kGet, projects, at_path(access.viewer, projects), http::kNoBody,
                 &PlacesApi::list_projects, "The projects of the organization.",
                 {.id = "listProjects", .answer = "MyProjectList"});
    of_place.add(kPost, projects, at_path(access.admin, projects), kib(2),
                 &PlacesApi::create_project, "Make a project; the active one stays as it is.",
                 {.id = "createProject",
                  .body = "NewPlace",
                  .status = 201,
                  .answer = "MyProject",
                  .also = "409"});
    of_place.add(kGet, project, at_path(access.viewer, project), http::kNoBody,
                 &PlacesApi::get_project, "One project.",
                 {.id = "getProject", .answer = "MyProject"});
    of_place.add(
        kPatch, project, at_path(access.admin, project), kib(2), &PlacesApi::change_project,
        "Rename it; public URLs with a slug of before redirect.",
        {.id = "updateProject", .body = "PlaceChange", .answer = "MyProject", .also = "409"});
  }
}

Result<http::Response> PlacesApi::list(http::Request& request) {
  Json places = Json::array();
  for (const auto& [organization, role] :
       KVCS_TRY(own_places(members_, directory_, request.principal.person_id))) {
    places.push_back(place_json(*organization, role));
  }
  return http::private_reply(200, Json{{"organizations", std::move(places)}});
}

Status PlacesApi::check_slug(const std::string& slug) const {
  if (!kept_slugs_.contains(slug)) return ok();
  return invalid("slug: '" + slug +
                 "' is kept for an organization of the operators of this daemon.")
      .with_reason("slug_reserved");
}

// With its owner, in one write.
Result<Organization> PlacesApi::make(const Organization& wanted, const std::string& person_id,
                                     const AuditContext& who) {
  KVCS_TRY(check_slug(wanted.slug.empty() ? slug_from_name(wanted.name) : wanted.slug));
  const auto add_owner = [&](const Organization& organization, KvBatch& batch) {
    members_.add_first(batch, organization.id, person_id);
  };
  Organization made;
  const auto create = [&]() -> Status {
    made = KVCS_TRY(organizations_.create(wanted, who, add_owner));
    return ok();
  };
  KVCS_TRY(members_.own_one_more(person_id, create));
  return made;
}

// Money is the operator's to give: the organization spends nothing at providers until its budget is
// set in /admin.
Result<http::Response> PlacesApi::create(http::Request& request) {
  const NewPlace place = KVCS_TRY(read_new_place(request));
  Organization wanted;
  wanted.name = place.name;
  wanted.slug = place.slug;
  const Organization made = KVCS_TRY(make(wanted, request.principal.person_id, by(request)));
  // The organization is there; who repeats this for its project would make another.
  const Status project = projects_.add_first(made.id, by(request));
  if (!project.ok()) {
    log::warn("organization.without_project",
              {{"organization_id", made.id}, {"error", project.to_string()}});
  }
  return http::private_reply(201, place_json(made, OrgRole::kOwner));
}

Result<http::Response> PlacesApi::get(http::Request& request) {
  const Principal& caller = request.principal;
  return http::private_reply(
      200, place_json(*KVCS_TRY(directory_.organization(caller.organization_id)), caller.org_role));
}

Result<http::Response> PlacesApi::change(http::Request& request) {
  const Change change = KVCS_TRY(read_change(request));
  const Principal& caller = request.principal;
  // The slug first: it is what may be refused.
  if (!change.slug.empty()) {
    const Organization present = KVCS_TRY(organizations_.find(caller.organization_id));
    if (!has_slug(present, change.slug)) KVCS_TRY(check_slug(change.slug));
    KVCS_TRY(organizations_.rename(caller.organization_id, change.slug, by(request)));
  }
  const auto edit = [&](Organization& organization) -> Status {
    if (!change.name.empty()) organization.name = change.name;
    return ok();
  };
  const Organization changed =
      change.name.empty()
          ? KVCS_TRY(organizations_.find(caller.organization_id))
          : KVCS_TRY(organizations_.update(caller.organization_id, edit, by(request)));
  return http::private_reply(200, place_json(changed, caller.org_role));
}

Result<http::Response> PlacesApi::list_projects(http::Request& request) {
  Json projects = Json::array();
  for (const Project& project : KVCS_TRY(projects_.list(request.principal.organization_id))) {
    projects.push_back(project_json(project));
  }
  return http::private_reply(200, Json{{"projects", std::move(projects)}});
}

Result<http::Response> PlacesApi::create_project(http::Request& request) {
  const NewPlace place = KVCS_TRY(read_new_place(request));
  Project wanted;
  wanted.organization_id = request.principal.organization_id;
  wanted.name = place.name;
  wanted.slug = place.slug;
  return http::private_reply(
      201, project_json(KVCS_TRY(projects_.create(std::move(wanted), by(request)))));
}

Result<http::Response> PlacesApi::change_project(http::Request& request) {
  const Change change = KVCS_TRY(read_change(request));
  const Project changed =
      KVCS_TRY(projects_.rename(request.principal.organization_id, request.param("project_id"),
                                change.name, change.slug, by(request)));
  return http::private_reply(200, project_json(changed));
}

Result<http::Response> PlacesApi::get_project(http::Request& request) {
  return http::private_reply(
      200, project_json(KVCS_TRY(
               projects_.find(request.principal.organization_id, request.param("project_id")))));
}

}  // namespace kvcs::portal
