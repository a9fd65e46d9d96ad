// The schema of ledger.db: the history of usage, errors, changes, jobs, alerts and decisions. What
// the rows mean is in ledger/rows.h. Pure.
#pragma once
#include <vector>

#include "db/db.h"

namespace kvcs {

const std::vector<Migration>& ledger_migrations();

}  // namespace kvcs
