// Rows of the table `artifacts` as values. Used inside jobs and queries: one thread, that of the
// Database. Nothing here decides who may do what.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "artifacts/artifacts.h"
#include "db/db.h"

namespace kvcs::artifact_rows {

// NotFound "Artifact not found".
Result<Artifact> find(Database& db, std::string_view id);
// NotFound with reason project_not_found: the organization has no such project.
Status check_project(Database& db, std::string_view organization_id, std::string_view project_id);
Status insert(Database& db, const Artifact& artifact);
// Likewise, and where the project is being deleted.
Status move(Database& db, const Artifact& artifact, std::string_view project_id);
Result<ArtifactPage> list(Database& db, const ArtifactFilter& filter);
Result<uint64_t> count(Database& db, const ArtifactFilter& filter);
// Ready and public, of every organization.
Result<ArtifactPage> list_public(Database& db, const CatalogueFilter& filter);
Result<ModelCounts> count_models(Database& db, const ModelAsk& ask);
// Of a query whose first columns are those of an artifact, in the order of rows.cc.
inline constexpr int kColumnCount = 26;
Artifact read_row(const Statement& s);
std::string tags_to_json(const std::vector<std::string>& tags);
// Uploads that were not confirmed in time, the oldest first.
Result<std::vector<Artifact>> list_expired(Database& db, int64_t now_ms, size_t max);
// Of a project that is being deleted, too.
Result<std::vector<Artifact>> list_of_project(Database& db, std::string_view project_id,
                                              size_t max);
// Whether any row, ready, pending or deleted, of any organization has these bytes.
Result<bool> names_digest(Database& db, std::string_view sha256);
// Notes that the bytes of an artifact, whose row goes, are to go after it; the notes, and their
// end.
Status note_removal(Database& db, const Artifact& removed);
Result<std::vector<BlobRemoval>> list_removals(Database& db, size_t max);
Status forget_removals(Database& db, std::span<const BlobRemoval> removals);
Status not_found_artifact();
Status not_found_project(std::string_view id);

}  // namespace kvcs::artifact_rows
