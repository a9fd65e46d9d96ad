// Makes charges of what a dead process left in the journal. Internal to budget/. Pure but for the
// questions to `is_known`.
#pragma once
#include <vector>

#include "ai/budget/budget_book.h"
#include "ai/budget/charge_journal.h"

namespace kvcs::ai {

// The charges that neither ledger nor outbox know. A slot with a charge is a settled request or
// try, and its charge is taken as it is. A slot with a reservation alone is a try that was open: it
// is charged its input and the output that was noted, at most what was set aside. Of several open
// tries of one request the last one has the request's id, as it would have had.
// Of a slot whose charge is damaged all that was set aside is charged.
struct Recovered {
  std::vector<ChargedRow> rows;
  size_t illegible = 0;  // Slots whose money nobody knows.
};
// Invalid: a record that is as it was written, and cannot be read; and the failures of `is_known`.
Result<Recovered> read_charges(const ChargeJournal::Left& left, const Budgets::IsKnown& is_known);

}  // namespace kvcs::ai
