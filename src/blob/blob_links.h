// A copy of the blobs that costs no bytes: blobs never change once they are there, so that a second
// name for the same file is a copy of it. A function without state, for any thread.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"

namespace kvcs {

struct BlobLinks {
  uint64_t blobs = 0, bytes = 0;  // In the copy now.
  // False: the file system of the copy is another one, or knows no hard links; then nothing of a
  // blob is in the copy, and the counts are those of the store.
  bool linked = true;
};

// Gives every blob below `blobs` its name below `copy` too, in the same folders. May be called
// again for the same copy, and then adds what has come since. `between` is asked before each blob;
// its failure ends the work and is returned. Unavailable: a folder or a name cannot be made.
Result<BlobLinks> link_blobs(const std::string& blobs, const std::string& copy,
                             const std::function<Status()>& between);

}  // namespace kvcs
