// Rows of the table `deleted_artifacts`: artifacts on their way out, which can still be restored.
// Used inside jobs and queries: one thread, that of the Database. Nothing here decides who may do
// what, and nothing touches bytes.
#pragma once
#include <string_view>
#include <vector>

#include "artifacts/artifacts.h"
#include "db/db.h"

namespace kvcs::deleted_rows {

struct Deletion {
  int64_t deleted_ms = 0, ends_ms = 0;
  std::string_view deleted_by;
};
// Copies the row of a ready artifact; the caller removes the latter in the same transaction.
Status insert(Database& db, std::string_view id, const Deletion& deletion);
// Copies it back, private and ready; the caller removes the deleted row in the same transaction.
Status put_back(Database& db, std::string_view id);
Status remove(Database& db, std::string_view id);
// NotFound "Artifact not found", also where the project is being deleted.
Result<DeletedArtifact> find(Database& db, std::string_view id);
Result<DeletedPage> list(Database& db, const DeletedAsk& ask);
// Those whose time is over.
Result<std::vector<DeletedArtifact>> list_ended(Database& db, int64_t now_ms, size_t max);
// Of a project, one that is being deleted too; the first deleted first.
Result<std::vector<DeletedArtifact>> list_first(Database& db, std::string_view project_id,
                                                size_t max);

}  // namespace kvcs::deleted_rows
