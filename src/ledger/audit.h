// The hash chain of kv_audit. Each row carries the chain_hash of the row before it and its own:
//   chain_hash = sha256 hex of prev_chain_hash "\n" then every field, in the order of the table, as
//   <length in bytes>:<bytes>"\n"
// The first row's prev_chain_hash is "". ledger_state keeps the newest hash ("audit_head"), so that
// rows cut off at the end are missed, and after pruning the hash of the last row removed
// ("audit_anchor") and their count ("audit_pruned").
//
// Too many rows go in two steps. What callers do with project keys, and people who are no
// operators, goes first, oldest first, and so from within the chain; then the old end of it. A row
// of audit_gap bridges what went from within: the chain_hash before it, the last one in it, and how
// many rows there were. Gaps that meet become one, and one that reaches the old end goes into the
// anchor. The newest row always stays.
// Functions over one Database; no threads.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "ledger/ledger.h"

namespace kvcs {

struct AuditRow {
  std::string id;
  int64_t ts_ms = 0;
  std::string family, key, action, old_hash, new_hash, source, actor, request_id;
};

std::string audit_chain_hash(std::string_view prev_chain_hash, const AuditRow& row);
// Appends to the chain, once per id; in the writer's transaction.
Status append_audit(Database& db, const AuditRow& row);
// Outbox kind "audit": a JSON object with the members of AuditRow but id and ts_ms, which are the
// record's own.
Status audit_sink(Database& db, const OutboxRecord& record);
Result<AuditRow> parse_audit(const OutboxRecord& record);
// Of each key in the audit its newest row.
Status for_each_last_audit(Database& db, const std::function<Status(const AuditRow&)>& visit);
Result<AuditChain> check_audit_chain(Database& db);
// Removes up to `limit` rows: `excess` of whatever age, callers' first and then the old end, and
// after them the old end while it is older than `before_ms`; how many.
Result<int64_t> prune_audit(Database& db, int64_t before_ms, int64_t excess, int64_t limit);

// How many rows of the chain have gone from within, between the first and the last that are there.
Result<int64_t> count_audit_gaps(Database& db);
// The time of the newest row that went since the last call though it was not too old; 0 = none.
Result<int64_t> take_audit_cut(Database& db);

}  // namespace kvcs
