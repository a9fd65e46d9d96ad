// The schema of ledger.db: the history of usage, errors, changes, jobs, alerts and decisions. What
// the rows mean is in ledger/rows.h. Pure.
#pragma once
#include <span>
#include <vector>

#include "db/db.h"
#include "db/table_owner.h"

namespace kvcs {

const std::vector<Migration>& ledger_migrations();
// Of every table: history, which stays when its owner is deleted, or the ledger's own.
std::span<const TableOwner> ledger_table_owners();

}  // namespace kvcs
