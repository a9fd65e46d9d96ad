// Token ids as a chain of hashes, by which an index finds what begins like a query without reading
// it: ids are taken in blocks of 256, h_0 = H(identity), h_i = H(h_{i-1} | ids). Whoever shares a
// block shares those before it, so the longest shared run of blocks is found by doubling and
// halving. Identity is what must be equal before caches can stand for each other. A hash only
// proposes: who answers compares real ids. Pure functions.
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

// What an index must be able to answer.
struct PrefixLookup {
  // Does anything begin with these blocks?
  std::function<Result<bool>(const PrefixId&)> contains;
  // Different ids in use at the first place under a root, at most kBosCandidatesMax.
  std::function<Result<std::vector<uint32_t>>(const PrefixId& root)> first_ids;
};

// Where to look for the nearest neighbours of a query.
struct PrefixPlace {
  std::vector<uint32_t> ids;    // The query as it was looked up.
  std::vector<PrefixId> chain;  // Of its longest run of known blocks; the root alone: none.
  bool without_bos = false;     // The query's first id was left out, or one put in front of it,
  uint64_t added_ids = 0;       // which does not count.
  size_t blocks() const { return chain.size() - 1; }
};
// The query as it is, without its first id, and behind each id that stands first under the root: a
// tokenizer may have put a BOS in front of one and not of the other.
Result<std::vector<PrefixPlace>> find_prefix_places(const PrefixLookup& lookup,
                                                    const PrefixId& root,
                                                    const std::vector<uint32_t>& query);

}  // namespace kvcs::kvfile
