// Output files that appear complete or not at all, and the writer of .kv files on top of them.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {
namespace {

constexpr mode_t kFileMode = 0644;
constexpr uint64_t kCopyBytes = 1 << 20;

// io_error() does not name the path of a full disk, since callers of the server must not see it; on
// the command line the user wants to know which disk is full.
Status output_error(std::string_view what, const std::string& path, int error) {
  Status status = io_error(what, path, error);
  if (status.code() != Code::kUnavailable) return status;
  return std::move(status).with_context(printable(path));
}

// The mode that the user's umask allows: mkostemp() ignores it and makes every file 0600. The umask
// can be read only by setting it, so no other thread may create files in that moment.
mode_t allowed_mode() {
  const mode_t mask = ::umask(022);
  ::umask(mask);
  return kFileMode & ~mask;
}

// The path by which /proc opens the file of a descriptor again, also one without a name.
std::string descriptor_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

// A file in `folder` that has no name and is gone with its last descriptor; -1 where the file
// system has none, or /proc is not there to give it a name later.
int open_unnamed(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, kFileMode);
  if (fd < 0 || ::access(descriptor_path(fd).c_str(), F_OK) == 0) return fd;
  ::close(fd);
  return -1;
}

// Gives the file a free name beside `path`: linkat() does not replace a file, so where `path`
// exists the file is linked beside it and renamed over it.
Result<std::string> link_beside(int fd, const std::string& path) {
  for (pid_t number = ::getpid();; number++) {
    std::string name = path + "." + std::to_string(number);
    if (::linkat(AT_FDCWD, descriptor_path(fd).c_str(), AT_FDCWD, name.c_str(),
                 AT_SYMLINK_FOLLOW) == 0) {
      return name;
    }
    if (errno != EEXIST) return output_error("cannot name the output", path, errno);
  }
}

}  // namespace

Result<std::unique_ptr<AtomicFile>> AtomicFile::create(const std::string& path,
                                                       const std::vector<std::string>& keep) {
  if (path.empty() || path.back() == '/') return invalid("the output needs a file name");
  struct stat output, other;
  if (::stat(path.c_str(), &output) == 0) {
    if (!S_ISREG(output.st_mode)) {
      return invalid("the output is not a regular file: " + printable(path));
    }
    for (const std::string& input : keep) {
      if (::stat(input.c_str(), &other) == 0 && other.st_dev == output.st_dev &&
          other.st_ino == output.st_ino) {
        return conflict("the output is the input: " + printable(path) +
                        "; name another file with --output");
      }
    }
  } else if (errno != ENOENT) {
    return output_error("cannot create", path, errno);
  }
  auto file = std::unique_ptr<AtomicFile>(new AtomicFile());
  file->path_ = path;
  const std::string folder = folder_of(path);
  file->fd_ = open_unnamed(folder);
  if (file->fd_ >= 0) return file;
  std::string name = path + ".XXXXXX";
  file->fd_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (file->fd_ < 0 && errno == ENOENT) {
    return not_found("cannot create " + printable(path) + ": there is no folder " +
                     printable(folder));
  }
  if (file->fd_ < 0) return output_error("cannot create", path, errno);
  file->temp_path_ = std::move(name);
  if (::fchmod(file->fd_, allowed_mode()) != 0) {
    return io_error("cannot set the mode of", file->temp_path_, errno);
  }
  return file;
}

std::string AtomicFile::open_path() const {
  return temp_path_.empty() ? descriptor_path(fd_) : temp_path_;
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!published_ && !temp_path_.empty()) ::unlink(temp_path_.c_str());
}

Status AtomicFile::write(uint64_t offset, const void* data, size_t size_bytes) {
  const char* from = static_cast<const char*>(data);
  while (size_bytes > 0) {
    const ssize_t n = ::pwrite(fd_, from, size_bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return output_error("cannot write", path_, errno);
    from += n;
    offset += static_cast<uint64_t>(n);
    size_bytes -= static_cast<size_t>(n);
  }
  return ok();
}

Status AtomicFile::read(uint64_t offset, void* out, size_t size_bytes) const {
  char* to = static_cast<char*>(out);
  while (size_bytes > 0) {
    const ssize_t n = ::pread(fd_, to, size_bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("cannot read back", path_, errno);
    if (n == 0) return internal("a file being written is shorter than it should be");
    to += n;
    offset += static_cast<uint64_t>(n);
    size_bytes -= static_cast<size_t>(n);
  }
  return ok();
}

Status AtomicFile::reserve(uint64_t size_bytes) {
  if (size_bytes == 0 || ::fallocate(fd_, 0, 0, static_cast<off_t>(size_bytes)) == 0) return ok();
  // Some file systems cannot reserve space; on those a full disk shows at a write.
  if (errno == EOPNOTSUPP || errno == ENOSYS) return ok();
  return output_error("cannot reserve " + format_bytes(size_bytes) + " for", path_, errno);
}

void AtomicFile::start_writeback(uint64_t offset, uint64_t size_bytes) {
  ::sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(size_bytes),
                    SYNC_FILE_RANGE_WRITE);
}

Status AtomicFile::sync() {
  if (::fsync(fd_) != 0) return output_error("cannot sync", path_, errno);
  return ok();
}

Status AtomicFile::publish() {
  KVCS_TRY(sync());
  // A file without a name is linked to its own name when no file has it.
  published_ = temp_path_.empty() && ::linkat(AT_FDCWD, descriptor_path(fd_).c_str(), AT_FDCWD,
                                              path_.c_str(), AT_SYMLINK_FOLLOW) == 0;
  if (!published_) {
    if (temp_path_.empty()) temp_path_ = KVCS_TRY(link_beside(fd_, path_));
    if (::rename(temp_path_.c_str(), path_.c_str()) != 0) {
      return output_error("cannot rename the output to", path_, errno);
    }
    published_ = true;
  }
  const std::string folder = folder_of(path_);
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.valid()) return io_error("cannot open the folder", folder, errno);
  // The folder is synced, or a power cut could undo the rename. Not by sync_folder(): EINVAL means
  // that the user's file system does not sync folders and keeps the rename by its own means.
  if (::fsync(opened.get()) != 0 && errno != EINVAL) {
    return io_error("cannot sync the folder", folder, errno);
  }
  return ok();
}

Status write_file_atomically(const std::string& path, std::string_view bytes) {
  auto file = KVCS_TRY(AtomicFile::create(path));
  KVCS_TRY(file->write(0, bytes.data(), bytes.size()));
  return file->publish();
}

KvWriter::~KvWriter() = default;

Result<std::unique_ptr<KvWriter>> KvWriter::create(const std::string& path, KvHeader header,
                                                   const std::vector<std::string>& keep) {
  auto writer = std::unique_ptr<KvWriter>(new KvWriter());
  writer->header_ = std::move(header);
  writer->file_ = KVCS_TRY(AtomicFile::create(path, keep));
  // The whole size is known, so a full disk shows before any work is done.
  KVCS_TRY(writer->file_->reserve(writer->header_.file_bytes));
  return writer;
}

Status KvWriter::write(const Tensor& tensor, uint64_t offset, const void* data, size_t size_bytes) {
  KVCS_ASSERT(offset <= tensor.size_bytes() && size_bytes <= tensor.size_bytes() - offset);
  KVCS_TRY(file_->write(header_.data_start + tensor.begin + offset, data, size_bytes));
  written_bytes_ += size_bytes;
  return ok();
}

void KvWriter::replace_metadata(std::string_view key, std::string value) {
  const std::string* const old = header_.metadata_value(key);
  KVCS_ASSERT(old != nullptr && old->size() == value.size());
  set_metadata(header_.metadata, key, std::move(value));
}

// Threads have counted what they wrote. A count is no proof that each byte was written once, but it
// finds a tile that was left out.
Status KvWriter::write_header() {
  if (written_bytes_ != header_.file_bytes - header_.data_start) {
    return internal("a .kv file of " + std::to_string(header_.file_bytes) + " bytes got " +
                    std::to_string(written_bytes_) + " bytes of data");
  }
  const std::string bytes = dump_header(header_);
  KVCS_ASSERT(bytes.size() == header_.data_start);
  return file_->write(0, bytes.data(), bytes.size());
}

Status KvWriter::publish() {
  KVCS_TRY(write_header());
  return file_->publish();
}

Status copy_tensor(const KvFile& from, const Tensor& tensor, KvWriter& to, const Tensor& target) {
  std::vector<char> buffer(std::min<uint64_t>(kCopyBytes, tensor.size_bytes()));
  for (uint64_t at = 0; at < tensor.size_bytes();) {
    const size_t n = std::min<uint64_t>(buffer.size(), tensor.size_bytes() - at);
    KVCS_TRY(from.read(tensor, at, buffer.data(), n));
    KVCS_TRY(to.write(target, at, buffer.data(), n));
    at += n;
  }
  return ok();
}

}  // namespace kvcs::kvfile
