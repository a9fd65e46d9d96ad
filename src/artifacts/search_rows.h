// Rows of the search index as values. One thread, that of the Database.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "artifacts/artifacts.h"
#include "db/db.h"
#include "kvfile/tools/prefix_chain.h"

namespace kvcs::search_rows {

inline constexpr int kTokenKind = 0, kTextKind = 1;
std::vector<uint32_t> ids_of_text(std::string_view text);
// The root of an organization's texts for one model.
kvfile::PrefixId text_root(std::string_view model, std::string_view salt);
// The key of a block in the table: half of its hash. A key that two chains share does no harm,
// because the index only proposes and real ids decide.
std::string key_of(const kvfile::PrefixId& id);
std::string root_text(const kvfile::PrefixId& root);
Result<kvfile::PrefixId> parse_root(std::string_view text);
// Ids as bytes that compare like the numbers (four each, big-endian), and one of them back.
std::string ids_bytes(const uint32_t* ids, size_t count);
uint32_t id_at(std::string_view bytes, size_t index);

Result<std::string> find_salt(Database& db, std::string_view organization_id);  // "" when none.
// Ready, and never looked at.
Result<bool> is_new(Database& db, std::string_view artifact_id);
Result<std::vector<Artifact>> list_new(Database& db, std::string_view after_id, size_t max);

}  // namespace kvcs::search_rows
