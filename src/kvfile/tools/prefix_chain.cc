// Hashes of prefixes, and the search for the longest known one.
#include "kvfile/tools/prefix_chain.h"

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

// The ids of the query's first blocks, computed as they are asked for.
class Chain {
 public:
  Chain(const PrefixId& root, const std::vector<uint32_t>& ids) : ids_(ids), made_{root} {}
  size_t blocks() const { return ids_.size() / kPrefixBlock; }
  const PrefixId& at(size_t blocks) {
    while (made_.size() <= blocks) {
      const size_t from = (made_.size() - 1) * kPrefixBlock;
      made_.push_back(next_prefix_id(made_.back(), ids_.data() + from, kPrefixBlock));
    }
    return made_[blocks];
  }
  std::vector<PrefixId> take(size_t blocks) {
    made_.resize(blocks + 1);
    return std::move(made_);
  }

 private:
  const std::vector<uint32_t>& ids_;
  std::vector<PrefixId> made_;
};

// Doubling finds a bound, halving the place between: O(log n) questions for a run of n blocks, and
// no hash beyond the last block that was asked about.
Status find_run(const PrefixLookup& lookup, const PrefixId& root, PrefixPlace& place) {
  Chain chain(root, place.ids);
  // `known` blocks are there, `unknown` are not or are more than the query has.
  size_t known = 0, unknown = chain.blocks() + 1;
  for (size_t step = 1; known + step < unknown; step *= 2) {
    if (!KVCS_TRY(lookup.contains(chain.at(known + step)))) {
      unknown = known + step;
      break;
    }
    known += step;
  }
  while (known + 1 < unknown) {
    const size_t middle = known + (unknown - known) / 2;
    (KVCS_TRY(lookup.contains(chain.at(middle))) ? known : unknown) = middle;
  }
  place.chain = chain.take(known);
  return ok();
}

}  // namespace

PrefixIdentity prefix_identity(const KvHeader& header, std::string_view model) {
  return {std::string(model), metadata_or_empty(header, "kvcs.tokenizer"),
          std::string(dtype_name(header.dtype)), std::string(scheme_name(header.scheme)),
          metadata_or_empty(header, "kvcs.rope_layout")};
}

// Every part has its length before it, so that no two identities give the same bytes.
PrefixId prefix_root(const PrefixIdentity& identity, std::string_view salt) {
  std::string bytes;
  append_sized(bytes, "kvcs-prefix-v1");
  append_sized(bytes, identity.model);
  append_sized(bytes, identity.tokenizer);
  append_sized(bytes, identity.dtype);
  append_sized(bytes, identity.scheme);
  append_sized(bytes, identity.rope);
  append_sized(bytes, salt);
  return sha256(bytes);
}

PrefixId next_prefix_id(const PrefixId& parent, const uint32_t* ids, size_t count) {
  std::string bytes(reinterpret_cast<const char*>(parent.data()), parent.size());
  for (size_t i = 0; i < count; i++) append_u32le(bytes, ids[i]);
  return sha256(bytes);
}

std::string token_chain(const std::vector<uint32_t>& ids) {
  PrefixId id = sha256("kvcs-tokens-v1");
  for (size_t at = 0; at < ids.size(); at += kPrefixBlock) {
    id = next_prefix_id(id, ids.data() + at, std::min<size_t>(kPrefixBlock, ids.size() - at));
  }
  return to_hex({reinterpret_cast<const char*>(id.data()), id.size()});
}

Result<std::vector<PrefixPlace>> find_prefix_places(const PrefixLookup& lookup,
                                                    const PrefixId& root,
                                                    const std::vector<uint32_t>& query) {
  std::vector<PrefixPlace> places;
  places.push_back({query, {}, false, 0});
  if (query.size() > 1) places.push_back({{query.begin() + 1, query.end()}, {}, true, 0});
  for (const uint32_t first : KVCS_TRY(lookup.first_ids(root))) {
    PrefixPlace place{{first}, {}, true, 1};
    place.ids.insert(place.ids.end(), query.begin(), query.end());
    places.push_back(std::move(place));
  }
  for (PrefixPlace& place : places) KVCS_TRY(find_run(lookup, root, place));
  return places;
}

}  // namespace kvcs::kvfile
