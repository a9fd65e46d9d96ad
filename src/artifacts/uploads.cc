// The life of an upload that comes in several requests, up to its last byte. Requests come here on
// their own threads; rows change on the one writer thread of portal.db.
#include "artifacts/uploads.h"

#include <algorithm>

#include "artifacts/rows.h"
#include "base/bytes.h"
#include "base/counted.h"
#include "base/id.h"
#include "identity/access.h"

namespace kvcs {
namespace {

constexpr int64_t kTurnWaitMs = 1000;

Status locked() {
  return conflict(
             "Another request is at work on this upload, which takes one at a time. Repeat this "
             "one when that has ended.")
      .with_reason("upload_locked");
}

Status wrong_offset(uint64_t expected, uint64_t actual) {
  return conflict("Upload-Offset: the upload has " + std::to_string(expected) +
                  " bytes, and this request begins at " + std::to_string(actual) +
                  ". Ask for the offset by HEAD, and go on from there.")
      .with_reason("offset_mismatch")
      .with_details_json("{\"expected\":" + std::to_string(expected) +
                         ",\"actual\":" + std::to_string(actual) + "}");
}

bool can_be_proved(const Upload& upload, const Artifact& row) {
  return upload.kind == UploadKind::kWhole && upload.length.value_or(0) >= kProofFromBytes &&
         !row.sha256.empty();
}

Status over_length(uint64_t length, uint64_t end) {
  return too_large("The upload has " + std::to_string(length) +
                   " bytes, and this request would bring it to " + std::to_string(end) + ".");
}

}  // namespace

UploadService::UploadService(ArtifactService& artifacts, DbWriter& writer, DbReaders& readers,
                             BlobStore& blobs, const Clock& clock, Entropy& entropy)
    : artifacts_(artifacts),
      writer_(writer),
      readers_(readers),
      blobs_(blobs),
      clock_(clock),
      entropy_(entropy),
      proofs_(blobs, clock, entropy),
      failed_joins_(clock) {}

// How long it may rest. Who has lost the answer to a creation that had no Idempotency-Key cannot
// take it back, so that an upload of which nothing comes holds its part of the quota for a short
// time.
int64_t UploadService::rest_s(const Upload& upload, bool brings_bytes) const {
  const int64_t full_s = artifacts_.config().resumable_lifetime_s;
  if (brings_bytes || upload.length == uint64_t{0}) return full_s;
  return std::min(full_s, kUnusedUploadLifetimeS);
}

// The row comes before the first byte.
Status UploadService::insert(Database& db, Upload& upload, const std::string& id) {
  const ArtifactConfig& config = artifacts_.config();
  const std::string other =
      KVCS_TRY(upload_rows::find_created(db, upload.creation_sha256, clock_.unix_ms()));
  if (!other.empty()) return conflict("This creation was repeated at the same time.");
  KVCS_TRY(upload_rows::check_open(db, upload, config.resumable_open_key,
                                   config.resumable_open_organization));
  upload.id = id;
  upload.created_ms = clock_.unix_ms();
  upload.expires_ms = upload.created_ms + rest_s(upload, false) * 1000;
  return upload_rows::insert(db, upload);
}

Result<Upload> UploadService::create_part(const Principal& who, const Artifact& wanted,
                                          Upload upload) {
  const ArtifactQuota limits = KVCS_TRY(artifacts_.quota(who.organization_id));
  const std::string id = make_uuid_v4(entropy_);
  const Status room = blobs_.check_room(*upload.length);
  const Status ran = writer_.run([&](Database& db) -> Status {
    KVCS_TRY(artifact_rows::check_project(db, wanted.organization_id, wanted.project_id));
    KVCS_TRY(artifacts_.reserve(db, wanted.organization_id, 0, *upload.length, limits));
    KVCS_TRY(room);
    KVCS_TRY(insert(db, upload, id));
    // A project whose deletion has begun shows none.
    return upload_rows::find(db, id).status();
  });
  if (!ran.ok()) return ran;
  return upload;
}

Result<UploadState> UploadService::create(const Principal& who, Artifact wanted,
                                          const UploadAsk& ask, UploadKind kind,
                                          std::string_view request_id) {
  std::optional<UploadState> known = KVCS_TRY(find_created(who, ask, request_id));
  if (known) return std::move(*known);
  Result<UploadState> made = create_new(who, std::move(wanted), ask, kind, request_id);
  if (made.ok()) return made;
  // The same creation at the same time may have come first, and have taken the last room.
  known = KVCS_TRY(find_created(who, ask, request_id));
  return known ? Result<UploadState>(std::move(*known)) : made;
}

// The upload of an earlier creation that asked for the same under the same key. A challenge will
// follow as it did then, and is drawn as any other.
Result<std::optional<UploadState>> UploadService::find_created(const Principal& who,
                                                               const UploadAsk& ask,
                                                               std::string_view request_id) {
  if (ask.creation_sha256.empty()) return std::optional<UploadState>();
  std::string id;
  const Status ran = readers_.run([&](Database& db) -> Status {
    id = KVCS_TRY(upload_rows::find_created(db, ask.creation_sha256, clock_.unix_ms()));
    return ok();
  });
  KVCS_TRY(ran);
  if (id.empty()) return std::optional<UploadState>();
  UploadState state = KVCS_TRY(look(who, id, request_id));
  const Upload& upload = state.upload;
  if (ask.has_bytes && !upload.done && upload.kind == UploadKind::kWhole) {
    const Artifact row = KVCS_TRY(artifacts_.find(upload.artifact_id));
    if (can_be_proved(upload, row)) {
      KVCS_TRY(proofs_.take_draw(row.organization_id, row.sha256));
    }
  }
  return std::optional(std::move(state));
}

Result<UploadState> UploadService::create_new(const Principal& who, Artifact wanted,
                                              const UploadAsk& ask, UploadKind kind,
                                              std::string_view request_id) {
  const ArtifactConfig& config = artifacts_.config();
  if (ask.length.value_or(0) > config.object_bytes_max) {
    return too_large("Upload-Length: " + format_exact_bytes(*ask.length) +
                     " is over the limit of " + format_exact_bytes(config.object_bytes_max) +
                     " for one artifact.");
  }
  UploadState state;
  state.offset = 0;
  Upload& upload = state.upload;
  upload.organization_id = wanted.organization_id;
  upload.project_id = wanted.project_id;
  upload.key_id = who.key_id;
  upload.kind = kind;
  upload.metadata = ask.metadata;
  upload.length = ask.length;
  upload.creation_sha256 = ask.creation_sha256;
  if (kind == UploadKind::kPart) {
    state.upload = KVCS_TRY(create_part(who, wanted, upload));
    return state;
  }
  wanted.size_bytes = ask.length.value_or(0);
  const ArtifactQuota limits = KVCS_TRY(artifacts_.quota(who.organization_id));
  // Told before the client sends a byte. Of a length that is not known yet the end may be refused.
  const Status room = blobs_.check_room(wanted.size_bytes);
  Artifact row;
  const auto also = [&](Database& db, const Artifact& made) -> Status {
    upload.artifact_id = made.id;
    KVCS_TRY(insert(db, upload, made.id));
    row = made;
    // Only for who asked for it: other clients of the protocol begin at byte 0 whatever is said.
    const bool is_reached = ask.has_bytes && !made.sha256.empty() && ask.length &&
                            KVCS_TRY(upload_rows::reaches(db, who, made));
    if (is_reached) return adopt(db, who, row, limits, request_id);
    const bool draws = ask.has_bytes && can_be_proved(upload, made);
    return draws ? proofs_.take_draw(made.organization_id, made.sha256) : room;
  };
  KVCS_TRY(
      artifacts_.create(std::move(wanted), {.lifetime_s = rest_s(upload, false), .also = also}));
  if (!row.ready) return state;
  upload.done = true;
  state.offset = upload.length;
  state.ready = std::move(row);
  return state;
}

// In the transaction of the caller: the blob that is there becomes the artifact's, unless it has
// gone.
Status UploadService::adopt(Database& db, const Principal& who, Artifact& row,
                            const ArtifactQuota& limits, std::string_view request_id) {
  if (blobs_.stat(row.sha256).value_or(UINT64_MAX) != row.size_bytes) return ok();
  const int64_t now_ms = clock_.unix_ms();
  auto uploaded = KVCS_TRY(db.prepare("UPDATE artifacts SET uploaded_ms = ? WHERE id = ?"));
  KVCS_TRY(uploaded.bind(1, now_ms).bind(2, row.id).run());
  KVCS_TRY(artifacts_.make_ready(db, row, who, limits, request_id));
  auto done = KVCS_TRY(db.prepare("UPDATE uploads SET done_ms = ? WHERE artifact_id = ?"));
  return done.bind(1, now_ms).bind(2, row.id).run();
}

Result<std::optional<ProofChallenge>> UploadService::challenge(const Upload& upload) {
  if (upload.done || upload.kind != UploadKind::kWhole) return std::optional<ProofChallenge>();
  const Artifact row = KVCS_TRY(artifacts_.find(upload.artifact_id));
  if (!can_be_proved(upload, row)) return std::optional<ProofChallenge>();
  return std::optional(proofs_.challenge(upload.id, *upload.length));
}

Result<UploadState> UploadService::prove(const Principal& who, std::string_view id,
                                         std::string_view answer_hex, std::string_view request_id) {
  const auto turn = KVCS_TRY(take_turn(id));
  UploadState state;
  state.upload = KVCS_TRY(find_own(who, id));
  Artifact row = KVCS_TRY(artifacts_.find(state.upload.artifact_id));
  const ArtifactQuota limits = KVCS_TRY(artifacts_.quota(row.organization_id));
  KVCS_TRY(proofs_.check(id, row.sha256, row.size_bytes, answer_hex));
  const Status ran = writer_.run([&](Database& db) -> Status {
    row = KVCS_TRY(artifact_rows::find(db, state.upload.artifact_id));
    if (!row.ready) return adopt(db, who, row, limits, request_id);
    return ok();
  });
  if (!ran.ok()) return ran;
  // The blob has gone since it was read.
  if (!row.ready) return conflict("The bytes were removed meanwhile. Send them.");
  (void)blobs_.remove_staged(state.upload.id);
  state.upload.done = true;
  state.offset = state.upload.length;
  state.ready = std::move(row);
  return state;
}

Result<Upload> UploadService::find_own(const Principal& who, std::string_view id) const {
  Result<Upload> found = upload_rows::not_found_upload();
  const Status ran = readers_.run([&](Database& db) -> Status {
    found = upload_rows::find(db, id);
    return found.code() == Code::kNotFound ? ok() : found.status();
  });
  KVCS_TRY(ran);
  KVCS_TRY(found.status());
  const bool own = access::owns(
      who, {.organization_id = found->organization_id, .project_id = found->project_id});
  const bool expired = !found->done && found->expires_ms <= clock_.unix_ms();
  if (!own || expired) return upload_rows::not_found_upload();
  return found;
}

Result<std::unique_ptr<ArtifactPutTurn>> UploadService::take_turn(std::string_view id) {
  std::string key(id);
  {
    MutexLock lock(mutex_);
    if (!turns_.insert(key).second) return locked();
  }
  return std::make_unique<ArtifactPutTurn>([this, key = std::move(key)] {
    {
      MutexLock lock(mutex_);
      turns_.erase(key);
    }
    turn_ended_.signal();
  });
}

// A connection that was cut is noticed a moment later than its client asks on another one how far
// it came.
Result<std::unique_ptr<ArtifactPutTurn>> UploadService::wait_for_turn(std::string_view id) {
  const int64_t due_ms = steady_ms() + kTurnWaitMs;
  for (;;) {
    const uint64_t seen = turn_ended_.count();
    auto turn = take_turn(id);
    const int64_t left_ms = due_ms - steady_ms();
    if (turn.ok() || left_ms <= 0) return turn;
    WaitFor end;
    end.event = &turn_ended_;
    end.seen = seen;
    end.timeout_ms = static_cast<int>(left_ms);
    if (current_waiter().wait(end) == Waiter::Woken::kClientGone) return turn;
  }
}

// What is staged under a part may be longer, while a final upload puts others behind it.
Result<uint64_t> UploadService::staged_bytes(const Upload& upload, StagedLook look) {
  if (upload.done || !upload.sealed_sha256.empty()) return upload.length.value_or(0);
  const bool is_taken = upload.kind == UploadKind::kPart && !upload.artifact_id.empty();
  if (is_taken) return upload.length.value_or(0);
  const uint64_t staged = KVCS_TRY(blobs_.staged_size(upload.id, look));
  return std::min(staged, upload.length.value_or(staged));
}

Result<UploadState> UploadService::look(const Principal& who, std::string_view id,
                                        std::string_view request_id) {
  UploadState state;
  state.upload = KVCS_TRY(find_own(who, id));
  const Upload& upload = state.upload;
  const bool is_final = upload.kind == UploadKind::kFinal;
  const auto turn = wait_for_turn(id);
  if (!turn.ok() && !upload.done) {
    // Whoever is at work says how far it came when that is sure; a final upload has no offset yet.
    if (is_final) return turn.status();
    state.offset = KVCS_TRY(staged_bytes(upload, StagedLook::kKept));
    const bool ends = upload.kind == UploadKind::kWhole && state.offset == upload.length;
    if (ends) return turn.status();
    return state;
  }
  state.upload = KVCS_TRY(find_own(who, id));
  if (!is_final || upload.done) state.offset = KVCS_TRY(staged_bytes(upload, StagedLook::kAll));
  const bool is_whole = upload.kind == UploadKind::kWhole && state.offset == upload.length;
  if (upload.done || (!is_final && !is_whole)) return state;
  // All bytes are there and it is not ready: whoever was to finish it has died.
  state.ready = KVCS_TRY(finish(who, upload, request_id));
  state.upload.done = true;
  state.offset = upload.length;
  return state;
}

// The quota of bytes is taken before they come.
Status UploadService::fit(const Upload& upload, uint64_t bytes) {
  const Artifact row = KVCS_TRY(artifacts_.find(upload.artifact_id));
  if (row.size_bytes >= bytes) return ok();
  return artifacts_.fit_size(row, bytes);
}

Status UploadService::set_length(Upload& upload, uint64_t length) {
  if (upload.length && *upload.length != length) {
    return invalid("Upload-Length: the upload has " + std::to_string(*upload.length) +
                   " bytes, and its length does not change.");
  }
  if (upload.length) return ok();
  const Artifact row = KVCS_TRY(artifacts_.find(upload.artifact_id));
  KVCS_TRY(artifacts_.fit_size(row, length));
  upload.length = length;
  return writer_.run([&](Database& db) -> Status {
    auto update = KVCS_TRY(db.prepare("UPDATE uploads SET length_bytes = ? WHERE id = ?"));
    return update.bind(1, static_cast<int64_t>(length)).bind(2, upload.id).run();
  });
}

Result<UploadWrite> UploadService::begin_write(const Principal& who, std::string_view id,
                                               const WriteAsk& ask) {
  UploadWrite write;
  write.turn = KVCS_TRY(take_turn(id));
  write.upload = KVCS_TRY(find_own(who, id));
  Upload& upload = write.upload;
  if (upload.kind == UploadKind::kFinal) {
    return forbidden("A final upload is made of its parts; it takes no bytes of its own.");
  }
  const uint64_t at = KVCS_TRY(staged_bytes(upload, StagedLook::kAll));
  if (ask.offset != at) return wrong_offset(at, ask.offset);
  // Before a length is kept that what is there, or comes, does not fit into.
  const uint64_t least = at + ask.body_bytes.value_or(0);
  const auto length = ask.length ? ask.length : upload.length;
  if (length && *length < least) return over_length(*length, least);
  if (ask.length) KVCS_TRY(set_length(upload, *ask.length));
  if (!upload.length && !ask.body_bytes) {
    return invalid("Content-Length is required while the length of the upload is not known.");
  }
  if (!upload.length) KVCS_TRY(fit(upload, least));
  KVCS_TRY(touch(upload, least > 0 || !ask.body_bytes));
  const uint64_t more = upload.length ? *upload.length - at : *ask.body_bytes;
  if (more == 0) return write;
  write.writer = KVCS_TRY(blobs_.open_staged(upload.id, at, ask.body_bytes.value_or(more),
                                             upload.organization_id, ask.mode));
  return write;
}

Status UploadService::check_there(const Upload& upload) const {
  return readers_.run([&](Database& db) { return upload_rows::find(db, upload.id).status(); });
}

// Once in half of the time that it may rest.
Status UploadService::touch(Upload& upload, bool brings_bytes) {
  const int64_t lifetime_ms = rest_s(upload, brings_bytes) * 1000;
  const int64_t now_ms = clock_.unix_ms();
  if (upload.done || upload.expires_ms - now_ms > lifetime_ms / 2) return ok();
  upload.expires_ms = now_ms + lifetime_ms;
  return writer_.run([&](Database& db) -> Status {
    auto row = KVCS_TRY(db.prepare("UPDATE uploads SET expires_ms = ? WHERE id = ?"));
    KVCS_TRY(row.bind(1, upload.expires_ms).bind(2, upload.id).run());
    auto artifact = KVCS_TRY(
        db.prepare("UPDATE artifacts SET expires_ms = ? WHERE id = ? AND status = 'pending'"));
    return artifact.bind(1, upload.expires_ms).bind(2, upload.artifact_id).run();
  });
}

Status UploadService::terminate(const Principal& who, std::string_view id,
                                std::string_view request_id) {
  const auto turn = KVCS_TRY(take_turn(id));
  const Upload upload = KVCS_TRY(find_own(who, id));
  const bool is_part = upload.kind == UploadKind::kPart;
  if (is_part && !upload.done && !upload.artifact_id.empty()) {
    return conflict("The part is being put together with others.").with_reason("part_taken");
  }
  if (!is_part && !upload.done) return give_up(who, upload, request_id);
  bool is_removed = true;
  const Status ran = writer_.run([&](Database& db) -> Status {
    if (is_part && !upload.done) {
      is_removed = !KVCS_TRY(upload_rows::remove_part(db, upload.id)).empty();
      return ok();
    }
    auto removal = KVCS_TRY(db.prepare("DELETE FROM uploads WHERE id = ?"));
    return removal.bind(1, upload.id).run();
  });
  if (!ran.ok()) return ran;
  // Somebody has taken the part since it was looked at.
  return is_removed ? blobs_.remove_staged(upload.id) : locked();
}

// Its row goes with the artifact's.
Status UploadService::give_up(const Principal& who, const Upload& upload,
                              std::string_view request_id) {
  return artifacts_.remove(who, upload.artifact_id, request_id);
}

Result<UploadSweepReport> UploadService::sweep() {
  UploadSweepReport report;
  const int64_t now_ms = clock_.unix_ms();
  for (size_t found = 1; found > 0;) {
    std::vector<std::string> parts;
    const Status ran = writer_.run([&](Database& db) -> Status {
      parts = KVCS_TRY(upload_rows::remove_expired_parts(db, now_ms));
      auto ended =
          KVCS_TRY(db.prepare("DELETE FROM uploads WHERE expires_ms <= ? AND done_ms IS NOT NULL"));
      return ended.bind(1, now_ms).run();
    });
    if (!ran.ok()) return ran;
    for (const std::string& part : parts) KVCS_TRY(blobs_.remove_staged(part));
    report.expired_parts += found = parts.size();
  }
  // A row comes before its first byte and an id comes once: what has none now never has one.
  const Status swept = blobs_.for_each_staged([&](std::string_view id) -> Status {
    bool is_unfinished = true;
    const Status looked = readers_.run([&](Database& db) -> Status {
      is_unfinished = KVCS_TRY(upload_rows::is_unfinished(db, id));
      return ok();
    });
    if (!looked.ok() || is_unfinished) return looked;
    report.orphans++;
    return blobs_.remove_staged(id);
  });
  if (!swept.ok()) return swept;
  return report;
}

}  // namespace kvcs
