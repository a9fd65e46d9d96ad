// People as callers of a row of the route table, by the least role that the row asks for in the
// organization that the path names, or else in the active one.
#pragma once
#include <string_view>

#include "http/route_rows.h"
#include "identity/admin_common.h"
#include "kv/audited_kv.h"

namespace kvcs::portal {

struct PersonAccess {
  http::Access person;  // Any role or none.
  http::Access viewer, member, admin, owner;
  // Also where the organization is suspended as its deletion is planned.
  http::Access leaving_viewer, leaving_owner;
};

// Who changes something here, for the audit, and from which address.
inline AuditContext by(const http::Request& request) {
  return admin_api::who_from(request);
}

// The end of the ids of rows that are about the organization in their path; those without it are
// about the active one.
inline std::string_view id_end_of(std::string_view path) {
  return path.find("{org_id}") != path.npos ? "OfOrganization" : "";
}

// `access` for a row at `path`: whose the thing is that the path names.
inline http::Access at_path(const http::Access& access, std::string_view path) {
  constexpr std::string_view kOrganization = "{org_id}";
  const size_t organization = path.find(kOrganization);
  const bool names_organization = organization != path.npos;
  const size_t rest = names_organization ? organization + kOrganization.size() : 0;
  if (path.find('{', rest) != path.npos) return with_owner(access, http::OwnerFrom::kObject);
  return with_owner(
      access, names_organization ? http::OwnerFrom::kPathOrganization : http::OwnerFrom::kCaller);
}

}  // namespace kvcs::portal
