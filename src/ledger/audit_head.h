// The newest row of kv_audit as another store remembers it: a ledger that was put back from an
// older copy, or made anew, does not have it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "ledger/audit.h"

namespace kvcs {

class Database;

// "{seq}:{chain_hash}" of the newest row; "" when there is none.
Result<std::string> read_audit_head(Database& db);
// Is the row of that head in the table, or was it there until retention took it? Conflict when it
// is not, or is another. Two reads by their keys.
Status check_audit_head(Database& db, std::string_view head);

// The other way round: the first row behind `head` that `is_known` does not know; nothing when all
// are known. Only the rows of the last moments are behind it, and those wait in the outbox still.
Result<std::optional<AuditRow>> find_unknown_audit(
    Database& db, std::string_view head,
    const std::function<Result<bool>(const AuditRow&)>& is_known);

}  // namespace kvcs
