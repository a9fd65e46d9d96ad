// Steps that the commands of people share: organizations, projects, members, keys and artifacts by
// what people call them, what is meant where nothing is named, and the paths below. One thread.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "cli/admin_calls.h"

namespace kvcs::cli {

inline constexpr const char* kOwnOrganizations = "/api/v1/organizations";
inline constexpr const char* kOwnKeys = "/api/v1/api-keys";
inline constexpr const char* kArtifacts = "/api/v1/artifacts";

Option org_option();  // "--org", whose organization is asked instead of the active one.
// "ARTIFACT", as find_artifact() takes it.
Option artifact_argument(
    std::string help = "Its id, the first 6 digits or more of it, its name or its URL.");

// The list `member` of an answer that has no pages.
Result<Json> read_list(ApiClient& api, const std::string& path, const std::string& member);

// A kind of thing, and the members of its JSON by which it is found.
struct CalledKind {
  const char* what;       // In words: "project".
  const char* id_member;  // What commands go on with.
  // What people call it, the most exact first; the first one stands in lists of what there is.
  std::vector<const char*> name_members;
};
// The id of the item whose id is `called`, else of the one whose name is. NotFound, with what there
// is; Invalid, with the ids, when several have that name.
Result<std::string> find_called(const Json& list, const CalledKind& kind, std::string_view called);
// The same of the kinds of things that the server lists. An organization and a project have a slug
// and a name, a member an address and a name, or is "me".
Result<std::string> find_organization(ApiClient& api, std::string_view called);
Result<std::string> find_project(ApiClient& api, const std::string& place, std::string_view called);
// A key of the organization may not list projects, and names one by its id; a key of a project
// reaches that alone.
Result<std::string> find_own_project(ApiClient& api, std::string_view called);
// Forbidden, with both names: the key is of one project, and `called` is another. ok() also when
// the server does not say.
Status check_project_of_key(ApiClient& api, std::string_view called);
Result<std::string> find_person(ApiClient& api, const std::string& place, std::string_view called);
Result<std::string> find_key(ApiClient& api, std::string_view called);
// The id that a URL of an artifact ends in: the public one, that of the API or of its page in the
// dashboard. "" when the text is no such URL.
std::string artifact_of_url(std::string_view text);
// Of an artifact also by such a URL, and by the first 6 digits of its id, or more.
Result<std::string> find_artifact(ApiClient& api, std::string_view called);
// "/api/v1/artifacts/{id}" of the argument "artifact".
Result<std::string> artifact_path(ApiClient& api, const Invocation& in);

// Whether requests are made by somebody who has signed in, for whom a project is active.
bool is_person(const ApiSettings& settings);
// "project default of organization acme", of the answer of /api/v1/me; "" where it names neither.
std::string place_words(const Json& me);
// Marks the one whose id is active in the session, by a member "current". What cannot be asked for
// marks none.
void mark_current(ApiClient& api, Json& list, const char* id_member);

// "/api/v1/organizations/{id}".
Result<std::string> organization_path(ApiClient& api, std::string_view called);
// The same of --org; "/api/v1", where the active one is meant, without it.
Result<std::string> place_path(ApiClient& api, const Invocation& in);
// Likewise, with the active organization's id in it.
Result<std::string> named_place_path(ApiClient& api, const Invocation& in);

}  // namespace kvcs::cli
