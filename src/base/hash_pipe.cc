// The ring of buffers between the owner of a stream and the thread that hashes it. An upload's
// worker receives and writes while the pipe's thread hashes; `kvcs verify` reads ahead in the same
// way.
#include "base/hash_pipe.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "base/start_thread.h"

namespace kvcs {

HashThreads::HashThreads()
    : left_(std::max(1, static_cast<int>(std::thread::hardware_concurrency()))) {}

bool HashThreads::take() {
  if (left_.fetch_sub(1, std::memory_order_acquire) > 0) return true;
  give();
  return false;
}

HashPipe::HashPipe(size_t buffer_bytes, HashThreads& threads)
    : buffer_bytes_(buffer_bytes), threads_(threads) {}

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

bool HashPipe::has_thread() {
  MutexLock lock(mutex_);
  return running_;
}

bool HashPipe::start() {
  {
    MutexLock lock(mutex_);
    rests_ = false;
    if (running_) return true;
  }
  thread_.reset();  // One that has given itself up.
  if (!threads_.take()) return false;
  {
    MutexLock lock(mutex_);
    running_ = true;
  }
  Result<Thread> thread = start_thread("hash", [this] { run(); });
  if (thread.ok()) {
    thread_.emplace(std::move(thread).value());
    return true;
  }
  {
    MutexLock lock(mutex_);
    running_ = false;
  }
  threads_.give();
  return false;
}

char* HashPipe::acquire() {
  size_t at = 0;
  {
    MutexLock lock(mutex_);
    rests_ = false;
    while (submitted_ - hashed_ >= kBuffers) changed_.wait(mutex_);
    at = submitted_ % kBuffers;
  }
  // Not zeroed: the owner fills it.
  if (!buffers_[at]) buffers_[at].reset(new char[buffer_bytes_]);
  return buffers_[at].get();
}

void HashPipe::submit(size_t size_bytes) {
  size_t at = 0;
  bool running = false;
  {
    MutexLock lock(mutex_);
    at = submitted_ % kBuffers;
    running = running_;
    if (running) {
      sizes_[at] = size_bytes;
      submitted_++;
    }
  }
  if (running) {
    changed_.notify_all();
  } else {
    hash_.update(buffers_[at].get(), size_bytes);
  }
}

void HashPipe::rest() {
  MutexLock lock(mutex_);
  rests_ = true;
  if (!running_) free_buffers();
}

void HashPipe::free_buffers() {
  for (auto& buffer : buffers_) buffer.reset();
}

// False when the thread ends: all is hashed and no more comes, or nothing has come while the owner
// rested.
bool HashPipe::wait_for_buffer(uint64_t next) {
  MutexLock lock(mutex_);
  bool timed_out = false;
  while (submitted_ == next && !done_ && !(timed_out && rests_)) {
    timed_out = !changed_.wait_for_ms(mutex_, kRestMs);
  }
  if (submitted_ != next) return true;
  if (rests_) free_buffers();
  running_ = false;
  return false;
}

void HashPipe::run() {
  uint64_t next = 0;
  {
    MutexLock lock(mutex_);
    next = hashed_;
  }
  for (; wait_for_buffer(next); next++) {
    size_t size_bytes = 0;
    {
      MutexLock lock(mutex_);
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
  threads_.give();
}

std::string HashPipe::finish_hex() {
  stop();
  return hash_.finish_hex();
}

}  // namespace kvcs
