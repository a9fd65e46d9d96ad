// Looks at stores for a repair, and tells damage from failures that may pass. Opening a database
// folds its log in, as every opening does; beyond that nothing changes.
#include "app/store_look.h"

#include <sys/stat.h>

#include <cerrno>

#include "app/files.h"
#include "artifacts/artifact_audit.h"
#include "base/bytes.h"
#include "base/damage.h"
#include "base/file.h"
#include "db/db.h"
#include "kv/keyspace.h"
#include "kv/kv.h"
#include "ledger/audit_head.h"

namespace kvcs {
namespace {
// For the marks, what is made good, and the files of a store that is opened and closed.
constexpr uint64_t kRepairReserveBytes = 8u << 20;
}  // namespace

bool is_damage(const Status& failure) {
  const std::string& reason = failure.reason();
  return reason == kKvDamaged || reason == kDbDamaged || reason == kMarkDamaged;
}

Status unless_damage(Status failure) {
  return is_damage(failure) ? ok() : std::move(failure);
}

KvConfig repair_kv_config(const std::string& path) {
  KvConfig config;
  config.path = path;
  config.free_reserve_bytes = kRepairReserveBytes;
  return config;
}

Result<bool> is_sound(Database& db) {
  const Result<std::string> damage = db.find_damage();
  if (damage.ok()) return damage->empty();
  if (is_damage(damage.status())) return false;
  return damage.status();
}

Result<bool> has_history(Database& ledger) {
  return ledger.has_table("usage_daily");
}

Result<FoundDatabase> look_at_database(const std::string& path, bool thorough) {
  FoundDatabase found;
  found.there = KVCS_TRY(path_exists(path));
  if (!found.there) return found;
  const auto db = open_sqlite(path);
  if (!db.ok()) {
    KVCS_TRY(unless_damage(db.status()));
    return found;
  }
  const auto mark = read_mark(**db, path);
  if (!mark.ok()) {
    KVCS_TRY(unless_damage(mark.status()));
    return found;
  }
  found.mark = *mark;
  found.whole = !thorough || KVCS_TRY(is_sound(**db));
  return found;
}

Result<bool> is_readable(const KvStore& kv) {
  for (size_t i = 0; i < kKvFamilyCount; i++) {
    const Status read =
        kv_for_each(kv, static_cast<KvFamily>(i), "", [](const KvItem&) { return ok(); });
    if (is_damage(read)) return false;
    KVCS_TRY(read);
  }
  return true;
}

Result<std::optional<KvEntry>> find_entry(const KvStore& kv, KvFamily family,
                                          std::string_view key) {
  Result<KvEntry> entry = kv.get(family, key);
  if (entry.ok()) return std::optional(std::move(entry).value());
  if (entry.code() == Code::kNotFound) return std::optional<KvEntry>();
  return entry.status();
}

Result<std::optional<AuditRow>> find_audit_unknown_to(const KvStore& kv, Database& ledger,
                                                      std::string_view head) {
  return find_unknown_audit(ledger, head, [&kv](const AuditRow& row) -> Result<bool> {
    if (is_portal_family(row.family)) return true;
    const std::string waiting = keyspace::outbox(row.ts_ms, row.id);
    return KVCS_TRY(find_entry(kv, KvFamily::kOutbox, waiting)).has_value();
  });
}

Status check_used_directory(const std::string& data_dir) {
  if (data_dir.empty()) {
    return invalid(
        "The name of the data directory is empty; --data-dir names the directory that "
        "the daemon has been using.");
  }
  struct stat info = {};
  if (::stat(data_dir.c_str(), &info) != 0) {
    if (errno != ENOENT) return io_error("look at", data_dir, errno);
    return not_found("There is no data directory " + printable(data_dir) + ".");
  }
  if (!S_ISDIR(info.st_mode)) return invalid(printable(data_dir) + " is no directory.");
  for (const char* name : {"store.json", "kv/CURRENT", "kv/IDENTITY", "sql/ledger.db",
                           "sql/portal.db", "initial-credentials.json", "charges.journal"}) {
    if (KVCS_TRY(path_exists(data_dir + "/" + name))) return ok();
  }
  return invalid("The directory " + printable(data_dir) +
                 " is no data directory of kvcs: neither store.json nor a store is in it. Name the "
                 "data_dir of the daemon; an empty directory needs no repair.");
}

}  // namespace kvcs
