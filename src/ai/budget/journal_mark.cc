// One record of the store's system family, written by each start before it begins its journal.
#include "ai/budget/journal_mark.h"

#include <nlohmann/json.hpp>

#include "base/boot_id.h"
#include "base/bytes.h"
#include "base/damage.h"
#include "base/file.h"
#include "base/json.h"
#include "kv/keyspace.h"

namespace kvcs::ai {

Result<uint64_t> note_journal(KvStore& kv, const std::optional<JournalMark>& last) {
  const uint64_t start = (last ? last->start : 0) + 1;
  KvBatch batch;
  batch.put(KvFamily::kSystem, std::string(keyspace::kChargesJournal),
            dump_json(Json{{"boot", boot_id()}, {"start", start}}));
  KVCS_TRY(kv.write(batch, KvDurability::kSynced));
  return start;
}

Result<std::optional<JournalMark>> noted_journal(const KvStore& kv) {
  const Result<KvEntry> entry = kv.get(KvFamily::kSystem, keyspace::kChargesJournal);
  if (entry.code() == Code::kNotFound) return std::optional<JournalMark>();
  if (!entry.ok()) return entry.status();
  const Json value = KVCS_TRY(parse_json(entry->value));
  JsonReader reader(value, "charges journal");
  JournalMark mark;
  mark.boot = reader.string("boot", {.min_bytes = 0});
  mark.start = static_cast<uint64_t>(reader.optional_integer("start", 0, INT64_MAX).value_or(0));
  KVCS_TRY(reader.finish());
  return std::optional(std::move(mark));
}

// One without a number was begun by an older program, or emptied by a repair or for a backup.
bool is_journal_of(const JournalMark& mark, uint64_t start) {
  return start == 0 || mark.start == 0 || start == mark.start || start + 1 == mark.start;
}

Status journal_refused(const std::string& path, const std::string& what) {
  return unavailable("The journal of charges \"" + printable(path) + "\" " + what +
                     ": what requests have cost that were open when the last process ended is not "
                     "known." +
                     ways_out(folder_of(path), "journal"))
      .with_reason(kJournalDamaged);
}

}  // namespace kvcs::ai
