// A thread reads the file in steps, no further than its owner has written.
#include "cli/hash_behind.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/start_thread.h"
#include "cli/interrupt.h"

namespace kvcs::cli {
namespace {

constexpr uint64_t kStepBytes = 256 << 10;
constexpr int64_t kTellMs = 100;

}  // namespace

HashBehind::HashBehind(int descriptor, std::string path)
    : descriptor_(descriptor), path_(std::move(path)) {
  Result<Thread> thread = start_thread("hash", [this] { run(); });
  if (thread.ok()) thread_.emplace(std::move(thread).value());
}

HashBehind::~HashBehind() {
  {
    const MutexLock lock(mutex_);
    is_over_ = true;
  }
  changed_.notify_all();
}

void HashBehind::note_written(uint64_t bytes) {
  {
    const MutexLock lock(mutex_);
    written_ = bytes;
  }
  changed_.notify_all();
}

// Where to go on: a whole step, or the last one. False when there is nothing more to do.
bool HashBehind::wait_for_bytes(uint64_t& from, uint64_t& to) {
  const MutexLock lock(mutex_);
  while (!is_over_ && !is_all_ && written_ - hashed_ < kStepBytes) changed_.wait(mutex_);
  from = hashed_;
  to = std::min(written_, hashed_ + kStepBytes);
  return !is_over_ && failure_.ok() && from < to;
}

Status HashBehind::read_on(uint64_t from, uint64_t to) {
  const auto buffer = std::make_unique_for_overwrite<char[]>(kStepBytes);
  while (from < to) {
    const ssize_t n = ::pread(descriptor_, buffer.get(), to - from, static_cast<off_t>(from));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return io_error("read", path_, n < 0 ? errno : EIO);
    hash_.update(buffer.get(), static_cast<size_t>(n));
    from += static_cast<uint64_t>(n);
  }
  return ok();
}

void HashBehind::run() {
  for (uint64_t from = 0, to = 0; wait_for_bytes(from, to);) {
    Status done = read_on(from, to);
    const MutexLock lock(mutex_);
    hashed_ = to;
    failure_ = std::move(done);
  }
  {
    const MutexLock lock(mutex_);
    has_ended_ = true;
  }
  changed_.notify_all();
}

Result<std::string> HashBehind::finish(const std::function<void(uint64_t)>& hashed) {
  {
    const MutexLock lock(mutex_);
    is_all_ = true;
  }
  changed_.notify_all();
  if (!thread_) run();
  for (bool has_ended = false; !has_ended;) {
    uint64_t bytes = 0;
    {
      const MutexLock lock(mutex_);
      if (!has_ended_) (void)changed_.wait_for_ms(mutex_, kTellMs);
      has_ended = has_ended_;
      bytes = hashed_;
    }
    if (interrupted()) return interruption();
    hashed(bytes);
  }
  const MutexLock lock(mutex_);
  KVCS_TRY(Status(failure_));
  return hash_.finish_hex();
}

}  // namespace kvcs::cli
