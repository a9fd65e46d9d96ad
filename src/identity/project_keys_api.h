// Handlers of /api/v1/api-keys: the keys of a project, for whoever holds a key with the scope admin
// of that project or of its organization. Thread-safe.
#pragma once
#include "http/route_rows.h"
#include "identity/keys.h"
#include "identity/projects.h"

namespace kvcs {

class ProjectKeysApi final {
 public:
  ProjectKeysApi(ProjectService& projects, KeyService& keys);

  // The rows of these handlers, and the types that they read and answer.
  void add_routes(std::vector<http::Row>& table, const http::ArtifactAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> create(http::Request& request);  // POST /api/v1/api-keys
  Result<http::Response> list(http::Request& request);    // GET; those that were not revoked.
  Result<http::Response> revoke(http::Request& request);  // DELETE /api/v1/api-keys/{key_id}

 private:
  // The project that is meant: the caller's own, or the one that an organization key names.
  // Invalid when it names none; NotFound as for a project that is not there.
  Result<KeyOwner> owner_of(const Principal& caller, std::string_view named) const;

  ProjectService& projects_;
  KeyService& keys_;
};

}  // namespace kvcs
