// The hash chain of kv_audit: appended to by the outbox's sink, pruned from its old end, and walked
// by a reader. The format is in the header.
#include "ledger/audit.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"
#include "db/db.h"
#include "kv/outbox.h"

namespace kvcs {
namespace {

constexpr size_t kAuditFieldMaxBytes = 2048;

Result<std::string> read_state(Database& db, std::string_view name) {
  auto find = KVCS_TRY(db.prepare("SELECT value FROM ledger_state WHERE name=?"));
  const bool there = KVCS_TRY(find.bind(1, name).step());
  return there ? find.text(0) : std::string();
}

Status write_state(Database& db, std::string_view name, std::string_view value) {
  auto put =
      KVCS_TRY(db.prepare("INSERT INTO ledger_state (name, value) VALUES (?, ?)"
                          " ON CONFLICT (name) DO UPDATE SET value = excluded.value"));
  return put.bind(1, name).bind(2, value).run();
}

// How many rows retention has removed from the old end so far.
Result<int64_t> count_pruned(Database& db) {
  const std::string text = KVCS_TRY(read_state(db, "audit_pruned"));
  if (text.empty()) return int64_t{0};
  return static_cast<int64_t>(KVCS_TRY(parse_u64(text, "audit_pruned")));
}

Status broken(int64_t seq, std::string_view id, std::string_view why) {
  return conflict("Row " + std::to_string(seq) + " of kv_audit (id " + printable(id) + ") " +
                  std::string(why))
      .with_reason("audit_chain_broken");
}

}  // namespace

std::string audit_chain_hash(std::string_view prev_chain_hash, const AuditRow& row) {
  std::string text(prev_chain_hash);
  text += '\n';
  const std::string time = std::to_string(row.ts_ms);
  // The lengths keep two rows from sharing a text: "ab","c" is not "a","bc".
  for (const std::string* field :
       {&row.id, &time, &row.family, &row.key, &row.action, &row.old_hash, &row.new_hash,
        &row.source, &row.actor, &row.request_id}) {
    text += std::to_string(field->size()) + ":" + *field + "\n";
  }
  return sha256_hex(text);
}

Status append_audit(Database& db, const AuditRow& row) {
  // A record that is moved once more after a crash is in the chain already.
  {
    auto find = KVCS_TRY(db.prepare("SELECT 1 FROM kv_audit WHERE id=?"));
    if (KVCS_TRY(find.bind(1, row.id).step())) return ok();
  }
  const std::string head = KVCS_TRY(read_state(db, "audit_head"));
  const std::string chain_hash = audit_chain_hash(head, row);
  auto put = KVCS_TRY(db.prepare(
      "INSERT INTO kv_audit (id, ts_ms, family, key, action, old_hash, new_hash, source, actor,"
      " request_id, prev_chain_hash, chain_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  put.bind(1, row.id).bind(2, row.ts_ms).bind(3, row.family).bind(4, row.key);
  put.bind(5, row.action).bind(6, row.old_hash).bind(7, row.new_hash).bind(8, row.source);
  put.bind(9, row.actor).bind(10, row.request_id).bind(11, head).bind(12, chain_hash);
  KVCS_TRY(put.run());
  return write_state(db, "audit_head", chain_hash);
}

Result<AuditRow> parse_audit(const OutboxRecord& record) {
  const Json json = KVCS_TRY(parse_json(record.payload_json));
  if (!json.is_object()) return invalid("audit record: not a JSON object");
  AuditRow row;
  row.id = record.id;
  row.ts_ms = record.unix_ms;
  JsonReader reader(json);
  const StringRule required{.max_bytes = kAuditFieldMaxBytes};
  const StringRule may_be_empty{.min_bytes = 0, .max_bytes = kAuditFieldMaxBytes};
  row.family = reader.string("family", required);
  row.key = reader.string("key", required);
  row.action = reader.string("action", required);
  row.old_hash = reader.optional_string("old_hash", may_be_empty).value_or("");
  row.new_hash = reader.optional_string("new_hash", may_be_empty).value_or("");
  row.source = reader.optional_string("source", may_be_empty).value_or("");
  row.actor = reader.optional_string("actor", may_be_empty).value_or("");
  row.request_id = reader.optional_string("request_id", may_be_empty).value_or("");
  reader.ignore_unknown();
  KVCS_TRY(reader.finish());
  return row;
}

Status audit_sink(Database& db, const OutboxRecord& record) {
  return append_audit(db, KVCS_TRY(parse_audit(record)));
}

Status for_each_last_audit(Database& db, const std::function<Status(const AuditRow&)>& visit) {
  auto rows = KVCS_TRY(
      db.prepare("SELECT id, ts_ms, family, key, action, old_hash, new_hash, source, actor,"
                 " request_id FROM kv_audit"
                 " WHERE seq IN (SELECT MAX(seq) FROM kv_audit GROUP BY family, key)"));
  while (KVCS_TRY(rows.step())) {
    KVCS_TRY(visit({rows.text(0), rows.integer(1), rows.text(2), rows.text(3), rows.text(4),
                    rows.text(5), rows.text(6), rows.text(7), rows.text(8), rows.text(9)}));
  }
  return ok();
}

Result<AuditChain> check_audit_chain(Database& db) {
  AuditChain chain;
  chain.pruned = KVCS_TRY(count_pruned(db));
  std::string prev = KVCS_TRY(read_state(db, "audit_anchor"));
  auto rows = KVCS_TRY(db.prepare(
      "SELECT seq, id, ts_ms, family, key, action, old_hash, new_hash, source, actor, request_id,"
      " prev_chain_hash, chain_hash FROM kv_audit ORDER BY seq"));
  while (KVCS_TRY(rows.step())) {
    AuditRow row{rows.text(1), rows.integer(2), rows.text(3), rows.text(4), rows.text(5),
                 rows.text(6), rows.text(7),    rows.text(8), rows.text(9), rows.text(10)};
    if (rows.text(11) != prev) {
      return broken(rows.integer(0), row.id,
                    "does not follow the row before it: a row was changed, removed or put in.");
    }
    if (audit_chain_hash(prev, row) != rows.text(12)) {
      return broken(rows.integer(0), row.id, "was changed: its content does not match its hash.");
    }
    prev = rows.text(12);
    chain.rows++;
  }
  // Rows that were cut off at the new end leave a chain that fits; only the head tells.
  const std::string head = KVCS_TRY(read_state(db, "audit_head"));
  if (head != prev) {
    return conflict("The newest rows of kv_audit are missing: the chain ends before its head " +
                    head + ".")
        .with_reason("audit_chain_broken");
  }
  chain.head = head;
  return chain;
}

Result<int64_t> prune_audit(Database& db, int64_t before_ms, int64_t excess, int64_t limit) {
  int64_t removed = 0, last_seq = 0;
  std::string anchor;
  {
    // Rows go from the old end and without gaps, even if the clock went back between two of them:
    // those that stay must still be a chain. Hence the order by seq and the break at the first row
    // that stays.
    auto rows =
        KVCS_TRY(db.prepare("SELECT seq, ts_ms, chain_hash FROM kv_audit ORDER BY seq LIMIT ?"));
    rows.bind(1, limit);
    while (KVCS_TRY(rows.step())) {
      if (rows.integer(1) >= before_ms && removed >= excess) break;
      last_seq = rows.integer(0);
      anchor = rows.text(2);
      removed++;
    }
  }
  if (removed == 0) return removed;
  auto remove = KVCS_TRY(db.prepare("DELETE FROM kv_audit WHERE seq<=?"));
  KVCS_TRY(remove.bind(1, last_seq).run());
  const int64_t before = KVCS_TRY(count_pruned(db));
  KVCS_TRY(write_state(db, "audit_anchor", anchor));
  KVCS_TRY(write_state(db, "audit_pruned", std::to_string(before + removed)));
  return removed;
}

}  // namespace kvcs
