// Uploads that come in several requests, and can go on after any of them broke off: what the tus
// protocol (uploads_api.h) does to artifacts.
//
//   create() ─ begin_write() … keep, as often as it takes ─ all bytes there: finish() ─ ready
//      └── a part: no artifact; concatenate() makes a final upload of parts, and finishes it
//
// - How much has come is known by the blob store alone; a row says what an upload is to be. So an
//   offset that was answered is on disk, and no death of the process can make the two disagree.
// - An upload of one artifact has the artifact's id; the pending artifact's row holds its quota. A
//   part holds its own, until a final upload takes it.
// - The end has three steps: the digest is compared and written down (sealed), what is staged
//   becomes the blob, one transaction makes the artifact ready. After a death between them the next
//   look at the upload goes on from there.
// - A creation that is repeated with its Idempotency-Key is answered with the upload that it made:
//   an answer that was lost holds nothing of the quota for nothing.
// - Bytes that the caller reaches as a ready artifact need not come: the upload is ready as it is
//   made. Bytes that it can show to hold need not come either (upload_proof.h), whosever they are.
// - One request at a time works on an upload; others are told Conflict with reason upload_locked.
//
// Thread-safe. Failures: NotFound "Upload not found", also for what is not the caller's own;
// Conflict with reason offset_mismatch (details: expected, actual); TooLarge past the length; those
// of ArtifactService.
#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "artifacts/artifacts.h"
#include "artifacts/upload_proof.h"
#include "artifacts/upload_rows.h"
#include "base/mutex.h"
#include "base/wait.h"
#include "ops/rate_limit.h"

namespace kvcs {

// What a client says of an upload beside its artifact.
struct UploadAsk {
  std::optional<uint64_t> length;  // Nothing: it comes later.
  std::string metadata;            // As it was sent.
  bool has_bytes = false;          // The client can prove that it holds them.
  std::string creation_sha256;     // Of all that it asks, with its Idempotency-Key; "" without one.
};

// A request's bytes on their way. One thread.
struct UploadWrite {
  std::unique_ptr<ArtifactPutTurn> turn;  // First: given up when the writer is gone.
  std::unique_ptr<StagedWriter> writer;   // Null where nothing is to come.
  Upload upload;
};

struct WriteAsk {
  uint64_t offset = 0;
  std::optional<uint64_t> body_bytes;  // Nothing: not known before its end.
  std::optional<uint64_t> length;      // Of the upload, said now.
  StagedMode mode = StagedMode::kAsItComes;
};

// How far an upload is.
struct UploadState {
  Upload upload;
  std::optional<uint64_t> offset;  // Nothing: a final upload that is not finished.
  std::optional<Artifact> ready;   // It was finished by this look at it.
};

struct UploadSweepReport {
  size_t expired_parts = 0, orphans = 0;
};

class UploadService final {
 public:
  UploadService(ArtifactService& artifacts, DbWriter& writer, DbReaders& readers, BlobStore& blobs,
                const Clock& clock, Entropy& entropy);

  // `wanted` says whose it is to be and, but for a part, what. RateLimited with reason
  // uploads_open, or proof_draws where a challenge would follow.
  Result<UploadState> create(const Principal& who, Artifact wanted, const UploadAsk& ask,
                             UploadKind kind, std::string_view request_id);
  // What to show of the bytes of an unfinished upload that create() made with `has_bytes`; nothing
  // for one without digest, length or enough bytes.
  Result<std::optional<ProofChallenge>> challenge(const Upload& upload);
  // Of an upload that nothing has come of. Failures of UploadProofs::check().
  Result<UploadState> prove(const Principal& who, std::string_view id, std::string_view answer_hex,
                            std::string_view request_id);
  // The upload and the place of its bytes; goes on with what a death has left half finished.
  Result<UploadState> look(const Principal& who, std::string_view id, std::string_view request_id);
  Result<UploadWrite> begin_write(const Principal& who, std::string_view id, const WriteAsk& ask);
  // While bytes come: what is at work does not expire. Cheap. One that nothing comes of, nor has
  // come, rests for kUnusedUploadLifetimeS alone.
  Status touch(Upload& upload, bool brings_bytes = true);
  // NotFound when it has gone since, as with its artifact.
  Status check_there(const Upload& upload) const;
  // All bytes are there. The caller has the turn. Invalid "sha256 mismatch": the upload is gone, or
  // the parts of a final one are free again.
  Result<Artifact> finish(const Principal& who, const Upload& upload, std::string_view request_id);
  // Makes an artifact of parts, in their order. Repeated, it answers with the same upload. Conflict
  // with reason part_incomplete or part_taken.
  Result<Upload> concatenate(const Principal& who, Artifact wanted, const UploadAsk& ask,
                             const std::vector<std::string>& parts, std::string_view request_id,
                             std::optional<Artifact>& ready);
  // An unfinished upload goes with its bytes and its artifact; of a finished one only the upload.
  Status terminate(const Principal& who, std::string_view id, std::string_view request_id);
  // Parts that have expired, rows of uploads that have ended, and staged bytes without a row. A
  // cron job; ArtifactService::sweep() takes the rest.
  Result<UploadSweepReport> sweep();

 private:
  Result<UploadState> create_new(const Principal& who, Artifact wanted, const UploadAsk& ask,
                                 UploadKind kind, std::string_view request_id);
  Result<std::optional<UploadState>> find_created(const Principal& who, const UploadAsk& ask,
                                                  std::string_view request_id);
  Status adopt(Database& db, const Principal& who, Artifact& row, const ArtifactQuota& limits,
               std::string_view request_id);
  Result<Upload> create_part(const Principal& who, const Artifact& wanted, Upload upload);
  int64_t rest_s(const Upload& upload, bool brings_bytes) const;
  Status insert(Database& db, Upload& upload, const std::string& id);
  Result<Upload> find_own(const Principal& who, std::string_view id) const;
  Result<std::unique_ptr<ArtifactPutTurn>> take_turn(std::string_view id);
  Result<std::unique_ptr<ArtifactPutTurn>> wait_for_turn(std::string_view id);
  Result<uint64_t> staged_bytes(const Upload& upload, StagedLook look);
  Status set_length(Upload& upload, uint64_t length);
  Status fit(const Upload& upload, uint64_t bytes);
  Status join_parts(const Upload& upload);
  Result<std::string> check_bytes(const Upload& upload);
  Status seal(const Upload& upload, const std::string& sha256);
  Status unseal(const Upload& upload);
  Result<Artifact> make_ready(const Principal& who, const Upload& upload, const std::string& sha256,
                              std::string_view request_id);
  Status give_up(const Principal& who, const Upload& upload, std::string_view request_id);
  Status cut_first_part(const Upload& upload);
  Status release_final(const Upload& upload);
  Status check_joins(std::string_view organization_id);
  Result<std::vector<Upload>> find_parts(const Principal& who, const Artifact& wanted,
                                         const std::vector<std::string>& ids);
  Result<Upload> create_final(const Principal& who, Artifact wanted, const UploadAsk& ask,
                              const std::vector<std::string>& parts, uint64_t bytes);

  ArtifactService& artifacts_;
  DbWriter& writer_;
  DbReaders& readers_;
  BlobStore& blobs_;
  const Clock& clock_;
  Entropy& entropy_;
  UploadProofs proofs_;
  RateLimiter failed_joins_;  // Bytes, by organization.
  Event turn_ended_;
  Mutex mutex_;
  std::set<std::string, std::less<>> turns_ KVCS_GUARDED_BY(mutex_);  // Uploads at work.
};

}  // namespace kvcs
