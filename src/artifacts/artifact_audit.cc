// Makes the audit record of an artifact's change, and moves it. As for values in KV, the audit
// keeps SHA-256 digests: one of the bytes before a deletion and after a confirmation, two of the
// visibility before and after a change.
#include "artifacts/artifact_audit.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

#include "artifacts/artifacts.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/json.h"
#include "db/db.h"
#include "kv/outbox.h"
#include "ledger/audit.h"
#include "ledger/ledger.h"
#include "ledger/state.h"

namespace kvcs {
namespace {

constexpr int64_t kMoveBatch = 500;
// In ledger_state: the number of the last record that was moved.
constexpr std::string_view kMovedState = "artifact_audit_moved";

// What waits, oldest first; `last` is the number of the last one.
Result<std::vector<OutboxRecord>> read_waiting(Database& db, int64_t& last) {
  auto rows = KVCS_TRY(
      db.prepare("SELECT seq, id, ts_ms, payload_json FROM audit_outbox ORDER BY seq LIMIT ?"));
  rows.bind(1, kMoveBatch);
  std::vector<OutboxRecord> records;
  while (KVCS_TRY(rows.step())) {
    last = rows.integer(0);
    records.push_back({rows.text(1), rows.integer(2), "audit", rows.text(3)});
  }
  return records;
}

}  // namespace

bool is_portal_family(std::string_view family) {
  return std::find(std::begin(kPortalFamilies), std::end(kPortalFamilies), family) !=
         std::end(kPortalFamilies);
}

Status add_portal_audit(Database& db, const PortalEvent& event, Entropy& entropy, int64_t now_ms) {
  KVCS_ASSERT(is_portal_family(event.family));
  const Json payload{{"family", event.family},     {"key", event.key},
                     {"action", event.action},     {"old_hash", event.old_hash},
                     {"new_hash", event.new_hash}, {"source", event.source},
                     {"actor", event.actor},       {"request_id", event.request_id}};
  auto put =
      KVCS_TRY(db.prepare("INSERT INTO audit_outbox (id, ts_ms, payload_json) VALUES (?, ?, ?)"));
  return put.bind(1, make_uuid_v7(entropy, now_ms))
      .bind(2, now_ms)
      .bind(3, dump_json(payload))
      .run();
}

Status add_artifact_audit(Database& db, const ArtifactEvent& event, Entropy& entropy,
                          int64_t now_ms) {
  const std::string visibility = event.before.is_public ? "public" : "private";
  PortalEvent change{"artifact",  event.before.id, event.action,
                     event.actor, "api",           event.request_id};
  std::string old_hash, new_hash;
  if (event.action == "visibility") {
    old_hash = sha256_hex(visibility);
    new_hash = sha256_hex(event.new_value);
  } else if (event.action == "delete" || event.action == "purge") {
    old_hash = event.before.sha256;
  } else {
    new_hash = event.before.sha256;
  }
  change.old_hash = old_hash;
  change.new_hash = new_hash;
  return add_portal_audit(db, change, entropy, now_ms);
}

// First into the chain, then out of the outbox: a crash in between moves the records once more,
// and the chain takes each id once. A change that comes meanwhile has a higher number.
Result<int64_t> move_artifact_audit(DbWriter& writer, DbReaders& readers, Ledger& ledger) {
  int64_t moved = 0;
  for (;;) {
    int64_t last = 0;
    std::vector<OutboxRecord> waiting;
    const Status read = readers.run([&](Database& db) -> Status {
      waiting = KVCS_TRY(read_waiting(db, last));
      return ok();
    });
    if (!read.ok()) return read;
    if (waiting.empty()) return moved;
    const Status written = ledger.write([&waiting, last](Database& db) -> Status {
      for (const OutboxRecord& record : waiting) KVCS_TRY(audit_sink(db, record));
      return write_state_number(db, kMovedState, last);
    });
    if (!written.ok()) return written;
    const Status removed = writer.run([last](Database& db) -> Status {
      auto remove = KVCS_TRY(db.prepare("DELETE FROM audit_outbox WHERE seq <= ?"));
      return remove.bind(1, last).run();
    });
    if (!removed.ok()) return removed;
    moved += static_cast<int64_t>(waiting.size());
  }
}

Status check_artifact_audit(Database& portal, Database& ledger) {
  const int64_t taken = KVCS_TRY(read_state_number(ledger, kMovedState));
  const int64_t last = KVCS_TRY(portal.last_given_number("audit_outbox"));
  if (last >= taken) return ok();
  return conflict("has lost changes of artifacts: it has made " + std::to_string(last) +
                  " records of them, and ledger.db has " + std::to_string(taken));
}

Status forget_artifact_audit(Database& ledger) {
  if (!KVCS_TRY(ledger.has_table("ledger_state"))) return ok();
  auto forget = KVCS_TRY(ledger.prepare("DELETE FROM ledger_state WHERE name=?"));
  return forget.bind(1, kMovedState).run();
}

}  // namespace kvcs
