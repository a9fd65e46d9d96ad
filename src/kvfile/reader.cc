#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/bytes.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

struct KvFile::Identity {
  struct stat stat;
};

namespace {

// Reads exactly so many bytes; `path` names the file in messages.
Status read_exactly(int fd, const std::string& path, uint64_t offset, void* out,
                    size_t size_bytes) {
  char* to = static_cast<char*>(out);
  while (size_bytes > 0) {
    const ssize_t n = ::pread(fd, to, size_bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("cannot read", path, errno);
    if (n == 0) return invalid("the file ended at byte " + std::to_string(offset));
    to += n;
    offset += static_cast<uint64_t>(n);
    size_bytes -= static_cast<size_t>(n);
  }
  return ok();
}

struct OpenFile {
  int fd = -1;
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }
};

Status open_regular(const std::string& path, OpenFile& file, struct stat& stat) {
  // Not blocking, so that a FIFO with this name does not hang the command.
  file.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.fd < 0) {
    const int error = errno;
    if (error == ENOENT) return not_found("no such file: " + printable(path));
    return io_error("cannot open", path, error);
  }
  if (::fstat(file.fd, &stat) != 0) return io_error("cannot stat", path, errno);
  if (!S_ISREG(stat.st_mode)) return invalid("not a regular file: " + printable(path));
  return ok();
}

}  // namespace

KvFile::~KvFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::unique_ptr<KvFile>> KvFile::open(const std::string& path) {
  auto file = std::unique_ptr<KvFile>(new KvFile());
  file->path_ = path;
  file->identity_ = std::make_unique<Identity>();
  OpenFile opened;
  KVCS_TRY(open_regular(path, opened, file->identity_->stat));
  std::swap(file->fd_, opened.fd);
  const uint64_t size_bytes = static_cast<uint64_t>(file->identity_->stat.st_size);
  char length[8];
  if (size_bytes < sizeof length) return parse_header_size({}, size_bytes).status();
  KVCS_TRY(file->read(0, length, sizeof length));
  const uint64_t header_bytes = KVCS_TRY(parse_header_size({length, sizeof length}, size_bytes));
  std::string json(header_bytes, '\0');
  KVCS_TRY(file->read(sizeof length, json.data(), json.size()));
  file->header_ = KVCS_TRY(parse_header(json, size_bytes));
  return file;
}

Status KvFile::read(uint64_t file_offset, void* out, size_t size_bytes) const {
  return read_exactly(fd_, path_, file_offset, out, size_bytes);
}

Status KvFile::read(const Tensor& tensor, uint64_t offset, void* out, size_t size_bytes) const {
  KVCS_ASSERT(offset <= tensor.size_bytes() && size_bytes <= tensor.size_bytes() - offset);
  return read(header_.data_start + tensor.begin + offset, out, size_bytes);
}

Status KvFile::check_unchanged() const {
  struct stat current;
  if (::fstat(fd_, &current) != 0) return io_error("cannot stat", path_, errno);
  const struct stat& opened = identity_->stat;
  const bool same = current.st_size == opened.st_size &&
                    current.st_mtim.tv_sec == opened.st_mtim.tv_sec &&
                    current.st_mtim.tv_nsec == opened.st_mtim.tv_nsec;
  if (same) return ok();
  return conflict("the file changed while it was read: " + printable(path_));
}

bool KvFile::is_same_file(const std::string& path) const {
  struct stat other;
  if (::stat(path.c_str(), &other) != 0) return false;
  return other.st_dev == identity_->stat.st_dev && other.st_ino == identity_->stat.st_ino;
}

Result<std::string> read_small_file(const std::string& path, uint64_t bytes_max) {
  OpenFile file;
  struct stat stat;
  KVCS_TRY(open_regular(path, file, stat));
  const uint64_t size_bytes = static_cast<uint64_t>(stat.st_size);
  if (size_bytes > bytes_max) {
    return too_large(printable(path) + ": " + std::to_string(size_bytes) + " bytes; the limit is " +
                     std::to_string(bytes_max));
  }
  std::string text(size_bytes, '\0');
  KVCS_TRY(read_exactly(file.fd, path, 0, text.data(), text.size()));
  return text;
}

}  // namespace kvcs::kvfile
