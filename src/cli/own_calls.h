// Steps that the commands of people share: organizations, projects and members by what people call
// them, and the paths below. One thread.
#pragma once
#include <string>
#include <string_view>

#include "cli/admin_calls.h"

namespace kvcs::cli {

inline constexpr const char* kOwnOrganizations = "/api/v1/organizations";

Option org_option();  // "--org", whose organization is asked instead of the active one.

// The list `member` of an answer that has no pages.
Result<Json> read_list(ApiClient& api, const std::string& path, const std::string& member);

// The id in `id_member` of the item whose id, or whose `name_member`, is `called`. NotFound, with
// what there is.
Result<std::string> find_called(const Json& list, const char* what, const char* id_member,
                                const char* name_member, std::string_view called);
// The id of what is called so: by its id or its slug, of a member also by the address, or "me".
// NotFound, with what there is.
Result<std::string> find_organization(ApiClient& api, std::string_view called);
Result<std::string> find_project(ApiClient& api, const std::string& place, std::string_view called);
Result<std::string> find_person(ApiClient& api, const std::string& place, std::string_view called);

// "/api/v1/organizations/{id}".
Result<std::string> organization_path(ApiClient& api, std::string_view called);
// The same of --org; "/api/v1", where the active one is meant, without it.
Result<std::string> place_path(ApiClient& api, const Invocation& in);
// Likewise, with the active organization's id in it.
Result<std::string> named_place_path(ApiClient& api, const Invocation& in);

}  // namespace kvcs::cli
