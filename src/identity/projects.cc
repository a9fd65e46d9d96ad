// Rows of the table projects: written by the one writer of portal.db, read on connections of their
// own. The database holds the rules: a slug is unique within its organization, and artifacts hold
// their project.
#include "identity/projects.h"

#include "base/bytes.h"
#include "base/id.h"
#include "base/quota.h"
#include "db/db.h"
#include "identity/names.h"
#include "identity/orgs.h"

namespace kvcs {
namespace {

constexpr int64_t kMarkedMax = 500;

Status check_slug(const std::string& slug) {
  if (is_slug(slug)) return ok();
  return invalid("slug: '" + printable(slug, kShownName) +
                 "' must be 1 to 64 of a-z, 0-9, '_', '.', '-' and begin with a letter or digit.");
}

Status slug_taken(const std::string& slug) {
  return conflict("A project '" + slug + "' exists in this organization, or had the name before.")
      .with_reason("slug_exists");
}

// Whether another project had the slug before.
Result<bool> is_kept(Database& db, const Project& project) {
  Statement select = KVCS_TRY(db.prepare(
      "SELECT 1 FROM project_slugs WHERE organization_id = ? AND slug = ? AND project_id <> ?"));
  select.bind(1, project.organization_id).bind(2, project.slug).bind(3, project.id);
  return select.step();
}

// The slug of before is kept for the project, and the new one is no longer one of before.
Status keep_slug(Database& db, const Project& before, const Project& after) {
  Statement drop =
      KVCS_TRY(db.prepare("DELETE FROM project_slugs WHERE organization_id = ? AND slug = ?"));
  KVCS_TRY(drop.bind(1, after.organization_id).bind(2, after.slug).run());
  Statement count = KVCS_TRY(db.prepare("SELECT count(*) FROM project_slugs WHERE project_id = ?"));
  count.bind(1, before.id);
  KVCS_TRY(count.step());
  if (count.integer(0) >= kOldProjectSlugsMax) {
    return conflict("A project keeps " + std::to_string(kOldProjectSlugsMax) +
                    " slugs of before, and this one has as many; choose one of them.")
        .with_reason("slugs_full");
  }
  Statement insert = KVCS_TRY(
      db.prepare("INSERT INTO project_slugs (organization_id, slug, project_id) VALUES (?, ?, ?)"));
  insert.bind(1, before.organization_id).bind(2, before.slug).bind(3, before.id);
  return insert.run();
}

// The columns in the order of all SELECTs.
Project read_project(const Statement& row) {
  return {row.text(0), row.text(1), row.text(2), row.text(3), row.integer(4)};
}

// In the transaction of the new row, so that two projects cannot pass the limit together. The first
// is never too many: an organization is made with it.
Status check_projects(Database& db, const std::string& organization_id, int64_t max) {
  if (max < 0) return ok();
  Statement count = KVCS_TRY(db.prepare("SELECT count(*) FROM projects WHERE organization_id = ?"));
  count.bind(1, organization_id);
  KVCS_TRY(count.step());
  const int64_t used = count.integer(0);
  if (used == 0 || used < max) return ok();
  return over_quota("projects",
                    "Project quota exceeded: the organization has " + std::to_string(used) +
                        " of " + std::to_string(max) +
                        " projects. Delete one, or have the plan changed.",
                    static_cast<uint64_t>(used), 1, static_cast<uint64_t>(max));
}

Result<Project> find_in(Database& db, std::string_view organization_id,
                        std::string_view project_id) {
  Statement select =
      KVCS_TRY(db.prepare("SELECT id, organization_id, slug, name, created_ms FROM projects "
                          "WHERE id = ? AND organization_id = ? AND deleting = 0"));
  select.bind(1, project_id).bind(2, organization_id);
  if (!KVCS_TRY(select.step())) return no_such_project(project_id);
  return read_project(select);
}

}  // namespace

Status no_such_project(std::string_view id) {
  return not_found("No project '" + printable(id, kShownName) + "'.")
      .with_reason("project_not_found");
}

ProjectService::ProjectService(DbWriter& writer, DbReaders& readers, const Clock& clock,
                               Entropy& entropy, ProjectAudit audit, ProjectOwnerCheck owner_check,
                               ProjectsMax projects_max)
    : writer_(writer),
      readers_(readers),
      clock_(clock),
      entropy_(entropy),
      audit_(std::move(audit)),
      owner_check_(std::move(owner_check)),
      projects_max_(std::move(projects_max)) {}

Result<Project> ProjectService::create(Project wanted, const AuditContext& who) {
  wanted.name = KVCS_TRY(normal_name(wanted.name));
  if (wanted.id.empty()) wanted.id = make_uuid_v4(entropy_);
  if (wanted.slug.empty()) wanted.slug = slug_from_name(wanted.name);
  if (wanted.slug.empty()) wanted.slug = wanted.id;
  KVCS_TRY(check_slug(wanted.slug));
  wanted.created_ms = clock_.unix_ms();
  const int64_t max = projects_max_ ? KVCS_TRY(projects_max_(wanted.organization_id)) : -1;
  Status refused;
  Status stored = writer_.run([&](Database& db) -> Status {
    refused = owner_check_(wanted.organization_id);
    if (refused.ok()) refused = check_projects(db, wanted.organization_id, max);
    if (refused.ok() && KVCS_TRY(is_kept(db, wanted))) refused = slug_taken(wanted.slug);
    KVCS_TRY(Status(refused));
    Statement insert =
        KVCS_TRY(db.prepare("INSERT INTO projects (id, organization_id, slug, name, created_ms) "
                            "VALUES (?, ?, ?, ?, ?)"));
    insert.bind(1, wanted.id).bind(2, wanted.organization_id).bind(3, wanted.slug);
    insert.bind(4, wanted.name).bind(5, wanted.created_ms);
    KVCS_TRY(insert.run());
    return audit_(db, wanted.id, "create", who);
  });
  if (!refused.ok()) return refused;
  // The unique index has refused the row.
  if (stored.code() == Code::kConflict) {
    if (KVCS_TRY(is_deleting(wanted.organization_id, wanted.slug))) {
      return conflict("A project '" + wanted.slug +
                      "' of this organization is being deleted. Its name is free when that has "
                      "ended; try again later.")
          .with_reason("name_in_deletion");
    }
    return slug_taken(wanted.slug);
  }
  if (!stored.ok()) return stored;
  return wanted;
}

Result<bool> ProjectService::is_deleting(std::string_view organization_id,
                                         std::string_view slug) const {
  bool found = false;
  const Status read = readers_.run([&](Database& db) -> Status {
    Statement select = KVCS_TRY(db.prepare(
        "SELECT 1 FROM projects WHERE organization_id = ? AND slug = ? AND deleting = 1"));
    select.bind(1, organization_id).bind(2, slug);
    found = KVCS_TRY(select.step());
    return ok();
  });
  if (!read.ok()) return read;
  return found;
}

Result<Project> ProjectService::find(std::string_view organization_id,
                                     std::string_view project_id) const {
  Project project;
  const Status found = readers_.run([&](Database& db) -> Status {
    project = KVCS_TRY(find_in(db, organization_id, project_id));
    return ok();
  });
  if (!found.ok()) return found;
  return project;
}

Result<Project> ProjectService::rename(std::string_view organization_id,
                                       std::string_view project_id, const std::string& name,
                                       const std::string& slug, const AuditContext& who) {
  const std::string shown = name.empty() ? name : KVCS_TRY(normal_name(name));
  if (!slug.empty()) KVCS_TRY(check_slug(slug));
  Project after;
  const Status stored = writer_.run([&](Database& db) -> Status {
    const Project before = KVCS_TRY(find_in(db, organization_id, project_id));
    after = before;
    if (!shown.empty()) after.name = shown;
    if (!slug.empty()) after.slug = slug;
    if (KVCS_TRY(is_kept(db, after))) return slug_taken(after.slug);
    if (after.slug != before.slug) KVCS_TRY(keep_slug(db, before, after));
    Statement update = KVCS_TRY(db.prepare("UPDATE projects SET name = ?, slug = ? WHERE id = ?"));
    KVCS_TRY(update.bind(1, after.name).bind(2, after.slug).bind(3, after.id).run());
    return audit_(db, after.id, "update", who);
  });
  // The unique index has refused the row.
  if (stored.reason() == "unique") return slug_taken(slug);
  if (!stored.ok()) return stored;
  return after;
}

Result<std::vector<Project>> ProjectService::list(std::string_view organization_id) const {
  std::vector<Project> projects;
  const Status read = readers_.run([&](Database& db) -> Status {
    Statement select =
        KVCS_TRY(db.prepare("SELECT id, organization_id, slug, name, created_ms FROM projects "
                            "WHERE organization_id = ? AND deleting = 0 ORDER BY slug LIMIT ?"));
    select.bind(1, organization_id);
    select.bind(2, static_cast<int64_t>(kProjectsPerOrganizationMax));
    while (KVCS_TRY(select.step())) projects.push_back(read_project(select));
    return ok();
  });
  if (!read.ok()) return read;
  return projects;
}

Status ProjectService::add_first(std::string_view organization_id, const AuditContext& who) {
  if (!KVCS_TRY(list(organization_id)).empty()) return ok();
  Project wanted;
  wanted.organization_id = organization_id;
  wanted.slug = wanted.name = "default";
  return create(std::move(wanted), who).status();
}

Status ProjectService::begin_removal(std::string_view organization_id,
                                     std::string_view project_id) {
  return writer_.run([organization = std::string(organization_id),
                      project = std::string(project_id)](Database& db) -> Status {
    Statement update = KVCS_TRY(db.prepare(
        "UPDATE projects SET deleting = 1 WHERE organization_id = ? AND (id = ? OR ? = '')"));
    return update.bind(1, organization).bind(2, project).bind(3, project).run();
  });
}

Status ProjectService::withdraw_removal(std::string_view organization_id,
                                        std::string_view project_id, const AuditContext* restorer) {
  return writer_.run([&](Database& db) -> Status {
    Statement update = KVCS_TRY(db.prepare(
        "UPDATE projects SET deleting = 0 WHERE organization_id = ? AND id = ? AND deleting = 1"));
    KVCS_TRY(update.bind(1, organization_id).bind(2, project_id).run());
    const bool is_told = restorer != nullptr && db.changes() > 0;
    return is_told ? audit_(db, project_id, "restore", *restorer) : ok();
  });
}

Status ProjectService::wait_for_changes() {
  return writer_.run([](Database&) { return ok(); });
}

Result<std::vector<Project>> ProjectService::list_marked(std::string_view after) const {
  std::vector<Project> projects;
  const Status read = readers_.run([&](Database& db) -> Status {
    Statement select =
        KVCS_TRY(db.prepare("SELECT id, organization_id, slug, name, created_ms FROM projects "
                            "WHERE deleting = 1 AND id > ? ORDER BY id LIMIT ?"));
    select.bind(1, after).bind(2, kMarkedMax);
    while (KVCS_TRY(select.step())) projects.push_back(read_project(select));
    return ok();
  });
  if (!read.ok()) return read;
  return projects;
}

Result<std::string> ProjectService::organization_of(std::string_view project_id) const {
  std::string organization;
  const Status read = readers_.run([&](Database& db) -> Status {
    Statement select = KVCS_TRY(db.prepare("SELECT organization_id FROM projects WHERE id = ?"));
    select.bind(1, project_id);
    if (KVCS_TRY(select.step())) organization = select.text(0);
    return ok();
  });
  if (!read.ok()) return read;
  return organization;
}

Result<std::vector<std::string>> ProjectService::list_ids(std::string_view organization_id) const {
  std::vector<std::string> ids;
  const Status read = readers_.run([&](Database& db) -> Status {
    Statement select =
        KVCS_TRY(db.prepare("SELECT id FROM projects WHERE organization_id = ? ORDER BY id"));
    select.bind(1, organization_id);
    while (KVCS_TRY(select.step())) ids.push_back(select.text(0));
    return ok();
  });
  if (!read.ok()) return read;
  return ids;
}

Status ProjectService::remove(std::string_view organization_id, std::string_view project_id,
                              const AuditContext& who) {
  Status removed = writer_.run([&](Database& db) -> Status {
    Statement statement =
        KVCS_TRY(db.prepare("DELETE FROM projects WHERE organization_id = ? AND id = ?"));
    KVCS_TRY(statement.bind(1, organization_id).bind(2, project_id).run());
    return db.changes() == 0 ? ok() : audit_(db, project_id, "delete", who);
  });
  // A row of artifacts refers to the project (a foreign key).
  if (removed.code() == Code::kConflict) {
    return conflict("The project has artifacts; delete them first.")
        .with_reason("project_not_empty");
  }
  return removed;
}

Result<CreatedKey> create_project_key(const ProjectService& projects, KeyService& keys,
                                      const KeyOwner& owner, const NewKey& wanted,
                                      const AuditContext& who) {
  CreatedKey created = KVCS_TRY(keys.create(owner, wanted, who));
  const Status project = projects.find(owner.organization_id, owner.project_id).status();
  if (project.code() != Code::kNotFound) return created;
  KVCS_TRY(keys.remove(owner, created.record.id, who));
  return project;
}

}  // namespace kvcs
