// Maintenance of the RocksDB engine beyond kv.h, for operators and tests; requests never need it.
#pragma once
#include "kv/kv.h"

namespace kvcs {

// Rewrites every file of `store`, so that the space of removed and expired entries is reclaimed
// before the engine would do so by itself (within a day). Slow; other calls go on meanwhile.
// Invalid when `store` is not from open_rocks_kv.
Status compact_rocks_kv(KvStore& store);

}  // namespace kvcs
