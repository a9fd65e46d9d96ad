// Folders of the data directory, and the lock that gives it to one process. No state.
#pragma once
#include <string>
#include <utility>

#include "base/file.h"
#include "base/status.h"

namespace kvcs {

// Under its final name on disk, or, after a failure, not. Conflict when `to` exists.
Status rename_directory(const std::string& from, const std::string& to);
// Creates the directory with mode 0700 (and its parents) if it is not there.
Status make_private_directory(const std::string& path);
// Brings the bytes of a closed file to disk; its name is its folder's matter.
Status sync_file(const std::string& path);

// The right to use a data directory: a locked file that names this process. Released by the
// destructor, and by the system when the process dies.
class DataDirLock final {
 public:
  // Conflict naming the pid of the process that holds it.
  static Result<DataDirLock> acquire(const std::string& data_dir);
  // The same for the folder of the blobs, which may lie elsewhere, and needs no file for it.
  Status also_lock_blobs(const std::string& folder);
  DataDirLock(DataDirLock&&) noexcept = default;
  DataDirLock& operator=(DataDirLock&&) = delete;

 private:
  explicit DataDirLock(Descriptor locked) : locked_(std::move(locked)) {}
  Descriptor locked_, blobs_;
};

}  // namespace kvcs
