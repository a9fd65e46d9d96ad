// The handlers, rows and types of /admin/users. Guards have let in an admin key of the row's role;
// the handlers run on workers of the HTTP server.
#include "identity/users_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>

#include "base/bytes.h"
#include "base/clock.h"
#include "http/json_api.h"
#include "identity/access.h"
#include "identity/admin_common.h"

namespace kvcs {

using namespace admin_api;

namespace {

// 10 USD a month: a new user can be tried at once and cannot do much harm.
constexpr int64_t kDefaultLimitNanoUsd = 10'000'000'000;

// The members that POST and PATCH share.
struct UserChanges {
  std::optional<int64_t> monthly_limit_nano_usd, requests_per_minute, tokens_per_minute;
  std::optional<bool> active;
  std::optional<std::vector<std::string>> allowed_models;
  std::optional<std::vector<std::string>> operator_set;
};

bool has_name(const auto& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

constexpr std::string_view kLimitMembers[] = {"monthly_limit_usd", "status", "requests_per_minute",
                                              "tokens_per_minute", "allowed_models"};

std::optional<std::vector<std::string>> optional_limit_names(JsonReader& reader) {
  const Json* array = reader.array("operator_set");
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> names;
  for (const Json& item : *array) {
    const std::string name = item.is_string() ? item.get<std::string>() : "";
    if (!has_name(kLimitMembers, name)) {
      reader.fail("operator_set",
                  "'" + printable(name, kShownWord) +
                      "' is not one of: monthly_limit_usd, status, requests_per_minute, "
                      "tokens_per_minute, allowed_models.");
      return std::nullopt;
    }
    if (!has_name(names, name)) names.push_back(name);
  }
  return names;
}

UserChanges read_changes(const Json& body, JsonReader& reader) {
  UserChanges changes;
  changes.monthly_limit_nano_usd = optional_usd(reader, "monthly_limit_usd");
  changes.active = optional_status(reader);
  changes.requests_per_minute = optional_limit(body, reader, "requests_per_minute");
  changes.tokens_per_minute = optional_limit(body, reader, "tokens_per_minute");
  changes.allowed_models = optional_models(reader);
  changes.operator_set = optional_limit_names(reader);
  return changes;
}

void set_limits(const UserChanges& changes, User& user) {
  if (changes.monthly_limit_nano_usd) {
    user.monthly_limit_nano_usd = *changes.monthly_limit_nano_usd;
  }
  if (changes.active) user.active = *changes.active;
  if (changes.requests_per_minute) user.requests_per_minute = *changes.requests_per_minute;
  if (changes.tokens_per_minute) user.tokens_per_minute = *changes.tokens_per_minute;
  if (changes.allowed_models) user.allowed_models = *changes.allowed_models;
}

// The members whose values differ, in the order of kLimitMembers.
std::vector<std::string_view> changed_limits(const User& a, const User& b) {
  const bool differs[] = {a.monthly_limit_nano_usd != b.monthly_limit_nano_usd,
                          a.active != b.active, a.requests_per_minute != b.requests_per_minute,
                          a.tokens_per_minute != b.tokens_per_minute,
                          a.allowed_models != b.allowed_models};
  static_assert(std::size(differs) == std::size(kLimitMembers));
  std::vector<std::string_view> names;
  for (size_t i = 0; i < std::size(differs); i++) {
    if (differs[i]) names.push_back(kLimitMembers[i]);
  }
  return names;
}

// What an operator states is the operator's from then on; `operator_set` gives it back. Everybody
// else changes the rest.
Status apply(const UserChanges& changes, const Json& body, bool is_operator, User& user) {
  const User before = user;
  set_limits(changes, user);
  if (is_operator) {
    for (const std::string_view name : kLimitMembers) {
      if (body.contains(name) && !has_name(user.operator_set, name)) {
        user.operator_set.emplace_back(name);
      }
    }
    if (changes.operator_set) user.operator_set = *changes.operator_set;
    return ok();
  }
  if (changes.operator_set && *changes.operator_set != user.operator_set) {
    return operator_only("operator_set");
  }
  for (const std::string_view name : changed_limits(before, user)) {
    if (has_name(user.operator_set, name)) return operator_only(name);
  }
  return ok();
}

}  // namespace

UsersApi::UsersApi(UserService& users, KeyService& keys, UserUsage usage)
    : users_(users), keys_(keys), usage_(std::move(usage)) {}

namespace {

// Users and their keys. RotateAsk, Key, KeyCreated and KeyRevoked are of keys of other families
// too.
constexpr http::ApiType kTypes[] = {
    {"NewUser", R"(
email!: string(1..254) = "shape@example.com"
org_id!: string(1..64) = "{org_id}"
monthly_limit_usd: usd # Of a calendar month in UTC; 0 blocks. Default: 10.
status: active|suspended
requests_per_minute: limit
tokens_per_minute: limit
allowed_models: [string] # At most 200 names of at most 200 bytes; empty allows all.
operator_set: [string] # As in UserChange.)"},
    {"UserCreated", R"(
user_id!: id
email!: string
monthly_limit_usd!: number
status!: active|suspended
created_at!: time)"},
    {"UserChange", R"(
monthly_limit_usd: usd
status: active|suspended
requests_per_minute: limit
tokens_per_minute: limit
allowed_models: [string] # At most 200 names of at most 200 bytes; empty allows all.
operator_set: [string] # An operator's: which of these members stay operators' to change.)"},
    {"User", R"(
user_id!: id
email!: string
monthly_limit_usd!: number
current_usage_usd!: number
status!: active|suspended
created_at!: time
org_id!: id
requests_per_minute!: integer?
tokens_per_minute!: integer?
allowed_models!: [string]
operator_set!: [string] # Members that an operator has set, and only operators change.
updated_at!: time?)"},
    {"UserChanged", R"(
user_id!: id
email!: string
monthly_limit_usd!: number
current_usage_usd!: number
status!: active|suspended
created_at!: time
org_id!: id
requests_per_minute!: integer?
tokens_per_minute!: integer?
allowed_models!: [string]
operator_set!: [string] # Members that an operator has set, and only operators change.
updated_at!: time?
previous_limit!: number
new_limit!: number)"},
    {"UserPage", R"(
users!: [User]
cursor!: string?)"},
    {"NewUserKey", R"(
name!: string(1..100) = "laptop"
expires_at: time? # Null: never.
monthly_limit_usd: usd # Of this key alone; absent: as the user's.
requests_per_minute: limit
tokens_per_minute: limit
allowed_models: [string] # At most 200 names of at most 200 bytes; empty allows all.)"},
    {"UserKeyCreated", R"(
key_id!: id
api_key!: string # Shown this once.
name!: string
created_at!: time
overlap_s: integer # Of a rotation.)"},
    {"KeyExpiryAsk", R"(
expires_at!: time? = null # Null: never.)"},
    {"RotateAsk", R"(
overlap_s: integer(0..2592000) # How long the old key works on. Default: 0.)"},
    {"Key", R"(
key_id!: id
name!: string
status!: active|revoked|expired
key_prefix!: string
project_id: id
user_id: id
role: owner|admin|viewer|billing
scopes: [string]
monthly_limit_usd: number?
requests_per_minute: integer?
tokens_per_minute: integer?
allowed_models: [string]
created_at!: time
expires_at!: time?
last_used_at!: time?
revoked_at: time)"},
    {"KeyCreated", R"(
key_id!: id
name!: string
status!: active|revoked|expired
key_prefix!: string
project_id: id
user_id: id
role: owner|admin|viewer|billing
scopes: [string]
monthly_limit_usd: number?
requests_per_minute: integer?
tokens_per_minute: integer?
allowed_models: [string]
created_at!: time
expires_at!: time?
last_used_at!: time?
revoked_at: time
api_key: string # The key, of whichever family; shown this once.
token: string
admin_key: string
overlap_s: integer)"},
    {"UserKeyPage", R"(
api_keys!: [Key]
cursor!: string?)"},
    {"KeyRevoked", R"(
key_id!: id
revoked_at!: time
status!: string)"},
};

}  // namespace

std::span<const http::ApiType> UsersApi::types() {
  return kTypes;
}

void UsersApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kib;
  using http::kNoBody;
  const http::Access own_viewer = with_owner(access.own_viewer, http::OwnerFrom::kPathUser),
                     own_admin = with_owner(access.own_admin, http::OwnerFrom::kPathUser);
  http::Rows rows(table, *this, "/admin/users");
  const std::string user = "/{user_id}", keys = user + "/api-keys", key = keys + "/{key_id}";
  rows.add(kPost, "", with_owner(access.own_admin, http::OwnerFrom::kCaller), kib(64),
           &UsersApi::create, "Create an AI user.",
           {.id = "createUser", .body = "NewUser", .status = 201, .answer = "UserCreated"});
  rows.add(
      kGet, "", with_owner(access.own_viewer, http::OwnerFrom::kCaller), kNoBody, &UsersApi::list,
      "List users, of all organizations or of ?org_id=; without an operator's role of the own. "
      "?q= looks at email and user_id.",
      {.id = "listUsers", .query = "org_id q:inside limit cursor", .answer = "UserPage"});
  rows.add(kGet, user, own_viewer, kNoBody, &UsersApi::get, "One user with this month's usage.",
           {.id = "getUser", .answer = "User"});
  rows.add(kPatch, user, own_admin, kib(64), &UsersApi::update,
           "Change limits or status; what an operator has set, operators alone.",
           {.id = "updateUser", .body = "UserChange?", .answer = "UserChanged", .also = "409"});
  rows.add(
      kPost, keys, own_admin, kib(16), &UsersApi::create_key, "Create a key; shown once.",
      {.id = "createUserKey", .body = "NewUserKey", .status = 201, .answer = "UserKeyCreated"});
  rows.add(kGet, keys, own_viewer, kNoBody, &UsersApi::list_keys,
           "List a user's keys. ?q= looks at name, key_id and key_prefix.",
           {.id = "listUserKeys", .query = "q:inside limit cursor", .answer = "UserKeyPage"});
  rows.add(kDelete, key, own_admin, kNoBody, &UsersApi::revoke_key, "Revoke a key, at once.",
           {.id = "revokeUserKey", .answer = "KeyRevoked"});
  rows.add(kPatch, key, own_admin, kib(16), &UsersApi::update_key, "Set a key's expiry.",
           {.id = "updateUserKey", .body = "KeyExpiryAsk", .answer = "Key", .also = "409"});
  rows.add(kPost, key + "/rotate", own_admin, kib(16), &UsersApi::rotate_key,
           "Replace a key; the old one works for overlap_s more.",
           {.id = "rotateUserKey", .body = "RotateAsk?", .answer = "UserKeyCreated"});
}

// The record with the month's use, which the AI gateway knows and the record does not.
Result<Json> UsersApi::user_json(const User& user) const {
  const int64_t used = KVCS_TRY(usage_(user.id));
  return Json{{"user_id", user.id},
              {"email", user.email},
              {"monthly_limit_usd", usd_json(user.monthly_limit_nano_usd)},
              {"current_usage_usd", usd_json(used)},
              {"status", user.active ? "active" : "suspended"},
              {"created_at", time_json(user.created_ms)},
              {"org_id", user.organization_id},
              {"requests_per_minute", limit_json(user.requests_per_minute)},
              {"tokens_per_minute", limit_json(user.tokens_per_minute)},
              {"allowed_models", user.allowed_models},
              {"operator_set", user.operator_set},
              {"updated_at", time_json(user.updated_ms)}};
}

Result<http::Response> UsersApi::create(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  User user;
  user.email = reader.string("email", {.max_bytes = 254});
  user.organization_id = reader.string("org_id", {.max_bytes = 64});
  user.monthly_limit_nano_usd = kDefaultLimitNanoUsd;
  const UserChanges changes = read_changes(body, reader);
  KVCS_TRY(reader.finish());
  const Principal& caller = request.principal;
  KVCS_TRY(apply(changes, body, access::is_operator(caller), user));
  if (!access::is_operator(caller) && user.organization_id != caller.organization_id) {
    return not_found("No organization '" + printable(user.organization_id, kShownName) +
                     "' is active in this session.")
        .with_reason("org_not_found");
  }
  user = KVCS_TRY(users_.create(std::move(user), who(request)));
  return http::reply(201, Json{{"user_id", user.id},
                               {"email", user.email},
                               {"monthly_limit_usd", usd_json(user.monthly_limit_nano_usd)},
                               {"status", user.active ? "active" : "suspended"},
                               {"created_at", time_json(user.created_ms)}});
}

Result<http::Response> UsersApi::get(http::Request& request) {
  const User user = KVCS_TRY(users_.find(request.param("user_id")));
  return http::reply(200, KVCS_TRY(user_json(user)));
}

Result<http::Response> UsersApi::update(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const UserChanges changes = read_changes(body, reader);
  KVCS_TRY(reader.finish());
  int64_t previous = 0;
  const User user = KVCS_TRY(users_.update(
      request.param("user_id"),
      [&](User& edited) {
        previous = edited.monthly_limit_nano_usd;
        return apply(changes, body, access::is_operator(request.principal), edited);
      },
      who(request)));
  Json json = KVCS_TRY(user_json(user));
  json["previous_limit"] = usd_json(previous);
  json["new_limit"] = usd_json(user.monthly_limit_nano_usd);
  return http::reply(200, json);
}

Result<http::Response> UsersApi::list(http::Request& request) {
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const std::string organization_id = access::is_operator(request.principal)
                                          ? request.query_value("org_id").value_or("")
                                          : request.principal.organization_id;
  const SearchText search = KVCS_TRY(http::read_search(request));
  const UserPage page = KVCS_TRY(users_.list(organization_id, {ask.cursor, ask.limit, search}));
  Json users = Json::array();
  for (const User& user : page.users) users.push_back(KVCS_TRY(user_json(user)));
  return http::reply(200, Json{{"users", users}, {"cursor", http::cursor_json(page.cursor)}});
}

// A key is found through its user: the id of another user's key is NotFound here.
Result<KeyOwner> UsersApi::owner_of(const http::Request& request) const {
  const User user = KVCS_TRY(users_.find(request.param("user_id")));
  return KeyOwner{PrincipalKind::kUserKey, user.organization_id, "", user.id};
}

Result<http::Response> UsersApi::create_key(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  NewKey wanted;
  wanted.name = reader.string("name", {.max_bytes = kKeyNameMaxBytes});
  wanted.expires_ms = optional_time(body, reader, "expires_at").value_or(0);
  wanted.limits.monthly_nano_usd = optional_usd(reader, "monthly_limit_usd").value_or(kNoLimit);
  wanted.limits.requests_per_minute =
      optional_limit(body, reader, "requests_per_minute").value_or(kNoLimit);
  wanted.limits.tokens_per_minute =
      optional_limit(body, reader, "tokens_per_minute").value_or(kNoLimit);
  wanted.limits.allowed_models = optional_models(reader).value_or(std::vector<std::string>());
  KVCS_TRY(reader.finish());
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  const CreatedKey created = KVCS_TRY(keys_.create(owner, wanted, who(request)));
  return http::reply(201, Json{{"key_id", created.record.id},
                               {"api_key", created.key.reveal()},
                               {"name", created.record.name},
                               {"created_at", time_json(created.record.created_ms)}});
}

Result<http::Response> UsersApi::list_keys(http::Request& request) {
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  const SearchText search = KVCS_TRY(http::read_search(request));
  const KeyPage page = KVCS_TRY(keys_.list(owner, {ask.cursor, ask.limit, search}));
  Json keys = Json::array();
  for (const KeyRecord& key : page.keys) keys.push_back(key_json(key));
  return http::reply(200, Json{{"api_keys", keys}, {"cursor", http::cursor_json(page.cursor)}});
}

Result<http::Response> UsersApi::revoke_key(http::Request& request) {
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  const KeyRecord key = KVCS_TRY(keys_.revoke(owner, request.param("key_id"), who(request)));
  return http::reply(200, Json{{"key_id", key.id},
                               {"revoked_at", time_json(key.revoked_ms)},
                               {"status", key_status_name(key.status)}});
}

Result<http::Response> UsersApi::update_key(http::Request& request) {
  const int64_t expires_ms = KVCS_TRY(read_expiry(request));
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  return http::reply(200, key_json(KVCS_TRY(keys_.set_expiry(owner, request.param("key_id"),
                                                             expires_ms, who(request)))));
}

Result<http::Response> UsersApi::rotate_key(http::Request& request) {
  const int64_t overlap_s = KVCS_TRY(read_overlap(request, 0));
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  const CreatedKey rotated =
      KVCS_TRY(keys_.rotate(owner, request.param("key_id"), overlap_s, who(request)));
  return http::reply(200, Json{{"key_id", rotated.record.id},
                               {"api_key", rotated.key.reveal()},
                               {"name", rotated.record.name},
                               {"created_at", time_json(rotated.record.created_ms)},
                               {"overlap_s", overlap_s}});
}

}  // namespace kvcs
