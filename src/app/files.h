// Folders of the data directory, and the lock that gives it to one process. No state.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/status.h"

namespace kvcs {

// Under its final name on disk, or, after a failure, not. Conflict when `to` exists.
Status rename_directory(const std::string& from, const std::string& to);
// Whether something has that name. A failure when the system cannot tell.
Result<bool> path_exists(const std::string& path);
// Gives what is set aside names that say when: each path the end `suffix`, and ".2" and so on where
// something has such a name already; "-wal" and "-shm" stay at the end, so that SQLite knows them.
// Nothing is written over. The names are on disk when this returns Ok.
Status set_aside(const std::vector<std::string>& paths, const std::string& suffix);
// The name that set_aside() would choose now for one path.
Result<std::string> free_name(const std::string& path, const std::string& suffix);
// A rename that never writes over: Conflict when `to` exists.
Status rename_to_free(const std::string& from, const std::string& to);
// Each gets the name of the other; in one step where the file system can.
Status exchange(const std::string& one, const std::string& other);
// From here on the process is the owner of the directory, where it was root and another is: what it
// makes there belongs to the daemon, and no link that the daemon's user has laid leads root astray.
Status become_owner_of(const std::string& directory);
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
