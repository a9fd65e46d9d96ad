// POSIX calls for what the data directory holds. A directory that is made or renamed here has its
// name on disk when the function returns Ok, by fsync of the folder above. Two things are not
// synced: the process id in kvcs.lock, which means nothing after a crash, and the name of an
// existing directory whose parent this process cannot read.
#include "app/files.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
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

// "ledger.db-wal" and ".given-up-2026" make "ledger.db.given-up-2026-wal".
std::string aside_name(std::string path, const std::string& suffix) {
  for (const std::string_view end : {"-wal", "-shm"}) {
    if (!path.ends_with(end)) continue;
    return path.substr(0, path.size() - end.size()) + suffix + std::string(end);
  }
  return std::move(path) + suffix;
}

// The first of `suffix`, `suffix`.2, … under which none of the paths would meet another file.
Result<std::string> free_suffix(const std::vector<std::string>& paths, const std::string& suffix) {
  std::string tried = suffix;
  for (int number = 2;; number++) {
    bool taken = false;
    for (const std::string& path : paths) {
      taken = taken || KVCS_TRY(path_exists(aside_name(path, tried)));
    }
    if (!taken) return tried;
    tried = suffix + "." + std::to_string(number);
  }
}

}  // namespace

Result<bool> path_exists(const std::string& path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) == 0) return true;
  if (errno == ENOENT) return false;
  return io_error("look at", path, errno);
}

Status rename_to_free(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
    return sync_folder(folder_of(to));
  }
  // Some file systems do not know the flag (ZFS before 2.2, NFS). Then the look comes first: the
  // caller has the directory's lock, so that nobody of ours comes in between.
  if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) {
    if (KVCS_TRY(path_exists(to))) return conflict(to + " is there already.");
    if (::rename(from.c_str(), to.c_str()) == 0) return sync_folder(folder_of(to));
  }
  if (errno == EEXIST) return conflict(to + " is there already.");
  return io_error("rename", from, errno);
}

Status exchange(const std::string& one, const std::string& other) {
  if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0) {
    return sync_folder(folder_of(other));
  }
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) {
    return io_error("exchange", other, errno);
  }
  // Not in one step there: a process that dies in between leaves both, under names that tell.
  const std::string between = one + ".before";
  KVCS_TRY(rename_to_free(other, between));
  KVCS_TRY(rename_to_free(one, other));
  return rename_to_free(between, one);
}

Result<std::string> free_name(const std::string& path, const std::string& suffix) {
  return aside_name(path, KVCS_TRY(free_suffix({path}, suffix)));
}

Status set_aside(const std::vector<std::string>& paths, const std::string& suffix) {
  const std::string free = KVCS_TRY(free_suffix(paths, suffix));
  for (const std::string& path : paths) {
    KVCS_TRY(rename_to_free(path, aside_name(path, free)));
  }
  return ok();
}

Status become_owner_of(const std::string& directory) {
  struct stat info = {};
  if (::stat(directory.c_str(), &info) != 0) return io_error("look at", directory, errno);
  if (::geteuid() != 0 || info.st_uid == 0) return ok();
  if (::setgroups(1, &info.st_gid) != 0 ||
      ::setresgid(info.st_gid, info.st_gid, info.st_gid) != 0 ||
      ::setresuid(info.st_uid, info.st_uid, info.st_uid) != 0) {
    return io_error("become the owner of", directory, errno);
  }
  return ok();
}

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
