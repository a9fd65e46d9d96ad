// Reads a folder entry by entry, with readdir, since a folder of blobs may hold many.
#include "blob/folder_names.h"

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>

#include "base/file.h"

namespace kvcs {

// Opened as a folder or not at all: opening a pipe would wait for its other end.
Status for_each_name(const std::string& path, const std::function<Status(const char*)>& visit) {
  Descriptor opened(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.valid()) {
    return errno == ENOENT || errno == ENOTDIR ? ok() : io_error("opendir", path, errno);
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(opened.get()), ::closedir);
  if (!folder) return io_error("opendir", path, errno);
  (void)opened.release();  // The stream closes it.
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(folder.get());
    if (entry == nullptr) return errno == 0 ? ok() : io_error("readdir", path, errno);
    if (entry->d_name[0] == '.') continue;
    KVCS_TRY(visit(entry->d_name));
  }
}

}  // namespace kvcs
