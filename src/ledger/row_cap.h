// Holds a table of the ledger at its number of rows, as a part of the transaction that adds to it.
// Rows are counted by the span of their `seq`, which grows by one with each: two look-ups at the
// ends of the table and no count of a million rows. Gaps make the span larger than the number, so
// that a cap is never passed. Functions over one Database; they run on the writer thread.
#pragma once
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "ledger/ledger.h"

namespace kvcs {

// Removes the oldest rows of each table beyond its cap, by their order of arrival. A call removes
// at most as many as no single transaction adds, so that a cap which was lowered is reached in
// steps.
Status enforce_row_caps(Database& db, const std::vector<RowCap>& caps);

}  // namespace kvcs
