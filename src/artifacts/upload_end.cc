// The end of an upload that came in several requests: its digest is compared, its bytes become a
// blob, its artifact becomes ready. Each step may be the last before a death, and is repeated by
// the next look at the upload. Runs on the threads of requests.
#include <algorithm>
#include <set>
#include <vector>

#include "artifacts/rows.h"
#include "artifacts/uploads.h"
#include "base/bytes.h"
#include "base/counted.h"
#include "base/id.h"

namespace kvcs {
namespace {

constexpr size_t kJoinBytes = 256 << 10;
constexpr size_t kPartsMax = 256;
// What an organization may have joined to final uploads that failed. Beyond it, up to ten minutes.
constexpr int64_t kFailedJoinBytesPerMinute = 64 << 20;

Status part_taken(const std::string& id) {
  return conflict("Part " + id + " is of another upload already.").with_reason("part_taken");
}

// What holds the bytes of an upload: of a final one its first part, to which the others are added.
const std::string& staged_id(const Upload& upload) {
  return upload.kind == UploadKind::kFinal ? upload.parts.front() : upload.id;
}

}  // namespace

// The first part stays, and the others are copied behind it: whatever breaks off leaves the bytes
// of each where they are, and the first no shorter than it was.
Status UploadService::join_parts(const Upload& upload) {
  std::vector<uint64_t> lengths;
  const Status read = readers_.run([&](Database& db) -> Status {
    for (const std::string& id : upload.parts) {
      const Upload part = KVCS_TRY(upload_rows::find(db, id));
      lengths.push_back(part.length.value_or(0));
    }
    return ok();
  });
  if (!read.ok()) return read;
  const uint64_t more = *upload.length - lengths.front();
  const auto joined = KVCS_TRY(blobs_.open_staged(upload.parts.front(), lengths.front(), more,
                                                  upload.organization_id, StagedMode::kAsItComes));
  const auto buffer = std::make_unique_for_overwrite<char[]>(kJoinBytes);
  for (size_t i = 1; i < upload.parts.size(); i++) {
    if (lengths[i] == 0) continue;
    const auto part = KVCS_TRY(blobs_.read_staged(upload.parts[i]));
    for (uint64_t at = 0; at < lengths[i];) {
      const size_t want = std::min<uint64_t>(kJoinBytes, lengths[i] - at);
      const size_t n = KVCS_TRY(part->read(at, buffer.get(), want));
      if (n == 0) return internal("A staged part is shorter than its row says.");
      KVCS_TRY(joined->append({buffer.get(), n}));
      at += n;
    }
  }
  return joined->keep();
}

// The digest of all bytes, which must be the one that was announced, if one was.
Result<std::string> UploadService::check_bytes(const Upload& upload) {
  if (upload.kind == UploadKind::kFinal) {
    KVCS_TRY(join_parts(upload));
  } else if (*upload.length == 0) {
    // Nothing was ever staged.
    const auto empty = KVCS_TRY(
        blobs_.open_staged(upload.id, 0, 0, upload.organization_id, StagedMode::kAsItComes));
    KVCS_TRY(empty->keep());
  }
  const Artifact row = KVCS_TRY(artifacts_.find(upload.artifact_id));
  std::string digest = KVCS_TRY(blobs_.staged_digest(staged_id(upload)));
  if (row.sha256.empty() || row.sha256 == digest) return digest;
  return invalid("sha256 mismatch")
      .with_reason("sha256_mismatch")
      .with_details_json("{\"expected\":\"" + row.sha256 + "\",\"actual\":\"" + digest + "\"}");
}

// From now on the artifact's row names the blob, before there is one.
Status UploadService::seal(const Upload& upload, const std::string& sha256) {
  return writer_.run([&](Database& db) -> Status {
    KVCS_TRY(artifact_rows::find(db, upload.artifact_id));
    auto row = KVCS_TRY(db.prepare("UPDATE uploads SET sealed_sha256 = ? WHERE id = ?"));
    KVCS_TRY(row.bind(1, sha256).bind(2, upload.id).run());
    auto artifact =
        KVCS_TRY(db.prepare("UPDATE artifacts SET sha256 = ? WHERE id = ? AND status = 'pending'"));
    return artifact.bind(1, sha256).bind(2, upload.artifact_id).run();
  });
}

// What was sealed is gone, as after a restore: the bytes must come again.
Status UploadService::unseal(const Upload& upload) {
  const Status ran = writer_.run([&](Database& db) -> Status {
    auto row = KVCS_TRY(db.prepare("UPDATE uploads SET sealed_sha256 = '' WHERE id = ?"));
    return row.bind(1, upload.id).run();
  });
  if (!ran.ok()) return ran;
  return conflict(
      "The bytes of this upload were lost on the server. Send them again from the "
      "beginning.");
}

Result<Artifact> UploadService::make_ready(const Principal& who, const Upload& upload,
                                           const std::string& sha256, std::string_view request_id) {
  const ArtifactQuota limits = KVCS_TRY(artifacts_.quota(upload.organization_id));
  Artifact row;
  const Status ran = writer_.run([&](Database& db) -> Status {
    row = KVCS_TRY(artifact_rows::find(db, upload.artifact_id));
    if (row.ready) return ok();
    row.sha256 = sha256;
    KVCS_TRY(adopt(db, who, row, limits, request_id));
    // Looked at there, where nobody can remove it meanwhile.
    return row.ready ? ok()
                     : unavailable("The stored bytes were removed meanwhile; repeat the request.");
  });
  if (!ran.ok()) {
    // The artifact was deleted while its last bytes came.
    if (ran.code() == Code::kNotFound) (void)artifacts_.collect_blob(sha256);
    return ran;
  }
  return row;
}

Result<Artifact> UploadService::finish(const Principal& who, const Upload& upload,
                                       std::string_view request_id) {
  std::string digest = upload.sealed_sha256;
  if (digest.empty()) {
    auto checked = check_bytes(upload);
    if (!checked.ok()) {
      // Bytes that are not what was announced are of no use; parts may be put together otherwise.
      if (upload.kind == UploadKind::kFinal) {
        if (checked.code() == Code::kInvalid) {
          failed_joins_.adjust(upload.organization_id, kFailedJoinBytesPerMinute,
                               static_cast<int64_t>(*upload.length));
        }
        (void)cut_first_part(upload);  // On a disk that fails it is cut by the next join.
        KVCS_TRY(release_final(upload));
      } else if (checked.code() == Code::kInvalid) {
        KVCS_TRY(give_up(who, upload, request_id));
      }
      return std::move(checked).status();
    }
    digest = std::move(checked).value();
    KVCS_TRY(seal(upload, digest));
  }
  const Status published = blobs_.publish_staged(staged_id(upload), digest);
  if (published.code() == Code::kNotFound) return unseal(upload);
  KVCS_TRY(published);
  Artifact ready = KVCS_TRY(make_ready(who, upload, digest, request_id));
  // The sweep finds what stays behind.
  for (const std::string& part : upload.parts) (void)blobs_.remove_staged(part);
  return ready;
}

// What was joined to the first part is no part of it: nobody's quota counts it.
Status UploadService::cut_first_part(const Upload& upload) {
  Upload first;
  const Status read = readers_.run([&](Database& db) -> Status {
    first = KVCS_TRY(upload_rows::find(db, upload.parts.front()));
    return ok();
  });
  KVCS_TRY(Status(read));
  const auto cut = KVCS_TRY(blobs_.open_staged(first.id, first.length.value_or(0), 0,
                                               first.organization_id, StagedMode::kAsItComes));
  return cut->keep();
}

// Takes the upload and its artifact back; the parts hold their bytes and their quota again.
Status UploadService::release_final(const Upload& upload) {
  return writer_.run([&](Database& db) -> Status {
    Artifact row = KVCS_TRY(artifact_rows::find(db, upload.artifact_id));
    auto parts =
        KVCS_TRY(db.prepare("UPDATE uploads SET artifact_id = NULL, reserved_bytes = length_bytes "
                            "WHERE artifact_id = ? AND kind = 'part'"));
    KVCS_TRY(parts.bind(1, upload.artifact_id).run());
    row.size_bytes = 0;
    KVCS_TRY(artifacts_.remove_row(db, row));
    // No bytes have become its blob.
    const BlobRemoval nothing{row.id, row.sha256};
    return artifact_rows::forget_removals(db, {&nothing, 1});
  });
}

// The parts as they stand in the request. Nobody has taken any of them, or one upload all of them.
Result<std::vector<Upload>> UploadService::find_parts(const Principal& who, const Artifact& wanted,
                                                      const std::vector<std::string>& ids) {
  if (ids.empty() || ids.size() > kPartsMax) {
    return invalid("Upload-Concat: " + std::to_string(ids.size()) + " parts; 1 to " +
                   std::to_string(kPartsMax) + " are allowed.");
  }
  if (std::set<std::string>(ids.begin(), ids.end()).size() != ids.size()) {
    return invalid("Upload-Concat: a part is named twice.");
  }
  std::vector<Upload> parts;
  for (const std::string& id : ids) {
    Upload part = KVCS_TRY(find_own(who, id));
    if (part.kind != UploadKind::kPart) {
      return invalid("Upload-Concat: " + id + " is no partial upload.");
    }
    if (part.project_id != wanted.project_id) {
      return invalid("Upload-Concat: part " + id + " is of another project.");
    }
    const uint64_t staged = KVCS_TRY(staged_bytes(part, StagedLook::kKept));
    if (staged != *part.length) {
      return conflict("Upload-Concat: part " + id + " has " + std::to_string(staged) + " of its " +
                      std::to_string(*part.length) + " bytes.")
          .with_reason("part_incomplete");
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

Result<Upload> UploadService::create_final(const Principal& who, Artifact wanted,
                                           const UploadAsk& ask,
                                           const std::vector<std::string>& parts, uint64_t bytes) {
  const int64_t lifetime_s = artifacts_.config().resumable_lifetime_s;
  Upload upload;
  upload.organization_id = wanted.organization_id;
  upload.project_id = wanted.project_id;
  upload.key_id = who.key_id;
  upload.kind = UploadKind::kFinal;
  upload.parts = parts;
  upload.metadata = ask.metadata;
  upload.length = bytes;
  wanted.size_bytes = bytes;
  const auto take = [&](Database& db, const Artifact& made) -> Status {
    upload.id = upload.artifact_id = made.id;
    upload.created_ms = made.created_ms;
    upload.expires_ms = made.expires_ms;
    KVCS_TRY(upload_rows::insert(db, upload));
    for (const std::string& part : parts) {
      auto row = KVCS_TRY(
          db.prepare("UPDATE uploads SET artifact_id = ?, reserved_bytes = 0, expires_ms = ? "
                     "WHERE id = ? AND artifact_id IS NULL"));
      KVCS_TRY(row.bind(1, made.id).bind(2, made.expires_ms).bind(3, part).run());
      if (db.changes() != 1) return part_taken(part);
    }
    return ok();
  };
  KVCS_TRY(artifacts_.create(std::move(wanted),
                             {.lifetime_s = lifetime_s, .reserved_bytes = bytes, .also = take}));
  return upload;
}

// What was joined for nothing is paid for before more is joined.
Status UploadService::check_joins(std::string_view organization_id) {
  const RateDecision paid = failed_joins_.take(organization_id, kFailedJoinBytesPerMinute, 0);
  if (paid.allowed) return ok();
  return rate_limited(
             "Final uploads of this organization were not what they were announced to be; wait "
             "before the next.",
             static_cast<int>(paid.retry_after_s))
      .with_reason("finals_failed");
}

Result<Upload> UploadService::concatenate(const Principal& who, Artifact wanted,
                                          const UploadAsk& ask,
                                          const std::vector<std::string>& parts,
                                          std::string_view request_id,
                                          std::optional<Artifact>& ready) {
  const std::vector<Upload> found = KVCS_TRY(find_parts(who, wanted, parts));
  // The answer to an earlier request may have been lost.
  const std::string& taken_by = found.front().artifact_id;
  if (!taken_by.empty()) {
    UploadState state = KVCS_TRY(look(who, taken_by, request_id));
    if (state.upload.parts != parts) return part_taken(parts.front());
    ready = std::move(state.ready);
    return std::move(state.upload);
  }
  uint64_t bytes = 0;
  for (const Upload& part : found) bytes += *part.length;
  if (bytes > artifacts_.config().object_bytes_max) {
    return too_large(
        "The parts have " + format_exact_bytes(bytes) + " together, over the limit of " +
        format_exact_bytes(artifacts_.config().object_bytes_max) + " for one artifact.");
  }
  KVCS_TRY(check_joins(who.organization_id));
  // Nobody else can know the parts before they are taken: whoever asks meanwhile is told to wait.
  const auto turn = KVCS_TRY(take_turn(parts.front()));
  Upload upload = KVCS_TRY(create_final(who, std::move(wanted), ask, parts, bytes));
  const auto own_turn = KVCS_TRY(take_turn(upload.id));
  ready = KVCS_TRY(finish(who, upload, request_id));
  upload.done = true;
  return upload;
}

}  // namespace kvcs
