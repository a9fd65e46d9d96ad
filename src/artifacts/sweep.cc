// The sweep, a job: it takes away uploads that were never confirmed, deleted artifacts whose time
// is over (deleted.cc), blobs that no row names (to the trash, and from there after some days), and
// temp files of a process that died. Any of its steps may be the last before a crash; the next
// sweep goes on from there.
#include "artifacts/artifacts.h"
#include "artifacts/rows.h"

namespace kvcs {
namespace {
constexpr size_t kSweepBatch = 100;
// So many orphans are swept whatever their share: of what requests leave behind the rows have a
// note (blob_removals), so that orphans are of deaths between a blob and its row, which no client
// can bring about in numbers.
constexpr size_t kFewOrphans = 100;
}  // namespace

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

Result<uint64_t> ArtifactService::collect_noted(const Artifact& gone) {
  const bool is_freed = KVCS_TRY(collect_blob(gone.sha256));
  const BlobRemoval done{gone.id, gone.sha256};
  KVCS_TRY(writer_.run([&](Database& db) {
    return artifact_rows::forget_removals(db, {&done, 1});
  }));
  return is_freed ? gone.size_bytes : uint64_t{0};
}

// Each row goes in a transaction of its own, so that requests are served in between.
Status ArtifactService::sweep_expired(SweepReport& report) {
  for (;;) {
    const int64_t now_ms = clock_.unix_ms();
    // Those whose bytes are arriving stay, and are found again each time.
    const size_t batch = kSweepBatch + puts_under_way();
    std::vector<Artifact> expired;
    const Status ran = readers_.run([&](Database& db) -> Status {
      expired = KVCS_TRY(artifact_rows::list_expired(db, now_ms, batch));
      return ok();
    });
    if (!ran.ok()) return ran;
    if (expired.empty()) return ok();
    uint64_t gone = 0;
    for (Artifact& upload : expired) {
      bool removed = false;
      const Status taken = writer_.run([&](Database& db) -> Status {
        removed = false;
        // It may have been confirmed or deleted meanwhile.
        auto row = artifact_rows::find(db, upload.id);
        if (row.code() == Code::kNotFound) return ok();
        KVCS_TRY(row.status());
        if (row->ready || row->expires_ms > now_ms || has_put(row->id)) return ok();
        // What is collected below is what went: a digest may have come since the list.
        upload = *row;
        KVCS_TRY(remove_row(db, upload));
        removed = true;
        return ok();
      });
      if (!taken.ok()) return taken;
      if (!removed) continue;
      report.expired_uploads++;
      gone++;
      KVCS_TRY(blobs_.remove_staged(upload.id));
      report.freed_bytes += KVCS_TRY(collect_noted(upload));
    }
    if (gone == 0) return ok();
  }
}

// Rows that nobody removed: when there is none, what organizations use must be nothing too. A
// database that came up empty does not even know an organization that ever used something.
Result<bool> ArtifactService::has_its_rows() const {
  bool has_rows = false, all_removed = false;
  const Status looked = readers_.run([&](Database& db) -> Status {
    auto any = KVCS_TRY(db.prepare("SELECT 1 FROM artifacts LIMIT 1"));
    has_rows = KVCS_TRY(any.step());
    auto used =
        KVCS_TRY(db.prepare("SELECT count(*), coalesce(sum(artifacts + reserved_artifacts), "
                            "0) FROM organization_usage"));
    KVCS_TRY(used.step());
    all_removed = used.integer(0) > 0 && used.integer(1) == 0;
    return ok();
  });
  if (!looked.ok()) return looked;
  return has_rows || all_removed;
}

// What no row names goes to the trash. First all blobs are looked at: when the rows themselves were
// lost, by a database that came up empty or from an old backup, nearly every blob is an orphan, and
// to move them would make a mistake that a restored database mends into one that it does not.
Status ArtifactService::sweep_orphans(SweepReport& report) {
  std::vector<std::string> orphans;
  uint64_t blobs = 0;
  const Status looked =
      blobs_.for_each([&](std::string_view digest, uint64_t, int64_t age_s) -> Status {
        blobs++;
        // A young blob may be of a PUT whose row has not been updated yet.
        if (age_s < config_.orphan_age_s) return ok();
        bool named = true;
        const Status ran = readers_.run([&](Database& db) -> Status {
          named = KVCS_TRY(artifact_rows::names_digest(db, digest));
          return ok();
        });
        if (!ran.ok()) return ran;
        if (!named) orphans.emplace_back(digest);
        return ok();
      });
  if (!looked.ok()) return looked;
  if (orphans.empty()) return ok();
  if (config_.sweep_max_percent < 100) {
    const bool has_rows = KVCS_TRY(has_its_rows());
    const auto share = static_cast<uint64_t>(config_.sweep_max_percent);
    const bool too_many = orphans.size() > kFewOrphans && orphans.size() * 100 > blobs * share;
    if (!has_rows || too_many) {
      return conflict(std::to_string(orphans.size()) + " of " + std::to_string(blobs) +
                      " blobs are named by no artifact" + (has_rows ? "" : ", and there is none") +
                      "; nothing was swept. If portal.db was lost or is older than the blobs, "
                      "restore it. If they are of no use, set artifacts.sweep_max_percent to 100 "
                      "and run artifact-sweep: they go to the trash.")
          .with_reason("sweep_refused");
    }
  }
  for (const std::string& sha256 : orphans) {
    // As in collect_blob(): between two groups what the rows say is what holds.
    bool moved = false;
    const Status ran = writer_.run_alone([&](Database& db) -> Status {
      if (KVCS_TRY(artifact_rows::names_digest(db, sha256))) return ok();
      const Status aside = blobs_.set_aside(sha256, BlobShelf::kTrash);
      moved = aside.ok();
      return aside.code() == Code::kNotFound ? ok() : aside;
    });
    if (!ran.ok()) return ran;
    if (moved) report.orphan_blobs++;
  }
  return ok();
}

// A blob of the trash whose row came back, with a restored database, is put back; one that has lain
// there long enough is removed.
Status ArtifactService::sweep_trash(SweepReport& report) {
  struct Old {
    std::string sha256;
    uint64_t size_bytes;
    bool is_old;
  };
  std::vector<Old> trash;
  KVCS_TRY(blobs_.for_each_aside(
      BlobShelf::kTrash, [&](std::string_view digest, uint64_t size_bytes, int64_t age_s) {
        trash.push_back({std::string(digest), size_bytes, age_s >= config_.trash_age_s});
        return ok();
      }));
  for (const Old& old : trash) {
    bool put_back = false;
    const Status ran = writer_.run_alone([&](Database& db) -> Status {
      const bool named = KVCS_TRY(artifact_rows::names_digest(db, old.sha256));
      const bool missing = blobs_.stat(old.sha256).code() == Code::kNotFound;
      if (!named || !missing) return ok();
      KVCS_TRY(blobs_.put_back(old.sha256, BlobShelf::kTrash));
      put_back = true;
      return ok();
    });
    if (!ran.ok()) return ran;
    if (put_back) report.restored_blobs++;
    if (put_back || !old.is_old) continue;
    KVCS_TRY(blobs_.remove_aside(old.sha256, BlobShelf::kTrash));
    report.freed_bytes += old.size_bytes;
  }
  return ok();
}

Result<SweepReport> ArtifactService::sweep() {
  SweepReport report;
  KVCS_TRY(sweep_expired(report));
  KVCS_TRY(sweep_deleted(report));
  KVCS_TRY(blobs_.remove_stale_temps());
  // The trash first: blobs that a restored database names again must not count as missing.
  KVCS_TRY(sweep_trash(report));
  KVCS_TRY(sweep_orphans(report));
  return report;
}

}  // namespace kvcs
