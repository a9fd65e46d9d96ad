// The ring of buffers between the owner of a stream and the thread that hashes it. An upload's
// worker receives and writes while the pipe's thread hashes; `kvcs verify` reads ahead in the same
// way.
#include "base/hash_pipe.h"

#include <utility>

#include "base/start_thread.h"

namespace kvcs {

HashPipe::HashPipe(size_t buffer_bytes, bool threaded)
    : buffer_bytes_(buffer_bytes), threaded_(threaded) {}

HashPipe::~HashPipe() {
  stop();
}

// Lets the thread hash what was submitted, and joins it.
void HashPipe::stop() {
  {
    MutexLock lock(mutex_);
    done_ = true;
  }
  changed_.notify_all();
  thread_.reset();
}

char* HashPipe::acquire() {
  size_t at = 0;
  {
    MutexLock lock(mutex_);
    while (submitted_ - hashed_ >= kBuffers) changed_.wait(mutex_);
    at = submitted_ % kBuffers;
  }
  // Not zeroed: the owner fills it.
  if (!buffers_[at]) buffers_[at].reset(new char[buffer_bytes_]);
  return buffers_[at].get();
}

void HashPipe::start() {
  Result<Thread> thread = start_thread("hash", [this] { run(); });
  if (thread.ok()) thread_.emplace(std::move(thread).value());
  threaded_ = thread_.has_value();
}

void HashPipe::submit(size_t size_bytes) {
  // The thread starts with the first bytes: a stream that brings none costs none.
  if (threaded_ && !thread_) start();
  if (!threaded_) {
    hash_.update(buffers_[0].get(), size_bytes);
    return;
  }
  {
    MutexLock lock(mutex_);
    sizes_[submitted_ % kBuffers] = size_bytes;
    submitted_++;
  }
  changed_.notify_all();
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
    // Outside the lock: the buffer is the thread's own until it counts as hashed.
    hash_.update(buffers_[next % kBuffers].get(), size_bytes);
    {
      MutexLock lock(mutex_);
      hashed_++;
    }
    changed_.notify_all();
  }
}

std::string HashPipe::finish_hex() {
  stop();
  return hash_.finish_hex();
}

}  // namespace kvcs
