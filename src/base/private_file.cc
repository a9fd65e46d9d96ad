// Looks at the mode of a file before it is read.
#include "base/private_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

namespace kvcs {

bool others_can_read(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return false;
  const bool by_group = (info.st_mode & S_IRGRP) != 0 && info.st_gid != ::getegid();
  return by_group || (info.st_mode & (S_IROTH | S_IWOTH)) != 0;
}

void warn_if_others_can_read(const std::string& path) {
  if (!others_can_read(path)) return;
  log::warn("file.readable_by_others",
            {{"path", path}, {"message", "It holds a secret; run: chmod 600 " + path}});
}

Result<Secret> read_private_file(const std::string& path, size_t max_bytes) {
  std::string text = KVCS_TRY(read_small_file(path, max_bytes));
  warn_if_others_can_read(path);
  return Secret(std::move(text));
}

}  // namespace kvcs
