// The trace of an artifact's change in the audit. Artifacts live in SQL, so their audit records
// ride in the transaction of the change, in the table audit_outbox of portal.db, and are brought to
// the audit's chain in ledger.db from there: moved once more after a crash, an id is still one row.
// Neither step needs the key-value store.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/entropy.h"
#include "base/status.h"

namespace kvcs {

class Database;
class DbReaders;
class DbWriter;
class Ledger;
struct Artifact;

struct ArtifactEvent {
  // "confirm", "visibility", "move", "delete", "restore", or "purge", the end of a deleted one.
  std::string_view action;
  const Artifact& before;
  std::string_view new_value;
  std::string actor;  // "projectkey:<id>", or an admin key's where its project is deleted.
  std::string_view request_id;
};
// The families of the records that portal.db makes; all others come from KV.
inline constexpr std::string_view kPortalFamilies[] = {"artifact", "project", "share"};
bool is_portal_family(std::string_view family);
// A change of another row of portal.db, such as a project's; or "update" of an artifact's words.
struct PortalEvent {
  std::string_view family;  // One of kPortalFamilies.
  std::string_view key, action, actor, source, request_id;
  std::string_view old_hash = {}, new_hash = {};
};
// Both in the transaction of the change.
Status add_portal_audit(Database& db, const PortalEvent& event, Entropy& entropy, int64_t now_ms);
Status add_artifact_audit(Database& db, const ArtifactEvent& event, Entropy& entropy,
                          int64_t now_ms);

// Moves what waits, in the order of the changes; how many. Any thread, several at once too.
Result<int64_t> move_artifact_audit(DbWriter& writer, DbReaders& readers, Ledger& ledger);

// What a start asks of the two databases: that every record which the ledger has taken over was
// made in this portal.db. Conflict when it is older, or has lost changes; the message goes on after
// its path. One row of each.
Status check_artifact_audit(Database& portal, Database& ledger);
// After a repair: the ledger no longer says what it has taken over.
Status forget_artifact_audit(Database& ledger);

}  // namespace kvcs
