// What the store remembers of the journal of charges: that there is one, and in which boot of the
// machine it was begun. So a start notices that the file is gone, and knows whether a power cut may
// have torn its records. Internal to budget/.
#pragma once
#include <optional>
#include <string>

#include "kv/kv.h"

namespace kvcs::ai {

// Nothing when no journal was ever begun on this store.
Result<std::optional<std::string>> noted_journal_boot(const KvStore& kv);
// Notes the boot that runs; writes nothing when that is `last_boot`.
Status note_journal(KvStore& kv, const std::optional<std::string>& last_boot);
// The refusal to start without what the journal must hold; `what` goes on after its path.
Status journal_refused(const std::string& path, const std::string& what);

}  // namespace kvcs::ai
