// Handlers of /admin/admin-keys: the keys of the admin API itself. A key creates and revokes keys
// of its own role and of lower ones, never of a higher one. Thread-safe.
#pragma once
#include "http/route_rows.h"
#include "identity/keys.h"

namespace kvcs {

class AdminKeysApi final {
 public:
  explicit AdminKeysApi(KeyService& keys);

  // The rows of these handlers, and the types that they read and answer.
  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> create(http::Request& request);  // POST /admin/admin-keys
  Result<http::Response> list(http::Request& request);    // GET
  // DELETE /admin/admin-keys/{key_id}. Conflict on the key that asks, so one always remains.
  Result<http::Response> revoke(http::Request& request);

 private:
  KeyService& keys_;
};

}  // namespace kvcs
