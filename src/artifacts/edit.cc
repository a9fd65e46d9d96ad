// What changes about an artifact without changing its bytes: its name and what it is about; and the
// index of its words.
#include <nlohmann/json.hpp>

#include "artifacts/artifact_audit.h"
#include "artifacts/artifacts.h"
#include "artifacts/rows.h"
#include "artifacts/text_index.h"
#include "base/crypto.h"
#include "base/json.h"
#include "identity/access.h"
#include "kv/audited_kv.h"

namespace kvcs {
namespace {

// Of what an edit may change, for the audit, which keeps digests alone.
std::string digest_of_words(const Artifact& a) {
  const Json words{{"name", a.name},
                   {"description", a.description},
                   {"tags", artifact_rows::tags_to_json(a.tags)}};
  return sha256_hex(dump_json(words));
}

Artifact edited(Artifact row, const ArtifactEdit& wanted) {
  if (wanted.name) row.name = *wanted.name;
  if (wanted.description) row.description = *wanted.description;
  if (wanted.tags) row.tags = *wanted.tags;
  return row;
}

Status write_words(Database& db, const Artifact& row) {
  auto update = KVCS_TRY(
      db.prepare("UPDATE artifacts SET name = ?, description = ?, tags_json = ? WHERE id = ?"));
  update.bind(1, row.name).bind(2, row.description);
  update.bind(3, artifact_rows::tags_to_json(row.tags)).bind(4, row.id);
  KVCS_TRY(update.run());
  return text_index::catch_up(db);
}

}  // namespace

Result<Artifact> ArtifactService::edit(const Principal& who, std::string_view id,
                                       const ArtifactEdit& wanted, std::string_view request_id) {
  Artifact after;
  const Status ran = writer_.run([&](Database& db) -> Status {
    const Artifact before = KVCS_TRY(artifact_rows::find(db, id));
    const access::Owner owner{.organization_id = before.organization_id,
                              .project_id = before.project_id};
    if (!access::owns(who, owner)) return artifact_rows::not_found_artifact();
    after = edited(before, wanted);
    const std::string old_hash = digest_of_words(before), new_hash = digest_of_words(after);
    if (old_hash == new_hash) return ok();
    KVCS_TRY(write_words(db, after));
    PortalEvent change{"artifact", before.id, "update", "", "api", request_id};
    const std::string actor = actor_name(who);
    change.actor = actor;
    change.old_hash = old_hash;
    change.new_hash = new_hash;
    return add_portal_audit(db, change, entropy_, clock_.unix_ms());
  });
  if (!ran.ok()) return ran;
  return after;
}

Result<bool> ArtifactService::mend_text_index() {
  bool is_mended = false;
  const Status ran = writer_.run([&](Database& db) -> Status {
    is_mended = KVCS_TRY(text_index::mend(db));
    return ok();
  });
  if (!ran.ok()) return ran;
  return is_mended;
}

}  // namespace kvcs
