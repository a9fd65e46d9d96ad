// Describes the key that a request carries: what the guard has found, and what its organization is
// called now.
#include "app/caller_api.h"

#include <nlohmann/json.hpp>

#include "artifacts/artifacts.h"
#include "base/json.h"
#include "identity/access.h"
#include "identity/identity.h"
#include "identity/records.h"

namespace kvcs::caller_api {
namespace {

constexpr http::ApiType kTypes[] = {
    {"Caller", R"(
key_id!: string
kind!: project|organization|admin
role: owner|admin|viewer|billing # Of an admin key.
organization_id: id
organization: string # Its slug, of after a rename.
customer_id: string
project_id: id
project: string # Its slug.
permissions: [string])"},
};

// Members that a kind of key does not have are left out.
Result<http::Response> describe(const Directory& directory, const ProjectService& projects,
                                const http::Request& request) {
  const Principal& principal = request.principal;
  Json body{{"key_id", principal.key_id}};
  body["kind"] = principal.kind == PrincipalKind::kAdminKey          ? "admin"
                 : principal.kind == PrincipalKind::kOrganizationKey ? "organization"
                                                                     : "project";
  if (principal.kind == PrincipalKind::kAdminKey) body["role"] = admin_role_name(principal.role);
  if (!principal.organization_id.empty()) {
    body["organization_id"] = principal.organization_id;
    body["organization"] = shown_slug(*KVCS_TRY(directory.organization(principal.organization_id)));
  }
  if (!principal.project_id.empty()) {
    body["project_id"] = principal.project_id;
    const auto project = projects.find(principal.organization_id, principal.project_id);
    if (project.ok()) body["project"] = project->slug;
  }
  if (principal.scope != Scope::kNone) {
    // Clients of the artifact store know their owner as the customer, whose id stays.
    body["customer_id"] = customer_id_of(principal.organization);
    body["permissions"] = Json::array({access::scope_name(principal.scope)});
  }
  return http::json_response(200, dump_json(body));
}

}  // namespace

http::Handler describer(const Directory& directory, const ProjectService& projects) {
  return [&directory, &projects](http::Request& request) {
    return describe(directory, projects, request);
  };
}

void add_route(std::vector<http::Row>& table, const char* path, const http::Access& access,
               const Directory& directory, const ProjectService& projects,
               std::string_view summary) {
  http::add_row(table, http::Method::kGet, path, access, http::kNoBody,
                describer(directory, projects), summary, {.id = "getAdminMe", .answer = "Caller"});
}

std::span<const http::ApiType> types() {
  return kTypes;
}

}  // namespace kvcs::caller_api
