// One record of the store's system family, written when a journal is begun in another boot than the
// one before.
#include "ai/budget/journal_mark.h"

#include <nlohmann/json.hpp>

#include "base/boot_id.h"
#include "base/bytes.h"
#include "base/json.h"
#include "kv/keyspace.h"

namespace kvcs::ai {

Status note_journal(KvStore& kv, const std::optional<std::string>& last_boot) {
  if (last_boot == boot_id()) return ok();
  KvBatch batch;
  batch.put(KvFamily::kSystem, std::string(keyspace::kChargesJournal),
            dump_json(Json{{"boot", boot_id()}}));
  return kv.write(batch, KvDurability::kSynced);
}

Result<std::optional<std::string>> noted_journal_boot(const KvStore& kv) {
  const Result<KvEntry> entry = kv.get(KvFamily::kSystem, keyspace::kChargesJournal);
  if (entry.code() == Code::kNotFound) return std::optional<std::string>();
  if (!entry.ok()) return entry.status();
  const Json value = KVCS_TRY(parse_json(entry->value));
  JsonReader reader(value, "charges journal");
  std::string boot = reader.string("boot", {.min_bytes = 0});
  KVCS_TRY(reader.finish());
  return std::optional<std::string>(std::move(boot));
}

Status journal_refused(const std::string& path, const std::string& what) {
  return unavailable("The journal of charges \"" + printable(path) + "\" " + what +
                     ": what requests have cost that were open when the last process ended is not "
                     "known. Restore the data directory from a backup, or run kvcs repair "
                     "--accept journal, which first says what will be lost.");
}

}  // namespace kvcs::ai
