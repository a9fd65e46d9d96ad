// Handlers of /admin/organizations: settings, projects, their keys, the organization's own keys and
// tenant tokens; app/owners_api.h deletes organizations and projects. Thread-safe.
#pragma once
#include "http/route_rows.h"
#include "identity/keys.h"
#include "identity/orgs.h"
#include "identity/projects.h"

namespace kvcs {

class OrganizationsApi final {
 public:
  OrganizationsApi(OrganizationService& organizations, ProjectService& projects, KeyService& keys);

  // The rows of these handlers, and the types that they read and answer.
  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();
  static std::span<const http::ApiType> tenant_token_types();

  Result<http::Response> create(http::Request& request);   // POST /admin/organizations
  Result<http::Response> get(http::Request& request);      // GET /admin/organizations/{org_id}
  Result<http::Response> update(http::Request& request);   // PATCH
  Result<http::Response> list(http::Request& request);     // GET /admin/organizations
  Result<http::Response> suspend(http::Request& request);  // POST …/suspend
  Result<http::Response> resume(http::Request& request);   // POST …/resume

  Result<http::Response> create_project(http::Request& request);  // POST …/projects
  Result<http::Response> list_projects(http::Request& request);   // GET …/projects

  // …/projects/{project_id}/api-keys, …/api-keys (of the organization) and …/tokens (a tenant's),
  // told apart by the route.
  Result<http::Response> create_key(http::Request& request);
  Result<http::Response> list_keys(http::Request& request);
  Result<http::Response> revoke_key(http::Request& request);
  Result<http::Response> update_key(http::Request& request);  // PATCH; not of tokens.
  Result<http::Response> rotate_key(http::Request& request);

 private:
  void add_organization_key_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  // The project of the path, or the organization itself; NotFound when either is not there.
  Result<KeyOwner> owner_of(const http::Request& request) const;
  Result<http::Response> set_active(http::Request& request, bool active);

  OrganizationService& organizations_;
  ProjectService& projects_;
  KeyService& keys_;
};

}  // namespace kvcs
