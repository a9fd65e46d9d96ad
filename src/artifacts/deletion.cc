// Removes artifacts whose project or organization is being deleted. Rows go in small transactions,
// so that requests are served in between, and each leaves its record in the audit.
#include "artifacts/artifact_audit.h"
#include "artifacts/artifacts.h"
#include "artifacts/deleted_rows.h"
#include "artifacts/rows.h"
#include "artifacts/schema.h"
#include "artifacts/upload_rows.h"

namespace kvcs {

Result<size_t> ArtifactService::remove_some_of(std::string_view project_id, size_t max,
                                               std::string_view actor,
                                               std::string_view request_id) {
  std::vector<Artifact> removed;
  std::vector<DeletedArtifact> ended;
  std::vector<std::string> parts;
  const Status ran = writer_.run([&](Database& db) -> Status {
    // Those that could be restored go along.
    ended = KVCS_TRY(deleted_rows::list_first(db, project_id, max));
    for (const DeletedArtifact& one : ended) {
      KVCS_TRY(end_deleted(db, one.artifact, actor, request_id));
    }
    removed = KVCS_TRY(artifact_rows::list_of_project(db, project_id, max));
    for (const Artifact& row : removed) {
      KVCS_TRY(remove_row(db, row));
      KVCS_TRY(add_artifact_audit(db, {"delete", row, "", std::string(actor), request_id}, entropy_,
                                  clock_.unix_ms()));
    }
    parts = KVCS_TRY(upload_rows::remove_parts_of(db, project_id));
    if (!removed.empty() || !ended.empty() || !parts.empty()) return ok();
    // What is left is of artifacts that are another project's by now.
    auto rest = KVCS_TRY(db.prepare("DELETE FROM uploads WHERE project_id = ?"));
    return rest.bind(1, project_id).run();
  });
  if (!ran.ok()) return ran;
  std::vector<BlobRemoval> removals;
  for (const Artifact& row : removed) removals.push_back({row.id, row.sha256});
  for (const DeletedArtifact& one : ended) {
    removals.push_back({one.artifact.id, one.artifact.sha256});
  }
  (void)collect_removed(removals);  // What fails is noted.
  // The sweep finds the staged bytes that stay behind when this fails.
  for (const Artifact& row : removed) (void)blobs_.remove_staged(row.id);
  for (const std::string& part : parts) (void)blobs_.remove_staged(part);
  return removed.size() + ended.size() + parts.size();
}

// One that cannot go keeps its note, and holds up no other. The notes go together: each commit of
// its own would wait for the disk.
Status ArtifactService::collect_removed(std::span<const BlobRemoval> removals) {
  std::vector<BlobRemoval> gone;
  Status failed;
  for (const BlobRemoval& one : removals) {
    Status collected = collect_blob(one.sha256).status();
    if (collected.ok()) {
      gone.push_back(one);
    } else if (failed.ok()) {
      failed = std::move(collected);
    }
  }
  KVCS_TRY(writer_.run([&](Database& db) { return artifact_rows::forget_removals(db, gone); }));
  return failed;
}

Result<size_t> ArtifactService::finish_removals() {
  constexpr size_t kBatch = 100;
  size_t finished = 0;
  for (;;) {
    std::vector<BlobRemoval> left;
    const Status ran = readers_.run([&](Database& db) -> Status {
      left = KVCS_TRY(artifact_rows::list_removals(db, kBatch));
      return ok();
    });
    if (!ran.ok()) return ran;
    if (left.empty()) return finished;
    KVCS_TRY(collect_removed(left));
    finished += left.size();
  }
}

Result<ArtifactUsage> ArtifactService::usage_of_project(std::string_view project_id) const {
  ArtifactUsage usage;
  const Status ran = readers_.run([&](Database& db) -> Status {
    auto sums = KVCS_TRY(db.prepare(
        "SELECT count(*), coalesce(sum(size_bytes), 0) FROM artifacts WHERE project_id = ?"));
    sums.bind(1, project_id);
    KVCS_TRY(sums.step());
    usage.artifacts = static_cast<uint64_t>(sums.integer(0));
    usage.storage_bytes = static_cast<uint64_t>(sums.integer(1));
    auto deleted =
        KVCS_TRY(db.prepare("SELECT count(*), coalesce(sum(size_bytes), 0) FROM deleted_artifacts "
                            "WHERE project_id = ?"));
    deleted.bind(1, project_id);
    KVCS_TRY(deleted.step());
    usage.deleted_artifacts = static_cast<uint64_t>(deleted.integer(0));
    usage.deleted_bytes = static_cast<uint64_t>(deleted.integer(1));
    return ok();
  });
  if (!ran.ok()) return ran;
  return usage;
}

Status ArtifactService::forget_organization(std::string_view organization_id) {
  return writer_.run([&](Database& db) -> Status {
    for (const TableOwner& table : portal_table_owners()) {
      if (table.owner != "organization") continue;
      auto removal = KVCS_TRY(db.prepare("DELETE FROM " + std::string(table.table) + " WHERE " +
                                         std::string(table.column) + " = ?"));
      KVCS_TRY(removal.bind(1, organization_id).run());
    }
    return ok();
  });
}

}  // namespace kvcs
