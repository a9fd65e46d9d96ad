// The names that an artifact's project had before.
#include "artifacts/artifacts.h"
#include "db/db.h"

namespace kvcs {

Result<bool> ArtifactService::had_slug(const Artifact& artifact, std::string_view slug) const {
  bool found = false;
  const Status ran = readers_.run([&](Database& db) -> Status {
    auto select =
        KVCS_TRY(db.prepare("SELECT 1 FROM project_slugs WHERE project_id = ? AND slug = ?"));
    select.bind(1, artifact.project_id).bind(2, slug);
    found = KVCS_TRY(select.step());
    return ok();
  });
  if (!ran.ok()) return ran;
  return found;
}

}  // namespace kvcs
