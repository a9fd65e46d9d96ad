// Descriptors, whole small files and their durable replacement in the order "write, fsync, rename,
// fsync the folder". Two writers of large files follow that order by themselves, since they write
// in steps: blob/file_blob.cc and kvfile/format/writer.cc.
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

namespace kvcs {
namespace {
constexpr mode_t kPrivateMode = 0600;
constexpr size_t kReadStepBytes = 64 << 10;
}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status sync_folder(const std::string& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return io_error("open", path, errno);
  if (::fsync(folder.get()) != 0) return io_error("fsync", path, errno);
  return ok();
}

Status write_all(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("write", path, errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return ok();
}

Result<std::string> read_small_file(const std::string& path, size_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return io_error("open", path, errno);
  // Read to the end rather than to the size that stat() reports, which is 0 for files of /proc.
  std::string bytes;
  char step[kReadStepBytes];
  while (bytes.size() <= max_bytes) {
    const ssize_t n = ::read(file.get(), step, sizeof step);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("read", path, errno);
    if (n == 0) return bytes;
    bytes.append(step, static_cast<size_t>(n));
  }
  return too_large(path + " is over " + std::to_string(max_bytes) + " bytes.");
}

// Where a link points, so that it is the file there that is replaced; of all else the path itself.
static Result<std::string> behind_links(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return path;
  char real[PATH_MAX];
  if (::realpath(path.c_str(), real) == nullptr) return io_error("follow the link", path, errno);
  return std::string(real);
}

Status write_private_file(const std::string& name, std::string_view bytes) {
  const std::string path = KVCS_TRY(behind_links(name));
  const std::string temp = path + ".new";
  {
    const Descriptor file(
        ::open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, kPrivateMode));
    if (!file.valid()) return io_error("create", temp, errno);
    // The mode of an older temp file is not ours to trust.
    if (::fchmod(file.get(), kPrivateMode) != 0) return io_error("chmod", temp, errno);
    Status written = write_all(file.get(), bytes, temp);
    if (written.ok() && ::fsync(file.get()) != 0) written = io_error("sync", temp, errno);
    if (!written.ok()) {
      ::unlink(temp.c_str());
      return written;
    }
  }
  // The bytes are on disk before the name points at them: the other order could leave an empty
  // file under the name after a power cut.
  if (::rename(temp.c_str(), path.c_str()) != 0) {
    Status failed = io_error("replace", path, errno);
    ::unlink(temp.c_str());
    return failed;
  }
  return sync_folder(folder_of(path));
}

}  // namespace kvcs
