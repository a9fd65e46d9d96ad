// Whether the disk has room for writes. The key-value store stops to take them while some is left,
// for an engine that meets a full disk in the middle of a write has to be opened anew, and because
// what frees space (a removal) has to be written down too. Thread-safe.
//
// Two marks: below `keep_bytes` only what frees space or takes a permission away is written
// (reserve_use.h), below an eighth of it nothing. A file of kReserveFileBytes is kept beside; when
// others have filled the disk to the end it is removed, and made again when there is room for it.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/status.h"

namespace kvcs {

inline constexpr uint64_t kReserveFileBytes = 16u << 20;

class DiskRoom final {
 public:
  // `directory` is on the disk that is meant; `reserve_path` may be "": then no file is kept.
  // `keep_bytes` 0: writes are never stopped.
  DiskRoom(std::string directory, std::string reserve_path, uint64_t keep_bytes,
           const Clock& clock);
  // Looks at the disk, and makes or removes the file.
  void look();
  // Unavailable with reason disk_full, saying what is free and how much must be. Looks at the disk
  // once in kLookEveryUs; costs the reading of a clock otherwise. `on_reserve`: the
  // write may use what is kept.
  Status check(bool on_reserve);

 private:
  static constexpr int64_t kLookEveryUs = 100'000;
  void keep_reserve(uint64_t free_bytes);

  const std::string directory_, reserve_path_;
  const uint64_t keep_bytes_;
  const Clock& clock_;
  std::atomic<int64_t> look_again_us_ = 0;
  std::atomic<uint64_t> free_bytes_ = UINT64_MAX;
  std::atomic<bool> is_looking_ = false;
};

}  // namespace kvcs
