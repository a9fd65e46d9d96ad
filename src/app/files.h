// Small files of the data directory: written whole or not at all. No state.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

// NotFound; TooLarge beyond `max_bytes`.
Result<std::string> read_small_file(const std::string& path, size_t max_bytes);
// Temp file beside it, mode 0600, fsync, rename, fsync of the directory.
Status write_file_atomically(const std::string& path, std::string_view bytes);
// Under its final name on disk, or, after a failure, not. Conflict when `to` exists.
Status rename_directory(const std::string& from, const std::string& to);
// Creates the directory with mode 0700 (and its parents) if it is not there.
Status make_private_directory(const std::string& path);

// The right to use a data directory: a locked file that names this process. Released by the
// destructor, and by the system when the process dies.
class DataDirLock final {
 public:
  // Conflict naming the pid of the process that holds it.
  static Result<DataDirLock> acquire(const std::string& data_dir);
  DataDirLock(DataDirLock&& other) noexcept;
  DataDirLock& operator=(DataDirLock&&) = delete;
  ~DataDirLock();

 private:
  explicit DataDirLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace kvcs
