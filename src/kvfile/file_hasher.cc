#include "kvfile/file_hasher.h"

#include <algorithm>
#include <vector>

#include "base/crypto.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kChunkBytes = 1 << 20;

}  // namespace

FileHasher::FileHasher(const SourceFile& file) : thread_("kv-hash", [this, &file] { run(file); }) {}

void FileHasher::run(const SourceFile& file) {
  std::vector<char> chunk(kChunkBytes);
  Sha256 hash;
  for (uint64_t at = 0; at < file.size_bytes() && !stop_;) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(kChunkBytes, file.size_bytes() - at));
    status_ = file.read(at, chunk.data(), n);
    if (!status_.ok()) return;
    hash.update(chunk.data(), n);
    at += n;
  }
  digest_ = hash.finish_hex();
}

Result<std::string> FileHasher::finish_hex() {
  thread_.join();
  if (!status_.ok()) return std::move(status_);
  return std::move(digest_);
}

}  // namespace kvcs::kvfile
