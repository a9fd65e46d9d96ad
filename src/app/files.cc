// POSIX calls for what the data directory holds. A directory that is made or renamed here has its
// name on disk when the function returns Ok, by fsync of the folder above. Two things are not
// synced: the process id in kvcs.lock, which means nothing after a crash, and the name of an
// existing directory whose parent this process cannot read.
#include "app/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/bytes.h"
#include "base/file.h"

namespace kvcs {
namespace {

// Makes the folders above `path` that are missing; their names are on disk afterwards. A folder
// that cannot be looked at is an error and not a missing one: the way up ends at "." or "/", which
// are their own parents.
Status make_parents(const std::string& path) {
  const std::string parent = folder_of(path);
  struct stat info = {};
  if (::stat(parent.c_str(), &info) == 0) {
    return S_ISDIR(info.st_mode) ? ok() : io_error("open", parent, ENOTDIR);
  }
  if (errno != ENOENT || parent == path) return io_error("open", parent, errno);
  KVCS_TRY(make_parents(parent));
  if (::mkdir(parent.c_str(), 0777) != 0 && errno != EEXIST) {
    return io_error("create directory", parent, errno);
  }
  return sync_folder(folder_of(parent));
}

}  // namespace

Status make_private_directory(const std::string& path) {
  KVCS_TRY(make_parents(path));
  if (::mkdir(path.c_str(), 0700) == 0) return sync_folder(folder_of(path));
  if (errno != EEXIST) return io_error("create directory", path, errno);
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return io_error("open", path, ENOTDIR);
  // An existing directory (a package's, a developer's) is closed to others as well.
  if (::chmod(path.c_str(), 0700) != 0) return io_error("chmod", path, errno);
  // An earlier start may have made the directory and been killed before it synced the name. A
  // package or an administrator that made it has seen to its name, and may not let this process
  // read the folder above: then the sync fails, which is no fault.
  (void)sync_folder(folder_of(path));
  return ok();
}

Status sync_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return io_error("open", path, errno);
  return ::fsync(file.get()) == 0 ? ok() : io_error("fsync", path, errno);
}

Status rename_directory(const std::string& from, const std::string& to) {
  std::error_code error;
  if (std::filesystem::exists(to, error)) return conflict(to + " is there already.");
  if (::rename(from.c_str(), to.c_str()) != 0) return io_error("rename", from, errno);
  return sync_folder(folder_of(to));
}

Result<DataDirLock> DataDirLock::acquire(const std::string& data_dir) {
  const std::string path = data_dir + "/kvcs.lock";
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file.valid()) return io_error("open", path, errno);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return io_error("lock", path, errno);
    const Result<std::string> pid = read_small_file(path, 64);
    const std::string who = pid.ok() ? std::string(trim(pid.value())) : "unknown";
    return conflict("The data directory " + data_dir + " is in use by process " + who +
                    "; stop it or choose another --data-dir.");
  }
  if (::ftruncate(file.get(), 0) != 0) return io_error("truncate", path, errno);
  KVCS_TRY(write_all(file.get(), std::to_string(::getpid()) + "\n", path));
  return DataDirLock(std::move(file));
}

Status DataDirLock::also_lock_blobs(const std::string& folder) {
  Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.valid()) return io_error("open", folder, errno);
  if (::flock(opened.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return io_error("lock", folder, errno);
    return conflict("The blobs in " + folder +
                    " are in use by another process. Each data directory needs a blobs.path of "
                    "its own, for it removes the blobs that none of its artifacts names.");
  }
  blobs_ = std::move(opened);
  return ok();
}

}  // namespace kvcs
