// Token ids as a chain of hashes, by which an index finds the caches that begin like a query
// without reading them: ids are taken in blocks of 256, h_0 = H(identity), h_i = H(h_{i-1} | ids),
// with SHA-256 as H. Two lists that share a block's hash share all blocks before it, so the longest
// shared run of blocks is found by doubling and halving. The identity is what must be equal before
// one cache can stand for another. A hash only proposes a cache: a search compares the real ids
// before it answers. Pure functions.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

inline constexpr uint64_t kPrefixBlock = 256;
inline constexpr size_t kBosCandidatesMax = 8;

using PrefixId = std::array<unsigned char, 32>;

struct PrefixIdentity {
  std::string model, tokenizer, dtype, scheme, rope;
};
// From the metadata; the tokenizer is "" when it is not recorded.
PrefixIdentity prefix_identity(const KvHeader& header, std::string_view model);
// `salt` keeps the ids of one tenant apart from those of all others.
PrefixId prefix_root(const PrefixIdentity& identity, std::string_view salt = {});
PrefixId next_prefix_id(const PrefixId& parent, const uint32_t* ids, size_t count);
// kvcs.token_chain: the end of a list's chain, a shorter last block included, in hex. Of the ids
// alone, so that it stays right when the cache is quantised.
std::string token_chain(const std::vector<uint32_t>& ids);

// The questions that an index of prefixes must be able to answer.
struct PrefixLookup {
  // Whether any cache of the index begins with these blocks.
  std::function<Result<bool>(const PrefixId&)> contains;
  // Different ids in use at the first place under a root, at most kBosCandidatesMax.
  std::function<Result<std::vector<uint32_t>>(const PrefixId& root)> first_ids;
};

// A form of the query, and how far it is known: the neighbours of that place are the best answers.
struct PrefixPlace {
  std::vector<uint32_t> ids;    // The query as it was looked up.
  std::vector<PrefixId> chain;  // Of its longest run of known blocks; the root alone: none.
  // The query's first id was left out, or an id was put in front of it. Ids that were put in front
  // do not count as common.
  bool without_bos = false;
  uint64_t added_ids = 0;
  size_t blocks() const { return chain.size() - 1; }
};
// The query as it is, without its first id, and behind each id that stands first under the root: a
// tokenizer may have put a BOS in front of one and not of the other.
Result<std::vector<PrefixPlace>> find_prefix_places(const PrefixLookup& lookup,
                                                    const PrefixId& root,
                                                    const std::vector<uint32_t>& query);

}  // namespace kvcs::kvfile
