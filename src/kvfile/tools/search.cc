// The index in memory: every block boundary of every file, sorted by its hash, and the search for
// the files that share most with a query.
#include "kvfile/tools/search.h"

#include <algorithm>
#include <tuple>

#include "base/bytes.h"
#include "base/crypto.h"

namespace kvcs::kvfile {
namespace {

size_t common_prefix(const uint32_t* a, size_t a_count, const uint32_t* b, size_t b_count) {
  const size_t count = std::min(a_count, b_count);
  return static_cast<size_t>(std::mismatch(a, a + count, b).first - a);
}

// Longest first; of equal ones the name decides, so that answers do not change from run to run.
void keep_longest(std::vector<SearchHit>& hits, size_t hits_max) {
  std::sort(hits.begin(), hits.end(), [](const SearchHit& a, const SearchHit& b) {
    if (a.common_prefix != b.common_prefix) return a.common_prefix > b.common_prefix;
    return a.file->name < b.file->name;
  });
  // The same file may have been found with and without BOS.
  std::vector<SearchHit> kept;
  for (const SearchHit& hit : hits) {
    const bool known = std::any_of(kept.begin(), kept.end(),
                                   [&](const SearchHit& k) { return k.file == hit.file; });
    if (!known && kept.size() < hits_max) kept.push_back(hit);
    if (kept.size() == hits_max) break;
  }
  hits = std::move(kept);
}

}  // namespace

void PrefixIndex::add(IndexedFile file) {
  files_.push_back(std::move(file));
}

void PrefixIndex::build() {
  links_.clear();
  roots_.clear();
  for (uint32_t i = 0; i < files_.size(); i++) {
    const IndexedFile& file = files_[i];
    if (file.tokens.empty()) continue;
    PrefixId id = file.root;
    roots_.push_back(id);
    links_.push_back({id, i});
    for (size_t at = 0; at + kPrefixBlock <= file.tokens.size(); at += kPrefixBlock) {
      id = next_prefix_id(id, file.tokens.data() + at, kPrefixBlock);
      links_.push_back({id, i});
    }
  }
  // Within one id by what follows, so that the nearest neighbour has the longest common prefix.
  std::sort(links_.begin(), links_.end(), [this](const Link& a, const Link& b) {
    if (a.id != b.id) return a.id < b.id;
    return files_[a.file].tokens < files_[b.file].tokens;
  });
  std::sort(roots_.begin(), roots_.end());
  roots_.erase(std::unique(roots_.begin(), roots_.end()), roots_.end());
}

std::pair<const PrefixIndex::Link*, const PrefixIndex::Link*> PrefixIndex::links_of(
    const PrefixId& id) const {
  const Link* const end = links_.data() + links_.size();
  return std::equal_range(links_.data(), end, Link{id, 0},
                          [](const Link& a, const Link& b) { return a.id < b.id; });
}

// Adds the files nearest to a place. Links of one hash are in the order of the files' ids, like
// words in a dictionary, so the longest common prefixes are those of the neighbours.
void PrefixIndex::add_neighbours(const PrefixPlace& place, size_t hits_max,
                                 std::vector<SearchHit>& hits) const {
  // The files of the longest run of blocks; of a shorter one when those are too few.
  size_t depth = place.chain.size() - 1;
  auto [begin, end] = links_of(place.chain[depth]);
  while (depth > 0 && static_cast<size_t>(end - begin) < hits_max) {
    std::tie(begin, end) = links_of(place.chain[--depth]);
  }
  const Link* const at = std::lower_bound(
      begin, end, 0, [&](const Link& link, int) { return files_[link.file].tokens < place.ids; });
  const auto add = [&](const Link& link) {
    const auto& ids = files_[link.file].tokens;
    const uint64_t common =
        common_prefix(ids.data(), ids.size(), place.ids.data(), place.ids.size());
    if (common <= place.added_ids) return;
    hits.push_back({&files_[link.file], common - place.added_ids, place.without_bos});
  };
  // Neighbours on both sides: lengths only fall with the distance.
  const Link* before = at;
  for (size_t i = 0; i < hits_max && before != begin; i++) add(*--before);
  const Link* after = at;
  for (size_t i = 0; i < hits_max && after != end; i++) add(*after++);
}

std::vector<SearchHit> PrefixIndex::find_tokens(const std::vector<uint32_t>& query,
                                                const SearchGate& gate, size_t hits_max) const {
  PrefixLookup lookup;
  lookup.contains = [this](const PrefixId& id) -> Result<bool> {
    const auto [begin, end] = links_of(id);
    return begin != end;
  };
  lookup.first_ids = [this](const PrefixId& root) -> Result<std::vector<uint32_t>> {
    std::vector<uint32_t> ids;
    auto [link, end] = links_of(root);
    while (link != end && ids.size() < kBosCandidatesMax) {
      ids.push_back(files_[link->file].tokens[0]);
      link = std::upper_bound(link, end, ids.back(), [this](uint32_t id, const Link& l) {
        return id < files_[l.file].tokens[0];
      });
    }
    return ids;
  };
  std::vector<SearchHit> hits;
  for (const PrefixId& root : roots_) {
    // Model and tokenizer are part of the root, so that one file of it decides for all.
    if (!gate.passes(files_[links_of(root).first->file])) continue;
    const auto places = find_prefix_places(lookup, root, query);
    if (!places.ok()) return {};  // Lookups in memory do not fail.
    for (const PrefixPlace& place : *places) add_neighbours(place, hits_max, hits);
  }
  keep_longest(hits, hits_max);
  return hits;
}

std::vector<SearchHit> PrefixIndex::find_text(const std::string& text, const SearchGate& gate,
                                              size_t hits_max) const {
  std::vector<SearchHit> hits;
  for (const IndexedFile& file : files_) {
    if (!gate.passes(file)) continue;
    const size_t count = std::min(text.size(), file.prompt.size());
    const auto end = text.begin() + static_cast<ptrdiff_t>(count);
    const auto common = std::mismatch(text.begin(), end, file.prompt.begin()).first - text.begin();
    if (common > 0) hits.push_back({&file, static_cast<uint64_t>(common), false});
  }
  keep_longest(hits, hits_max);
  return hits;
}

}  // namespace kvcs::kvfile
