// A file that is read with pread(), so that threads share the descriptor and no position.
#include "kvfile/format/source_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/bytes.h"

namespace kvcs::kvfile {

Result<std::unique_ptr<SourceFile>> SourceFile::open(const std::string& path) {
  auto file = std::unique_ptr<SourceFile>(new SourceFile());
  file->path_ = path;
  // Not blocking, so that a FIFO with this name does not hang the command.
  file->fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->fd_ < 0) {
    const int error = errno;
    if (error == ENOENT) return not_found("no such file: " + printable(path));
    return io_error("cannot open", path, error);
  }
  struct stat stat;
  if (::fstat(file->fd_, &stat) != 0) return io_error("cannot stat", path, errno);
  if (!S_ISREG(stat.st_mode)) return invalid("not a regular file: " + printable(path));
  file->size_bytes_ = static_cast<uint64_t>(stat.st_size);
  file->modified_s_ = stat.st_mtim.tv_sec;
  file->modified_ns_ = stat.st_mtim.tv_nsec;
  file->device_ = stat.st_dev;
  file->inode_ = stat.st_ino;
  return file;
}

std::unique_ptr<SourceFile> SourceFile::of(ReadSource source, uint64_t size_bytes) {
  auto file = std::unique_ptr<SourceFile>(new SourceFile());
  file->elsewhere_ = std::move(source);
  file->size_bytes_ = size_bytes;
  return file;
}

SourceFile::~SourceFile() {
  if (fd_ >= 0) ::close(fd_);
}

// A read that ends early means that the file was cut after it was opened, or that the caller asks
// for more than there was.
Status SourceFile::read(uint64_t offset, void* out, size_t size_bytes) const {
  if (elsewhere_) return elsewhere_(offset, out, size_bytes);
  char* to = static_cast<char*>(out);
  while (size_bytes > 0) {
    const ssize_t n = ::pread(fd_, to, size_bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("cannot read", path_, errno);
    if (n == 0 && offset < size_bytes_) return changed();
    if (n == 0) return invalid("the file ended at byte " + std::to_string(offset));
    to += n;
    offset += static_cast<uint64_t>(n);
    size_bytes -= static_cast<size_t>(n);
  }
  return ok();
}

// Size and time of modification: a writer that keeps both is not noticed.
Status SourceFile::check_unchanged() const {
  if (elsewhere_) return ok();
  struct stat stat;
  if (::fstat(fd_, &stat) != 0) return io_error("cannot stat", path_, errno);
  if (static_cast<uint64_t>(stat.st_size) == size_bytes_ && stat.st_mtim.tv_sec == modified_s_ &&
      stat.st_mtim.tv_nsec == modified_ns_) {
    return ok();
  }
  return changed();
}

Status SourceFile::changed() const {
  return conflict("the file changed while it was read: " + printable(path_));
}

// By device and inode: two paths may lead to one file.
bool SourceFile::is_same_file(const std::string& path) const {
  struct stat other;
  if (elsewhere_) return false;
  if (::stat(path.c_str(), &other) != 0) return false;
  return other.st_dev == device_ && other.st_ino == inode_;
}

}  // namespace kvcs::kvfile
