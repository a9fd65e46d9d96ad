// A copy of the journal of charges while requests write into it. A function without state.
#pragma once
#include <string>

#include "base/status.h"

namespace kvcs::ai {

// Copies the journal `from` to the new file `to`: each slot as it was at some moment of the call,
// whole. It is as long as the journal, with holes where no request ever was, and is not synced. No
// journal makes no copy. Conflict when `to` exists.
//
// In a copy of the stores it belongs to a moment before that of the key-value store. What is
// settled between the two is in both, under one id, and is charged once; the other way round it
// could be in neither.
Status copy_charge_journal(const std::string& from, const std::string& to);

}  // namespace kvcs::ai
