// One look at a time at the free space of the disk; whoever comes meanwhile goes by the last one.
#include "kv/disk_room.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/disk_probe.h"
#include "base/log.h"

namespace kvcs {

DiskRoom::DiskRoom(std::string directory, std::string reserve_path, uint64_t keep_bytes,
                   const Clock& clock)
    : directory_(std::move(directory)),
      reserve_path_(std::move(reserve_path)),
      keep_bytes_(keep_bytes),
      clock_(clock) {}

void DiskRoom::look() {
  if (is_looking_.exchange(true)) return;
  look_again_us_ = clock_.mono_us() + kLookEveryUs;
  const Result<uint64_t> free = free_disk_bytes(directory_);
  // A file system that does not say how much is free stops no writes.
  const bool says = free.ok();
  const uint64_t free_bytes = says ? *free : UINT64_MAX;
  free_bytes_ = free_bytes;
  if (says && !reserve_path_.empty()) keep_reserve(free_bytes);
  is_looking_ = false;
}

// The file goes when less than half of its size is free, and comes back when it would still leave
// what is to be kept, and half of itself beside.
void DiskRoom::keep_reserve(uint64_t free_bytes) {
  const bool is_there = ::access(reserve_path_.c_str(), F_OK) == 0;
  if (is_there && free_bytes < kReserveFileBytes / 2) {
    if (::unlink(reserve_path_.c_str()) != 0) return;
    log::warn("disk.reserve_released",
              {{"path", reserve_path_}, {"free", format_bytes(free_bytes)}});
    free_bytes_ = free_bytes + kReserveFileBytes;
    return;
  }
  if (is_there || free_bytes < keep_bytes_ + kReserveFileBytes * 3 / 2) return;
  const int file = ::open(reserve_path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  const bool made = ::posix_fallocate(file, 0, static_cast<off_t>(kReserveFileBytes)) == 0;
  ::close(file);
  if (!made) ::unlink(reserve_path_.c_str());
}

Status DiskRoom::check(bool on_reserve) {
  if (keep_bytes_ == 0) return ok();
  if (clock_.mono_us() >= look_again_us_.load(std::memory_order_relaxed)) look();
  const uint64_t free_bytes = free_bytes_.load(std::memory_order_relaxed);
  const uint64_t wanted = on_reserve ? keep_bytes_ / 8 : keep_bytes_;
  if (free_bytes >= wanted) [[likely]] {
    return ok();
  }
  return unavailable("The disk of the data directory is full: " + format_bytes(free_bytes) +
                     " are free, and below " + format_bytes(keep_bytes_) +
                     " (kv.free_reserve_bytes) nothing is written. Reads go on. Free some space; " +
                     (on_reserve ? "not even removals and revocations have room."
                                 : "signing in, removing keys and artifacts, revoking, suspending "
                                   "and freezing are possible meanwhile."))
      .with_reason("disk_full");
}

}  // namespace kvcs
