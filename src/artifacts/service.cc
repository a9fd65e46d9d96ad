// The life of an artifact: announced, uploaded, confirmed, changed, removed. Requests come here on
// their own threads; rows change on the one writer thread of portal.db. artifacts.h tells how rows
// and blobs are kept in step.
#include "artifacts/artifact_audit.h"
#include "artifacts/artifacts.h"
#include "artifacts/deleted_rows.h"
#include "artifacts/rows.h"
#include "artifacts/text_index.h"
#include "base/bytes.h"
#include "base/counted.h"
#include "base/id.h"
#include "identity/access.h"
#include "kv/audited_kv.h"

namespace kvcs {
namespace {

constexpr size_t kRefusedPutsMax = 1024;  // Reasons kept for confirm().
constexpr int kTurnRetryAfterS = 5;

Status mismatch(const char* what, const std::string& expected, const std::string& actual) {
  return invalid(std::string(what) + " mismatch")
      .with_details_json("{\"expected\":" + expected + ",\"actual\":" + actual + "}");
}

// Internal, in words that the caller may know and can do something with.
Status our_fault(const std::string& message) {
  return Status(Code::kInternal, message, message);
}

// What is not the caller's own is answered as what is not there.
Status check_own(const Principal& who, const Artifact& row) {
  const bool own =
      access::owns(who, {.organization_id = row.organization_id, .project_id = row.project_id});
  return own ? ok() : artifact_rows::not_found_artifact();
}

// The uploader's own words against what is stored; size first.
Status check_claim(const Artifact& row, const ConfirmClaim& claim) {
  if (claim.size_bytes && *claim.size_bytes != row.size_bytes) {
    return mismatch("size", std::to_string(*claim.size_bytes), std::to_string(row.size_bytes));
  }
  if (!claim.sha256.empty() && claim.sha256 != row.sha256) {
    return mismatch("sha256", "\"" + claim.sha256 + "\"", "\"" + row.sha256 + "\"");
  }
  return ok();
}

}  // namespace

ArtifactService::ArtifactService(const ArtifactConfig& config, DbWriter& writer, DbReaders& readers,
                                 BlobStore& blobs, const Clock& clock, Entropy& entropy,
                                 QuotaOf quota_of, BlobAlarm alarm)
    : config_(config),
      writer_(writer),
      readers_(readers),
      blobs_(blobs),
      clock_(clock),
      entropy_(entropy),
      quota_of_(std::move(quota_of)),
      alarm_(std::move(alarm)) {}

Status ArtifactService::audit_change(Database& db, std::string_view action, const Artifact& before,
                                     std::string_view new_value, const Principal& who,
                                     std::string_view request_id) const {
  return add_artifact_audit(db, {action, before, new_value, actor_name(who), request_id}, entropy_,
                            clock_.unix_ms());
}

Result<Artifact> ArtifactService::create(Artifact wanted, const ArtifactRider& rider) {
  if (wanted.size_bytes > config_.object_bytes_max) {
    return invalid("size_bytes: " + format_exact_bytes(wanted.size_bytes) +
                   " is over the limit of " + format_exact_bytes(config_.object_bytes_max) +
                   " for one artifact.");
  }
  const ArtifactQuota limits = KVCS_TRY(quota(wanted.organization_id));
  wanted.id = make_uuid_v4(entropy_);
  wanted.ready = wanted.uploaded = false;
  wanted.created_ms = clock_.unix_ms();
  const int64_t lifetime_s = rider.lifetime_s > 0 ? rider.lifetime_s : config_.pending_lifetime_s;
  wanted.expires_ms = wanted.created_ms + lifetime_s * 1000;
  // Asked here: the writer's thread, for which all wait, does not wait for the disk of the blobs.
  const Status room = rider.also ? ok() : blobs_.check_room(wanted.size_bytes);
  const Status ran = writer_.run([&](Database& db) -> Status {
    KVCS_TRY(artifact_rows::check_project(db, wanted.organization_id, wanted.project_id));
    const uint64_t more_bytes = wanted.size_bytes - rider.reserved_bytes;
    KVCS_TRY(reserve(db, wanted.organization_id, 1, more_bytes, limits));
    KVCS_TRY(artifact_rows::insert(db, wanted));
    return rider.also ? rider.also(db, wanted) : room;
  });
  if (!ran.ok()) return ran;
  return wanted;
}

Result<Artifact> ArtifactService::find(std::string_view id) const {
  Result<Artifact> found = artifact_rows::not_found_artifact();
  const Status ran = readers_.run([&](Database& db) -> Status {
    found = artifact_rows::find(db, id);
    return found.code() == Code::kNotFound ? ok() : found.status();
  });
  if (!ran.ok()) return ran;
  return found;
}

Result<Artifact> ArtifactService::find_own(const Principal& who, std::string_view id) const {
  Artifact found = KVCS_TRY(find(id));
  KVCS_TRY(check_own(who, found));
  add_unwritten({&found, 1});
  return found;
}

// An upload announced without its size reserves the size of its body before the body is read.
Status ArtifactService::fit_size(const Artifact& row, uint64_t size_bytes) {
  if (size_bytes > config_.object_bytes_max) {
    return too_large("The body is over the limit of " +
                     format_exact_bytes(config_.object_bytes_max) + " for one artifact.");
  }
  const ArtifactQuota limits = KVCS_TRY(quota(row.organization_id));
  return writer_.run([&](Database& db) -> Status {
    const Artifact now = KVCS_TRY(artifact_rows::find(db, row.id));
    if (now.ready || now.size_bytes == size_bytes) return ok();
    auto release =
        KVCS_TRY(db.prepare("UPDATE organization_usage SET reserved_bytes = reserved_bytes - ? "
                            "WHERE organization_id = ?"));
    release.bind(1, static_cast<int64_t>(now.size_bytes)).bind(2, now.organization_id);
    KVCS_TRY(release.run());
    KVCS_TRY(reserve(db, now.organization_id, 0, size_bytes, limits));
    // The bytes of an earlier PUT no longer fit the row; this one brings new ones.
    auto update = KVCS_TRY(
        db.prepare("UPDATE artifacts SET size_bytes = ?, uploaded_ms = NULL WHERE id = ?"));
    return update.bind(1, static_cast<int64_t>(size_bytes)).bind(2, now.id).run();
  });
}

// Bodies that come at the same time to one URL would each lie on the disk, where the quota counts
// one of them.
Result<std::unique_ptr<ArtifactPutTurn>> ArtifactService::take_turn(const std::string& id) {
  {
    MutexLock lock(mutex_);
    if (!turns_.insert(id).second) {
      refused_by_turn_++;
      return rate_limited(
                 "Another upload to this URL is under way, and it takes one at a time. "
                 "Repeat this one when that has ended.",
                 kTurnRetryAfterS)
          .with_reason("upload_in_progress");
    }
  }
  return std::make_unique<ArtifactPutTurn>([this, id] {
    MutexLock lock(mutex_);
    turns_.erase(id);
  });
}

bool ArtifactService::has_put(const std::string& id) {
  MutexLock lock(mutex_);
  return turns_.contains(id);
}

size_t ArtifactService::puts_under_way() {
  MutexLock lock(mutex_);
  return turns_.size();
}

Result<ArtifactPut> ArtifactService::begin_put(const PresignedClaim& claim, uint64_t size_bytes) {
  ArtifactPut put;
  put.turn = KVCS_TRY(take_turn(claim.id));
  const Artifact row = KVCS_TRY(find(claim.id));
  // A confirmed artifact takes its own bytes again and no others.
  const std::string expected = row.ready ? row.sha256 : claim.sha256_hex;
  const bool size_known = row.ready || claim.size_bytes > 0;
  const uint64_t expected_size = row.ready ? row.size_bytes : claim.size_bytes;
  if (size_known && size_bytes != expected_size) {
    return mismatch("size", std::to_string(expected_size), std::to_string(size_bytes));
  }
  if (!size_known) KVCS_TRY(fit_size(row, size_bytes));
  put.id = row.id;
  put.size_bytes = size_bytes;
  auto writer = blobs_.begin_write(expected, size_bytes, row.organization_id);
  if (writer.status().reason() == "disk_share") refused_by_share_++;
  put.writer = KVCS_TRY(std::move(writer));
  return put;
}

Result<std::string> ArtifactService::finish_put(ArtifactPut& put) {
  KVCS_TRY(put.writer->finish());
  const std::string digest = put.writer->sha256_hex();
  std::string replaced;
  bool is_late = false;
  const Status ran = writer_.run([&](Database& db) -> Status {
    const Artifact row = KVCS_TRY(artifact_rows::find(db, put.id));
    is_late = row.ready && row.sha256 != digest;
    replaced = row.ready || row.sha256 == digest ? std::string() : row.sha256;
    const std::string& of_no_row = is_late ? digest : replaced;
    KVCS_TRY(artifact_rows::note_removal(db, {.id = row.id, .sha256 = of_no_row}));
    if (row.ready) return ok();
    // Looked at here, where nobody can remove it meanwhile.
    if (!blobs_.stat(digest).ok()) {
      return unavailable("The stored bytes were removed meanwhile; repeat the upload.");
    }
    auto update = KVCS_TRY(db.prepare(
        "UPDATE artifacts SET sha256 = ?, uploaded_ms = ?, expires_ms = max(expires_ms, ?) "
        "WHERE id = ? AND status = 'pending'"));
    const int64_t now_ms = clock_.unix_ms();
    // However long they took: the client is to have its time to confirm them.
    const int64_t expires_ms = now_ms + int64_t{1000} * config_.url_lifetime_s;
    return update.bind(1, digest).bind(2, now_ms).bind(3, expires_ms).bind(4, put.id).run();
  });
  // One URL takes many bodies, of which the disk keeps one: what this one replaced goes now, and so
  // does this one when the row did not take it. What a death leaves of that is noted.
  if (!ran.ok()) (void)collect_blob(digest);
  KVCS_TRY(Status(ran));
  const BlobRemoval removal{put.id, is_late ? digest : replaced};
  if (!removal.sha256.empty()) (void)collect_removed({&removal, 1});
  if (is_late) {
    return conflict("The artifact was confirmed with other bytes while these came.")
        .with_reason("confirmed_meanwhile");
  }
  // An earlier attempt may have been refused; this one was not.
  MutexLock lock(mutex_);
  refused_puts_.erase(put.id);
  return digest;
}

void ArtifactService::note_refused_put(const std::string& id, const Status& why) {
  MutexLock lock(mutex_);
  // A courtesy: when there are too many, a confirm says less.
  if (refused_puts_.size() >= kRefusedPutsMax) refused_puts_.clear();
  refused_puts_[id] = why;
}

Status ArtifactService::refused_put(std::string_view id) {
  MutexLock lock(mutex_);
  const auto it = refused_puts_.find(id);
  return it == refused_puts_.end() ? invalid("Artifact data not found") : it->second;
}

// In the writer's transaction: nobody can remove the blob, change the row or take the quota between
// these checks and the update.
Status ArtifactService::confirm_row(Database& db, const Principal& who, std::string_view id,
                                    const ConfirmClaim& claim, const ArtifactQuota& limits,
                                    std::string_view request_id, Artifact& row) {
  row = KVCS_TRY(artifact_rows::find(db, id));
  KVCS_TRY(check_own(who, row));
  if (row.ready) return check_claim(row, claim);
  if (!row.uploaded) return refused_put(row.id);
  const auto stored = blobs_.stat(row.sha256);
  if (stored.code() == Code::kNotFound) return invalid("Artifact data not found");
  KVCS_TRY(stored.status());
  KVCS_TRY(check_claim(row, claim));
  return make_ready(db, row, who, limits, request_id);
}

// What was reserved becomes what is used.
Status ArtifactService::use_reserved(Database& db, const Artifact& row) const {
  auto usage = KVCS_TRY(
      db.prepare("UPDATE organization_usage SET artifacts = artifacts + 1, "
                 "storage_bytes = storage_bytes + ?, reserved_artifacts = reserved_artifacts - 1, "
                 "reserved_bytes = reserved_bytes - ? WHERE organization_id = ?"));
  const auto size = static_cast<int64_t>(row.size_bytes);
  return usage.bind(1, size).bind(2, size).bind(3, row.organization_id).run();
}

Status ArtifactService::make_ready(Database& db, Artifact& row, const Principal& who,
                                   const ArtifactQuota& limits, std::string_view request_id) const {
  // Nothing more is asked for, but the limit may have been lowered since.
  KVCS_TRY(reserve(db, row.organization_id, 0, 0, limits));
  auto update = KVCS_TRY(
      db.prepare("UPDATE artifacts SET status = 'ready', confirmed_ms = ?, expires_ms = NULL "
                 "WHERE id = ?"));
  KVCS_TRY(update.bind(1, clock_.unix_ms()).bind(2, row.id).run());
  KVCS_TRY(text_index::catch_up(db));
  KVCS_TRY(use_reserved(db, row));
  row.ready = true;
  return audit_change(db, "confirm", row, "", who, request_id);
}

Result<Artifact> ArtifactService::confirm(const Principal& who, std::string_view id,
                                          const ConfirmClaim& claim, std::string_view request_id) {
  const ArtifactQuota limits = KVCS_TRY(quota(who.organization_id));
  Artifact row;
  const Status ran = writer_.run(
      [&](Database& db) { return confirm_row(db, who, id, claim, limits, request_id, row); });
  if (!ran.ok()) return ran;
  return row;
}

Status ArtifactService::set_visibility(const Principal& who, std::string_view id, bool is_public,
                                       std::string_view request_id) {
  const char* const value = is_public ? "public" : "private";
  return writer_.run([&](Database& db) -> Status {
    const Artifact before = KVCS_TRY(artifact_rows::find(db, id));
    KVCS_TRY(check_own(who, before));
    auto update = KVCS_TRY(db.prepare("UPDATE artifacts SET visibility = ? WHERE id = ?"));
    KVCS_TRY(update.bind(1, value).bind(2, before.id).run());
    KVCS_TRY(text_index::catch_up(db));
    if (before.is_public == is_public) return ok();
    return audit_change(db, "visibility", before, value, who, request_id);
  });
}

Result<Artifact> ArtifactService::move(const Principal& who, std::string_view id,
                                       const std::string& project_id, std::string_view request_id) {
  Artifact after;
  const Status ran = writer_.run([&](Database& db) -> Status {
    const Artifact before = KVCS_TRY(artifact_rows::find(db, id));
    KVCS_TRY(check_own(who, before));
    KVCS_TRY(artifact_rows::move(db, before, project_id));
    after = KVCS_TRY(artifact_rows::find(db, id));
    if (before.project_id == project_id) return ok();
    return audit_change(db, "move", before, project_id, who, request_id);
  });
  if (!ran.ok()) return ran;
  return after;
}

// Removes the row and what it had reserved or used, in the transaction of the caller, who collects
// its blob after the commit.
Status ArtifactService::remove_row(Database& db, const Artifact& row) const {
  KVCS_TRY(artifact_rows::note_removal(db, row));
  auto removal = KVCS_TRY(db.prepare("DELETE FROM artifacts WHERE id = ?"));
  KVCS_TRY(removal.bind(1, row.id).run());
  KVCS_TRY(text_index::catch_up(db));
  auto usage = KVCS_TRY(db.prepare(
      row.ready ? "UPDATE organization_usage SET artifacts = artifacts - 1, "
                  "storage_bytes = storage_bytes - ? WHERE organization_id = ?"
                : "UPDATE organization_usage SET reserved_artifacts = reserved_artifacts - 1, "
                  "reserved_bytes = reserved_bytes - ? WHERE organization_id = ?"));
  return usage.bind(1, static_cast<int64_t>(row.size_bytes)).bind(2, row.organization_id).run();
}

Status ArtifactService::remove(const Principal& who, std::string_view id,
                               std::string_view request_id) {
  Artifact before;
  const Status ran = writer_.run([&](Database& db) -> Status {
    auto there = artifact_rows::find(db, id);
    if (there.code() == Code::kNotFound) {
      before = KVCS_TRY(deleted_rows::find(db, id)).artifact;
      KVCS_TRY(check_own(who, before));
      return end_deleted(db, before, actor_name(who), request_id);
    }
    KVCS_TRY(there.status());
    before = *std::move(there);
    KVCS_TRY(check_own(who, before));
    KVCS_TRY(remove_row(db, before));
    return audit_change(db, "delete", before, "", who, request_id);
  });
  if (!ran.ok()) return ran;
  // The artifact is gone whatever becomes of the bytes: they are noted until they are gone too.
  const BlobRemoval removal{before.id, before.sha256};
  (void)collect_removed({&removal, 1});
  (void)blobs_.remove_staged(before.id);  // Else the sweep finds them.
  return ok();
}

Result<std::unique_ptr<BlobReader>> ArtifactService::open_bytes(const Artifact& artifact) const {
  auto reader = blobs_.open(artifact.sha256);
  // A row that is ready promises its bytes; their absence is our failure, not the caller's.
  if (reader.code() == Code::kNotFound) {
    raise_alarm(artifact.sha256,
                "The blob of artifact " + artifact.id +
                    " is missing. Restore its file, or upload the artifact's bytes "
                    "again.");
    return our_fault("The bytes of artifact " + artifact.id +
                     " are missing from the blob store. Its owner can upload them again.")
        .with_reason("blob_missing");
  }
  // A file that was cut or grew must not be sent under the digest of the whole one.
  if (reader.ok() && (*reader)->size_bytes() != artifact.size_bytes) {
    raise_alarm(artifact.sha256,
                "The blob has " + std::to_string((*reader)->size_bytes()) +
                    " bytes where artifact " + artifact.id + " has " +
                    std::to_string(artifact.size_bytes) +
                    "; it is not served. Restore its file, or upload the artifact's bytes again.");
    return our_fault("The stored bytes of artifact " + artifact.id +
                     " are damaged; they are not sent. Its owner can upload them again.")
        .with_reason("blob_damaged");
  }
  return reader;
}

}  // namespace kvcs
