// Reads the journal beside what the store knows of it.
#include "ai/budget/journal_check.h"

#include <unistd.h>

#include "base/damage.h"

namespace kvcs::ai {

Result<ChargeJournal::Left> read_noted_journal(const std::string& path,
                                               const std::optional<JournalMark>& noted) {
  if (noted && ::access(path.c_str(), F_OK) != 0) return journal_refused(path, "is missing");
  ChargeJournal::Left left = KVCS_TRY(ChargeJournal::read(path));
  if (noted && !is_journal_of(*noted, left.start)) {
    return journal_refused(path, "is that of start " + std::to_string(left.start) +
                                     ", and the last one was " + std::to_string(noted->start));
  }
  return left;
}

Result<bool> is_journal_whole(const KvStore& kv, const std::string& path) {
  const auto left = read_noted_journal(path, KVCS_TRY(noted_journal(kv)));
  if (!left.ok() && left.status().reason() == kJournalDamaged) return false;
  if (!left.ok()) return left.status();
  return left->damaged == 0 && left->illegible == 0;
}

}  // namespace kvcs::ai
