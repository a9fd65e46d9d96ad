// Projects: what an organization's artifacts and project keys belong to. Rows of portal.db (table
// projects). Thread-safe.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/status.h"

namespace kvcs {

class DbReaders;
class DbWriter;

struct Project {
  std::string id, organization_id, slug, name;
  int64_t created_ms = 0;
};

inline constexpr size_t kProjectsPerOrganizationMax = 10'000;

// NotFound with reason project_not_found: in the same words for another organization's project.
Status no_such_project(std::string_view id);

class ProjectService final {
 public:
  // Both of portal.db.
  ProjectService(DbWriter& writer, DbReaders& readers, const Clock& clock, Entropy& entropy);

  // Fills in id (when empty) and time; slug "" is made from the name. Invalid; Conflict with reason
  // slug_exists.
  Result<Project> create(Project wanted);
  // NotFound with reason project_not_found, also when it belongs to another organization.
  Result<Project> find(std::string_view organization_id, std::string_view project_id) const;
  // By slug; at most kProjectsPerOrganizationMax.
  Result<std::vector<Project>> list(std::string_view organization_id) const;
  // Conflict with reason project_not_empty while artifacts name it.
  Status remove(std::string_view organization_id, std::string_view project_id);

 private:
  DbWriter& writer_;
  DbReaders& readers_;
  const Clock& clock_;
  Entropy& entropy_;
};

}  // namespace kvcs
