// The deletions that a key-value store has forgotten which lost its last writes. The audit knows
// that they began: the record of each is put back, so that the next start goes on with the walk and
// the owner's name is taken until that ends. What the audit has of single records would remove
// those alone, and leave the rest for whoever takes the name next. Used by kv_catch_up.cc.
#pragma once
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"
#include "ledger/audit.h"

namespace kvcs {

// Of each record the newest row of the audit.
using LastAudit = std::map<std::pair<KvFamily, std::string>, AuditRow>;

struct RecalledDeletions {
  std::set<std::string> keys;     // Of their records, which stay whatever the audit has of them.
  std::vector<std::string> told;  // A sentence about each.
};
// Puts back the deletions that began and have not ended, and those of owners that are there though
// the audit saw them go. `behind` is what could be read of the lost part, or null.
Result<RecalledDeletions> recall_deletions(const KvStore& kv, const KvStore* behind,
                                           AuditedKv& audited, const LastAudit& last,
                                           const AuditContext& who);

}  // namespace kvcs
