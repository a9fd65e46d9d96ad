// The hash chain of kv_audit: appended to by the outbox's sink, pruned from within and from its old
// end, and walked by a reader. The format is in the header.
#include "ledger/audit.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"
#include "db/db.h"
#include "kv/outbox.h"
#include "ledger/state.h"

namespace kvcs {
namespace {

constexpr size_t kAuditFieldMaxBytes = 2048;
// Of ledger_state: the rows in audit_gap together, and what take_audit_cut() takes.
constexpr std::string_view kGapRows = "audit_gap_rows", kCutMs = "audit_cut_ms";

// Where the chain goes on behind the gap that begins at this hash; "" when none does.
Result<std::string> find_behind_gap(Database& db, const std::string& from_hash) {
  auto find = KVCS_TRY(db.prepare("SELECT to_hash FROM audit_gap WHERE from_hash=?"));
  const bool there = KVCS_TRY(find.bind(1, from_hash).step());
  return there ? find.text(0) : std::string();
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
  chain.pruned = KVCS_TRY(read_state_number(db, "audit_pruned"));
  std::string prev = KVCS_TRY(read_state(db, "audit_anchor"));
  auto rows = KVCS_TRY(db.prepare(
      "SELECT seq, id, ts_ms, family, key, action, old_hash, new_hash, source, actor, request_id,"
      " prev_chain_hash, chain_hash FROM kv_audit ORDER BY seq"));
  while (KVCS_TRY(rows.step())) {
    AuditRow row{rows.text(1), rows.integer(2), rows.text(3), rows.text(4), rows.text(5),
                 rows.text(6), rows.text(7),    rows.text(8), rows.text(9), rows.text(10)};
    if (rows.text(11) != prev) {
      // Nothing but the first row of all follows "".
      const std::string behind = KVCS_TRY(find_behind_gap(db, prev));
      if (!behind.empty()) prev = behind;
    }
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

namespace {

// What a removal takes away, and the newest time of it that was not too old (0: all was).
struct Removed {
  int64_t rows = 0, cut_ms = 0;
};

Status add_to_state(Database& db, std::string_view name, int64_t more) {
  const int64_t before = KVCS_TRY(read_state_number(db, name));
  return write_state_number(db, name, before + more);
}

struct Gap {
  std::string from_hash, to_hash;
  int64_t rows = 0;
};

// Takes the gap that begins or ends (`column`) at this hash out of the table; rows = 0: none does.
Result<Gap> take_gap(Database& db, const std::string& column, const std::string& hash) {
  Gap gap;
  {
    auto find = KVCS_TRY(
        db.prepare("SELECT from_hash, to_hash, rows FROM audit_gap WHERE " + column + "=?"));
    if (!KVCS_TRY(find.bind(1, hash).step())) return gap;
    gap = {find.text(0), find.text(1), find.integer(2)};
  }
  auto remove = KVCS_TRY(db.prepare("DELETE FROM audit_gap WHERE " + column + "=?"));
  KVCS_TRY(remove.bind(1, hash).run());
  KVCS_TRY(add_to_state(db, kGapRows, -gap.rows));
  return gap;
}

// Bridges what has been removed between two hashes, together with the gaps at both ends.
Status add_gap(Database& db, Gap gap) {
  if (const Gap before = KVCS_TRY(take_gap(db, "to_hash", gap.from_hash)); before.rows > 0) {
    gap.from_hash = before.from_hash;
    gap.rows += before.rows;
  }
  if (const Gap after = KVCS_TRY(take_gap(db, "from_hash", gap.to_hash)); after.rows > 0) {
    gap.to_hash = after.to_hash;
    gap.rows += after.rows;
  }
  if (gap.from_hash == KVCS_TRY(read_state(db, "audit_anchor"))) {
    return write_state(db, "audit_anchor", gap.to_hash);
  }
  auto put =
      KVCS_TRY(db.prepare("INSERT INTO audit_gap (from_hash, to_hash, rows) VALUES (?,?,?)"));
  KVCS_TRY(put.bind(1, gap.from_hash).bind(2, gap.to_hash).bind(3, gap.rows).run());
  return add_to_state(db, kGapRows, gap.rows);
}

// The condition is that of the index, word for word. The newest row stays, so that the head has its
// row and no number is given twice.
Result<Removed> remove_callers(Database& db, int64_t before_ms, int64_t limit) {
  struct Row {
    int64_t seq;
    Gap gap;
  };
  std::vector<Row> rows;
  Removed removed;
  {
    auto find =
        KVCS_TRY(db.prepare("SELECT seq, ts_ms, prev_chain_hash, chain_hash FROM kv_audit"
                            " WHERE ((actor >= 'projectkey:' AND actor < 'projectkey;')"
                            " OR (source <> 'admin-api'"
                            " AND NOT (source >= 'operator' AND source < 'operatos')"
                            " AND ((actor >= 'person:' AND actor < 'person;')"
                            " OR (actor >= 'sign-in:' AND actor < 'sign-in;')"
                            " OR (actor >= 'bearer:' AND actor < 'bearer;')"
                            " OR (actor >= 'reset-' AND actor < 'reset.')"
                            " OR actor = 'invitation')))"
                            " AND seq < (SELECT max(seq) FROM kv_audit) ORDER BY seq LIMIT ?"));
    find.bind(1, limit);
    while (KVCS_TRY(find.step())) {
      rows.push_back({find.integer(0), {find.text(2), find.text(3), 1}});
      if (find.integer(1) >= before_ms) removed.cut_ms = std::max(removed.cut_ms, find.integer(1));
    }
  }
  for (const Row& row : rows) {
    auto remove = KVCS_TRY(db.prepare("DELETE FROM kv_audit WHERE seq=?"));
    KVCS_TRY(remove.bind(1, row.seq).run());
    KVCS_TRY(add_gap(db, row.gap));
  }
  removed.rows = static_cast<int64_t>(rows.size());
  return removed;
}

// Rows go from the old end one after the other, even if the clock went back between two of them.
// Hence the order by seq and the break at the first row that stays.
Result<Removed> remove_old_end(Database& db, int64_t before_ms, int64_t excess, int64_t limit) {
  Removed removed;
  int64_t last_seq = 0;
  std::string anchor;
  {
    auto rows =
        KVCS_TRY(db.prepare("SELECT seq, ts_ms, chain_hash FROM kv_audit ORDER BY seq LIMIT ?"));
    rows.bind(1, limit);
    while (KVCS_TRY(rows.step())) {
      const bool is_old = rows.integer(1) < before_ms;
      if (!is_old && removed.rows >= excess) break;
      if (!is_old) removed.cut_ms = std::max(removed.cut_ms, rows.integer(1));
      last_seq = rows.integer(0);
      anchor = rows.text(2);
      removed.rows++;
    }
  }
  if (removed.rows == 0) return removed;
  // The gaps before the rows that go, and the one behind the last of them.
  const std::string passed =
      " FROM audit_gap WHERE to_hash IN"
      " (SELECT prev_chain_hash FROM kv_audit WHERE seq<=?)";
  {
    auto sum = KVCS_TRY(db.prepare("SELECT coalesce(sum(rows), 0)" + passed));
    KVCS_TRY(sum.bind(1, last_seq).step());
    const int64_t gaps = sum.integer(0);
    if (gaps > 0) KVCS_TRY(add_to_state(db, kGapRows, -gaps));
  }
  auto forget = KVCS_TRY(db.prepare("DELETE" + passed));
  KVCS_TRY(forget.bind(1, last_seq).run());
  auto remove = KVCS_TRY(db.prepare("DELETE FROM kv_audit WHERE seq<=?"));
  KVCS_TRY(remove.bind(1, last_seq).run());
  const Gap behind = KVCS_TRY(take_gap(db, "from_hash", anchor));
  KVCS_TRY(write_state(db, "audit_anchor", behind.rows > 0 ? behind.to_hash : anchor));
  return removed;
}

}  // namespace

Result<int64_t> prune_audit(Database& db, int64_t before_ms, int64_t excess, int64_t limit) {
  Removed all;
  if (excess > 0) all = KVCS_TRY(remove_callers(db, before_ms, std::min(excess, limit)));
  if (all.rows < limit) {
    const Removed old_end = KVCS_TRY(
        remove_old_end(db, before_ms, std::max<int64_t>(excess - all.rows, 0), limit - all.rows));
    all = {all.rows + old_end.rows, std::max(all.cut_ms, old_end.cut_ms)};
  }
  if (all.rows == 0) return all.rows;
  KVCS_TRY(add_to_state(db, "audit_pruned", all.rows));
  if (all.cut_ms > KVCS_TRY(read_state_number(db, kCutMs))) {
    KVCS_TRY(write_state_number(db, kCutMs, all.cut_ms));
  }
  return all.rows;
}

Result<int64_t> count_audit_gaps(Database& db) {
  return read_state_number(db, kGapRows);
}

Result<int64_t> take_audit_cut(Database& db) {
  const int64_t cut_ms = KVCS_TRY(read_state_number(db, kCutMs));
  if (cut_ms > 0) KVCS_TRY(write_state(db, kCutMs, "0"));
  return cut_ms;
}

}  // namespace kvcs
