// Keeps two admins from undoing each other's changes: a record's ETag changes with its text, and a
// PUT with If-Match changes the record only while it has that ETag. Stateless; thread-safe.
#pragma once
#include <string>
#include <string_view>

#include "kv/audited_kv.h"
#include "kv/kv.h"

namespace kvcs {

// The ETag of the stored text, in quotes; "0" in quotes for a record that is not there. Read it
// before the record that it goes out with: a change between the two makes the ETag too old, and a
// PUT with it fails. The other way round a PUT would undo a change that its author never saw.
Result<std::string> etag_of_record(const KvStore& kv, KvFamily family, std::string_view key);
// Conflict with reason etag_mismatch unless `if_match` is "", the record's ETag, or "*" and the
// record is there; nothing is written then.
Status put_if_match(const KvStore& kv, AuditedKv& audited, KvFamily family, const std::string& key,
                    std::string value, std::string_view if_match, const AuditContext& who);

}  // namespace kvcs
