// Where the bytes of an upload go: a file, and on the way a hash. Holds room of the disk ahead of
// what it has written, in steps. One thread; folder, descriptor and hash outlive it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/hash_pipe.h"
#include "base/status.h"
#include "blob/blob_folder.h"

namespace kvcs {

class FileSink final {
 public:
  static constexpr size_t kChunkBytes = 256 << 10;
  // At most `size_bytes` are written, from the descriptor's position on. Without a hash they are
  // only written. Holds the first step at once.
  FileSink(BlobFolder& folder, std::string_view owner, uint64_t size_bytes, HashPipe* hash);
  ~FileSink();
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  void open(int descriptor, std::string path, uint64_t position);
  // After a failure some of the bytes may be in the file, and all of them in the hash.
  Status append(std::string_view bytes);
  // The disk drains while the caller does something else.
  void start_writeback() { start_writeback(0); }
  uint64_t taken_bytes() const { return taken_; }

 private:
  bool comes_fast(size_t size_bytes);
  Status write_beside_hash(std::string_view bytes);
  Status write(std::string_view bytes);
  Result<uint64_t> room_in_share();
  void promise(uint64_t most);
  void start_writeback(uint64_t step);

  BlobFolder& folder_;
  const std::string owner_;
  const uint64_t size_;
  HashPipe* const hash_;
  int descriptor_ = -1;
  std::string path_;
  uint64_t position_ = 0;  // Of the first byte in the file.
  uint64_t taken_ = 0, on_disk_ = 0, writeback_from_ = 0, promised_ = 0;
  uint64_t pace_bytes_ = 0;  // Since pace_since_ms_.
  int64_t pace_since_ms_ = 0;
};

}  // namespace kvcs
