// SHA-256 of a file, read in pieces by the calling thread.
#include "kvfile/format/hash_file.h"

#include <algorithm>
#include <vector>

#include "base/crypto.h"

namespace kvcs::kvfile {
namespace {

// Small enough that the bytes are still in the core's own cache when they are hashed, and large
// enough that the cost of a read call does not count.
constexpr size_t kChunkBytes = 128 << 10;

}  // namespace

Result<std::string> hash_file(const SourceFile& file, const std::function<bool()>& stopped) {
  std::vector<char> chunk(std::min<uint64_t>(kChunkBytes, file.size_bytes()));
  Sha256 hash;
  for (uint64_t at = 0; at < file.size_bytes();) {
    if (stopped && stopped()) return std::string();
    const size_t n = static_cast<size_t>(std::min<uint64_t>(kChunkBytes, file.size_bytes() - at));
    KVCS_TRY(file.read(at, chunk.data(), n));
    hash.update(chunk.data(), n);
    at += n;
  }
  return hash.finish_hex();
}

}  // namespace kvcs::kvfile
