#include "kvfile/search.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/crypto.h"

namespace kvcs::kvfile {
namespace {

void append_sized(std::string& out, std::string_view text) {
  append_u64le(out, text.size());
  out += text;
}

std::string metadata_or_empty(const KvHeader& header, std::string_view key) {
  const std::string* const value = header.metadata_value(key);
  return value == nullptr ? std::string() : *value;
}

size_t common_prefix(const uint32_t* a, size_t a_count, const uint32_t* b, size_t b_count) {
  const size_t count = std::min(a_count, b_count);
  return static_cast<size_t>(std::mismatch(a, a + count, b).first - a);
}

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

PrefixId prefix_root(const KvHeader& header, const std::string& model) {
  std::string bytes;
  append_sized(bytes, "kvcs-prefix-v1");
  append_sized(bytes, model);
  append_sized(bytes, metadata_or_empty(header, "kvcs.tokenizer"));
  append_sized(bytes, dtype_name(header.dtype));
  append_sized(bytes, scheme_name(header.scheme));
  append_sized(bytes, metadata_or_empty(header, "kvcs.rope_layout"));
  return sha256(bytes);
}

PrefixId next_prefix_id(const PrefixId& parent, const uint32_t* ids, size_t count) {
  std::string bytes(reinterpret_cast<const char*>(parent.data()), parent.size());
  for (size_t i = 0; i < count; i++) append_u32le(bytes, ids[i]);
  return sha256(bytes);
}

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

void PrefixIndex::search_root(const PrefixId& root, const uint32_t* query, size_t count,
                              const std::string& model, std::vector<SearchHit>& hits,
                              size_t hits_max) const {
  const auto range_of = [this](const PrefixId& id) {
    return std::equal_range(links_.begin(), links_.end(), Link{id, 0},
                            [](const Link& a, const Link& b) { return a.id < b.id; });
  };
  std::vector<PrefixId> chain{root};
  while (chain.size() * kPrefixBlock <= count) {
    const size_t at = (chain.size() - 1) * kPrefixBlock;
    const PrefixId next = next_prefix_id(chain.back(), query + at, kPrefixBlock);
    // Whoever shares a block shares those before it: nothing deeper can be found.
    const auto [begin, end] = range_of(next);
    if (begin == end) break;
    chain.push_back(next);
  }
  const auto [begin, end] = range_of(chain.back());
  const auto place = std::lower_bound(begin, end, 0, [&](const Link& link, int) {
    const auto& ids = files_[link.file].tokens;
    return std::lexicographical_compare(ids.begin(), ids.end(), query, query + count);
  });
  // The model is part of the root, so that one file of the range decides for all.
  if (begin == end || (!model.empty() && files_[begin->file].model != model)) return;
  const auto add = [&](const Link& link) {
    const auto& ids = files_[link.file].tokens;
    const size_t common = common_prefix(ids.data(), ids.size(), query, count);
    if (common > 0) hits.push_back({&files_[link.file], common, false});
  };
  // Neighbours on both sides: lengths only fall with the distance.
  auto before = place;
  for (size_t i = 0; i < hits_max && before != begin; i++) add(*--before);
  auto after = place;
  for (size_t i = 0; i < hits_max && after != end; i++) add(*after++);
}

std::vector<SearchHit> PrefixIndex::find_tokens(const std::vector<uint32_t>& query,
                                                const std::string& model, size_t hits_max) const {
  std::vector<SearchHit> hits;
  for (const PrefixId& root : roots_) {
    search_root(root, query.data(), query.size(), model, hits, hits_max);
  }
  // A tokenizer may have put a BOS in front of the query that the file lacks, or the other way.
  std::vector<SearchHit> shifted;
  for (const PrefixId& root : roots_) {
    if (query.size() > 1) {
      search_root(root, query.data() + 1, query.size() - 1, model, shifted, hits_max);
    }
    const auto range = std::equal_range(links_.begin(), links_.end(), Link{root, 0},
                                        [](const Link& a, const Link& b) { return a.id < b.id; });
    // The first ids in use under this root: few, since it is the model's BOS.
    std::vector<uint32_t> with_bos{0};
    with_bos.insert(with_bos.end(), query.begin(), query.end());
    auto link = range.first;
    for (size_t tried = 0; link != range.second && tried < kBosCandidatesMax; tried++) {
      with_bos[0] = files_[link->file].tokens[0];
      const size_t old = shifted.size();
      search_root(root, with_bos.data(), with_bos.size(), model, shifted, hits_max);
      for (size_t i = old; i < shifted.size(); i++) shifted[i].common_prefix--;
      link = std::upper_bound(link, range.second, with_bos[0], [this](uint32_t id, const Link& l) {
        return id < files_[l.file].tokens[0];
      });
    }
  }
  for (SearchHit& hit : shifted) {
    hit.without_bos = true;
    if (hit.common_prefix > 0) hits.push_back(hit);
  }
  keep_longest(hits, hits_max);
  return hits;
}

std::vector<SearchHit> PrefixIndex::find_text(const std::string& text, const std::string& model,
                                              size_t hits_max) const {
  std::vector<SearchHit> hits;
  for (const IndexedFile& file : files_) {
    if (!model.empty() && file.model != model) continue;
    const size_t count = std::min(text.size(), file.prompt.size());
    const auto end = text.begin() + static_cast<ptrdiff_t>(count);
    const auto common = std::mismatch(text.begin(), end, file.prompt.begin()).first - text.begin();
    if (common > 0) hits.push_back({&file, static_cast<uint64_t>(common), false});
  }
  keep_longest(hits, hits_max);
  return hits;
}

}  // namespace kvcs::kvfile
