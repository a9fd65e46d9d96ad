// Finds organizations, projects and members for the commands of people.
#include "cli/own_calls.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"

namespace kvcs::cli {
namespace {

// Ids and slugs that are shown when what was typed is none of them.
constexpr size_t kShownMax = 20;

}  // namespace

Result<std::string> find_called(const Json& list, const char* what, const char* id_member,
                                const char* name_member, std::string_view called) {
  std::string known;
  size_t count = 0;
  for (const Json& item : list) {
    const std::string id = text_member(item, id_member), name = text_member(item, name_member);
    if (called == id || (!name.empty() && called == name)) return id;
    if (++count <= kShownMax) known += (known.empty() ? "" : ", ") + printable(name, kShownName);
  }
  if (count > kShownMax) known += ", …";
  return not_found("There is no " + std::string(what) + " '" + printable(called, kShownName) +
                   "'; there is: " + (known.empty() ? "none" : known) + ".");
}

Option org_option() {
  return {.name = "--org",
          .help = "Of this organization (id or slug) instead of the active one.",
          .value_name = "ORG"};
}

Result<Json> read_list(ApiClient& api, const std::string& path, const std::string& member) {
  const Json answer = KVCS_TRY(api.call("GET", path));
  if (!answer.is_object() || !answer.contains(member) || !answer[member].is_array()) {
    return upstream_failed("The server's list of " + member + " is malformed.");
  }
  return answer[member];
}

Result<std::string> find_organization(ApiClient& api, std::string_view called) {
  const Json list = KVCS_TRY(read_list(api, kOwnOrganizations, "organizations"));
  return find_called(list, "organization", "organization_id", "slug", called);
}

Result<std::string> find_project(ApiClient& api, const std::string& place,
                                 std::string_view called) {
  const Json list = KVCS_TRY(read_list(api, place + "/projects", "projects"));
  return find_called(list, "project", "project_id", "slug", called);
}

Result<std::string> find_person(ApiClient& api, const std::string& place, std::string_view called) {
  if (called == "me") return std::string(called);
  const Json list = KVCS_TRY(read_list(api, place + "/members", "members"));
  return find_called(list, "member", "person_id", "email", called);
}

Result<std::string> organization_path(ApiClient& api, std::string_view called) {
  return std::string(kOwnOrganizations) + "/" + KVCS_TRY(find_organization(api, called));
}

Result<std::string> place_path(ApiClient& api, const Invocation& in) {
  const auto named = in.optional_text("org");
  return named ? organization_path(api, *named) : Result<std::string>(std::string("/api/v1"));
}

Result<std::string> named_place_path(ApiClient& api, const Invocation& in) {
  if (const auto named = in.optional_text("org")) return organization_path(api, *named);
  const Json me = KVCS_TRY(api.call("GET", "/api/v1/me"));
  const std::string id = text_member(me, "organization_id");
  if (!id.empty()) return std::string(kOwnOrganizations) + "/" + id;
  return invalid("No organization is active; name one with --org, or choose with `kvcs org use`.");
}

}  // namespace kvcs::cli
