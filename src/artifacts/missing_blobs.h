// Artifacts whose bytes are gone: a walk over the rows, where the scrub walks over the files and
// cannot miss what is not there. A function without state, for any thread.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"

namespace kvcs {

class BlobStore;
class DbReaders;

struct MissingBlobs {
  uint64_t named = 0;                           // Blobs that artifacts which are ready name.
  uint64_t missing = 0;                         // Of these, the ones that are not in the store.
  std::string first_sha256, first_artifact_id;  // "" when none is missing.
};

// Unavailable when `cancelled` says so, or when a store does not answer.
Result<MissingBlobs> find_missing_blobs(DbReaders& readers, const BlobStore& blobs,
                                        const std::function<bool()>& cancelled);

}  // namespace kvcs
