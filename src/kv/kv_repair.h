// What can be kept of a key-value store whose log is damaged: what was written before the damage,
// as a copy that opens like any other, and, to be read, what is whole behind it. For `kvcs repair`;
// nothing else has the directory open, and nothing in it is changed.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "kv/kv.h"

namespace kvcs {

struct KvLogDamage {
  std::string what;           // In words: which log, and at which byte.
  uint64_t log = 0;           // Its number.
  uint64_t whole_bytes = 0;   // What of it is before the damage.
  uint64_t lost_bytes = 0;    // What is behind it, in this log and those after it.
  uint64_t lost_records = 0;  // The whole writes among them.
};
// Nothing: the logs are whole, and what else is wrong is in another file.
Result<std::optional<KvLogDamage>> find_kv_log_damage(const std::string& directory);
// Makes the directory `to`, with the store as it was before the damage. Tables are linked, for they
// never change.
Status copy_kv_before(const KvLogDamage& damage, const std::string& directory,
                      const std::string& to);
// What was kept of a store whose files are damaged.
struct KvSalvage {
  bool is_readable = false;          // In part at least: else only tables that are whole are kept.
  uint64_t kept_keys = 0;            // Of those that could be read.
  uint64_t lost_stretches = 0;       // Runs of keys that could not.
  std::vector<std::string> damaged;  // What RocksDB said of each damage; it names the file.
};
// Makes the directory `to`, with all of the store in `from` that can be read. A key in a damaged
// part has there the value that another file has of it, an older one, or none.
Result<KvSalvage> salvage_kv(const std::string& from, const std::string& to, const Clock& clock);
// All writes that are whole, before and behind the damage, without those in between.
Result<std::unique_ptr<const KvStore>> open_whole_records(const std::string& directory,
                                                          const Clock& clock);

}  // namespace kvcs
