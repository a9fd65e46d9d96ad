// One small file, from its making to its end; and the figures of its file system.
#include "base/disk_probe.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

namespace kvcs {
namespace {

constexpr size_t kProbeBytes = 64u << 10;

Status write_and_read(int file, const std::string& path) {
  const std::string bytes(kProbeBytes, 'p');
  const auto size = static_cast<ssize_t>(bytes.size());
  errno = ENOSPC;  // What a write means that takes less than all.
  if (::write(file, bytes.data(), bytes.size()) != size) return io_error("write", path, errno);
  if (::fdatasync(file) != 0) return io_error("sync", path, errno);
  std::string read(bytes.size(), '\0');
  errno = EIO;
  if (::pread(file, read.data(), read.size(), 0) != size || read != bytes) {
    return io_error("read back", path, errno);
  }
  return ok();
}

}  // namespace

Status probe_disk(const std::string& folder) {
  const std::string path = folder + "/probe";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return io_error("open", path, errno);
  Status probed = write_and_read(file, path);
  ::close(file);
  if (::unlink(path.c_str()) != 0 && probed.ok()) return io_error("remove", path, errno);
  return probed;
}

Result<uint64_t> free_disk_bytes(const std::string& folder) {
  struct statvfs disk {};
  if (::statvfs(folder.c_str(), &disk) != 0) return io_error("ask for the room of", folder, errno);
  return uint64_t{disk.f_bavail} * disk.f_frsize;
}

}  // namespace kvcs
