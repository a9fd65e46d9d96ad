// Whether RocksDB's logs are whole, judged before RocksDB reads them: it cannot tell the torn tail
// of a crash from damage that hides what was written, and drops what stands behind either. Pure but
// for reading files; internal to kv/.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kv/wal_notes.h"

namespace kvcs {

// The number of the log of that name, "000012.log"; 0 when it is not the name of one.
uint64_t wal_number(std::string_view name);

// Where a log stops to be whole.
struct WalBreak {
  uint64_t offset = 0;
  // The log ends within the record that begins there: the process died while it wrote.
  bool is_cut_off = false;
  // Whole records stand behind it.
  bool is_inside = false;
};
// Nothing: the log is whole to its end.
Result<std::optional<WalBreak>> find_wal_break(const std::string& path);

// The first log of a directory that is not whole, and cannot be a crash's or a power cut's work.
struct WalDamage {
  uint64_t log = 0;  // Its number.
  std::string path;
  uint64_t whole_bytes = 0;  // What is before the damage; all of a log that was cut short.
  std::string what;          // In words, for the operator.
};
// Nothing: there is none. Sets `lost_tail` when a power cut took a tail that nobody had synced.
Result<std::optional<WalDamage>> find_wal_damage(const std::string& directory,
                                                 const WalNotes::Left& notes, bool& lost_tail);
// What stands in a file from `begin` on, where no record is whole: the whole records behind it.
Result<uint64_t> count_wal_records(const std::string& path, uint64_t begin);
// The logs of `directory`, by number.
Result<std::map<uint64_t, std::string>> list_wals(const std::string& directory);

// A log that has writes which one before it has as well: somebody has copied it there. RocksDB
// takes the writes a second time, and its assertions end the process. Conflict names both logs.
Status check_wal_order(const std::string& directory, const WalNotes::Left& notes);

// Looks at every log of `directory`. Ok(true): a power cut took a tail that nobody had synced, and
// the logs count only up to there. Unavailable with reason kv_damaged: a log is missing, shorter
// than was synced, or damaged; the message names it and the offset.
Result<bool> check_wals(const std::string& directory, const WalNotes::Left& notes);

// The same of the MANIFEST, which has the form of a log: RocksDB takes one that ends within a
// record for whole, and deletes the tables that it does not name. For the boot in which it was
// written.
Status check_manifest(const std::string& directory);

}  // namespace kvcs
