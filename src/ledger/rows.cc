// The inserts of every table but `usage` (usage_rows.cc) and kv_audit (audit.cc). They run on the
// writer thread, in the transaction of its present group.
#include "ledger/rows.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/id.h"
#include "base/json.h"
#include "db/db.h"
#include "kv/outbox.h"

namespace kvcs {
namespace {

// At most kLedgerTextMaxBytes of the text, and no part of a character.
std::string_view cut(std::string_view text) {
  if (text.size() <= kLedgerTextMaxBytes) return text;
  size_t end = kLedgerTextMaxBytes;
  // Not inside a UTF-8 sequence.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) end--;
  return text.substr(0, end);
}

}  // namespace

Status insert_error(Database& db, const ErrorRecord& r) {
  auto put = KVCS_TRY(db.prepare(
      "INSERT INTO error_ledger (id, ts_ms, request_id, tenant, provider, account_id, action,"
      " method, path, status, code, message, upstream_status, latency_ms, ip_hash)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"));
  put.bind(1, r.id.empty() ? make_request_id() : r.id).bind(2, r.ts_ms);
  put.bind(3, cut(r.request_id)).bind(4, cut(r.tenant)).bind(5, cut(r.provider));
  put.bind(6, cut(r.account_id)).bind(7, cut(r.action)).bind(8, cut(r.method));
  put.bind(9, cut(r.path)).bind(10, r.status).bind(11, cut(r.code)).bind(12, cut(r.message));
  return put.bind(13, r.upstream_status).bind(14, r.latency_ms).bind(15, r.ip_hash).run();
}

Status insert_job_run(Database& db, const JobRunRecord& r) {
  auto put = KVCS_TRY(db.prepare(
      "INSERT INTO job_runs (job, ts_ms, duration_ms, result, detail) VALUES (?, ?, ?, ?, ?)"));
  put.bind(1, r.job).bind(2, r.started_ms).bind(3, r.duration_ms);
  return put.bind(4, cut(r.result)).bind(5, cut(r.detail)).run();
}

Status insert_bodies(Database& db, const BodyRecord& r) {
  const int64_t organization = KVCS_TRY(intern_name(db, r.organization_id));
  const int64_t user = KVCS_TRY(intern_name(db, r.user_id));
  const int64_t key = KVCS_TRY(intern_name(db, r.key_id));
  const int64_t model = KVCS_TRY(intern_name(db, r.model));
  auto put = KVCS_TRY(
      db.prepare("INSERT INTO body_log (ts_ms, request_id, organization_ref, user_ref, key_ref,"
                 " model_ref, status, request_bytes, response_bytes, request, response)"
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id) DO NOTHING"));
  put.bind(1, r.ts_ms).bind(2, r.request_id).bind(3, organization).bind(4, user).bind(5, key);
  put.bind(6, model).bind(7, r.status).bind(8, r.request_bytes).bind(9, r.response_bytes);
  return put.bind(10, r.request).bind(11, r.response).run();
}

Status insert_decision(Database& db, const DecisionRecord& r) {
  auto put = KVCS_TRY(db.prepare(
      "INSERT INTO decision_log (id, ts_ms, kind, severity, subject, suggestion, evidence_json)"
      " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"));
  put.bind(1, r.id).bind(2, r.ts_ms).bind(3, r.kind).bind(4, r.severity);
  return put.bind(5, r.subject).bind(6, r.suggestion).bind(7, r.evidence_json).run();
}

Status decide(Database& db, std::string_view id, std::string_view status,
              std::string_view decided_by, int64_t now_ms) {
  std::string present;
  {
    auto find = KVCS_TRY(db.prepare("SELECT status FROM decision_log WHERE id=?"));
    const bool there = KVCS_TRY(find.bind(1, id).step());
    if (!there) return not_found("No decision has the id " + printable(id) + ".");
    present = find.text(0);
  }
  // A repeated request changes nothing and is Ok. "rejected" and "applied" are final.
  if (present == status) return ok();
  const bool allowed = status == "applied" || status == "rejected"
                           ? present == "proposed" || present == "accepted"
                           : status == "accepted" && present == "proposed";
  if (!allowed) {
    return conflict("Decision " + printable(id) + " is " + present + " and cannot become " +
                    printable(status) + ".");
  }
  auto set = KVCS_TRY(
      db.prepare("UPDATE decision_log SET status=?, decided_by=?, decided_ms=? WHERE id=?"));
  return set.bind(1, status).bind(2, decided_by).bind(3, now_ms).bind(4, id).run();
}

Status insert_alert(Database& db, const AlertRecord& r) {
  auto put = KVCS_TRY(
      db.prepare("INSERT INTO alert_log (id, ts_ms, event, subject, channel, status, attempts,"
                 " next_attempt_ms, error, payload_json) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                 " ON CONFLICT (id) DO NOTHING"));
  put.bind(1, r.id).bind(2, r.ts_ms).bind(3, r.event).bind(4, r.subject).bind(5, r.channel);
  put.bind(6, r.status).bind(7, r.attempts).bind_optional(8, r.next_attempt_ms);
  return put.bind(9, cut(r.error)).bind(10, r.payload_json).run();
}

Status update_alert(Database& db, std::string_view id, std::string_view status, int attempts,
                    std::optional<int64_t> next_attempt_ms, std::string_view error) {
  auto set = KVCS_TRY(db.prepare(
      "UPDATE alert_log SET status=?, attempts=?, next_attempt_ms=?, error=? WHERE id=?"));
  set.bind(1, status).bind(2, attempts).bind_optional(3, next_attempt_ms).bind(4, cut(error));
  KVCS_TRY(set.bind(5, id).run());
  return db.changes() > 0 ? ok() : not_found("No alert has the id " + printable(id) + ".");
}

Result<int64_t> intern_name(Database& db, std::string_view text) {
  auto find = KVCS_TRY(db.prepare("SELECT id FROM ledger_name WHERE text=?"));
  if (KVCS_TRY(find.bind(1, text).step())) return find.integer(0);
  find.reset();
  auto add = KVCS_TRY(db.prepare("INSERT INTO ledger_name (text) VALUES (?)"));
  KVCS_TRY(add.bind(1, text).run());
  const bool there = KVCS_TRY(find.bind(1, text).step());
  KVCS_ASSERT(there);
  return find.integer(0);
}

}  // namespace kvcs
