#include "app/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/bytes.h"

namespace kvcs {
namespace {

class Descriptor final {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

Status write_all(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("write", path, errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return ok();
}

Status sync_directory(const std::string& path) {
  const Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) return io_error("sync", path, errno);
  return ok();
}

std::string parent_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

Result<std::string> read_small_file(const std::string& path, size_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return io_error("open", path, errno);
  std::string bytes;
  char step[64 << 10];
  while (bytes.size() <= max_bytes) {
    const ssize_t n = ::read(file.get(), step, sizeof step);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("read", path, errno);
    if (n == 0) return bytes;
    bytes.append(step, static_cast<size_t>(n));
  }
  return too_large(path + " is over " + std::to_string(max_bytes) + " bytes.");
}

Status write_file_atomically(const std::string& path, std::string_view bytes) {
  const std::string temp = path + ".new";
  {
    const Descriptor file(
        ::open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (file.get() < 0) return io_error("create", temp, errno);
    // The mode of an older temp file is not ours to trust.
    if (::fchmod(file.get(), 0600) != 0) return io_error("chmod", temp, errno);
    Status written = write_all(file.get(), bytes, temp);
    if (written.ok() && ::fsync(file.get()) != 0) written = io_error("sync", temp, errno);
    if (!written.ok()) {
      ::unlink(temp.c_str());
      return written;
    }
  }
  if (::rename(temp.c_str(), path.c_str()) != 0) return io_error("rename", temp, errno);
  return sync_directory(parent_of(path));
}

Status make_private_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(parent_of(path), error);
  if (error) return io_error("create directory", parent_of(path), error.value());
  if (::mkdir(path.c_str(), 0700) == 0) return sync_directory(parent_of(path));
  if (errno != EEXIST) return io_error("create directory", path, errno);
  if (!std::filesystem::is_directory(path, error)) return io_error("open", path, ENOTDIR);
  // An existing directory (a package's, a developer's) is closed to others as well.
  if (::chmod(path.c_str(), 0700) != 0) return io_error("chmod", path, errno);
  return ok();
}

Status rename_directory(const std::string& from, const std::string& to) {
  std::error_code error;
  if (std::filesystem::exists(to, error)) return conflict(to + " is there already.");
  if (::rename(from.c_str(), to.c_str()) != 0) return io_error("rename", from, errno);
  return sync_directory(parent_of(to));
}

Result<DataDirLock> DataDirLock::acquire(const std::string& data_dir) {
  const std::string path = data_dir + "/kvcs.lock";
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (file.get() < 0) return io_error("open", path, errno);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return io_error("lock", path, errno);
    const Result<std::string> pid = read_small_file(path, 64);
    const std::string who = pid.ok() ? std::string(trim(pid.value())) : "unknown";
    return conflict("The data directory " + data_dir + " is in use by process " + who +
                    "; stop it or choose another --data-dir.");
  }
  if (::ftruncate(file.get(), 0) != 0) return io_error("truncate", path, errno);
  KVCS_TRY(write_all(file.get(), std::to_string(::getpid()) + "\n", path));
  return DataDirLock(file.release());
}

DataDirLock::DataDirLock(DataDirLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}
DataDirLock::~DataDirLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace kvcs
