// What the writers of the file engine share: the names of files and folders, the words of failures,
// and the count of what uploads under way hold of the disk. Called on the threads of requests.
#include "blob/blob_folder.h"

#include <errno.h>
#include <sys/stat.h>

#include <utility>

#include "base/bytes.h"
#include "base/disk_probe.h"
#include "base/file.h"

namespace kvcs {
namespace {
constexpr int kShareRetryAfterS = 5;
constexpr mode_t kFolderMode = 0700;
}  // namespace

bool is_short_of_descriptors(int error_number) {
  return error_number == EMFILE || error_number == ENFILE;
}

Status without_path(Status failed) {
  if (failed.ok()) return failed;
  // A full disk is told without one.
  if (failed.code() == Code::kUnavailable) return std::move(failed).with_reason("disk_full");
  return unavailable("The store of blobs does not work; its operator finds the reason in the log.",
                     failed.message())
      .with_reason("blobs_failed");
}

Status blob_error(std::string_view what, const std::string& path, int error_number) {
  return without_path(io_error(what, path, error_number));
}

Status sync_blob_folder(const std::string& path) {
  return without_path(sync_folder(path));
}

// Its name is on disk afterwards also when it was there: it may be the work of a process that died
// before it synced, or of a writer that has yet to.
Status make_folder(const std::string& parent, const std::string& name) {
  const std::string path = parent + "/" + name;
  if (::mkdir(path.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    return blob_error("mkdir", path, errno);
  }
  return sync_blob_folder(parent);
}

std::string BlobFolder::folder_of(std::string_view digest) const {
  return path + "/" + std::string(digest.substr(0, 2)) + "/" + std::string(digest.substr(2, 2));
}

Status BlobFolder::make_folder_of(std::string_view digest) {
  const std::string bytes = KVCS_TRY(from_hex(digest.substr(0, 4)));
  const size_t number =
      size_t{static_cast<unsigned char>(bytes[0])} << 8 | static_cast<unsigned char>(bytes[1]);
  {
    MutexLock lock(mutex);
    if (durable_folders.test(number)) return ok();
  }
  const std::string outer(digest.substr(0, 2));
  KVCS_TRY(make_folder(path, outer));
  KVCS_TRY(make_folder(path + "/" + outer, std::string(digest.substr(2, 2))));
  MutexLock lock(mutex);
  durable_folders.set(number);
  return ok();
}

std::string BlobFolder::path_of(std::string_view digest) const {
  return folder_of(digest) + "/" + std::string(digest);
}

std::string BlobFolder::shelf_folder(BlobShelf shelf) const {
  return path + (shelf == BlobShelf::kTrash ? "/trash" : "/damaged");
}

std::string BlobFolder::aside_path(std::string_view digest, BlobShelf shelf) const {
  return shelf_folder(shelf) + "/" + std::string(digest);
}

Result<uint64_t> BlobFolder::free_bytes() const {
  Result<uint64_t> free = free_disk_bytes(path);
  return free.ok() ? free : without_path(std::move(free).status());
}

Status BlobFolder::check_space(uint64_t size_bytes) const {
  const uint64_t free_bytes = KVCS_TRY(this->free_bytes());
  const uint64_t spoken_for = promised_bytes + free_reserve_bytes;
  if (free_bytes > spoken_for && free_bytes - spoken_for >= size_bytes) return ok();
  return unavailable("The disk is too full for " + format_bytes(size_bytes) + ": " +
                     format_bytes(free_bytes) + " are free, of which " + format_bytes(spoken_for) +
                     " are reserved or promised to other uploads.")
      .with_reason("disk_full");
}

uint64_t BlobFolder::held(std::string_view owner) {
  MutexLock lock(mutex);
  const auto found = held_by.find(owner);
  return found == held_by.end() ? 0 : found->second;
}

void BlobFolder::hold(const std::string& owner, uint64_t bytes) {
  promised_bytes += bytes;
  if (owner.empty() || bytes == 0) return;
  MutexLock lock(mutex);
  held_by[owner] += bytes;
}

void BlobFolder::release(const std::string& owner, uint64_t bytes) {
  promised_bytes -= bytes;
  if (owner.empty() || bytes == 0) return;
  MutexLock lock(mutex);
  const auto found = held_by.find(owner);
  found->second -= bytes;
  if (found->second == 0) held_by.erase(found);
}

Result<uint64_t> BlobFolder::share_bytes() const {
  const uint64_t all = KVCS_TRY(free_bytes());
  if (all <= free_reserve_bytes) return uint64_t{0};
  return (all - free_reserve_bytes) / 100 * static_cast<uint64_t>(owner_percent);
}

Status BlobFolder::check_share(std::string_view owner, uint64_t wanted_bytes) {
  if (owner.empty()) return ok();
  const uint64_t others = held(owner);
  if (others == 0) return ok();
  const uint64_t share = KVCS_TRY(share_bytes());
  if (others <= share && wanted_bytes <= share - others) return ok();
  return rate_limited("This organization's uploads under way hold " + format_bytes(others) +
                          " of the disk, and their share of what is free is " +
                          format_bytes(share) + " (" + std::to_string(owner_percent) +
                          " %, blobs.organization_percent). Repeat this one when others have "
                          "ended.",
                      kShareRetryAfterS)
      .with_reason("disk_share");
}

}  // namespace kvcs
