// How often public artifacts were downloaded: counted in memory by requests, and written to their
// rows many at a time, as a synced write for each download would let whoever may read hold up who
// writes.
#include "artifacts/artifacts.h"
#include "db/db.h"

namespace kvcs {

Status ArtifactService::count_download(std::string_view id) {
  const auto count = [&](size_t max) {
    MutexLock lock(mutex_);
    const auto known = downloads_.find(id);
    if (known == downloads_.end() && downloads_.size() >= max) return false;
    if (known == downloads_.end()) {
      downloads_.emplace(id, 1);
    } else {
      known->second++;
    }
    return true;
  };
  if (count(kDownloadCountsMax)) return ok();
  // There is room again afterwards, whether or not they were written.
  KVCS_TRY(flush_downloads());
  (void)count(SIZE_MAX);
  return ok();
}

// What cannot be written waits for the next time.
Status ArtifactService::flush_downloads() {
  DownloadCounts counts;
  {
    MutexLock lock(mutex_);
    counts.swap(downloads_);
  }
  if (counts.empty()) return ok();
  Status written = writer_.run([&](Database& db) -> Status {
    auto update = KVCS_TRY(
        db.prepare("UPDATE artifacts SET download_count = download_count + ? WHERE id = ?"));
    for (const auto& [id, count] : counts) {
      KVCS_TRY(update.bind(1, count).bind(2, id).run());
      update.reset();
    }
    return ok();
  });
  if (written.ok()) return written;
  MutexLock lock(mutex_);
  for (const auto& [id, count] : counts) downloads_[id] += count;
  return written;
}

void ArtifactService::add_unwritten(std::span<Artifact> artifacts) const {
  MutexLock lock(mutex_);
  if (downloads_.empty()) return;
  for (Artifact& one : artifacts) {
    const auto known = downloads_.find(one.id);
    if (known != downloads_.end()) one.downloads += known->second;
  }
}

}  // namespace kvcs
