// The keys of a project in the hands of its own administrators: created, listed and revoked without
// an admin key. What they change is audited under the key that asked.
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
scopes: [string] # read, write, admin; each includes those before. Default: write.
expires_at: time?
project_id: string(1..64) # With an organization key, which has no project of its own.)"},
    {"OwnKeyCreated", R"(
id!: id
api_key!: string # Shown this once.
hint!: string)"},
    {"OwnKey", R"(
id!: id
project_id!: id
name!: string
hint!: string
permissions!: [string]
created_at!: time
expires_at!: time?
last_used_at!: time?)"},
    {"OwnKeyList", R"(
keys!: [OwnKey])"},
};

}  // namespace

ProjectKeysApi::ProjectKeysApi(ProjectService& projects, KeyService& keys)
    : projects_(projects), keys_(keys) {}

std::span<const http::ApiType> ProjectKeysApi::types() {
  return kTypes;
}

void ProjectKeysApi::add_routes(std::vector<http::Row>& table, const http::ArtifactAccess& access) {
  using enum http::Method;
  http::Rows rows(table, *this, "/api/v1/api-keys");
  rows.add(kPost, "", access.admin, http::kib(16), &ProjectKeysApi::create,
           "Create a key of the own project; shown once.",
           {.body = "NewOwnKey", .status = 201, .answer = "OwnKeyCreated"});
  rows.add(kGet, "", access.admin, http::kNoBody, &ProjectKeysApi::list,
           "The keys of the own project; never the keys themselves.",
           {.query = "project_id", .answer = "OwnKeyList"});
  rows.add(kDelete, "/{key_id}", with_owner(access.admin, http::OwnerFrom::kObject), http::kNoBody,
           &ProjectKeysApi::revoke, "Revoke a key of the own project, at once.",
           {.query = "project_id", .status = 204});
}

Result<KeyOwner> ProjectKeysApi::owner_of(const Principal& caller, std::string_view named) const {
  if (named.empty() && caller.project_id.empty()) {
    return invalid("project_id: required with an organization key, which is of no project.");
  }
  const std::string_view wanted = named.empty() ? caller.project_id : named;
  if (!access::owns(caller, {.organization_id = caller.organization_id, .project_id = wanted})) {
    return no_such_project(wanted);
  }
  const Project project = KVCS_TRY(projects_.find(caller.organization_id, wanted));
  return KeyOwner{PrincipalKind::kProjectKey, caller.organization_id, project.id, ""};
}

Result<http::Response> ProjectKeysApi::create(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  NewKey wanted;
  wanted.name = reader.string("name", {.max_bytes = kKeyNameMaxBytes});
  wanted.scopes = optional_scopes(reader).value_or(std::vector<std::string>{"write"});
  wanted.expires_ms = optional_time(body, reader, "expires_at").value_or(0);
  const std::string project = reader.optional_string("project_id", {.max_bytes = 64}).value_or("");
  KVCS_TRY(reader.finish());
  const KeyOwner owner = KVCS_TRY(owner_of(request.principal, project));
  const CreatedKey made = KVCS_TRY(create_project_key(
      projects_, keys_, owner, wanted, caller_context(request.principal, request.request_id)));
  return http::private_reply(201, Json{{"id", made.record.id},
                                       {"api_key", made.key.reveal()},
                                       {"hint", made.record.key_prefix}});
}

Result<http::Response> ProjectKeysApi::list(http::Request& request) {
  const KeyOwner owner =
      KVCS_TRY(owner_of(request.principal, request.query_value("project_id").value_or("")));
  Json keys = Json::array();
  for (const KeyRecord& key : KVCS_TRY(keys_.list(owner, "", kKeysPerOwnerMax)).keys) {
    if (key.status == KeyStatus::kRevoked) continue;
    const std::string_view scope = access::scope_name(access::scope_of(key.scopes));
    Json permissions = Json::array();
    if (!scope.empty()) permissions.push_back(scope);
    keys.push_back({{"id", key.id},
                    {"project_id", key.project_id},
                    {"name", key.name},
                    {"hint", key.key_prefix},
                    {"permissions", std::move(permissions)},
                    {"created_at", time_json(key.created_ms)},
                    {"expires_at", time_json(key.expires_ms)},
                    {"last_used_at", time_json(key.last_used_ms)}});
  }
  return http::private_reply(200, Json{{"keys", std::move(keys)}});
}

Result<http::Response> ProjectKeysApi::revoke(http::Request& request) {
  const KeyOwner owner =
      KVCS_TRY(owner_of(request.principal, request.query_value("project_id").value_or("")));
  KVCS_TRY(keys_.revoke(owner, request.param("key_id"),
                        caller_context(request.principal, request.request_id)));
  return http::empty_response(204);
}

}  // namespace kvcs
