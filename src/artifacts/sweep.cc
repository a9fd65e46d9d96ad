// The sweep, a job: it takes away uploads that were never confirmed, blobs that no row names, and
// temp files of a process that died. Any of its steps may be the last before a crash; the next
// sweep goes on from there.
#include "artifacts/artifacts.h"
#include "artifacts/rows.h"

namespace kvcs {
namespace {
constexpr size_t kSweepBatch = 100;
}

Result<bool> ArtifactService::collect_blob(const std::string& sha256) {
  if (sha256.empty()) return false;
  bool removed = false;
  // Between two groups nothing is uncommitted: a row that names the digest is seen, and one that
  // is not seen cannot come back.
  const Status ran = writer_.run_alone([&](Database& db) -> Status {
    if (KVCS_TRY(artifact_rows::names_digest(db, sha256))) return ok();
    removed = blobs_.stat(sha256).ok();
    return blobs_.remove(sha256);
  });
  if (!ran.ok()) return ran;
  return removed;
}

// Each row goes in a transaction of its own, so that requests are served in between.
Status ArtifactService::sweep_expired(SweepReport& report) {
  for (;;) {
    const int64_t now_ms = clock_.unix_ms();
    std::vector<Artifact> expired;
    const Status ran = readers_.run([&](Database& db) -> Status {
      expired = KVCS_TRY(artifact_rows::list_expired(db, now_ms, kSweepBatch));
      return ok();
    });
    if (!ran.ok()) return ran;
    if (expired.empty()) return ok();
    for (const Artifact& upload : expired) {
      bool removed = false;
      const Status taken = writer_.run([&](Database& db) -> Status {
        removed = false;
        // It may have been confirmed or deleted meanwhile.
        auto row = artifact_rows::find(db, upload.id);
        if (row.code() == Code::kNotFound) return ok();
        KVCS_TRY(row.status());
        if (row->ready || row->expires_ms > now_ms) return ok();
        KVCS_TRY(remove_row(db, *row));
        removed = true;
        return ok();
      });
      if (!taken.ok()) return taken;
      if (!removed) continue;
      report.expired_uploads++;
      if (KVCS_TRY(collect_blob(upload.sha256))) report.freed_bytes += upload.size_bytes;
    }
  }
}

Status ArtifactService::sweep_orphans(SweepReport& report) {
  return blobs_.for_each(
      [&](std::string_view digest, uint64_t size_bytes, int64_t age_s) -> Status {
        // A young blob may be of a PUT whose row has not been updated yet.
        if (age_s < config_.orphan_age_s) return ok();
        bool named = true;
        const Status ran = readers_.run([&](Database& db) -> Status {
          named = KVCS_TRY(artifact_rows::names_digest(db, digest));
          return ok();
        });
        if (!ran.ok()) return ran;
        if (named || !KVCS_TRY(collect_blob(std::string(digest)))) return ok();
        report.orphan_blobs++;
        report.freed_bytes += size_bytes;
        return ok();
      });
}

Result<SweepReport> ArtifactService::sweep() {
  SweepReport report;
  KVCS_TRY(sweep_expired(report));
  KVCS_TRY(sweep_orphans(report));
  KVCS_TRY(blobs_.remove_stale_temps());
  return report;
}

}  // namespace kvcs
