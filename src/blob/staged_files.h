// What comes in several requests, as files of the file engine: staged/<id>, and beside it the mark
// staged/<id>.kept (staged_mark.h), which says how many of the bytes are surely on disk. As long as
// the machine runs, the file's length is the number of its bytes: a process that dies takes none of
// them along. After the power went, what lies beyond the mark may be anything, and goes. The hash
// of what came in this life of the process goes along in memory, so that the end need not read the
// file again. Thread-safe.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "blob/blob.h"
#include "blob/blob_folder.h"

namespace kvcs {

class StagedFiles final {
 public:
  explicit StagedFiles(BlobFolder& folder) : folder_(folder) {}

  // As in BlobStore.
  Result<std::unique_ptr<StagedWriter>> open(std::string_view id, uint64_t from,
                                             uint64_t more_bytes, std::string_view owner,
                                             StagedMode mode);
  Result<uint64_t> size(std::string_view id, StagedLook look);
  Result<std::string> digest(std::string_view id);
  Status publish(std::string_view id, std::string_view sha256_hex);
  Status remove(std::string_view id);
  Status for_each(const std::function<Status(std::string_view)>& visit) const;
  std::string path_of(std::string_view id) const {
    return folder_.staged_folder() + "/" + std::string(id);
  }

  // The hash of the first `bytes` bytes of a file.
  struct Hash {
    explicit Hash(HashThreads& threads);
    HashPipe pipe;
    uint64_t bytes = 0;
  };
  // Owners: the map, and the writer that adds to it.
  using HashPointer = std::shared_ptr<Hash>;

 private:
  HashPointer hash_for(const std::string& id, uint64_t from);
  HashPointer take_hash(std::string_view id);

  BlobFolder& folder_;
  Mutex mutex_;
  std::map<std::string, HashPointer, std::less<>> hashes_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs
