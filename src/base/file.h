// Files by POSIX calls: the owner of a descriptor, small files read whole, files that appear whole
// or not at all. Functions without state, for any thread. A failure names the path and what the
// system said; a full disk is Unavailable, with the path in its cause alone.
#pragma once
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace kvcs {

// Owns an open file descriptor and closes it. A negative number is no descriptor: a failed open()
// may be wrapped at once, and errno read then.
class Descriptor final {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // The caller closes it from here on.
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// The folder that holds `path`, as the system would look it up: "." for a bare name.
std::string folder_of(const std::string& path);
// Brings the folder's entries to disk: a file that was created or renamed there is found after a
// power cut only once this has returned Ok.
Status sync_folder(const std::string& path);
// Writes all of `bytes` at the descriptor's position. `path` is for the failure's text only.
Status write_all(int descriptor, std::string_view bytes, const std::string& path);
// NotFound; TooLarge beyond `max_bytes`.
Result<std::string> read_small_file(const std::string& path, size_t max_bytes);
// A file of mode 0600 for secrets and state of the daemon: "<path>.new" is written, synced and
// renamed, and the folder synced. A crash leaves the old file or the new one, and perhaps the
// ".new", which the next call overwrites.
Status write_private_file(const std::string& path, std::string_view bytes);

}  // namespace kvcs
