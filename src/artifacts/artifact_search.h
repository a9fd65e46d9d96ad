// Finds the artifacts of an organization, or of one of its projects, that begin with given token
// ids, or a given text, by the hash chain of kvfile/tools/prefix_chain.h over rows of portal.db. A
// search reads O(log n) rows per lookup, whatever the number of artifacts; ids are salted per
// organization, and real ids are compared before anything is answered.
//
// Where ids come from: the artifact's own tensor `tokens`; without one, the sidecar that came with
// the upload. Only the header and that tensor are read, and no more than kSearchTokensMax ids. An
// artifact without ids, or whose first token is not at position 0, is not found. A text is the
// sidecar's prompt; it is looked up as if each byte were an id, under the model alone.
//
// Rows live and die with the artifact's row. What is ready and was never looked at (of an older
// version, or because the store failed) index_missing() catches up with. Thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "artifacts/artifacts.h"
#include "kvfile/tools/prefix_chain.h"

namespace kvcs {

inline constexpr size_t kSearchTokensMax = 256 << 10;
inline constexpr size_t kSearchHitsMax = 100;
inline constexpr size_t kSearchRootsMax = 256;  // Models, schemes, dtypes looked at by one search.

struct PrefixQuery {
  std::string organization_id;
  std::string only_project_id;   // "" = of every project
  std::vector<uint32_t> tokens;  // Of a text: its bytes.
  bool of_text = false;
  std::string model;                     // "" = any
  std::optional<std::string> tokenizer;  // Absent: any.
  size_t limit = 10;
};

struct PrefixHit {
  Artifact artifact;
  std::string model, tokenizer;  // As the file says them.
  uint64_t common_prefix = 0;    // Tokens, or bytes of text.
  bool without_bos = false;      // One first id had to be left out.
};

class ArtifactSearch final {
 public:
  ArtifactSearch(DbWriter& writer, DbReaders& readers, BlobStore& blobs, Entropy& entropy);

  // Puts a ready artifact into the index; does nothing when it was looked at before. What is no
  // .kv file is remembered as such and is no failure.
  Status index(const Artifact& artifact);
  // Returns how many were looked at. Ends at the next artifact once `cancelled` says true.
  Result<size_t> index_missing(const std::function<bool()>& cancelled = {});
  // Longest common prefix first; ready artifacts only, none without a common token (or byte).
  Result<std::vector<PrefixHit>> find(const PrefixQuery& query) const;

 private:
  struct Facts;
  Result<Facts> read_facts(const Artifact& artifact) const;
  Result<std::string> salt_of(const std::string& organization_id);

  DbWriter& writer_;
  DbReaders& readers_;
  BlobStore& blobs_;
  Entropy& entropy_;
};

}  // namespace kvcs
