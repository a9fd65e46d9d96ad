// The table `artifacts`, read and written as values: one SELECT list for all readers, and pages by
// the sort column and the id.
#include "artifacts/rows.h"

#include <nlohmann/json.hpp>

#include "artifacts/text_index.h"
#include "base/bytes.h"
#include "base/json.h"

namespace kvcs::artifact_rows {
namespace {

// As read_row() takes them.
constexpr std::string_view kColumns =
    "SELECT a.id, a.organization_id, a.project_id, p.slug, a.owner_id, a.name, a.model_name, "
    "a.dtype, a.storage_dtype, a.num_tokens, a.num_layers, a.quantized, a.visibility, a.status, "
    "a.size_bytes, a.sha256, a.metadata_json, a.created_ms, a.expires_ms, "
    "a.uploaded_ms, a.label_organization, a.label_project, a.description, a.tags_json, "
    "a.download_count, a.text_id";
constexpr std::string_view kFrom = " FROM artifacts a JOIN projects p ON p.id = a.project_id";
// What is being deleted is not there any more, for anybody but its deletion.
constexpr std::string_view kThere = "p.deleting = 0";

std::string select() {
  return std::string(kColumns) + std::string(kFrom);
}

std::vector<std::string> tags_of_json(std::string_view json) {
  std::vector<std::string> tags;
  const auto list = parse_json(json);
  if (!list.ok() || !list->is_array()) return tags;
  for (const Json& tag : *list) {
    if (tag.is_string()) tags.push_back(tag.get<std::string>());
  }
  return tags;
}

}  // namespace

Artifact read_row(const Statement& s) {
  Artifact a;
  a.id = s.text(0);
  a.organization_id = s.text(1);
  a.project_id = s.text(2);
  a.project = s.text(3);
  a.owner_id = s.text(4);
  a.name = s.text(5);
  a.model_name = s.text(6);
  a.dtype = s.text(7);
  if (!s.is_null(8)) a.storage_dtype = s.text(8);
  a.num_tokens = s.integer(9);
  a.num_layers = s.integer(10);
  a.quantized = s.integer(11) != 0;
  a.is_public = s.text(12) == "public";
  a.ready = s.text(13) == "ready";
  a.size_bytes = static_cast<uint64_t>(s.integer(14));
  a.sha256 = s.text(15);
  a.metadata_json = s.text(16);
  a.created_ms = s.integer(17);
  a.expires_ms = s.is_null(18) ? 0 : s.integer(18);
  a.uploaded = !s.is_null(19);
  a.label_organization = s.text(20);
  a.label_project = s.text(21);
  a.description = s.text(22);
  a.tags = tags_of_json(s.text(23));
  a.downloads = s.integer(24);
  a.text_id = s.integer(25);
  return a;
}

namespace {

// "%text%" with the wildcards of LIKE taken literally.
std::string contains_pattern(std::string_view text) {
  std::string pattern = "%";
  for (const char c : lower_ascii(text)) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + "%";
}

struct Where {
  std::string sql;
  std::vector<std::string> texts;  // Bound in order from 1.
  std::string from = std::string(kFrom);
  void add(std::string_view condition) { (sql += sql.empty() ? " WHERE " : " AND ") += condition; }
  void add(std::string_view condition, std::string text) {
    add(condition);
    texts.push_back(std::move(text));
  }
};

// The first condition of all.
void search(Where& where, std::string match, ArtifactSort sort) {
  if (sort != ArtifactSort::kCreated) {
    where.from = text_index::kNewestFrom;
    where.texts.push_back(std::move(match));
    return;
  }
  where.from = text_index::kFrom;
  where.add(text_index::kFits, std::move(match));
}

// The filter as conditions of SQL. Values are bound and never part of the text.
Where conditions(const ArtifactFilter& filter) {
  Where where;
  if (!filter.words.empty()) search(where, text_index::match_own(filter), filter.sort);
  // A whole name, a digest and how an id begins have indices of their own, which find a few rows. A
  // planner would rather walk all rows of the organization in the order that is asked for, unless
  // it sees no column there that an index begins with.
  const bool is_found =
      !filter.exact_name.empty() || !filter.id_prefix.empty() || !filter.sha256.empty();
  const std::string equals = is_found ? " || '' = ?" : " = ?";
  where.add(std::string(kThere) + " AND a.organization_id" + equals, filter.organization_id);
  if (!filter.only_project_id.empty()) where.add("a.project_id" + equals, filter.only_project_id);
  if (!filter.exact_name.empty()) {
    where.add("a.id IN (SELECT id FROM artifacts WHERE organization_id = ? AND name = ?)",
              filter.organization_id);
    where.texts.push_back(filter.exact_name);
  }
  if (!filter.id_prefix.empty()) {
    // Ids are of hex digits and dashes, which all come before "g".
    where.add("a.id >= ?", filter.id_prefix);
    where.add("a.id < ?", filter.id_prefix + "g");
  }
  if (filter.status != "all") where.add("a.status = ?", filter.status);
  if (!filter.visibility.empty()) where.add("a.visibility = ?", filter.visibility);
  if (!filter.dtype.empty()) where.add("lower(a.dtype) = ?", lower_ascii(filter.dtype));
  if (!filter.name.empty()) {
    where.add("lower(a.name) LIKE ? ESCAPE '\\'", contains_pattern(filter.name));
  }
  if (!filter.model.empty()) {
    where.add("lower(a.model_name) LIKE ? ESCAPE '\\'", contains_pattern(filter.model));
  }
  if (!filter.project.empty()) {
    where.add("? IN (p.slug, p.id)", filter.project);
  }
  if (!filter.label_organization.empty()) {
    where.add("a.label_organization = ?", filter.label_organization);
  }
  if (!filter.label_project.empty()) where.add("a.label_project = ?", filter.label_project);
  if (!filter.sha256.empty()) where.add("a.sha256 = ?", filter.sha256);
  return where;
}

// A search in the order of time goes by the index's own order, which is the same.
std::string_view sort_column(ArtifactSort sort, bool is_search) {
  switch (sort) {
    case ArtifactSort::kId:
      return "a.id";
    case ArtifactSort::kDownloads:
      return "a.download_count";
    case ArtifactSort::kName:
      return "a.name";
    case ArtifactSort::kSize:
      return "a.size_bytes";
    case ArtifactSort::kCreated:
      break;
  }
  return is_search ? text_index::kNumber : std::string_view("a.created_ms");
}

// What a cursor is made of and goes back to.
struct Order {
  ArtifactSort sort;
  bool descending, is_search;
  bool is_text() const { return sort == ArtifactSort::kName || sort == ArtifactSort::kId; }
  // By the index alone, whose numbers are unique.
  bool by_text_id() const { return is_search && sort == ArtifactSort::kCreated; }
  bool is_unique() const { return by_text_id() || sort == ArtifactSort::kId; }
};

std::string sort_value(const Artifact& a, const Order& order) {
  switch (order.sort) {
    case ArtifactSort::kName:
      return a.name;
    case ArtifactSort::kSize:
      return std::to_string(a.size_bytes);
    case ArtifactSort::kDownloads:
      return std::to_string(a.downloads);
    case ArtifactSort::kId:
      return a.id;
    case ArtifactSort::kCreated:
      break;
  }
  return std::to_string(order.is_search ? a.text_id : a.created_ms);
}

// The place after an item: its sort value and its id, which makes every place unique.
std::string cursor_after(const Artifact& last, const Order& order) {
  return to_base64url(last.id + (order.by_text_id() ? "/" : ":") + sort_value(last, order));
}

struct Place {
  std::string id, value;
};
// Invalid for a cursor that was changed, or was given for another order of the list.
Result<Place> read_cursor(const std::string& cursor, const Order& order) {
  const Status bad = invalid("cursor: not one that this server gave for this order.");
  const auto text = from_base64(cursor);
  if (!text.ok()) return bad;
  const std::string& place = *text;
  const size_t colon = place.find(order.by_text_id() ? '/' : ':');
  if (colon == place.npos) return bad;
  Place found{place.substr(0, colon), place.substr(colon + 1)};
  if (!order.is_text()) {
    const auto number = parse_u64(found.value, "cursor");
    if (!number.ok() || *number > INT64_MAX) return bad;
  }
  return found;
}

void bind_texts(Statement& s, const std::vector<std::string>& texts) {
  for (size_t i = 0; i < texts.size(); i++) s.bind(static_cast<int>(i) + 1, texts[i]);
}

}  // namespace

Status not_found_artifact() {
  return not_found("Artifact not found");
}

Status not_found_project(std::string_view id) {
  return not_found("No project '" + printable(id, kShownName) + "'.")
      .with_reason("project_not_found");
}

Result<Artifact> find(Database& db, std::string_view id) {
  auto s = KVCS_TRY(db.prepare(select() + " WHERE a.id = ? AND " + std::string(kThere)));
  s.bind(1, lower_ascii(id));
  if (!KVCS_TRY(s.step())) return not_found_artifact();
  return read_row(s);
}

Status check_project(Database& db, std::string_view organization_id, std::string_view project_id) {
  auto s = KVCS_TRY(db.prepare("SELECT 1 FROM projects WHERE id = ? AND organization_id = ?"));
  s.bind(1, project_id).bind(2, organization_id);
  if (KVCS_TRY(s.step())) return ok();
  return not_found_project(project_id);
}

Status move(Database& db, const Artifact& artifact, std::string_view project_id) {
  auto project = KVCS_TRY(
      db.prepare("SELECT 1 FROM projects WHERE id = ? AND organization_id = ? AND deleting = 0"));
  project.bind(1, project_id).bind(2, artifact.organization_id);
  if (!KVCS_TRY(project.step())) return not_found_project(project_id);
  auto update = KVCS_TRY(db.prepare("UPDATE artifacts SET project_id = ? WHERE id = ?"));
  KVCS_TRY(update.bind(1, project_id).bind(2, artifact.id).run());
  // What still comes in for it is the new project's too.
  auto uploads = KVCS_TRY(db.prepare("UPDATE uploads SET project_id = ? WHERE artifact_id = ?"));
  KVCS_TRY(uploads.bind(1, project_id).bind(2, artifact.id).run());
  return text_index::catch_up(db);
}

Status insert(Database& db, const Artifact& a) {
  // Looked at in the transaction of the row: none comes once the deletion has begun.
  auto project = KVCS_TRY(db.prepare("SELECT 1 FROM projects WHERE id = ? AND deleting = 0"));
  project.bind(1, a.project_id);
  if (!KVCS_TRY(project.step())) {
    return not_found("The project of this key has been deleted.").with_reason("project_not_found");
  }
  auto s = KVCS_TRY(
      db.prepare("INSERT INTO artifacts (id, organization_id, project_id, owner_id, name, "
                 "model_name, dtype, storage_dtype, num_tokens, num_layers, quantized, visibility, "
                 "status, size_bytes, sha256, metadata_json, created_ms, expires_ms, "
                 "label_organization, label_project, description, tags_json) VALUES (?, ?, ?, ?, "
                 "?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  s.bind(1, a.id).bind(2, a.organization_id).bind(3, a.project_id).bind(4, a.owner_id);
  s.bind(5, a.name).bind(6, a.model_name).bind(7, a.dtype);
  if (a.storage_dtype) {
    s.bind(8, *a.storage_dtype);
  } else {
    s.bind_null(8);
  }
  s.bind(9, a.num_tokens).bind(10, a.num_layers).bind(11, a.quantized ? 1 : 0);
  s.bind(12, a.is_public ? "public" : "private");
  s.bind(13, static_cast<int64_t>(a.size_bytes)).bind(14, a.sha256).bind(15, a.metadata_json);
  s.bind(16, a.created_ms).bind(17, a.expires_ms);
  s.bind(18, a.label_organization).bind(19, a.label_project);
  s.bind(20, a.description).bind(21, tags_to_json(a.tags));
  KVCS_TRY(s.run());
  return text_index::catch_up(db);
}

namespace {

struct PageAsk {
  Order order;
  const std::string& cursor;
  size_t limit;
  int64_t offset;
};

Result<ArtifactPage> read_page(Database& db, const Where& where, const PageAsk& ask) {
  const Order& order = ask.order;
  const std::string column(sort_column(order.sort, order.is_search));
  const std::string way = order.descending ? " DESC" : " ASC";
  Place place;
  std::string sql = std::string(kColumns) + where.from + where.sql;
  if (!ask.cursor.empty()) {
    place = KVCS_TRY(read_cursor(ask.cursor, order));
    const std::string beyond = order.descending ? " < " : " > ";
    sql += order.is_unique() ? " AND " + column + beyond + "?"
                             : " AND (" + column + ", a.id)" + beyond + "(?, ?)";
  }
  sql += " ORDER BY " + column + way + (order.is_unique() ? "" : ", a.id" + way);
  auto s = KVCS_TRY(db.prepare(sql + " LIMIT ? OFFSET ?"));
  bind_texts(s, where.texts);
  int at = static_cast<int>(where.texts.size()) + 1;
  if (!ask.cursor.empty()) {
    if (order.is_text()) {
      s.bind(at++, place.value);
    } else {
      s.bind(at++, static_cast<int64_t>(parse_u64(place.value, "cursor").value_or(0)));
    }
    if (!order.is_unique()) s.bind(at++, place.id);
  }
  // One more than asked for tells whether there is a next page.
  s.bind(at, static_cast<int64_t>(ask.limit) + 1).bind(at + 1, ask.offset);
  ArtifactPage page;
  while (KVCS_TRY(s.step())) {
    if (page.items.size() == ask.limit) {
      page.next_cursor = cursor_after(page.items.back(), order);
      break;
    }
    page.items.push_back(read_row(s));
  }
  return page;
}

// Whether the filter asks for nothing that artifact_counts does not know.
bool is_counted(const ArtifactFilter& filter) {
  return filter.words.empty() && filter.name.empty() && filter.exact_name.empty() &&
         filter.id_prefix.empty() && filter.model.empty() && filter.dtype.empty() &&
         filter.label_organization.empty() && filter.label_project.empty() && filter.sha256.empty();
}

}  // namespace

std::string tags_to_json(const std::vector<std::string>& tags) {
  Json list = Json::array();
  for (const std::string& tag : tags) list.push_back(tag);
  return dump_json(list);
}

Result<ArtifactPage> list(Database& db, const ArtifactFilter& filter) {
  return read_page(db, conditions(filter),
                   {{filter.sort, filter.descending, !filter.words.empty()},
                    filter.cursor,
                    filter.limit,
                    filter.offset});
}

Result<ArtifactPage> list_public(Database& db, const CatalogueFilter& filter) {
  Where where;
  if (!filter.words.empty()) search(where, text_index::match_public(filter.words), filter.sort);
  // Spelled out: a partial index is used for conditions that are known beforehand.
  where.add("a.visibility = 'public' AND a.status = 'ready'");
  where.add(kThere);
  return read_page(
      db, where,
      {{filter.sort, filter.descending, !filter.words.empty()}, filter.cursor, filter.limit, 0});
}

Result<uint64_t> count(Database& db, const ArtifactFilter& filter) {
  const Where where = conditions(filter);
  std::string sql = "SELECT count(*) FROM (SELECT 1" + where.from + where.sql + " LIMIT " +
                    std::to_string(filter.words.empty() ? INT64_MAX : kFoundCountMax) + ")";
  if (is_counted(filter)) {
    // The columns have the names that the conditions ask for.
    sql =
        "SELECT coalesce(sum(a.artifacts), 0) FROM (SELECT c.*, organization_id FROM "
        "artifact_counts c JOIN projects ON projects.id = c.project_id) a "
        "JOIN projects p ON p.id = a.project_id" +
        where.sql;
  }
  auto s = KVCS_TRY(db.prepare(sql));
  bind_texts(s, where.texts);
  KVCS_TRY(s.step());
  return static_cast<uint64_t>(s.integer(0));
}

// The models in use, one after the other: each is one step in the index, and a count over it.
Result<ModelCounts> count_models(Database& db, const ModelAsk& ask) {
  const bool of_project = !ask.project_id.empty();
  const std::string column = of_project ? "a.project_id" : "a.organization_id";
  const std::string& whose = of_project ? ask.project_id : ask.organization_id;
  const std::string where = std::string(kFrom) + " WHERE " + column + " = ? AND " +
                            std::string(kThere) + " AND a.status = 'ready' AND a.model_name ";
  auto next =
      KVCS_TRY(db.prepare("SELECT a.model_name" + where + "> ? ORDER BY a.model_name LIMIT 1"));
  auto count = KVCS_TRY(db.prepare("SELECT count(*)" + where + "= ?"));
  ModelCounts found;
  std::string model;
  for (;;) {
    next.bind(1, whose).bind(2, model);
    if (!KVCS_TRY(next.step())) return found;
    if (found.models.size() == ask.max) {
      found.is_whole = false;
      return found;
    }
    model = next.text(0);
    next.reset();
    count.bind(1, whose).bind(2, model);
    KVCS_TRY(count.step());
    found.models.push_back({model, static_cast<uint64_t>(count.integer(0))});
    count.reset();
  }
}

Result<std::vector<Artifact>> list_expired(Database& db, int64_t now_ms, size_t max) {
  auto s = KVCS_TRY(
      db.prepare(select() + " WHERE a.status = 'pending' AND a.expires_ms <= ? AND p.deleting = 0 "
                            "ORDER BY a.expires_ms LIMIT ?"));
  s.bind(1, now_ms).bind(2, static_cast<int64_t>(max));
  std::vector<Artifact> found;
  while (KVCS_TRY(s.step())) found.push_back(read_row(s));
  return found;
}

Result<std::vector<Artifact>> list_of_project(Database& db, std::string_view project_id,
                                              size_t max) {
  auto s = KVCS_TRY(db.prepare(select() + " WHERE a.project_id = ? ORDER BY a.created_ms LIMIT ?"));
  s.bind(1, project_id).bind(2, static_cast<int64_t>(max));
  std::vector<Artifact> found;
  while (KVCS_TRY(s.step())) found.push_back(read_row(s));
  return found;
}

Result<bool> names_digest(Database& db, std::string_view sha256) {
  auto s =
      KVCS_TRY(db.prepare("SELECT 1 FROM artifacts WHERE sha256 = ? UNION ALL "
                          "SELECT 1 FROM deleted_artifacts WHERE sha256 = ? LIMIT 1"));
  s.bind(1, sha256).bind(2, sha256);
  return KVCS_TRY(s.step());
}

Status note_removal(Database& db, const Artifact& removed) {
  if (removed.sha256.empty()) return ok();
  auto s =
      KVCS_TRY(db.prepare("INSERT INTO blob_removals (artifact_id, sha256) VALUES (?, ?) "
                          "ON CONFLICT (artifact_id) DO UPDATE SET sha256 = excluded.sha256"));
  return s.bind(1, removed.id).bind(2, removed.sha256).run();
}

Result<std::vector<BlobRemoval>> list_removals(Database& db, size_t max) {
  auto s = KVCS_TRY(
      db.prepare("SELECT artifact_id, sha256 FROM blob_removals ORDER BY artifact_id LIMIT ?"));
  s.bind(1, static_cast<int64_t>(max));
  std::vector<BlobRemoval> found;
  while (KVCS_TRY(s.step())) found.push_back({std::string(s.text(0)), std::string(s.text(1))});
  return found;
}

Status forget_removals(Database& db, std::span<const BlobRemoval> removals) {
  auto s = KVCS_TRY(db.prepare("DELETE FROM blob_removals WHERE artifact_id = ?"));
  for (const BlobRemoval& one : removals) {
    s.reset();
    KVCS_TRY(s.bind(1, one.artifact_id).run());
  }
  return ok();
}

}  // namespace kvcs::artifact_rows
