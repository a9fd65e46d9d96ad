// Adds up the files that a copy holds in full: databases with their logs, and the journal. The
// files of the key-value store are linked, and so take room on another disk only; blobs never do.
#include "app/backup_room.h"

#include <sys/stat.h>

#include <filesystem>

#include "app/config.h"
#include "base/bytes.h"
#include "base/disk_probe.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;

// What cannot be looked at counts as nothing: the copy will tell of it.
uint64_t size_of_files(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const uint64_t size = it->is_regular_file(ignored) ? it->file_size(ignored) : 0;
    if (!ignored) bytes += size;
  }
  return bytes;
}

bool on_one_disk(const std::string& a, const std::string& b) {
  struct stat first {
  }, second{};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev;
}

// What must stay free in the backups' directory.
uint64_t reserve_bytes(const Config& config) {
  return on_one_disk(config.data_dir, config.backup.directory) ? config.kv.free_reserve_bytes : 0;
}

Status no_room(const Config& config, const std::string& needs, uint64_t free) {
  return unavailable("The disk of " + config.backup.directory + " has no room for the backup: " +
                     format_bytes(free) + " are free, and it needs " + needs +
                     ". Free some space, lower backup.keep, or set backup.directory to a folder "
                     "on another disk.")
      .with_reason("disk_full");
}

std::string reserve_text(uint64_t reserve) {
  return format_bytes(reserve) + " for the stores to go on (kv.free_reserve_bytes)";
}

}  // namespace

Status check_room_for_backup(const Config& config) {
  const Result<uint64_t> free = free_disk_bytes(config.backup.directory);
  if (!free.ok()) return ok();  // The file system does not say.
  uint64_t size = size_of_files(config.data_dir + "/sql");
  std::error_code ignored;
  const uint64_t journal = fs::file_size(config.data_dir + "/charges.journal", ignored);
  if (!ignored) size += journal;
  const bool same = on_one_disk(config.data_dir, config.backup.directory);
  if (!same) size += size_of_files(config.data_dir + "/kv");
  const uint64_t reserve = reserve_bytes(config);
  if (*free >= size + reserve) return ok();
  return no_room(config, format_bytes(size) + (reserve > 0 ? " and " + reserve_text(reserve) : ""),
                 *free);
}

Status check_reserve_is_left(const Config& config) {
  const uint64_t reserve = reserve_bytes(config);
  const Result<uint64_t> free = free_disk_bytes(config.backup.directory);
  if (!free.ok() || *free >= reserve) return ok();
  return no_room(config, reserve_text(reserve), *free);
}

}  // namespace kvcs
