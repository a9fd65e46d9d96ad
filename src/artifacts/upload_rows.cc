// Reads and writes rows of uploads. A row says what an upload is to be; how much of it has come is
// known by the blob store alone.
#include "artifacts/upload_rows.h"

#include <functional>

#include "base/bytes.h"
#include "identity/access.h"

namespace kvcs::upload_rows {
namespace {

constexpr int kOpenRetryAfterS = 60;

std::string_view kind_name(UploadKind kind) {
  switch (kind) {
    case UploadKind::kPart:
      return "part";
    case UploadKind::kFinal:
      return "final";
    case UploadKind::kWhole:
      break;
  }
  return "whole";
}

UploadKind parse_kind(std::string_view name) {
  if (name == "part") return UploadKind::kPart;
  return name == "final" ? UploadKind::kFinal : UploadKind::kWhole;
}

Result<int64_t> count_open(Database& db, std::string_view organization_id, std::string_view key) {
  std::string sql = "SELECT count(*) FROM uploads WHERE organization_id = ? AND done_ms IS NULL";
  if (!key.empty()) sql += " AND key_id = ?";
  auto count = KVCS_TRY(db.prepare(sql));
  count.bind(1, organization_id);
  if (!key.empty()) count.bind(2, key);
  KVCS_TRY(count.step());
  return count.integer(0);
}

Status too_many(std::string_view whose, int64_t open, int64_t max) {
  return rate_limited(std::string(whose) + " has " + std::to_string(open) +
                          " unfinished uploads, of " + std::to_string(max) +
                          " that it may have. Finish or delete some.",
                      kOpenRetryAfterS)
      .with_reason("uploads_open");
}

}  // namespace

Status not_found_upload() {
  return not_found("Upload not found");
}

Result<Upload> find(Database& db, std::string_view id) {
  auto s = KVCS_TRY(db.prepare(
      "SELECT u.id, u.organization_id, u.project_id, u.key_id, u.kind, u.artifact_id, u.parts, "
      "u.metadata, u.length_bytes, u.sealed_sha256, u.created_ms, u.expires_ms, u.done_ms "
      "FROM uploads u JOIN projects p ON p.id = u.project_id WHERE u.id = ? AND p.deleting = 0"));
  s.bind(1, id);
  if (!KVCS_TRY(s.step())) return not_found_upload();
  Upload u;
  u.id = s.text(0);
  u.organization_id = s.text(1);
  u.project_id = s.text(2);
  u.key_id = s.text(3);
  u.kind = parse_kind(s.text(4));
  if (!s.is_null(5)) u.artifact_id = s.text(5);
  const std::string parts = s.text(6);
  for (const std::string_view part : split(parts, ' ')) {
    if (!part.empty()) u.parts.emplace_back(part);
  }
  u.metadata = s.text(7);
  if (!s.is_null(8)) u.length = static_cast<uint64_t>(s.integer(8));
  u.sealed_sha256 = s.text(9);
  u.created_ms = s.integer(10);
  u.expires_ms = s.integer(11);
  u.done = !s.is_null(12);
  return u;
}

Status insert(Database& db, const Upload& u) {
  auto s = KVCS_TRY(
      db.prepare("INSERT INTO uploads (id, organization_id, project_id, key_id, kind, artifact_id, "
                 "parts, metadata, length_bytes, reserved_bytes, created_ms, expires_ms, "
                 "creation_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  s.bind(1, u.id).bind(2, u.organization_id).bind(3, u.project_id).bind(4, u.key_id);
  s.bind(5, kind_name(u.kind));
  if (u.artifact_id.empty()) {
    s.bind_null(6);
  } else {
    s.bind(6, u.artifact_id);
  }
  s.bind(7, join(u.parts, " ")).bind(8, u.metadata);
  if (u.length) {
    s.bind(9, static_cast<int64_t>(*u.length));
  } else {
    s.bind_null(9);
  }
  // What an artifact has reserved stands in its own row.
  const bool is_part = u.kind == UploadKind::kPart;
  s.bind(10, is_part ? static_cast<int64_t>(u.length.value_or(0)) : int64_t{0});
  s.bind(11, u.created_ms).bind(12, u.expires_ms).bind(13, u.creation_sha256);
  return s.run();
}

Result<std::string> find_created(Database& db, std::string_view creation_sha256, int64_t now_ms) {
  auto row = KVCS_TRY(
      db.prepare("SELECT id FROM uploads WHERE creation_sha256 = ? AND creation_sha256 <> '' AND "
                 "(done_ms IS NOT NULL OR expires_ms > ?) LIMIT 1"));
  row.bind(1, creation_sha256).bind(2, now_ms);
  return KVCS_TRY(row.step()) ? row.text(0) : std::string();
}

Status check_open(Database& db, const Upload& upload, int64_t key_max, int64_t organization_max) {
  const int64_t of_key = KVCS_TRY(count_open(db, upload.organization_id, upload.key_id));
  if (of_key >= key_max) return too_many("This key", of_key, key_max);
  const int64_t of_all = KVCS_TRY(count_open(db, upload.organization_id, ""));
  if (of_all >= organization_max) return too_many("This organization", of_all, organization_max);
  return ok();
}

namespace {

using Bind = std::function<void(Statement& statement)>;

Result<std::vector<std::string>> remove_parts(Database& db, std::string_view condition,
                                              const Bind& bind) {
  struct Part {
    std::string id, organization_id;
    int64_t reserved_bytes;
  };
  std::vector<Part> parts;
  auto rows =
      KVCS_TRY(db.prepare("SELECT id, organization_id, reserved_bytes FROM uploads "
                          "WHERE kind = 'part' AND artifact_id IS NULL AND " +
                          std::string(condition) + " LIMIT 500"));
  bind(rows);
  while (KVCS_TRY(rows.step())) parts.push_back({rows.text(0), rows.text(1), rows.integer(2)});
  std::vector<std::string> ids;
  for (const Part& part : parts) {
    auto removal = KVCS_TRY(db.prepare("DELETE FROM uploads WHERE id = ?"));
    KVCS_TRY(removal.bind(1, part.id).run());
    auto usage =
        KVCS_TRY(db.prepare("UPDATE organization_usage SET reserved_bytes = reserved_bytes - ? "
                            "WHERE organization_id = ?"));
    KVCS_TRY(usage.bind(1, part.reserved_bytes).bind(2, part.organization_id).run());
    ids.push_back(part.id);
  }
  return ids;
}

}  // namespace

Result<std::vector<std::string>> remove_part(Database& db, std::string_view id) {
  return remove_parts(db, "id = ?", [&](Statement& rows) { rows.bind(1, id); });
}
Result<std::vector<std::string>> remove_parts_of(Database& db, std::string_view project_id) {
  return remove_parts(db, "project_id = ?", [&](Statement& rows) { rows.bind(1, project_id); });
}
Result<std::vector<std::string>> remove_expired_parts(Database& db, int64_t now_ms) {
  return remove_parts(db, "expires_ms <= ?", [&](Statement& rows) { rows.bind(1, now_ms); });
}

Result<bool> is_unfinished(Database& db, std::string_view id) {
  auto row = KVCS_TRY(db.prepare("SELECT 1 FROM uploads WHERE id = ? AND done_ms IS NULL"));
  row.bind(1, id);
  return KVCS_TRY(row.step());
}

Result<bool> reaches(Database& db, const Principal& who, const Artifact& wanted) {
  const std::string_view project = access::project_limit(who);
  auto row = KVCS_TRY(db.prepare(
      "SELECT 1 FROM artifacts a JOIN projects p ON p.id = a.project_id WHERE a.sha256 = ? AND "
      "a.organization_id = ? AND a.size_bytes = ? AND a.status = 'ready' AND p.deleting = 0 AND "
      "(? = '' OR a.project_id = ?) LIMIT 1"));
  row.bind(1, wanted.sha256).bind(2, wanted.organization_id);
  row.bind(3, static_cast<int64_t>(wanted.size_bytes)).bind(4, project).bind(5, project);
  return KVCS_TRY(row.step());
}

}  // namespace kvcs::upload_rows
