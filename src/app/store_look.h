// What `kvcs repair` finds in a store before anything is given up. Only what is proven counts as
// damage: a sum that does not fit, a file that is none of its kind, a mark that cannot be read. A
// disk that is full or fails for a moment, a file that may not be read, a lock that another process
// holds, too few descriptors: such a failure ends the repair, for the store behind it may be whole.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "app/store_marks.h"
#include "base/status.h"
#include "kv/kv.h"
#include "ledger/audit.h"

namespace kvcs {

class Database;

// Whether the failure is proof of damage.
bool is_damage(const Status& failure);
// Ok of what is proof of damage; any other failure as it is.
Status unless_damage(Status failure);

// How a repair opens a key-value store: it needs less room on the disk than a daemon that serves,
// whose limit must not keep a store from being mended that would free some.
KvConfig repair_kv_config(const std::string& path);

struct FoundDatabase {
  bool there = false;
  bool whole = false;  // It opens, and what was looked at is sound.
  std::optional<StoreMark> mark;
};
// `thorough`: every page is looked at, which takes seconds for each gigabyte.
Result<FoundDatabase> look_at_database(const std::string& path, bool thorough);
// Whether a ledger has been used by a daemon: a repair makes one with a mark alone.
Result<bool> has_history(Database& ledger);
// Every page of the database; Ok(false): damaged.
Result<bool> is_sound(Database& db);
// Every value of the store; Ok(false): damaged.
Result<bool> is_readable(const KvStore& kv);

// The record, or nothing where there is none.
Result<std::optional<KvEntry>> find_entry(const KvStore& kv, KvFamily family, std::string_view key);
// The first row of the audit behind `head` that the store neither has seen in SQL nor has on its
// way there: it is older than the ledger. Rows of artifacts and projects do not come by the store.
Result<std::optional<AuditRow>> find_audit_unknown_to(const KvStore& kv, Database& ledger,
                                                      std::string_view head);

// Ok when the directory has traces of a daemon; nothing is made there. Invalid or NotFound name
// what is wrong with it.
Status check_used_directory(const std::string& data_dir);

}  // namespace kvcs
