// Handlers of /api/v1/api-keys: the keys of a project and of an organization, for people who are
// admins of it and for keys with the scope admin. A project key reaches the keys of its own project
// alone. Thread-safe.
#pragma once
#include "base/clock.h"
#include "http/route_rows.h"
#include "identity/keys.h"
#include "identity/projects.h"

namespace kvcs {

inline constexpr int64_t kOwnKeyOverlapS = 86'400;  // Of a rotation that names none.

class ProjectKeysApi final {
 public:
  // All outlive it.
  ProjectKeysApi(ProjectService& projects, KeyService& keys, const Clock& clock);

  // The rows of these handlers, and the types that they read and answer.
  void add_routes(std::vector<http::Row>& table, const http::ArtifactAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> create(http::Request& request);  // POST /api/v1/api-keys
  Result<http::Response> list(http::Request& request);    // GET; those that were not revoked.
  Result<http::Response> rotate(http::Request& request);  // POST …/{key_id}/rotate
  Result<http::Response> revoke(http::Request& request);  // DELETE /api/v1/api-keys/{key_id}

 private:
  // A project of the caller's. NotFound as for a project that is not there.
  Result<KeyOwner> project_of(const Principal& caller, std::string_view project_id) const;
  // Whose keys are meant: those of the project that ?project_id= names, or of a project key's own,
  // else all of the organization.
  Result<KeyOwner> reach_of(const http::Request& request) const;

  ProjectService& projects_;
  KeyService& keys_;
  const Clock& clock_;
};

}  // namespace kvcs
