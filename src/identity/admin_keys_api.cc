// The handlers, rows and types of /admin/admin-keys. Handlers run on workers of the HTTP server.
#include "identity/admin_keys_api.h"

#include <nlohmann/json.hpp>

#include "http/json_api.h"
#include "identity/admin_common.h"
#include "identity/identity.h"

namespace kvcs {

using namespace admin_api;

namespace {
// Admin keys are of the daemon and of no organization.
const KeyOwner kAdmins{PrincipalKind::kAdminKey, "", "", ""};
}  // namespace

AdminKeysApi::AdminKeysApi(KeyService& keys) : keys_(keys) {}

namespace {

constexpr http::ApiType kTypes[] = {
    {"NewAdminKey", R"(
name!: string(1..100) = "ops"
role!: owner|admin|viewer|billing = "viewer"
expires_at: time?)"},
    {"AdminKeyPage", R"(
admin_keys!: [Key]
cursor!: string?)"},
};

}  // namespace

std::span<const http::ApiType> AdminKeysApi::types() {
  return kTypes;
}

void AdminKeysApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kib;
  using http::kNoBody;
  http::Rows rows(table, *this, "/admin/admin-keys");
  // Only owners make and revoke keys, so no key makes one above itself.
  rows.add(kPost, "", access.owner, kib(16), &AdminKeysApi::create,
           "Create an admin key; shown once.",
           {.id = "createAdminKey", .body = "NewAdminKey", .status = 201, .answer = "KeyCreated"});
  rows.add(kGet, "", access.viewer, kNoBody, &AdminKeysApi::list,
           "List admin keys. ?q= looks at name, key_id and key_prefix.",
           {.id = "listAdminKeys", .query = "q:inside limit cursor", .answer = "AdminKeyPage"});
  rows.add(kDelete, "/{key_id}", access.owner, kNoBody, &AdminKeysApi::revoke,
           "Revoke an admin key, at once.",
           {.id = "revokeAdminKey", .answer = "KeyRevoked", .also = "409"});
}

Result<http::Response> AdminKeysApi::create(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  NewKey wanted;
  wanted.name = reader.string("name", {.max_bytes = kKeyNameMaxBytes});
  const std::string role = reader.one_of("role", {"owner", "admin", "viewer", "billing"});
  wanted.expires_ms = optional_time(body, reader, "expires_at").value_or(0);
  KVCS_TRY(reader.finish());
  wanted.role = KVCS_TRY(parse_admin_role(role));
  const CreatedKey created = KVCS_TRY(keys_.create(kAdmins, wanted, who(request)));
  Json json = key_json(created.record);
  json["admin_key"] = created.key.reveal();
  return http::reply(201, json);
}

Result<http::Response> AdminKeysApi::list(http::Request& request) {
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const SearchText search = KVCS_TRY(http::read_search(request));
  const KeyPage page = KVCS_TRY(keys_.list(kAdmins, {ask.cursor, ask.limit, search}));
  Json keys = Json::array();
  for (const KeyRecord& key : page.keys) keys.push_back(key_json(key));
  return http::reply(200, Json{{"admin_keys", keys}, {"cursor", http::cursor_json(page.cursor)}});
}

Result<http::Response> AdminKeysApi::revoke(http::Request& request) {
  const std::string_view id = request.param("key_id");
  if (request.principal.key_id == id) {
    return conflict("A key cannot revoke itself; use another owner key.").with_reason("key_in_use");
  }
  const KeyRecord revoked = KVCS_TRY(keys_.revoke(kAdmins, id, who(request)));
  return http::reply(200, Json{{"key_id", revoked.id},
                               {"revoked_at", time_json(revoked.revoked_ms)},
                               {"status", key_status_name(revoked.status)}});
}

}  // namespace kvcs
