// Maintenance of the RocksDB engine beyond kv.h, for operators and tests; requests never need it.
#pragma once
#include "base/store_damage.h"
#include "kv/kv.h"

namespace kvcs {

// Rewrites every file of `store`, so that the space of removed and expired entries is reclaimed
// before the engine would do so by itself (within a day). Slow; other calls go on meanwhile.
// Invalid when `store` is not from open_rocks_kv.
Status compact_rocks_kv(KvStore& store);

// Reads the tables as they are on disk and compares their sums: of what nobody reads, damage would
// else be found when the last whole backup is gone.
struct KvFilesCheck {
  uint64_t files = 0, bytes = 0;     // That were read.
  std::vector<std::string> damaged;  // What RocksDB said of each that is; it names the file.
  bool whole = true;                 // All were read: nobody cancelled.
};
// `cancelled` is asked between two files. What is found is in
// damage_of_rocks() too. Invalid when `store` is not from open_rocks_kv; Unavailable when a file
// cannot be read.
Result<KvFilesCheck> check_rocks_files(KvStore& store, const std::function<bool()>& cancelled);
// What reads, compactions and checks of the files have met. `store` must be from open_rocks_kv, and
// has what is returned.
StoreDamage& damage_of_rocks(KvStore& store);

}  // namespace kvcs
