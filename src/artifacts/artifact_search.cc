// The search itself, on a reader's connection: list the roots under which an organization's chains
// begin, find the longest run of whole blocks under each root (kvfile finds it by halving), look at
// the neighbours in the order of ids, and compare real ids before anything is a hit.
#include "artifacts/artifact_search.h"

#include <algorithm>
#include <set>

#include "artifacts/rows.h"
#include "artifacts/search_rows.h"

namespace kvcs {
namespace {

using kvfile::kPrefixBlock;
using kvfile::PrefixId;
using kvfile::PrefixPlace;

// Where the hash chains of one identity begin (model, tokenizer, dtype, scheme and rope of a file),
// salted for the organization.
struct Root {
  PrefixId id;
  std::string model, tokenizer;
};

// Whose artifacts are searched: a column that an index begins with, and its value. A project
// belongs to one organization, which is compared once more before anything is a hit.
struct Reach {
  explicit Reach(const PrefixQuery& query)
      : column(query.only_project_id.empty() ? "organization_id = ?" : "project_id = ?"),
        id(query.only_project_id.empty() ? query.organization_id : query.only_project_id) {}
  const std::string column;
  const std::string& id;
};

// Skips in the index to the next root of the organization, so that many artifacts under one root
// cost one step. False at the end.
//
// There is one statement for the next root, tokenizer and model each, because a comparison of all
// three at once would read every artifact that has the last ones.
Result<bool> next_root(Database& db, const PrefixQuery& query, Root& at, std::string& text) {
  constexpr std::string_view kSteps[] = {
      "search_model = ? AND search_tokenizer = ? AND search_root > ?",
      "search_model = ? AND search_tokenizer > ?", "search_model > ?"};
  const Reach reach(query);
  for (const std::string_view step : kSteps) {
    auto s = KVCS_TRY(
        db.prepare("SELECT search_model, search_tokenizer, search_root FROM artifacts WHERE " +
                   reach.column + " AND " + std::string(step) +
                   " ORDER BY search_model, search_tokenizer, search_root LIMIT 1"));
    s.bind(1, reach.id).bind(2, at.model);
    if (step != kSteps[2]) s.bind(3, at.tokenizer);
    if (step == kSteps[0]) s.bind(4, text);
    if (!KVCS_TRY(s.step())) continue;
    at.model = s.text(0);
    at.tokenizer = s.text(1);
    text = s.text(2);
    return true;
  }
  return false;
}

// The roots that fit the query's model and tokenizer, at most kSearchRootsMax.
Result<std::vector<Root>> list_roots(Database& db, const PrefixQuery& query) {
  Root at{{}, query.model, query.model.empty() ? std::string() : query.tokenizer.value_or("")};
  std::string text;
  std::vector<Root> roots;
  for (size_t looked = 0; looked < kSearchRootsMax; looked++) {
    if (!KVCS_TRY(next_root(db, query, at, text))) break;
    if (!query.model.empty() && at.model != query.model) break;
    if (query.tokenizer && at.tokenizer != *query.tokenizer) continue;
    if (text.empty()) continue;  // Looked at, and without ids.
    at.id = KVCS_TRY(search_rows::parse_root(text));
    roots.push_back(at);
  }
  return roots;
}

// The models of an organization, each with the root of its texts.
Result<std::vector<Root>> list_text_roots(Database& db, const PrefixQuery& query) {
  const std::string salt = KVCS_TRY(search_rows::find_salt(db, query.organization_id));
  std::vector<Root> roots;
  if (!query.model.empty()) {
    roots.push_back({search_rows::text_root(query.model, salt), query.model, ""});
    return roots;
  }
  const Reach reach(query);
  auto s = KVCS_TRY(db.prepare("SELECT search_model FROM artifacts WHERE " + reach.column +
                               " AND search_model > ? ORDER BY search_model LIMIT 1"));
  std::string model;
  while (roots.size() < kSearchRootsMax) {
    s.bind(1, reach.id).bind(2, model);
    if (!KVCS_TRY(s.step())) break;
    model = s.text(0);
    s.reset();
    roots.push_back({search_rows::text_root(model, salt), model, ""});
  }
  return roots;
}

// The two questions that kvfile's search of places asks: whether a chain has a block, and with
// which ids the artifacts under a root begin (one of them may be a BOS that the query lacks).
kvfile::PrefixLookup lookup_in(Database& db) {
  kvfile::PrefixLookup lookup;
  lookup.contains = [&db](const PrefixId& id) -> Result<bool> {
    auto s = KVCS_TRY(db.prepare("SELECT 1 FROM artifact_blocks WHERE prefix_id = ? LIMIT 1"));
    s.bind_bytes(1, search_rows::key_of(id));
    return KVCS_TRY(s.step());
  };
  lookup.first_ids = [&db](const PrefixId& root) -> Result<std::vector<uint32_t>> {
    auto s =
        KVCS_TRY(db.prepare("SELECT ids FROM artifact_blocks WHERE prefix_id = ? AND ids >= ? "
                            "ORDER BY ids LIMIT 1"));
    std::vector<uint32_t> ids;
    for (uint64_t next = 0; next <= UINT32_MAX && ids.size() < kvfile::kBosCandidatesMax;) {
      const auto from = static_cast<uint32_t>(next);
      s.bind_bytes(1, search_rows::key_of(root));
      s.bind_bytes(2, search_rows::ids_bytes(&from, 1));
      if (!KVCS_TRY(s.step())) break;
      ids.push_back(search_rows::id_at(s.bytes(0), 0));
      next = uint64_t{ids.back()} + 1;
      s.reset();
    }
    return ids;
  };
  return lookup;
}

// An artifact that the index proposes; real ids are compared before it becomes a hit.
struct Candidate {
  std::string artifact_id;
  uint64_t common = 0;
};

// How many ids both have in common at their start. Both are bytes in the order of the numbers.
uint64_t common_ids(std::string_view a, std::string_view b) {
  const size_t n = std::min(a.size(), b.size());
  const auto end = a.begin() + static_cast<ptrdiff_t>(n);
  return static_cast<uint64_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin()) / 4;
}

// Artifacts that stand next to the query among those that share `depth` blocks with it. What they
// have in common falls with the distance, so the first that adds nothing ends the walk.
//
// Those of other projects are left out here, or they could fill the places of the caller's own.
Status list_neighbours(Database& db, const PrefixQuery& query, const PrefixPlace& place,
                       size_t depth, std::vector<Candidate>& found) {
  const size_t at = depth * kPrefixBlock;
  const size_t count = std::min<size_t>(kPrefixBlock, place.ids.size() - at);
  const std::string wanted = search_rows::ids_bytes(place.ids.data() + at, count);
  // Above the longest run, those that share this block too were found below.
  const bool one_project = !query.only_project_id.empty();
  const std::string own =
      one_project ? " AND (SELECT project_id FROM artifacts WHERE id = artifact_id) = ?" : "";
  const std::string select = "SELECT ids, artifact_id FROM artifact_blocks WHERE prefix_id = ?";
  const std::string sides[] = {
      " AND ids < ?" + own + " ORDER BY ids DESC LIMIT ?",
      (depth == place.blocks() ? " AND ids >= ?" : " AND ids > ?") + own + " ORDER BY ids LIMIT ?"};
  for (const std::string& side : sides) {
    auto s = KVCS_TRY(db.prepare(select + side));
    s.bind_bytes(1, search_rows::key_of(place.chain[depth])).bind_bytes(2, wanted);
    if (one_project) s.bind(3, query.only_project_id);
    s.bind(one_project ? 4 : 3, static_cast<int64_t>(query.limit));
    while (KVCS_TRY(s.step())) {
      const uint64_t common = at + common_ids(s.bytes(0), wanted);
      if (common <= place.added_ids) break;
      found.push_back({s.text(1), common});
    }
  }
  return ok();
}

// How many first ids an artifact really has in common with the query.
Result<uint64_t> compare_ids(Database& db, const std::string& artifact_id, int kind,
                             const std::vector<uint32_t>& query) {
  auto s =
      KVCS_TRY(db.prepare("SELECT ids FROM artifact_blocks WHERE artifact_id = ? AND kind = ? "
                          "ORDER BY block"));
  s.bind(1, artifact_id).bind(2, kind);
  uint64_t common = 0;
  while (common < query.size() && KVCS_TRY(s.step())) {
    const std::string stored = s.bytes(0);
    const size_t count = std::min<size_t>(kPrefixBlock, query.size() - common);
    const std::string wanted = search_rows::ids_bytes(query.data() + common, count);
    const uint64_t shared = common_ids(stored, wanted);
    common += shared;
    if (shared < kPrefixBlock) break;
  }
  return common;
}

Status collect(Database& db, const PrefixQuery& query, const Root& root, const PrefixPlace& place,
               std::vector<PrefixHit>& hits) {
  const size_t limit = query.limit;
  const int kind = query.of_text ? search_rows::kTextKind : search_rows::kTokenKind;
  std::vector<Candidate> near;
  // Those that share the longest run of blocks; then shorter ones, until there are enough.
  for (size_t depth = place.blocks() + 1; depth-- > 0 && near.size() < limit;) {
    KVCS_TRY(list_neighbours(db, query, place, depth, near));
  }
  std::stable_sort(near.begin(), near.end(),
                   [](const Candidate& a, const Candidate& b) { return a.common > b.common; });
  near.resize(std::min(near.size(), limit));
  for (const auto& [id, proposed] : near) {
    const uint64_t common = KVCS_TRY(compare_ids(db, id, kind, place.ids));
    // A hit needs an id in common beside those that the search put before the query's.
    if (common <= place.added_ids) continue;
    PrefixHit hit;
    hit.artifact.id = id;
    hit.model = root.model;
    hit.tokenizer = root.tokenizer;
    hit.common_prefix = common - place.added_ids;
    hit.without_bos = place.without_bos;
    hits.push_back(std::move(hit));
  }
  return ok();
}

// Longest first, each artifact once, with its row.
Result<std::vector<PrefixHit>> finish(Database& db, const PrefixQuery& query,
                                      std::vector<PrefixHit> hits) {
  std::sort(hits.begin(), hits.end(), [](const PrefixHit& a, const PrefixHit& b) {
    if (a.common_prefix != b.common_prefix) return a.common_prefix > b.common_prefix;
    return a.artifact.id < b.artifact.id;
  });
  std::vector<PrefixHit> kept;
  std::set<std::string> seen;
  for (PrefixHit& hit : hits) {
    if (kept.size() == query.limit) break;
    if (!seen.insert(hit.artifact.id).second) continue;
    hit.artifact = KVCS_TRY(artifact_rows::find(db, hit.artifact.id));
    const Artifact& row = hit.artifact;
    const bool in_reach = query.only_project_id.empty() || row.project_id == query.only_project_id;
    if (row.ready && row.organization_id == query.organization_id && in_reach) {
      kept.push_back(std::move(hit));
    }
  }
  return kept;
}

}  // namespace

Result<std::vector<PrefixHit>> ArtifactSearch::find(const PrefixQuery& query) const {
  std::vector<PrefixHit> hits;
  const auto search = [&](Database& db) -> Status {
    const kvfile::PrefixLookup lookup = lookup_in(db);
    const auto roots = query.of_text ? list_text_roots(db, query) : list_roots(db, query);
    KVCS_TRY(roots.status());
    for (const Root& root : *roots) {
      const auto places = KVCS_TRY(kvfile::find_prefix_places(lookup, root.id, query.tokens));
      for (const PrefixPlace& place : places) {
        if (query.of_text && place.without_bos) continue;  // A text has none.
        KVCS_TRY(collect(db, query, root, place, hits));
      }
    }
    hits = KVCS_TRY(finish(db, query, std::move(hits)));
    return ok();
  };
  const Status ran = readers_.run(
      [&](Database& db) { return db.run_within(kArtifactQueryMs, [&] { return search(db); }); });
  if (!ran.ok()) return ran;
  return hits;
}

}  // namespace kvcs
