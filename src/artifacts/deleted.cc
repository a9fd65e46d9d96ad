// Deletion that can be undone. The row of an artifact moves to a table of its own, where only these
// functions look, and from there back, or to its end: by the sweep when its time is over, by a
// deletion of a kind that keeps nothing, or by newer ones of its project that need its place.
#include <span>

#include "artifacts/artifact_audit.h"
#include "artifacts/artifacts.h"
#include "artifacts/deleted_rows.h"
#include "artifacts/rows.h"
#include "artifacts/text_index.h"
#include "identity/access.h"
#include "kv/audited_kv.h"

namespace kvcs {
namespace {

constexpr size_t kSweepBatch = 100;
// So many deleted artifacts may go for one that is deleted now; where that is not enough, it goes
// at once itself.
constexpr size_t kMakeRoomMax = 100;
constexpr std::string_view kSweeper = "artifact-sweep";

bool is_own(const Principal& who, const Artifact& row) {
  return access::owns(who, {.organization_id = row.organization_id, .project_id = row.project_id});
}

// What an organization has deleted and can restore.
struct DeletedSums {
  uint64_t artifacts = 0, bytes = 0;
};
Result<DeletedSums> read_sums(Database& db, std::string_view organization_id) {
  auto s =
      KVCS_TRY(db.prepare("SELECT deleted_artifacts, deleted_bytes FROM organization_usage "
                          "WHERE organization_id = ?"));
  s.bind(1, organization_id);
  if (!KVCS_TRY(s.step())) return DeletedSums{};
  return DeletedSums{static_cast<uint64_t>(s.integer(0)), static_cast<uint64_t>(s.integer(1))};
}

}  // namespace

// The end of a deleted artifact, in the transaction of the caller, who collects its blob after the
// commit; until then it is noted.
Status ArtifactService::end_deleted(Database& db, const Artifact& row, std::string_view actor,
                                    std::string_view request_id) const {
  KVCS_TRY(artifact_rows::note_removal(db, row));
  KVCS_TRY(deleted_rows::remove(db, row.id));
  return add_artifact_audit(db, {"purge", row, "", std::string(actor), request_id}, entropy_,
                            clock_.unix_ms());
}

// Deleted artifacts count for no quota, and their bytes are on the disk all the same: without a
// limit, whoever uploads and deletes in turn would fill it. Only those of its own project make
// room: a key of one project ends nothing of another. False: there is no room for this one, and
// nothing went for it.
Result<bool> ArtifactService::make_room_for_deleted(Database& db, const Artifact& row,
                                                    const ArtifactQuota& limits,
                                                    std::string_view actor,
                                                    std::string_view request_id,
                                                    std::vector<BlobRemoval>& removals) const {
  if (row.size_bytes > limits.storage_bytes || limits.artifacts == 0) return false;
  DeletedSums sums = KVCS_TRY(read_sums(db, row.organization_id));
  const auto fits = [&] {
    return sums.artifacts < limits.artifacts && sums.bytes <= limits.storage_bytes - row.size_bytes;
  };
  if (fits()) return true;
  const auto first = KVCS_TRY(deleted_rows::list_first(db, row.project_id, kMakeRoomMax));
  size_t needed = 0;
  for (; needed < first.size() && !fits(); needed++) {
    sums.artifacts -= 1;
    sums.bytes -= first[needed].artifact.size_bytes;
  }
  if (!fits()) return false;
  for (const DeletedArtifact& one : std::span(first).first(needed)) {
    KVCS_TRY(end_deleted(db, one.artifact, actor, request_id));
    removals.push_back({one.artifact.id, one.artifact.sha256});
  }
  return true;
}

Result<int64_t> ArtifactService::remove_later(const Principal& who, std::string_view id,
                                              std::string_view request_id) {
  if (config_.deleted_lifetime_s == 0) {
    KVCS_TRY(remove(who, id, request_id));
    return 0;
  }
  const ArtifactQuota limits = KVCS_TRY(quota(who.organization_id));
  const std::string actor = actor_name(who);
  const int64_t now_ms = end_clock_ms();
  const int64_t ends_ms = now_ms + config_.deleted_lifetime_s * 1000;
  std::vector<BlobRemoval> removals;
  Artifact row;
  bool is_kept = false;
  const Status ran = writer_.run([&](Database& db) -> Status {
    removals.clear();
    row = KVCS_TRY(artifact_rows::find(db, id));
    if (!is_own(who, row)) return artifact_rows::not_found_artifact();
    is_kept =
        row.ready && KVCS_TRY(make_room_for_deleted(db, row, limits, actor, request_id, removals));
    if (is_kept) KVCS_TRY(deleted_rows::insert(db, row.id, {now_ms, ends_ms, actor}));
    KVCS_TRY(remove_row(db, row));
    if (is_kept) {
      // remove_row() has noted its bytes, which stay.
      const BlobRemoval stays{row.id, row.sha256};
      KVCS_TRY(artifact_rows::forget_removals(db, {&stays, 1}));
    } else {
      removals.push_back({row.id, row.sha256});
    }
    return audit_change(db, "delete", row, "", who, request_id);
  });
  if (!ran.ok()) return ran;
  if (!removals.empty()) (void)collect_removed(removals);  // What fails is noted.
  (void)blobs_.remove_staged(row.id);                      // Else the sweep finds them.
  return is_kept ? ends_ms : 0;
}

// The blob is looked at on the writer's thread, where nobody can remove it meanwhile.
Result<Artifact> ArtifactService::restore(const Principal& who, std::string_view id,
                                          std::string_view request_id) {
  const ArtifactQuota limits = KVCS_TRY(quota(who.organization_id));
  Artifact restored;
  const Status ran = writer_.run([&](Database& db) -> Status {
    const Result<Artifact> there = artifact_rows::find(db, id);
    if (there.ok() && is_own(who, *there)) {
      restored = *there;
      return ok();
    }
    const DeletedArtifact deleted = KVCS_TRY(deleted_rows::find(db, id));
    const Artifact& row = deleted.artifact;
    if (!is_own(who, row)) return artifact_rows::not_found_artifact();
    if (!blobs_.stat(row.sha256).ok()) {
      return Status(Code::kInternal,
                    "The bytes of artifact " + row.id +
                        " are missing from the blob store, so that it cannot be restored.",
                    "missing blob " + row.sha256)
          .with_reason("blob_missing");
    }
    KVCS_TRY(reserve(db, row.organization_id, 1, row.size_bytes, limits));
    KVCS_TRY(deleted_rows::put_back(db, row.id));
    KVCS_TRY(deleted_rows::remove(db, row.id));
    KVCS_TRY(text_index::catch_up(db));
    KVCS_TRY(use_reserved(db, row));
    restored = KVCS_TRY(artifact_rows::find(db, row.id));
    return audit_change(db, "restore", restored, "", who, request_id);
  });
  if (!ran.ok()) return ran;
  return restored;
}

Result<DeletedPage> ArtifactService::list_deleted(const DeletedAsk& ask) const {
  DeletedPage page;
  const Status ran = readers_.run([&](Database& db) -> Status {
    page = KVCS_TRY(deleted_rows::list(db, ask));
    return ok();
  });
  if (!ran.ok()) return ran;
  return page;
}

Result<DeletedArtifact> ArtifactService::find_deleted(const Principal& who,
                                                      std::string_view id) const {
  DeletedArtifact found;
  const Status ran = readers_.run([&](Database& db) -> Status {
    found = KVCS_TRY(deleted_rows::find(db, id));
    return is_own(who, found.artifact) ? ok() : artifact_rows::not_found_artifact();
  });
  if (!ran.ok()) return ran;
  return found;
}

// Each row goes in a transaction of its own with the note of its bytes, so that requests are served
// in between and a process that dies leaves either the row or the note.
Status ArtifactService::sweep_deleted(SweepReport& report) {
  for (;;) {
    const int64_t now_ms = end_clock_ms();
    std::vector<DeletedArtifact> ended;
    const Status ran = readers_.run([&](Database& db) -> Status {
      ended = KVCS_TRY(deleted_rows::list_ended(db, now_ms, kSweepBatch));
      return ok();
    });
    if (!ran.ok()) return ran;
    if (ended.empty()) return ok();
    for (const DeletedArtifact& one : ended) {
      bool is_removed = false;
      const Status taken = writer_.run([&](Database& db) -> Status {
        is_removed = false;
        // It may have been restored meanwhile, and deleted again.
        const Result<DeletedArtifact> now = deleted_rows::find(db, one.artifact.id);
        if (now.code() == Code::kNotFound) return ok();
        KVCS_TRY(now.status());
        if (now->ends_ms > now_ms) return ok();
        is_removed = true;
        return end_deleted(db, now->artifact, kSweeper, "");
      });
      if (!taken.ok()) return taken;
      if (!is_removed) continue;
      report.ended_deletions++;
      report.freed_bytes += KVCS_TRY(collect_noted(one.artifact));
    }
  }
}

}  // namespace kvcs
