// The keys of projects and organizations in the hands of their own administrators: created, listed,
// rotated and revoked without an admin key. What they change is audited under whoever asked.
#include "identity/project_keys_api.h"

#include <nlohmann/json.hpp>

#include "http/json_api.h"
#include "identity/access.h"
#include "identity/admin_common.h"

namespace kvcs {

using namespace admin_api;

namespace {

constexpr http::ApiType kTypes[] = {
    {"NewOwnKey", R"(
name!: string(1..100) = "ci"
permissions: [string] # read, write, admin; each includes those before. Default: write.
scopes: [string] # The same, by its earlier name.
expires_at: time? # Null: never.
project_id: string(1..64)? # Default: the key's or session's own. Null: all of the organization.)"},
    {"OwnKeyCreated", R"(
id!: id
api_key!: string # Shown this once.
hint!: string
project_id!: id? # Null: an organization key.
permissions!: [string]
expires_at!: time?)"},
    {"OwnKey", R"(
id!: id
project_id!: id? # Null: an organization key.
name!: string
hint!: string
permissions!: [string]
created_at!: time
expires_at!: time?
last_used_at!: time?
previous: PreviousKey # While the key that a rotation replaced works on.)"},
    {"PreviousKey", R"(
hint!: string
expires_at!: time)"},
    {"OwnKeyList", R"(
keys!: [OwnKey]
cursor!: string?)"},
    {"OwnKeyRotation", R"(
overlap_s: integer(0..2592000) # How long the old key works on. Default: 86400.)"},
    {"OwnKeyRotated", R"(
id!: id
api_key!: string # Shown this once.
hint!: string
overlap_s!: integer
previous: PreviousKey # The old key, while it works on.)"},
};

Json permissions_json(const KeyRecord& key) {
  const std::string_view scope = access::scope_name(access::scope_of(key.scopes));
  Json permissions = Json::array();
  if (!scope.empty()) permissions.push_back(scope);
  return permissions;
}

Json project_json(const KeyRecord& key) {
  return key.kind == PrincipalKind::kProjectKey ? Json(key.project_id) : Json(nullptr);
}

Json previous_json(const KeyRecord& old) {
  return Json{{"hint", old.key_prefix}, {"expires_at", time_json(old.expires_ms)}};
}

// All keys of the organization: its own, and those of its projects.
KeyOwner whole(const Principal& caller) {
  return {PrincipalKind::kProjectKey, caller.organization_id, "", ""};
}

// Two names for one list: "permissions" is what the list is called when it is shown.
std::vector<std::string> read_permissions(JsonReader& reader) {
  const auto permissions = optional_scopes(reader, "permissions");
  const auto scopes = optional_scopes(reader, "scopes");
  if (permissions && scopes) reader.fail("scopes", "is another name of permissions; send one.");
  if (permissions) return *permissions;
  return scopes.value_or(std::vector<std::string>{"write"});
}

}  // namespace

ProjectKeysApi::ProjectKeysApi(ProjectService& projects, KeyService& keys, const Clock& clock)
    : projects_(projects), keys_(keys), clock_(clock) {}

std::span<const http::ApiType> ProjectKeysApi::types() {
  return kTypes;
}

void ProjectKeysApi::add_routes(std::vector<http::Row>& table, const http::ArtifactAccess& access) {
  using enum http::Method;
  http::Rows rows(table, *this, "/api/v1/api-keys");
  const http::Access one = with_owner(access.admin, http::OwnerFrom::kObject);
  rows.add(kPost, "", access.admin, http::kib(16), &ProjectKeysApi::create,
           "Create a key of a project, or of the organization; shown once.",
           {.id = "createApiKey",
            .body = "NewOwnKey",
            .status = 201,
            .answer = "OwnKeyCreated",
            .also = "404 409"});
  rows.add(
      kGet, "", access.admin, http::kNoBody, &ProjectKeysApi::list,
      "The keys of the own project or organization; never the keys themselves. ?q= looks at name, "
      "id and hint.",
      {.id = "listApiKeys", .query = "project_id q:inside limit cursor", .answer = "OwnKeyList"});
  rows.add(kPost, "/{key_id}/rotate", one, http::kib(1), &ProjectKeysApi::rotate,
           "Replace the secret of a key; the old one works for a while longer.",
           {.id = "rotateApiKey",
            .query = "project_id",
            .body = "OwnKeyRotation?",
            .answer = "OwnKeyRotated",
            .also = "409"});
  rows.add(kDelete, "/{key_id}", one, http::kNoBody, &ProjectKeysApi::revoke,
           "Revoke a key, at once.", {.id = "revokeApiKey", .query = "project_id", .status = 204});
}

Result<KeyOwner> ProjectKeysApi::project_of(const Principal& caller,
                                            std::string_view project_id) const {
  if (!access::owns(caller,
                    {.organization_id = caller.organization_id, .project_id = project_id})) {
    return no_such_project(project_id);
  }
  const Project project = KVCS_TRY(projects_.find(caller.organization_id, project_id));
  return KeyOwner{PrincipalKind::kProjectKey, caller.organization_id, project.id, ""};
}

Result<KeyOwner> ProjectKeysApi::reach_of(const http::Request& request) const {
  const Principal& caller = request.principal;
  if (const auto named = request.query_value("project_id")) return project_of(caller, *named);
  if (caller.kind == PrincipalKind::kProjectKey) return project_of(caller, caller.project_id);
  return whole(caller);
}

Result<http::Response> ProjectKeysApi::create(http::Request& request) {
  const Principal& caller = request.principal;
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  NewKey wanted;
  wanted.name = reader.string("name", {.max_bytes = kKeyNameMaxBytes});
  wanted.scopes = read_permissions(reader);
  wanted.expires_ms = optional_time(body, reader, "expires_at").value_or(0);
  if (wanted.expires_ms != 0 && wanted.expires_ms <= clock_.unix_ms()) {
    reader.fail("expires_at", "is over already.");
  }
  const auto named = reader.optional_string("project_id", {.max_bytes = 64});
  KVCS_TRY(reader.finish());
  const bool of_organization = is_null(body, "project_id");
  if (of_organization && caller.kind == PrincipalKind::kProjectKey) {
    return forbidden("A project key makes keys of its own project alone.")
        .with_reason("project_key_reach");
  }
  if (!of_organization && !named && caller.project_id.empty()) {
    return invalid("project_id: required, as " +
                   std::string(caller.kind == PrincipalKind::kPerson
                                   ? "no project is active in this session"
                                   : "an organization key is of no project") +
                   "; null makes a key of the organization.");
  }
  CreatedKey made;
  if (of_organization) {
    const KeyOwner owner{PrincipalKind::kOrganizationKey, caller.organization_id, "", ""};
    made = KVCS_TRY(keys_.create(owner, wanted, who_from(request)));
  } else {
    const KeyOwner owner = KVCS_TRY(project_of(caller, named.value_or(caller.project_id)));
    made = KVCS_TRY(create_project_key(projects_, keys_, owner, wanted, who_from(request)));
  }
  return http::private_reply(201, Json{{"id", made.record.id},
                                       {"api_key", made.key.reveal()},
                                       {"hint", made.record.key_prefix},
                                       {"project_id", project_json(made.record)},
                                       {"permissions", permissions_json(made.record)},
                                       {"expires_at", time_json(made.record.expires_ms)}});
}

// Without ?limit= as many as one project may have, for callers that know of no pages.
Result<http::Response> ProjectKeysApi::list(http::Request& request) {
  http::PageAsk ask = KVCS_TRY(http::read_page(request));
  if (!request.query_value("limit")) ask.limit = kKeysPerOwnerMax;
  const KeyOwner owner = KVCS_TRY(reach_of(request));
  const SearchText search = KVCS_TRY(http::read_search(request));
  const KeyPage page = KVCS_TRY(keys_.list(owner, {ask.cursor, ask.limit, search}));
  Json keys = Json::array();
  for (const KeyRecord& key : page.keys) {
    if (key.status == KeyStatus::kRevoked) continue;
    Json item{{"id", key.id},
              {"project_id", project_json(key)},
              {"name", key.name},
              {"hint", key.key_prefix},
              {"permissions", permissions_json(key)},
              {"created_at", time_json(key.created_ms)},
              {"expires_at", time_json(key.expires_ms)},
              {"last_used_at", time_json(key.last_used_ms)}};
    if (const auto old = KVCS_TRY(keys_.find_replaced(key))) {
      item["previous"] = previous_json(*old);
    }
    keys.push_back(std::move(item));
  }
  return http::private_reply(
      200, Json{{"keys", std::move(keys)}, {"cursor", http::cursor_json(page.cursor)}});
}

Result<http::Response> ProjectKeysApi::rotate(http::Request& request) {
  const int64_t overlap_s = KVCS_TRY(read_overlap(request, kOwnKeyOverlapS));
  const KeyOwner owner = KVCS_TRY(reach_of(request));
  const CreatedKey made =
      KVCS_TRY(keys_.rotate(owner, request.param("key_id"), overlap_s, who_from(request)));
  Json body{{"id", made.record.id},
            {"api_key", made.key.reveal()},
            {"hint", made.record.key_prefix},
            {"overlap_s", overlap_s}};
  if (const auto old = KVCS_TRY(keys_.find_replaced(made.record))) {
    body["previous"] = previous_json(*old);
  }
  return http::private_reply(200, body);
}

Result<http::Response> ProjectKeysApi::revoke(http::Request& request) {
  const KeyOwner owner = KVCS_TRY(reach_of(request));
  KVCS_TRY(keys_.revoke(owner, request.param("key_id"), who_from(request)));
  return http::empty_response(204);
}

}  // namespace kvcs
