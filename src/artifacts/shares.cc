// Rows of shares, and the count of their downloads.
#include "artifacts/shares.h"

#include <nlohmann/json.hpp>

#include "artifacts/artifact_audit.h"
#include "artifacts/rows.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/json.h"
#include "db/db.h"
#include "identity/access.h"
#include "kv/audited_kv.h"

namespace kvcs {
namespace {

constexpr size_t kTokenBytes = 32, kTokenMaxBytes = 64;
constexpr int64_t kGrantUs = int64_t{3600} * 1'000'000;
constexpr size_t kGrantsMax = 20'000;
constexpr uint64_t kResumeLeastBytes = 4 << 20;

constexpr std::string_view kSelect =
    "SELECT id, artifact_id, password_hash, maker_kind, maker_id, downloads, downloads_max, "
    "created_ms, expires_ms FROM artifact_shares";

std::string_view kind_word(PrincipalKind kind) {
  switch (kind) {
    case PrincipalKind::kPerson:
      return "person";
    case PrincipalKind::kOrganizationKey:
      return "organization_key";
    default:
      return "project_key";
  }
}

PrincipalKind kind_of(std::string_view word) {
  if (word == "person") return PrincipalKind::kPerson;
  return word == "organization_key" ? PrincipalKind::kOrganizationKey : PrincipalKind::kProjectKey;
}

Share read_share(const Statement& s) {
  Share share;
  share.id = s.text(0);
  share.artifact_id = s.text(1);
  share.password_hash = s.text(2);
  share.maker_kind = kind_of(s.text(3));
  share.maker_id = s.text(4);
  share.downloads = s.integer(5);
  if (!s.is_null(6)) share.downloads_max = s.integer(6);
  share.created_ms = s.integer(7);
  share.expires_ms = s.integer(8);
  return share;
}

Status no_such_share() {
  return not_found("There is no such link: it was withdrawn, or was not copied whole.")
      .with_reason("share_not_found");
}

Status insert(Database& db, const Share& share, const std::string& token_sha256) {
  auto put = KVCS_TRY(
      db.prepare("INSERT INTO artifact_shares (id, artifact_id, token_sha256, password_hash, "
                 "maker_kind, maker_id, downloads_max, created_ms, expires_ms) "
                 "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  put.bind(1, share.id).bind(2, share.artifact_id).bind(3, token_sha256);
  put.bind(4, share.password_hash).bind(5, kind_word(share.maker_kind)).bind(6, share.maker_id);
  put.bind_optional(7, share.downloads_max).bind(8, share.created_ms).bind(9, share.expires_ms);
  return put.run();
}

Status check_room(Database& db, std::string_view artifact_id, int64_t now_ms) {
  auto count = KVCS_TRY(
      db.prepare("SELECT count(*) FROM artifact_shares WHERE artifact_id = ? AND expires_ms > ?"));
  count.bind(1, artifact_id).bind(2, now_ms);
  KVCS_TRY(count.step());
  if (count.integer(0) < static_cast<int64_t>(kSharesPerArtifactMax)) return ok();
  return conflict("The artifact has " + std::to_string(kSharesPerArtifactMax) +
                  " share links, as many as one may have. Withdraw some first.")
      .with_reason("shares_full");
}

}  // namespace

Result<Artifact> ShareService::find_own(Database& db, const Principal& who,
                                        std::string_view id) const {
  Artifact row = KVCS_TRY(artifact_rows::find(db, id));
  const access::Owner owner{.organization_id = row.organization_id, .project_id = row.project_id};
  if (!access::owns(who, owner)) return artifact_rows::not_found_artifact();
  return row;
}

// The audit keeps the digest of what the link allows, and nothing that opens it. The key begins
// with the artifact's id, by which its history finds it.
Status ShareService::audit(Database& db, std::string_view action, const Share& share,
                           const Principal& who, std::string_view request_id) const {
  const Json what{{"artifact_id", share.artifact_id},
                  {"expires_ms", share.expires_ms},
                  {"downloads_max", share.downloads_max.value_or(-1)},
                  {"has_password", !share.password_hash.empty()}};
  const std::string digest = sha256_hex(dump_json(what)), actor = actor_name(who);
  const std::string key = share.artifact_id + ":" + share.id;
  PortalEvent change{"share", key, action, actor, "api", request_id};
  (action == "create" ? change.new_hash : change.old_hash) = digest;
  return add_portal_audit(db, change, entropy_, clock_.unix_ms());
}

Result<CreatedShare> ShareService::create(const Principal& who, std::string_view artifact_id,
                                          const NewShare& wanted, std::string_view request_id) {
  CreatedShare made;
  Share& share = made.share;
  share.id = make_uuid_v4(entropy_);
  share.artifact_id = artifact_id;
  share.password_hash = wanted.password_hash;
  share.maker_kind = who.kind;
  share.maker_id = who.kind == PrincipalKind::kPerson ? who.person_id : who.key_id;
  share.downloads_max = wanted.downloads_max;
  share.created_ms = clock_.unix_ms();
  share.expires_ms = share.created_ms + wanted.expires_in_s * 1000;
  made.token = Secret(to_base64url(entropy_.bytes(kTokenBytes)));
  const Status ran = writer_.run([&](Database& db) -> Status {
    const Artifact row = KVCS_TRY(find_own(db, who, artifact_id));
    if (!row.ready) return invalid("Artifact upload is not confirmed");
    KVCS_TRY(check_room(db, row.id, share.created_ms));
    KVCS_TRY(insert(db, share, sha256_hex(made.token.reveal())));
    return audit(db, "create", share, who, request_id);
  });
  if (!ran.ok()) return ran;
  return made;
}

Result<bool> ShareService::maker_may(const Share& share, const Artifact& artifact) const {
  return maker_may_(
      {share.maker_kind, share.maker_id, artifact.organization_id, artifact.project_id});
}

std::string_view share_state_name(ShareState state) {
  switch (state) {
    case ShareState::kUsedUp:
      return "used_up";
    case ShareState::kEnded:
      return "ended";
    case ShareState::kActive:
      break;
  }
  return "active";
}

Result<std::vector<ListedShare>> ShareService::list(const Principal& who,
                                                    std::string_view artifact_id) const {
  std::vector<ListedShare> shares;
  Artifact artifact;
  const Status ran = readers_.run([&](Database& db) -> Status {
    shares.clear();
    artifact = KVCS_TRY(find_own(db, who, artifact_id));
    auto rows =
        KVCS_TRY(db.prepare(std::string(kSelect) + " WHERE artifact_id = ? AND expires_ms > ? "
                                                   "ORDER BY created_ms, id"));
    rows.bind(1, artifact_id).bind(2, clock_.unix_ms());
    while (KVCS_TRY(rows.step())) shares.push_back({read_share(rows)});
    return ok();
  });
  if (!ran.ok()) return ran;
  for (auto& [share, state] : shares) {
    const bool is_used_up = share.downloads_max && share.downloads >= *share.downloads_max;
    if (!KVCS_TRY(maker_may(share, artifact))) {
      state = ShareState::kEnded;
    } else if (is_used_up) {
      state = ShareState::kUsedUp;
    }
  }
  return shares;
}

// Of the newest artifacts alone, so that an organization of many is not looked through.
Result<bool> ShareService::has_any(std::string_view organization_id) const {
  bool found = false;
  const Status ran = readers_.run([&](Database& db) -> Status {
    auto rows = KVCS_TRY(db.prepare(
        "SELECT 1 FROM artifact_shares WHERE expires_ms > ? AND artifact_id IN (SELECT id FROM "
        "artifacts WHERE organization_id = ? ORDER BY created_ms DESC LIMIT 1000) LIMIT 1"));
    rows.bind(1, clock_.unix_ms()).bind(2, organization_id);
    found = KVCS_TRY(rows.step());
    return ok();
  });
  if (!ran.ok()) return ran;
  return found;
}

Status ShareService::remove(const Principal& who, std::string_view artifact_id,
                            std::string_view share_id, std::string_view request_id) {
  return writer_.run([&](Database& db) -> Status {
    KVCS_TRY(find_own(db, who, artifact_id).status());
    auto row = KVCS_TRY(db.prepare(std::string(kSelect) + " WHERE id = ? AND artifact_id = ?"));
    row.bind(1, share_id).bind(2, artifact_id);
    if (!KVCS_TRY(row.step())) {
      return not_found("No share '" + printable(share_id, kShownName) + "'.")
          .with_reason("share_not_found");
    }
    const Share share = read_share(row);
    auto removal = KVCS_TRY(db.prepare("DELETE FROM artifact_shares WHERE id = ?"));
    KVCS_TRY(removal.bind(1, share.id).run());
    return audit(db, "delete", share, who, request_id);
  });
}

Result<OpenShare> ShareService::find(std::string_view token) const {
  if (token.size() > kTokenMaxBytes) return no_such_share();
  OpenShare open;
  Status found = no_such_share();
  const Status ran = readers_.run([&](Database& db) -> Status {
    auto row = KVCS_TRY(db.prepare(std::string(kSelect) + " WHERE token_sha256 = ?"));
    row.bind(1, sha256_hex(token));
    if (!KVCS_TRY(row.step())) return ok();
    open.share = read_share(row);
    Result<Artifact> artifact = artifact_rows::find(db, open.share.artifact_id);
    if (artifact.code() == Code::kNotFound) return ok();
    KVCS_TRY(artifact.status());
    open.artifact = std::move(*artifact);
    found = kvcs::ok();
    return ok();
  });
  if (!ran.ok()) return ran;
  KVCS_TRY(std::move(found));
  if (open.share.expires_ms <= clock_.unix_ms()) {
    return not_found("This link has expired. Ask whoever sent it for a new one.")
        .with_reason("share_expired");
  }
  if (KVCS_TRY(maker_may(open.share, open.artifact))) return open;
  return not_found("This link has ended. Ask whoever sent it for a new one.")
      .with_reason("share_ended");
}

std::shared_ptr<ShareService::Grant> ShareService::take_granted(const std::string& key,
                                                                uint64_t file_bytes,
                                                                uint64_t size_bytes) {
  MutexLock lock(mutex_);
  const auto it = grants_.find(key);
  if (it == grants_.end() || it->second->until_us <= clock_.mono_us()) return nullptr;
  Grant& grant = *it->second;
  const uint64_t again = std::max(file_bytes / 8, std::min(file_bytes, kResumeLeastBytes));
  if (grant.sent_bytes + size_bytes > file_bytes + again) return nullptr;
  if (grant.sent_bytes + grant.held_bytes + size_bytes > 2 * file_bytes) return nullptr;
  grant.held_bytes += size_bytes;
  return it->second;
}

void ShareService::end_download(Grant& grant, const Taking& taking, uint64_t sent_bytes) {
  MutexLock lock(mutex_);
  grant.held_bytes -= taking.size_bytes;
  grant.sent_bytes += std::min(sent_bytes, taking.size_bytes);
}

// When there are too many, those whose time is over go first, and then all: their downloads count
// once more when they go on.
std::shared_ptr<ShareService::Grant> ShareService::grant(const std::string& key,
                                                         uint64_t size_bytes) {
  MutexLock lock(mutex_);
  const int64_t now_us = clock_.mono_us();
  if (grants_.size() >= kGrantsMax) {
    std::erase_if(grants_, [&](const auto& entry) { return entry.second->until_us <= now_us; });
    if (grants_.size() >= kGrantsMax) grants_.clear();
  }
  auto made = std::make_shared<Grant>(Grant{now_us + kGrantUs, 0, size_bytes});
  grants_[key] = made;
  return made;
}

Status ShareService::count(Database& db, const Share& share) const {
  auto update = KVCS_TRY(
      db.prepare("UPDATE artifact_shares SET downloads = downloads + 1 WHERE id = ? "
                 "AND expires_ms > ? AND (downloads_max IS NULL OR downloads < downloads_max)"));
  KVCS_TRY(update.bind(1, share.id).bind(2, clock_.unix_ms()).run());
  if (db.changes() == 0) {
    return not_found(
               "This link has been used as often as it may be. Ask whoever sent it for a new "
               "one.")
        .with_reason("share_used_up");
  }
  auto total =
      KVCS_TRY(db.prepare("UPDATE artifacts SET download_count = download_count + 1 WHERE id = ?"));
  return total.bind(1, share.artifact_id).run();
}

// The writer's jobs run one after the other: of parts that come at the same time the first one
// counts, and the others find what it was granted.
Result<std::shared_ptr<ShareService::Grant>> ShareService::take_download(const OpenShare& open,
                                                                         const Taking& taking) {
  const std::string key = open.share.id + " " + taking.address;
  const uint64_t file_bytes = open.artifact.size_bytes;
  std::shared_ptr<Grant> granted;
  if (taking.is_part) granted = take_granted(key, file_bytes, taking.size_bytes);
  if (granted) return granted;
  bool is_counted = false;
  Status ran = writer_.run([&](Database& db) -> Status {
    is_counted = false;
    if (taking.is_part) granted = take_granted(key, file_bytes, taking.size_bytes);
    if (granted) return ok();
    KVCS_TRY(count(db, open.share));
    is_counted = true;
    granted = grant(key, taking.size_bytes);
    return ok();
  });
  if (ran.ok()) return granted;
  if (!is_counted) {
    if (granted) end_download(*granted, taking, 0);
    return ran;
  }
  MutexLock lock(mutex_);
  grants_.erase(key);
  return ran;
}

Result<int64_t> ShareService::remove_expired() {
  int64_t removed = 0;
  const Status ran = writer_.run([&](Database& db) -> Status {
    auto removal = KVCS_TRY(db.prepare("DELETE FROM artifact_shares WHERE expires_ms <= ?"));
    KVCS_TRY(removal.bind(1, clock_.unix_ms()).run());
    removed = db.changes();
    return ok();
  });
  if (!ran.ok()) return ran;
  return removed;
}

}  // namespace kvcs
