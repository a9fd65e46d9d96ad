// `kvcs key`: keys of projects and of organizations. Without --org they are those of the active
// organization, with the key or the login of everyday commands. With --org an administrator's key
// or login asks the admin API, whose answers are brought into the same shape.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/id.h"
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/own_calls.h"

namespace kvcs::cli {
namespace {

constexpr const char* kKeyId = "9b1c8e52-2f43-4d0e-8f0a-5f2b6f6f0c11";
constexpr const char* kAdminOrganizations = "/admin/organizations";
const Option kKey{.name = "KEY", .help = "The key's id or name.", .required = true};

ApiSettings settings_of(const Invocation& in) {
  return in.optional_text("org") ? find_admin_settings(in) : find_api_settings(in);
}

// "/admin/organizations/{id}" of --org. Operators see all organizations; who is no operator names
// one of the own.
Result<std::string> admin_place(ApiClient& api, std::string_view called) {
  const std::string all(kAdminOrganizations);
  if (is_uuid(called)) return all + "/" + lower_ascii(called);
  const Result<Json> list = read_pages(api, all, "organizations");
  if (list.code() == Code::kForbidden) {
    return all + "/" + KVCS_TRY(find_organization(api, called));
  }
  KVCS_TRY(list.status());
  return all + "/" +
         KVCS_TRY(find_called(*list, {"organization", "org_id", {"slug", "name"}}, called));
}

Result<std::string> admin_project(ApiClient& api, const std::string& place,
                                  std::string_view called) {
  const Json list = KVCS_TRY(read_list(api, place + "/projects", "projects"));
  return place + "/projects/" +
         KVCS_TRY(find_called(list, {"project", "project_id", {"slug", "name"}}, called));
}

// A key as /api/v1/api-keys has it.
Json own_shape(Json key) {
  if (!key.is_object()) return key;
  Json own = Json::object();
  const auto take = [&](const char* member, const char* from) {
    if (key.contains(from)) own[member] = key[from];
  };
  take("id", "key_id");
  take("api_key", "api_key");
  take("hint", "key_prefix");
  own["project_id"] = key.value("project_id", Json());
  take("name", "name");
  take("permissions", "scopes");
  for (const char* const member : {"created_at", "expires_at", "last_used_at"}) {
    take(member, member);
  }
  return own;
}

Status add_keys(ApiClient& api, const std::string& place, const std::string& query, Json& all) {
  for (const Json& key : KVCS_TRY(read_pages(api, place + "/api-keys" + query, "api_keys"))) {
    if (text_member(key, "status") != "revoked") all.push_back(own_shape(key));
  }
  return ok();
}

// The keys of the organization and of its projects, or of one project, that fit the query.
Result<Json> admin_keys(ApiClient& api, const std::string& place,
                        const std::optional<std::string>& project, const std::string& query) {
  Json all = Json::array();
  if (project) {
    const std::string path = KVCS_TRY(admin_project(api, place, *project));
    KVCS_TRY(add_keys(api, path, query, all));
    return all;
  }
  KVCS_TRY(add_keys(api, place, query, all));
  for (const Json& one : KVCS_TRY(read_list(api, place + "/projects", "projects"))) {
    const std::string of = "/projects/" + percent_encode(text_member(one, "project_id"));
    KVCS_TRY(add_keys(api, place + of, query, all));
  }
  return all;
}

Result<Json> list_keys(ApiClient& api, const Invocation& in) {
  const auto project = in.optional_text("project");
  std::string query = query_of(in, {kSearchQuery});
  if (const auto org = in.optional_text("org")) {
    return admin_keys(api, KVCS_TRY(admin_place(api, *org)), project, query);
  }
  if (project) {
    query += query.empty() ? "?" : "&";
    query += "project_id=" + KVCS_TRY(find_own_project(api, *project));
  }
  return read_pages(api, kOwnKeys + query, "keys");
}

// The path of the argument "key".
Result<std::string> key_path(ApiClient& api, const Invocation& in) {
  const std::string called = in.text("key");
  const auto org = in.optional_text("org");
  if (!org) {
    return std::string(kOwnKeys) + "/" + percent_encode(KVCS_TRY(find_key(api, called)));
  }
  const std::string place = KVCS_TRY(admin_place(api, *org));
  const Json all = KVCS_TRY(admin_keys(api, place, std::nullopt, ""));
  const std::string id = KVCS_TRY(
      find_called(all, {"key", "id", {"name"}}, is_uuid(called) ? lower_ascii(called) : called));
  std::string of = place;
  for (const Json& key : all) {
    const std::string project = text_member(key, "project_id");
    if (text_member(key, "id") == id && !project.empty()) of += "/projects/" + project;
  }
  return of + "/api-keys/" + percent_encode(id);
}

int run_key_list(const Invocation& in, Console& console) {
  ApiClient api(settings_of(in));
  return show_list(console, list_keys(api, in),
                   {{"KEY ID", "id"},
                    {"NAME", "name"},
                    {"HINT", "hint"},
                    {"PERMISSIONS", "permissions"},
                    {"PROJECT ID", "project_id"},
                    {"EXPIRES", "expires_at"},
                    {"LAST USED", "last_used_at"}},
                   "No keys.");
}

Result<Json> create_key(ApiClient& api, const Invocation& in) {
  const auto project = in.optional_text("project"), org = in.optional_text("org");
  const bool is_whole = in.flag("organization");
  if (project && is_whole) return invalid("--project and --organization: give one of them.");
  Json body = KVCS_TRY(body_of(in, {{"name", "name"}, {"expires-at", "expires_at"}}));
  body[org ? "scopes" : "permissions"] = Json::array({in.text("permission")});
  if (!org) {
    if (is_whole) body["project_id"] = nullptr;
    if (project) body["project_id"] = KVCS_TRY(find_own_project(api, *project));
    return api.call("POST", kOwnKeys, body);
  }
  if (!project && !is_whole) {
    return invalid(
        "--org: name the project that the key is of with --project, or take "
        "--organization for a key of all projects.");
  }
  std::string place = KVCS_TRY(admin_place(api, *org));
  if (project) place = KVCS_TRY(admin_project(api, place, *project));
  return own_shape(KVCS_TRY(api.call("POST", place + "/api-keys", body)));
}

int run_key_create(const Invocation& in, Console& console) {
  ApiClient api(settings_of(in));
  return show_object(console, create_key(api, in));
}

// When the old key ends, as one line.
void show_old_end(Json& rotated) {
  const auto previous = rotated.find("previous");
  const Json old = previous == rotated.end() ? Json() : *previous;
  rotated.erase("previous");
  rotated.erase("overlap_s");
  std::string end = "is refused from now on";
  if (old.is_object()) {
    end = text_member(old, "hint") + " works until " + text_member(old, "expires_at");
  }
  rotated["old_key"] = end;
}

int run_key_rotate(const Invocation& in, Console& console) {
  ApiClient api(settings_of(in));
  const Result<std::string> path = key_path(api, in);
  if (!path.ok()) return console.fail(path.status());
  Json body = Json::object();
  body["overlap_s"] = in.number("overlap-s");
  Result<Json> rotated = api.call("POST", *path + "/rotate", body);
  if (!rotated.ok() || !rotated->is_object()) return show_object(console, rotated);
  if (in.optional_text("org")) {
    rotated = own_shape(*rotated);
    console.note("The old key works for another " + std::to_string(in.number("overlap-s")) + " s.");
  } else if (!console.mode().json) {
    show_old_end(*rotated);
  }
  return show_object(console, rotated);
}

int run_key_revoke(const Invocation& in, Console& console) {
  ApiClient api(settings_of(in));
  const std::string called = in.text("key");
  const Result<std::string> path = key_path(api, in);
  if (!path.ok()) return console.fail(path.status());
  const std::string id = path->substr(path->rfind('/') + 1);
  const std::string what = "key " + id + (called == id ? "" : " ('" + called + "')");
  if (const auto exit = declined(in, console, "Revoke " + what + "? It is refused at once.")) {
    return *exit;
  }
  return show_done(console, api.call("DELETE", *path).status(), "Revoked " + what + ".");
}

}  // namespace

std::vector<Command> own_key_commands() {
  const Option project{
      .name = "--project", .help = "Its id, slug or name.", .value_name = "PROJECT"};
  const Option org{.name = "--org",
                   .help =
                       "Of this organization (id, slug or name), by an administrator's key or "
                       "login (`kvcs admin`).",
                   .value_name = "ORG"};
  return {
      {.name = "key list",
       .summary = "List the keys of the organization, or of one project; never the keys "
                  "themselves.",
       .options = {search_option(), project, org},
       .examples = {{"kvcs key list", ""},
                    {"kvcs key list --org acme", "As an operator, with KVCS_ADMIN_KEY."}},
       .run = run_key_list},
      {.name = "key create",
       .summary = "Make a key of the active project, of another, or of the organization.",
       .options = {{.name = "NAME", .help = "Tells it apart from others.", .required = true},
                   {.name = "--permission",
                    .help = "Each includes those before it.",
                    .fallback = "write",
                    .choices = {"read", "write", "admin"}},
                   project,
                   {.name = "--organization",
                    .kind = ValueKind::kFlag,
                    .help = "Of every project of the organization."},
                   {.name = "--expires-at",
                    .help = "As 2030-01-31T00:00:00Z.",
                    .value_name = "TIME"},
                   org},
       .examples = {{"kvcs key create ci --permission read", "Shown this once."},
                    {"kvcs key create ci --org acme --organization",
                     "As an operator, with KVCS_ADMIN_KEY."}},
       .run = run_key_create},
      {.name = "key rotate",
       .summary = "Make a new secret for a key; the old one works for a while longer.",
       .options = {kKey,
                   {.name = "--overlap-s",
                    .kind = ValueKind::kNumber,
                    .help = "For how long.",
                    .fallback = "86400",
                    .min = 0,
                    .max = 30 * 86'400},
                   org},
       .examples = {{"kvcs key rotate " + std::string(kKeyId) + " --overlap-s 3600", ""}},
       .run = run_key_rotate},
      {.name = "key revoke",
       .summary = "Revoke a key, at once.",
       .options = {kKey, org, yes_option()},
       .examples = {{"kvcs key revoke " + std::string(kKeyId) + " --yes", ""}},
       .run = run_key_revoke},
  };
}

}  // namespace kvcs::cli
