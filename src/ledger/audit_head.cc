// Retention takes rows from the old end, so that a row that it took is older than all that are
// there.
#include "ledger/audit_head.h"

#include "base/bytes.h"
#include "db/db.h"
#include "ledger/state.h"

namespace kvcs {
namespace {

Status not_there(std::string_view head) {
  return conflict("has lost rows of kv_audit: its newest known row " + printable(head) +
                  " is not in it");
}

}  // namespace

Result<std::string> read_audit_head(Database& db) {
  auto newest =
      KVCS_TRY(db.prepare("SELECT seq, chain_hash FROM kv_audit ORDER BY seq DESC LIMIT 1"));
  if (!KVCS_TRY(newest.step())) return std::string();
  return std::to_string(newest.integer(0)) + ":" + newest.text(1);
}

Status check_audit_head(Database& db, std::string_view head) {
  const size_t colon = head.find(':');
  const auto seq = parse_u64(head.substr(0, colon), "seq");
  if (colon == head.npos || !seq.ok()) return not_there(head);
  const std::string_view hash = head.substr(colon + 1);
  auto row = KVCS_TRY(db.prepare("SELECT chain_hash FROM kv_audit WHERE seq=?"));
  if (KVCS_TRY(row.bind(1, static_cast<int64_t>(*seq)).step())) {
    return row.text(0) == hash ? ok() : not_there(head);
  }
  auto oldest = KVCS_TRY(db.prepare("SELECT seq FROM kv_audit ORDER BY seq LIMIT 1"));
  if (KVCS_TRY(oldest.step())) {
    if (oldest.integer(0) > static_cast<int64_t>(*seq)) return ok();
    // It may have gone from within: then a gap stands before the next row that is there.
    auto bridged = KVCS_TRY(
        db.prepare("SELECT 1 FROM audit_gap WHERE to_hash ="
                   " (SELECT prev_chain_hash FROM kv_audit WHERE seq>? ORDER BY seq LIMIT 1)"));
    return KVCS_TRY(bridged.bind(1, static_cast<int64_t>(*seq)).step()) ? ok() : not_there(head);
  }
  return KVCS_TRY(read_state(db, "audit_anchor")).empty() ? not_there(head) : ok();
}

Result<std::optional<AuditRow>> find_unknown_audit(
    Database& db, std::string_view head,
    const std::function<Result<bool>(const AuditRow&)>& is_known) {
  const auto seq = parse_u64(head.substr(0, head.find(':')), "seq");
  if (!seq.ok()) return std::optional<AuditRow>();
  auto rows = KVCS_TRY(
      db.prepare("SELECT id, ts_ms, family, key, action FROM kv_audit WHERE seq > ? ORDER BY seq"));
  rows.bind(1, static_cast<int64_t>(*seq));
  while (KVCS_TRY(rows.step())) {
    AuditRow row{rows.text(0), rows.integer(1),
                 rows.text(2), rows.text(3),
                 rows.text(4), {},
                 {},           {},
                 {},           {}};
    if (!KVCS_TRY(is_known(row))) return std::optional(std::move(row));
  }
  return std::optional<AuditRow>();
}

}  // namespace kvcs
