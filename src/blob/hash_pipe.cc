#include "blob/hash_pipe.h"

#include <algorithm>
#include <cstring>

namespace kvcs {

HashPipe::~HashPipe() {
  stop();
}

void HashPipe::stop() {
  if (!thread_) return;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.reset();
}

size_t HashPipe::fill(std::string_view bytes) {
  const size_t at = submitted_ % kHashChunks;
  if (filled_ == 0 && thread_) {
    // The ring is full while its oldest chunk, which is this one, is still being hashed.
    MutexLock lock(mutex_);
    while (queued_ - hashed_ >= kHashChunks) changed_.wait(mutex_);
  }
  if (!chunks_[at]) chunks_[at].reset(new char[kHashChunkBytes]);
  const size_t size = std::min(bytes.size(), kHashChunkBytes - filled_);
  std::memcpy(chunks_[at].get() + filled_, bytes.data(), size);
  filled_ += size;
  return size;
}

std::string_view HashPipe::submit() {
  if (filled_ == 0) return {};
  const size_t at = threaded_ ? submitted_ % kHashChunks : 0;
  sizes_[at] = filled_;
  filled_ = 0;
  const std::string_view chunk(chunks_[at].get(), sizes_[at]);
  if (!threaded_) {
    hash_.update(chunk.data(), chunk.size());
    return chunk;
  }
  submitted_++;
  if (!thread_) thread_.emplace("blob-hash", [this] { run(); });
  {
    MutexLock lock(mutex_);
    queued_++;
  }
  changed_.notify_all();
  return chunk;
}

void HashPipe::run() {
  for (;;) {
    uint64_t next = 0;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && hashed_ == queued_) changed_.wait(mutex_);
      if (stopping_) return;
      next = hashed_;
    }
    hash_.update(chunks_[next % kHashChunks].get(), sizes_[next % kHashChunks]);
    {
      MutexLock lock(mutex_);
      hashed_++;
    }
    changed_.notify_all();
  }
}

std::string HashPipe::finish_hex() {
  KVCS_ASSERT(filled_ == 0);
  if (thread_) {
    {
      MutexLock lock(mutex_);
      while (hashed_ != queued_) changed_.wait(mutex_);
    }
    stop();
  }
  return hash_.finish_hex();
}

}  // namespace kvcs
