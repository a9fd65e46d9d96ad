// What the store remembers of the journal of charges: that there is one, in which boot of the
// machine it was begun, and by which start. So a start notices that the file is gone or is another
// one, and knows whether a power cut may have torn its records. Internal to budget/.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "kv/kv.h"

namespace kvcs::ai {

struct JournalMark {
  std::string boot;
  uint64_t start = 0;  // 0: an older program has begun it.
};
// Nothing when no journal was ever begun on this store.
Result<std::optional<JournalMark>> noted_journal(const KvStore& kv);
// Notes the boot that runs and the start that follows `last`, before it begins its journal: should
// it die in between, the one of the start before is there. Returns the number of the start.
Result<uint64_t> note_journal(KvStore& kv, const std::optional<JournalMark>& last);
// Whether the journal of that start is the one that the store remembers.
bool is_journal_of(const JournalMark& mark, uint64_t start);
// The refusal to start without what the journal must hold; `what` goes on after its path.
Status journal_refused(const std::string& path, const std::string& what);

}  // namespace kvcs::ai
