// The handlers that delete users, projects, tenants and organizations, with all that belongs to
// them. Thread-safe.
#pragma once
#include "app/owner_deletion.h"
#include "base/json.h"
#include "http/route_rows.h"
#include "portal/person_access.h"

namespace kvcs {

struct Organization;

class OwnersApi final {
 public:
  OwnersApi(Parts& parts, OwnerDeletions& deletions) : parts_(parts), deletions_(deletions) {}

  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  // What people may delete of their own: projects, and whole organizations.
  void add_person_routes(std::vector<http::Row>& table, const portal::PersonAccess& access);
  static std::span<const http::ApiType> types();

  // DELETE, each with ?dry_run=true (200: what would go) and ?force=true. 204 when all is gone; 202
  // after 10 s, while the job owner-deletion goes on.
  Result<http::Response> remove_user(http::Request& request);
  Result<http::Response> remove_project(http::Request& request);
  // Its tokens, accounts and schedules go with it; the organization of its name stays.
  Result<http::Response> remove_tenant(http::Request& request);
  Result<http::Response> remove_organization(http::Request& request);
  // DELETE /api/v1/organizations/{org_id}, by an owner: suspended, and deleted in a week. An
  // operator's ?force=true is as remove_organization().
  Result<http::Response> give_up_organization(http::Request& request);
  Result<http::Response> restore_organization(http::Request& request);

 private:
  Result<http::Response> remove(http::Request& request, const OwnerRef& owner);
  // Of a deletion that is under way already.
  Result<http::Response> go_on(const http::Request& request, const OwnerRef& owner);
  Result<http::Response> show(const OwnerRef& owner) const;
  Result<http::Response> bring_on(const OwnerRef& owner);
  Json leaving_answer(const Organization& organization) const;

  Parts& parts_;
  OwnerDeletions& deletions_;
};

}  // namespace kvcs
