// Whether the journal of charges is the one that the store remembers, and whole. Functions without
// state; for the start and for `kvcs repair`.
#pragma once
#include <optional>
#include <string>

#include "ai/budget/charge_journal.h"
#include "ai/budget/journal_mark.h"

namespace kvcs::ai {

// What the file has left. Unavailable, reason kJournalDamaged, when it is gone or too short while
// the store knows of it, or is that of another start. `noted`: see noted_journal().
Result<ChargeJournal::Left> read_noted_journal(const std::string& path,
                                               const std::optional<JournalMark>& noted);
// Whether a start would take the file, and find all of its records whole.
Result<bool> is_journal_whole(const KvStore& kv, const std::string& path);

}  // namespace kvcs::ai
