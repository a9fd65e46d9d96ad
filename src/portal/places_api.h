// Organizations and projects as people see them: /api/v1/organizations, and …/{org_id}/projects,
// which is /api/v1/projects for the active organization. The guard has entered the organization, so
// that handlers act on the caller's organization_id. Thread-safe.
#pragma once
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "http/http.h"
#include "http/route_rows.h"
#include "identity/directory.h"
#include "identity/members.h"
#include "identity/orgs.h"
#include "identity/projects.h"
#include "portal/person_access.h"

namespace kvcs::portal {

class PlacesApi final {
 public:
  // All outlive it.
  // `kept_slugs`: those that operators alone give to organizations.
  PlacesApi(OrganizationService& organizations, ProjectService& projects, MemberService& members,
            const Directory& directory, std::set<std::string> kept_slugs);

  void add_routes(std::vector<http::Row>& table, const PersonAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> list(http::Request& request);
  Result<http::Response> create(http::Request& request);
  Result<http::Response> get(http::Request& request);
  Result<http::Response> change(http::Request& request);
  Result<http::Response> list_projects(http::Request& request);
  Result<http::Response> create_project(http::Request& request);
  Result<http::Response> get_project(http::Request& request);
  Result<http::Response> change_project(http::Request& request);

 private:
  Status check_slug(const std::string& slug) const;
  Result<Organization> make(const Organization& wanted, const std::string& person_id,
                            const AuditContext& who);

  OrganizationService& organizations_;
  ProjectService& projects_;
  MemberService& members_;
  const Directory& directory_;
  const std::set<std::string> kept_slugs_;
};

}  // namespace kvcs::portal
