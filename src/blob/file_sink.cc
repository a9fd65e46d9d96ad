// Writes the bytes of an upload and hashes them, side by side when they come fast. Runs on the
// thread of the request that brings them.
#include "blob/file_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "base/wait.h"

namespace kvcs {
namespace {

// The kernel starts writing back after so many bytes, so that the final fsync finds little to do
// and an upload does not fill memory with dirty pages.
constexpr uint64_t kWritebackStepBytes = 8 << 20;
// Bytes are hashed by the thread that writes them, until so many have come within so short a time
// and more than the last number are to come: then a thread beside it hashes chunk by chunk. A short
// stream, or a slow one, is not worth a thread.
constexpr uint64_t kFastBytes = 2 << 20;
constexpr int64_t kFastMs = 125;
constexpr uint64_t kHashThreadFromBytes = 2 << 20;

}  // namespace

FileSink::FileSink(BlobFolder& folder, std::string_view owner, uint64_t size_bytes, HashPipe* hash)
    : folder_(folder), owner_(owner), size_(size_bytes), hash_(hash) {
  promise(size_);
}

FileSink::~FileSink() {
  folder_.release(owner_, promised_);
}

void FileSink::open(int descriptor, std::string path, uint64_t position) {
  descriptor_ = descriptor;
  path_ = std::move(path);
  position_ = position;
}

Status FileSink::append(std::string_view bytes) {
  taken_ += bytes.size();
  if (hash_ == nullptr) return write(bytes);
  if (hash_->has_thread() || (comes_fast(bytes.size()) && hash_->start())) {
    return write_beside_hash(bytes);
  }
  hash_->update(bytes);
  return write(bytes);
}

// Looks once in kFastBytes. Waits of the client count too: one that stops has no thread soon.
bool FileSink::comes_fast(size_t size_bytes) {
  if (pace_bytes_ == 0) pace_since_ms_ = steady_ms();
  pace_bytes_ += size_bytes;
  if (pace_bytes_ < kFastBytes) return false;
  pace_bytes_ = 0;
  return steady_ms() - pace_since_ms_ <= kFastMs && size_ - taken_ >= kHashThreadFromBytes;
}

// Hands chunk by chunk to the hash and writes it meanwhile; the pipe does not change what it
// holds. No chunk stays behind: the next bytes may be long in coming.
Status FileSink::write_beside_hash(std::string_view bytes) {
  Status written;
  while (!bytes.empty() && written.ok()) {
    const size_t n = std::min(bytes.size(), kChunkBytes);
    char* const chunk = hash_->acquire();
    std::memcpy(chunk, bytes.data(), n);
    hash_->submit(n);
    written = write({chunk, n});
    bytes.remove_prefix(n);
  }
  hash_->rest();
  return written;
}

Status FileSink::write(std::string_view bytes) {
  if (promised_ < bytes.size()) {
    KVCS_TRY(folder_.check_space(std::min(folder_.promise_step_bytes, size_ - on_disk_)));
    promise(KVCS_TRY(room_in_share()));
  }
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return blob_error("write", path_, errno);
    bytes.remove_prefix(static_cast<size_t>(n));
    on_disk_ += static_cast<uint64_t>(n);
    const uint64_t kept = std::min(promised_, static_cast<uint64_t>(n));
    promised_ -= kept;
    folder_.release(owner_, kept);
  }
  start_writeback(kWritebackStepBytes);
  return ok();
}

// What this upload may hold, beside the others of its owner. It goes on without that too, as
// long as the disk has room.
Result<uint64_t> FileSink::room_in_share() {
  if (owner_.empty()) return size_;
  const uint64_t share = KVCS_TRY(folder_.share_bytes());
  const uint64_t others = folder_.held(owner_) - promised_;
  return share > others ? share - others : uint64_t{0};
}

// Holds the next step of what is still to be written, or `most`.
void FileSink::promise(uint64_t most) {
  const uint64_t wanted = std::min({folder_.promise_step_bytes, size_ - on_disk_, most});
  if (wanted <= promised_) return;
  folder_.hold(owner_, wanted - promised_);
  promised_ = wanted;
}

void FileSink::start_writeback(uint64_t step) {
  if (on_disk_ - writeback_from_ < std::max<uint64_t>(step, 1)) return;
  // Only advice: a file system that cannot do it leaves the work to fsync, which makes the
  // bytes durable either way.
  (void)::sync_file_range(descriptor_, static_cast<off_t>(position_ + writeback_from_),
                          static_cast<off_t>(on_disk_ - writeback_from_), SYNC_FILE_RANGE_WRITE);
  writeback_from_ = on_disk_;
}

}  // namespace kvcs
