// The scrub, a job: disks change and lose bytes without a word, so that now and then each blob is
// read and hashed. It takes its time, since it competes with downloads for the disk. Runs on the
// job's thread.
#include <algorithm>
#include <vector>

#include "artifacts/artifacts.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/log.h"

namespace kvcs {
namespace {

constexpr size_t kReadBytes = 1 << 20;
constexpr size_t kAlarmedMax = 10'000;
constexpr int64_t kPauseMaxMs = 1000;

}  // namespace

// Each blob is told of once: whoever may read it could else make an alert of every request.
void ArtifactService::raise_alarm(const std::string& sha256, const std::string& message) const {
  {
    MutexLock lock(mutex_);
    if (alarmed_.size() >= kAlarmedMax || !alarmed_.insert(sha256).second) return;
  }
  log::error("blob.damaged", {{"sha256", sha256}, {"message", message}});
  if (alarm_) alarm_({sha256, message});
}

// Reads at the configured rate: after a second's worth of bytes it waits for the rest of the
// second. `pace_bytes` counts on from blob to blob.
Result<bool> ArtifactService::is_damaged(const std::string& sha256, uint64_t& pace_bytes,
                                         const std::function<bool()>& cancelled) const {
  auto opened = blobs_.open(sha256);
  if (opened.code() == Code::kNotFound) return false;  // Removed meanwhile.
  const std::unique_ptr<BlobReader> reader = KVCS_TRY(std::move(opened));
  Sha256 hash;
  std::vector<char> buffer(kReadBytes);
  Mutex pause_mutex;
  CondVar pause;
  int64_t second_began_us = clock_.mono_us();
  for (uint64_t at = 0;;) {
    if (cancelled()) return unavailable("The scrub was stopped.");
    const size_t n = KVCS_TRY(reader->read(at, buffer.data(), buffer.size()));
    if (n == 0) break;
    hash.update(buffer.data(), n);
    at += n;
    pace_bytes += n;
    if (pace_bytes < config_.scrub_bytes_per_second) continue;
    pace_bytes = 0;
    const int64_t took_ms = (clock_.mono_us() - second_began_us) / 1000;
    if (took_ms < kPauseMaxMs) {
      MutexLock lock(pause_mutex);
      pause.wait_for_ms(pause_mutex, kPauseMaxMs - std::max<int64_t>(took_ms, 0));
    }
    second_began_us = clock_.mono_us();
  }
  return hash.finish_hex() != sha256;
}

// In the order of digests, so that a run that was cut off is gone on with by the next.
Result<ScrubReport> ArtifactService::scrub(const std::function<bool()>& cancelled) {
  std::string after;
  {
    MutexLock lock(mutex_);
    after = scrubbed_to_;
  }
  std::vector<std::string> digests;
  KVCS_TRY(blobs_.for_each([&](std::string_view digest, uint64_t, int64_t) -> Status {
    if (digest > after) digests.emplace_back(digest);
    return ok();
  }));
  std::sort(digests.begin(), digests.end());
  ScrubReport report;
  uint64_t pace_bytes = 0;
  for (const std::string& digest : digests) {
    if (cancelled()) return report;
    const uint64_t size_bytes = blobs_.stat(digest).value_or(0);
    auto damaged = is_damaged(digest, pace_bytes, cancelled);
    if (!damaged.ok() && cancelled()) return report;
    // Once more, as an upload of the same bytes may have replaced the file meanwhile.
    if (damaged.ok() && *damaged) damaged = is_damaged(digest, pace_bytes, cancelled);
    if (!damaged.ok()) {
      if (cancelled()) return report;
      report.damaged_blobs++;
      raise_alarm(digest, "The blob cannot be read: " + damaged.status().to_string() +
                              ". Look at the disk, and restore the file.");
    } else if (*damaged) {
      report.damaged_blobs++;
      const Status aside = blobs_.set_aside(digest, BlobShelf::kDamaged);
      raise_alarm(digest,
                  aside.ok()
                      ? "The bytes of the blob are not those of its name. It was moved to the "
                        "folder damaged and is not served; restore its file, or upload the "
                        "artifact's bytes again."
                      : "The bytes of the blob are not those of its name, and it cannot be "
                        "moved away: " +
                            aside.to_string() + ".");
    }
    report.checked_blobs++;
    report.checked_bytes += size_bytes;
    MutexLock lock(mutex_);
    scrubbed_to_ = digest;
  }
  report.whole = true;
  MutexLock lock(mutex_);
  scrubbed_to_.clear();
  return report;
}

}  // namespace kvcs
