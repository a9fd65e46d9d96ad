// The one place that decides who may do what with whose things. Who may: the family of a key and
// its role or scope, against what a row of the route table needs. Whose: the owner of a thing,
// against the caller. Guards and handlers ask here and compare nothing themselves. Pure functions.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/principal.h"
#include "base/status.h"
#include "http/route_rows.h"

namespace kvcs::access {

// Whose a thing is. Members that it does not have are empty.
struct Owner {
  std::string_view organization_id = {};
  std::string_view project_id = {};
  std::string_view user_id = {};
  std::string_view tenant = {};  // The slug in a path.
};

// Forbidden with reason wrong_key_family, insufficient_role, insufficient_scope or
// no_active_organization. Of /admin it decides about operators alone.
Status may(const Principal& caller, const http::Need& need);

// Whether the thing is the caller's own. A project key owns what is of its project, an organization
// key what is of its organization, a person what is of the organization that is active, a user key
// its user's, a tenant token its tenant's; admin keys
// own nothing. A caller that does not own a thing is answered as if there were none.
bool owns(const Principal& caller, const Owner& owner);

// Whether an operator of the daemon asks, who reaches every organization. The guards let others
// into /admin for their own organization alone (Principal::organization_id).
bool is_operator(const Principal& caller);

// The project that a caller's lists and searches are limited to; "" for one that reaches all
// projects of its organization.
std::string_view project_limit(const Principal& caller);

// The words of a record as a scope: the greatest of them, as each includes those before it. No
// words at all mean write, as keys of earlier releases have none. Unknown words give nothing.
Scope scope_of(const std::vector<std::string>& words);
std::string_view scope_name(Scope scope);  // "" for none.
// What a person with this role may do with the organization's artifacts.
Scope scope_of_role(OrgRole role);

// As /openapi.json and the table of access say it: "project key, scope write".
std::string_view words(const http::Need& need);
std::string_view words(http::OwnerFrom owner);

}  // namespace kvcs::access
