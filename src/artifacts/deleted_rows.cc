// The table `deleted_artifacts`, read and written as values. The columns that both tables have
// stand in one list, by which rows are moved there and back.
#include "artifacts/deleted_rows.h"

#include <charconv>

#include "artifacts/rows.h"
#include "base/bytes.h"

namespace kvcs::deleted_rows {
namespace {

constexpr std::string_view kShared =
    "id, organization_id, project_id, owner_id, name, model_name, dtype, storage_dtype, "
    "num_tokens, num_layers, quantized, size_bytes, sha256, metadata_json, download_count, "
    "created_ms, confirmed_ms, uploaded_ms, label_organization, label_project, description, "
    "tags_json";

// As artifact_rows::read_row() takes them, then the deletion's own.
constexpr std::string_view kSelect =
    "SELECT d.id, d.organization_id, d.project_id, p.slug, d.owner_id, d.name, d.model_name, "
    "d.dtype, d.storage_dtype, d.num_tokens, d.num_layers, d.quantized, 'private', 'ready', "
    "d.size_bytes, d.sha256, d.metadata_json, d.created_ms, NULL, "
    "d.uploaded_ms, d.label_organization, d.label_project, d.description, d.tags_json, "
    "d.download_count, 0, d.deleted_ms, d.ends_ms, d.deleted_by "
    "FROM deleted_artifacts d JOIN projects p ON p.id = d.project_id ";

DeletedArtifact read_row(const Statement& s) {
  constexpr int kOwn = artifact_rows::kColumnCount;
  DeletedArtifact deleted;
  deleted.artifact = artifact_rows::read_row(s);
  deleted.deleted_ms = s.integer(kOwn);
  deleted.ends_ms = s.integer(kOwn + 1);
  deleted.deleted_by = s.text(kOwn + 2);
  return deleted;
}

Result<std::vector<DeletedArtifact>> read_all(Statement& s) {
  std::vector<DeletedArtifact> found;
  while (KVCS_TRY(s.step())) found.push_back(read_row(s));
  return found;
}

// The place behind which a page begins.
struct Place {
  int64_t deleted_ms = INT64_MAX;
  std::string id;
};
Result<Place> read_cursor(const std::string& cursor) {
  Place place;
  if (cursor.empty()) return place;
  const char* const end = cursor.data() + cursor.size();
  const auto [dot, fault] = std::from_chars(cursor.data(), end, place.deleted_ms);
  if (fault != std::errc() || dot == end || *dot != '.') {
    return invalid("cursor: is not one that a page before has given.");
  }
  place.id = std::string(dot + 1, end);
  return place;
}

}  // namespace

Status insert(Database& db, std::string_view id, const Deletion& deletion) {
  const std::string shared(kShared);
  auto copy = KVCS_TRY(db.prepare("INSERT INTO deleted_artifacts (" + shared +
                                  ", deleted_ms, ends_ms, deleted_by) SELECT " + shared +
                                  ", ?, ?, ? FROM artifacts WHERE id = ? AND status = 'ready'"));
  copy.bind(1, deletion.deleted_ms).bind(2, deletion.ends_ms).bind(3, deletion.deleted_by);
  return copy.bind(4, id).run();
}

// Its number in the full-text index is given anew, as the old one may be another's by now.
Status put_back(Database& db, std::string_view id) {
  const std::string shared(kShared);
  auto copy =
      KVCS_TRY(db.prepare("INSERT INTO artifacts (" + shared + ", visibility, status) SELECT " +
                          shared + ", 'private', 'ready' FROM deleted_artifacts WHERE id = ?"));
  return copy.bind(1, id).run();
}

Status remove(Database& db, std::string_view id) {
  auto removal = KVCS_TRY(db.prepare("DELETE FROM deleted_artifacts WHERE id = ?"));
  return removal.bind(1, id).run();
}

Result<DeletedArtifact> find(Database& db, std::string_view id) {
  auto s = KVCS_TRY(db.prepare(std::string(kSelect) + "WHERE d.id = ? AND p.deleting = 0"));
  s.bind(1, lower_ascii(id));
  if (!KVCS_TRY(s.step())) return artifact_rows::not_found_artifact();
  return read_row(s);
}

Result<DeletedPage> list(Database& db, const DeletedAsk& ask) {
  const Place place = KVCS_TRY(read_cursor(ask.cursor));
  const bool of_project = !ask.only_project_id.empty();
  auto s = KVCS_TRY(db.prepare(
      std::string(kSelect) + "WHERE " + (of_project ? "d.project_id" : "d.organization_id") +
      " = ? AND d.organization_id = ? AND p.deleting = 0 AND (d.deleted_ms, d.id) < (?, ?) "
      "ORDER BY d.deleted_ms DESC, d.id DESC LIMIT ?"));
  s.bind(1, of_project ? ask.only_project_id : ask.organization_id).bind(2, ask.organization_id);
  s.bind(3, place.deleted_ms).bind(4, place.id);
  // One more than asked for tells whether there is a next page.
  s.bind(5, static_cast<int64_t>(ask.limit) + 1);
  DeletedPage page;
  page.items = KVCS_TRY(read_all(s));
  if (page.items.size() <= ask.limit) return page;
  page.items.pop_back();
  const DeletedArtifact& last = page.items.back();
  page.next_cursor = std::to_string(last.deleted_ms) + "." + last.artifact.id;
  return page;
}

Result<std::vector<DeletedArtifact>> list_ended(Database& db, int64_t now_ms, size_t max) {
  auto s = KVCS_TRY(db.prepare(
      std::string(kSelect) + "WHERE d.ends_ms <= ? AND p.deleting = 0 ORDER BY d.ends_ms LIMIT ?"));
  s.bind(1, now_ms).bind(2, static_cast<int64_t>(max));
  return read_all(s);
}

Result<std::vector<DeletedArtifact>> list_first(Database& db, std::string_view project_id,
                                                size_t max) {
  auto s = KVCS_TRY(db.prepare(std::string(kSelect) +
                               "WHERE d.project_id = ? ORDER BY d.deleted_ms, d.id LIMIT ?"));
  s.bind(1, project_id).bind(2, static_cast<int64_t>(max));
  return read_all(s);
}

}  // namespace kvcs::deleted_rows
