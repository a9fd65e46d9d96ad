// Finds organizations, projects, members, keys and artifacts for the commands of people.
#include "cli/own_calls.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/id.h"

namespace kvcs::cli {
namespace {

// Ids and slugs that are shown when what was typed is none of them, or several.
constexpr size_t kShownMax = 20;
constexpr size_t kIdPrefixMinBytes = 6;

// At most kShownMax of the words, behind one another.
std::string some_of(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size() && i < kShownMax; i++) {
    text += (i == 0 ? "" : ", ") + printable(words[i], kShownName);
  }
  return words.size() > kShownMax ? text + ", …" : text;
}

// What people call each: the first of its names that is not its id, which a slug may be.
std::vector<std::string> calls_of(const Json& list, const CalledKind& kind) {
  std::vector<std::string> all;
  for (const Json& item : list) {
    if (!item.is_object()) continue;
    const std::string id = text_member(item, kind.id_member);
    std::string call;
    for (const char* const name : kind.name_members) {
      if (call.empty() || call == id) call = text_member(item, name);
    }
    all.push_back(call.empty() ? id : call);
  }
  return all;
}

// The id when there is one, "" when there is none.
Result<std::string> the_one(const std::vector<std::string>& ids, const char* what,
                            std::string_view called) {
  if (ids.empty()) return std::string();
  if (ids.size() == 1) return ids.front();
  return invalid("'" + printable(called, kShownName) + "' is the name of more than one " + what +
                 ": " + some_of(ids) + ". Name it by its id.");
}

// Artifacts of every state for which `query` asks and whose `member` `fits`. A server of before
// answers with others too.
template <typename Fits>
Result<std::string> ask_for_artifact(ApiClient& api, const std::string& query, const char* member,
                                     std::string_view called, const Fits& fits) {
  const Json found = KVCS_TRY(read_list(
      api, std::string(kArtifacts) + "?shape=single&status=all&limit=100&" + query, "artifacts"));
  std::vector<std::string> ids;
  for (const Json& item : found) {
    if (fits(text_member(item, member))) ids.push_back(text_member(item, "artifact_id"));
  }
  return the_one(ids, "artifact", called);
}

bool is_id_prefix(std::string_view text) {
  return text.size() >= kIdPrefixMinBytes &&
         text.find_first_not_of("0123456789abcdef-") == text.npos;
}

}  // namespace

Result<std::string> find_called(const Json& list, const CalledKind& kind, std::string_view called) {
  for (const Json& item : list) {
    if (text_member(item, kind.id_member) == called) return std::string(called);
  }
  for (const char* const name : kind.name_members) {
    std::vector<std::string> ids;
    for (const Json& item : list) {
      const bool is_called_so = !called.empty() && text_member(item, name) == called;
      if (is_called_so) ids.push_back(text_member(item, kind.id_member));
    }
    const std::string id = KVCS_TRY(the_one(ids, kind.what, called));
    if (!id.empty()) return id;
  }
  const std::string known = some_of(calls_of(list, kind));
  return not_found("There is no " + std::string(kind.what) + " '" + printable(called, kShownName) +
                   "'; there is: " + (known.empty() ? "none" : known) + ".");
}

Option org_option() {
  return {.name = "--org",
          .help = "Of this organization (id, slug or name) instead of the active one.",
          .value_name = "ORG"};
}

Option artifact_argument(std::string help) {
  return {.name = "ARTIFACT", .help = std::move(help), .required = true};
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
  return find_called(list, {"organization", "organization_id", {"slug", "name"}}, called);
}

Result<std::string> find_project(ApiClient& api, const std::string& place,
                                 std::string_view called) {
  const Json list = KVCS_TRY(read_list(api, place + "/projects", "projects"));
  return find_called(list, {"project", "project_id", {"slug", "name"}}, called);
}

Result<std::string> find_own_project(ApiClient& api, std::string_view called) {
  if (is_uuid(called)) return lower_ascii(called);
  Result<std::string> id = find_project(api, "/api/v1", called);
  if (!id.ok()) KVCS_TRY(check_project_of_key(api, called));
  return id;
}

Status check_project_of_key(ApiClient& api, std::string_view called) {
  if (is_person(api.settings())) return ok();
  const Result<Json> me = api.call("GET", "/api/v1/me");
  if (!me.ok() || !me->is_object() || text_member(*me, "kind") != "project") return ok();
  const std::string id = text_member(*me, "project_id"), slug = text_member(*me, "project");
  if (id.empty() || called == slug || lower_ascii(called) == id) return ok();
  return forbidden("--project: the key (" + api.settings().key_source + ") is of the project " +
                   printable(slug.empty() ? id : slug, kShownName) + " alone, and '" +
                   printable(called, kShownName) +
                   "' is not that. Take a key of that project or of the organization, or "
                   "`kvcs login`.");
}

Result<std::string> find_person(ApiClient& api, const std::string& place, std::string_view called) {
  if (called == "me") return std::string(called);
  const Json list = KVCS_TRY(read_list(api, place + "/members", "members"));
  return find_called(list, {"member", "person_id", {"email", "name"}}, called);
}

Result<std::string> find_key(ApiClient& api, std::string_view called) {
  if (is_uuid(called)) return lower_ascii(called);
  const Json list = KVCS_TRY(read_pages(api, kOwnKeys, "keys"));
  return find_called(list, {"key", "id", {"name"}}, called);
}

std::string artifact_of_url(std::string_view text) {
  if (!text.starts_with("https://") && !text.starts_with("http://")) return {};
  text = text.substr(0, text.find('?'));
  const std::string_view last = text.substr(text.rfind('/') + 1);
  return is_uuid(last) ? lower_ascii(last) : std::string();
}

Result<std::string> find_artifact(ApiClient& api, std::string_view called) {
  if (is_uuid(called)) return lower_ascii(called);
  if (std::string id = artifact_of_url(called); !id.empty()) return id;
  std::string id = KVCS_TRY(
      ask_for_artifact(api, "exact_name=" + percent_encode(called), "name", called,
                       [&](std::string_view name) { return !called.empty() && name == called; }));
  if (!id.empty()) return id;
  const std::string prefix = lower_ascii(called);
  if (is_id_prefix(prefix)) {
    id = KVCS_TRY(
        ask_for_artifact(api, "id_prefix=" + prefix, "artifact_id", called,
                         [&](std::string_view whole) { return whole.starts_with(prefix); }));
    if (!id.empty()) return id;
  }
  return not_found("There is no artifact '" + printable(called, kShownName) +
                   "': no id, no name, and no " + std::to_string(kIdPrefixMinBytes) +
                   " digits or more that an id begins with. `kvcs list --all-projects` has them.");
}

Result<std::string> artifact_path(ApiClient& api, const Invocation& in) {
  return std::string(kArtifacts) + "/" + KVCS_TRY(find_artifact(api, in.text("artifact")));
}

bool is_person(const ApiSettings& settings) {
  return !settings.key.empty() && !settings.key.reveal().starts_with("kv_");
}

std::string place_words(const Json& me) {
  if (!me.is_object()) return {};
  std::string project = text_member(me, "project");
  if (project.empty()) project = text_member(me, "project_id");
  const std::string organization = text_member(me, "organization");
  if (organization.empty()) return {};
  return (project.empty() ? "all projects" : "project " + printable(project, kShownName)) +
         " of organization " + printable(organization, kShownName);
}

void mark_current(ApiClient& api, Json& list, const char* id_member) {
  const Result<Json> me = api.call("GET", "/api/v1/me");
  const std::string current = me.ok() && me->is_object() ? text_member(*me, id_member) : "";
  for (Json& item : list) {
    if (!item.is_object()) continue;
    item["current"] = !current.empty() && text_member(item, id_member) == current;
  }
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
