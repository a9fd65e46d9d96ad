// Handlers of /admin/users: AI users and their keys; app/owners_api.h deletes them. Thread-safe.
#pragma once
#include <functional>
#include <string_view>

#include "http/route_rows.h"
#include "identity/keys.h"
#include "identity/users.h"

namespace kvcs {

// A user's spending this month, in nano-USD; 0 until it spends. App passes the ai door's figure.
using UserUsage = std::function<Result<int64_t>(std::string_view user_id)>;

class UsersApi final {
 public:
  UsersApi(UserService& users, KeyService& keys, UserUsage usage);

  // The rows of these handlers, and the types that they read and answer.
  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> create(http::Request& request);  // POST /admin/users
  Result<http::Response> get(http::Request& request);     // GET /admin/users/{user_id}
  Result<http::Response> update(http::Request& request);  // PATCH
  Result<http::Response> list(http::Request& request);    // GET /admin/users?org_id=

  Result<http::Response> create_key(http::Request& request);  // POST …/api-keys
  Result<http::Response> list_keys(http::Request& request);   // GET …/api-keys
  Result<http::Response> revoke_key(http::Request& request);  // DELETE …/api-keys/{key_id}
  Result<http::Response> update_key(http::Request& request);  // PATCH: expires_at
  Result<http::Response> rotate_key(http::Request& request);  // POST …/{key_id}/rotate

 private:
  // The user of the path as owner of keys; NotFound.
  Result<KeyOwner> owner_of(const http::Request& request) const;
  Result<Json> user_json(const User& user) const;

  UserService& users_;
  KeyService& keys_;
  const UserUsage usage_;
};

}  // namespace kvcs
