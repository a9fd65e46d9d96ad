// The search index's ids, keys and rows as bytes of SQL. Ids are stored big-endian, so that SQLite,
// which compares bytes, has them in the order of the numbers.
#include "artifacts/search_rows.h"

#include <algorithm>

#include "artifacts/rows.h"
#include "base/bytes.h"

namespace kvcs::search_rows {
namespace {
constexpr size_t kKeyBytes = 16;
}

std::vector<uint32_t> ids_of_text(std::string_view text) {
  std::vector<uint32_t> ids;
  ids.reserve(text.size());
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

kvfile::PrefixId text_root(std::string_view model, std::string_view salt) {
  return kvfile::prefix_root({std::string(model), "bytes of text", "", "", ""}, salt);
}

std::string key_of(const kvfile::PrefixId& id) {
  return std::string(reinterpret_cast<const char*>(id.data()), kKeyBytes);
}

std::string root_text(const kvfile::PrefixId& root) {
  return to_hex({reinterpret_cast<const char*>(root.data()), root.size()});
}

Result<kvfile::PrefixId> parse_root(std::string_view text) {
  const std::string bytes = KVCS_TRY(from_hex(text));
  kvfile::PrefixId root{};
  if (bytes.size() != root.size()) return internal("A search root is not a SHA-256.");
  std::copy(bytes.begin(), bytes.end(), root.begin());
  return root;
}

std::string ids_bytes(const uint32_t* ids, size_t count) {
  std::string bytes(count * 4, '\0');
  for (size_t i = 0; i < count; i++) {
    for (size_t k = 0; k < 4; k++) bytes[i * 4 + k] = static_cast<char>(ids[i] >> (24 - 8 * k));
  }
  return bytes;
}

uint32_t id_at(std::string_view bytes, size_t index) {
  uint32_t id = 0;
  for (const char c : bytes.substr(index * 4, 4)) id = id << 8 | static_cast<unsigned char>(c);
  return id;
}

Result<std::string> find_salt(Database& db, std::string_view organization_id) {
  auto s = KVCS_TRY(db.prepare("SELECT salt FROM search_salts WHERE organization_id = ?"));
  s.bind(1, organization_id);
  if (!KVCS_TRY(s.step())) return std::string();
  return s.text(0);
}

Result<bool> is_new(Database& db, std::string_view artifact_id) {
  auto s = KVCS_TRY(db.prepare(
      "SELECT 1 FROM artifacts WHERE id = ? AND status = 'ready' AND search_version = 0"));
  s.bind(1, artifact_id);
  return KVCS_TRY(s.step());
}

Result<std::vector<Artifact>> list_new(Database& db, std::string_view after_id, size_t max) {
  auto s =
      KVCS_TRY(db.prepare("SELECT id FROM artifacts WHERE status = 'ready' AND search_version = 0 "
                          "AND id > ? ORDER BY id LIMIT ?"));
  s.bind(1, after_id).bind(2, static_cast<int64_t>(max));
  std::vector<Artifact> found;
  while (KVCS_TRY(s.step())) found.push_back(KVCS_TRY(artifact_rows::find(db, s.text(0))));
  return found;
}

}  // namespace kvcs::search_rows
