#include "kvfile/hash_pipe.h"

namespace kvcs::kvfile {

HashPipe::HashPipe(size_t buffer_bytes, bool threaded)
    : buffer_bytes_(buffer_bytes), threaded_(threaded) {
  buffers_.resize(buffer_bytes * (threaded ? kBuffers : 1));
  if (threaded) thread_.emplace("kv-hash", [this] { run(); });
}

HashPipe::~HashPipe() {
  {
    MutexLock lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }
  thread_.reset();
}

char* HashPipe::acquire() {
  if (!threaded_) return buffers_.data();
  MutexLock lock(mutex_);
  while (submitted_ - hashed_ >= kBuffers) changed_.wait(mutex_);
  return buffers_.data() + (submitted_ % kBuffers) * buffer_bytes_;
}

void HashPipe::submit(size_t size_bytes) {
  if (!threaded_) {
    hash_.update(buffers_.data(), size_bytes);
    return;
  }
  MutexLock lock(mutex_);
  sizes_[submitted_ % kBuffers] = size_bytes;
  submitted_++;
  changed_.notify_all();
}

std::string HashPipe::finish_hex() {
  {
    MutexLock lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }
  thread_.reset();
  return hash_.finish_hex();
}

void HashPipe::run() {
  for (uint64_t next = 0;; next++) {
    size_t size_bytes = 0;
    {
      MutexLock lock(mutex_);
      while (submitted_ == next && !done_) changed_.wait(mutex_);
      if (submitted_ == next) return;
      size_bytes = sizes_[next % kBuffers];
    }
    hash_.update(buffers_.data() + (next % kBuffers) * buffer_bytes_, size_bytes);
    MutexLock lock(mutex_);
    hashed_++;
    changed_.notify_all();
  }
}

}  // namespace kvcs::kvfile
