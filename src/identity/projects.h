// Projects: what an organization's artifacts and project keys belong to. Rows of portal.db (table
// projects). One that is being deleted (app/owner_deletion.h) is not found and not listed, but its
// slug is taken until the row is gone. Thread-safe.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/status.h"
#include "identity/keys.h"
#include "kv/audited_kv.h"

namespace kvcs {

class Database;
class DbReaders;
class DbWriter;

struct Project {
  std::string id, organization_id, slug, name;
  int64_t created_ms = 0;
};

inline constexpr size_t kProjectsPerOrganizationMax = 10'000;
inline constexpr int64_t kOldProjectSlugsMax = 20;

// NotFound with reason project_not_found: in the same words for another organization's project.
Status no_such_project(std::string_view id);
// Writes the audit's record of a change, "create", "update", "delete" or "restore", in the
// transaction of the change. App passes the one of portal.db's own outbox.
using ProjectAudit = std::function<Status(Database& db, std::string_view project_id,
                                          std::string_view action, const AuditContext& who)>;

// Whether the organization may get a project: a failure when it is being deleted. Called between
// the changes of portal.db, on the writer's thread.
using ProjectOwnerCheck = std::function<Status(std::string_view organization_id)>;

// How many projects an organization may have, by its plan; negative: no limit.
using ProjectsMax = std::function<Result<int64_t>(std::string_view organization_id)>;

class ProjectService final {
 public:
  // Both of portal.db.
  ProjectService(DbWriter& writer, DbReaders& readers, const Clock& clock, Entropy& entropy,
                 ProjectAudit audit, ProjectOwnerCheck owner_check, ProjectsMax projects_max = {});

  // Fills in id (when empty) and time; slug "" is made from the name. Invalid; Conflict with reason
  // slug_exists, or name_in_deletion; Forbidden with reason quota_exceeded, but never for the
  // first; as the check of the owner fails.
  Result<Project> create(Project wanted, const AuditContext& who);
  // The project that an organization begins with, unless it has one.
  Status add_first(std::string_view organization_id, const AuditContext& who);
  // NotFound with reason project_not_found, also when it belongs to another organization.
  Result<Project> find(std::string_view organization_id, std::string_view project_id) const;
  // By slug; at most kProjectsPerOrganizationMax.
  Result<std::vector<Project>> list(std::string_view organization_id) const;
  // Gives it another name or slug; "" leaves what is. The slug of before stays the project's: what
  // leads there by it is told the new one. As create(); NotFound; Conflict with reason slugs_full.
  Result<Project> rename(std::string_view organization_id, std::string_view project_id,
                         const std::string& name, const std::string& slug, const AuditContext& who);
  // From now on one, or all of an organization for "", is not found any more. A repeat is harmless.
  Status begin_removal(std::string_view organization_id, std::string_view project_id);
  // It is found again, as before. `restorer`: of a project that was gone for everybody, who brings
  // it back, for the audit; null where nobody saw it gone. A repeat is harmless.
  Status withdraw_removal(std::string_view organization_id, std::string_view project_id,
                          const AuditContext* restorer);
  // Returns when all changes that were begun before are there for readers.
  Status wait_for_changes();
  // Those that begin_removal() has marked, of all organizations, by id after `after`; some of them.
  Result<std::vector<Project>> list_marked(std::string_view after) const;
  // The organization of a project, marked or not; "" when there is none.
  Result<std::string> organization_of(std::string_view project_id) const;
  // Ids of the organization's, those that are being deleted included.
  Result<std::vector<std::string>> list_ids(std::string_view organization_id) const;
  // Conflict with reason project_not_empty while artifacts name it.
  Status remove(std::string_view organization_id, std::string_view project_id,
                const AuditContext& who);

 private:
  Result<bool> is_deleting(std::string_view organization_id, std::string_view slug) const;

  DbWriter& writer_;
  DbReaders& readers_;
  const Clock& clock_;
  Entropy& entropy_;
  const ProjectAudit audit_;
  const ProjectOwnerCheck owner_check_;
  const ProjectsMax projects_max_;
};

// Creates a key of `owner`, a project that was there. A project is a row of SQL, which the write of
// a key does not look at: when it went meanwhile, the key is taken back. NotFound as find() then.
Result<CreatedKey> create_project_key(const ProjectService& projects, KeyService& keys,
                                      const KeyOwner& owner, const NewKey& wanted,
                                      const AuditContext& who);

}  // namespace kvcs
