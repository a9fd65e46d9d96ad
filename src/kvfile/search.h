// Which .kv file of a folder begins as a given text does. Token ids are hashed in blocks of 256 to
// a chain, h_0 = H(identity), h_i = H(h_{i-1} | ids), so that the longest shared run of blocks is
// found by halving; then real ids are compared, and the last, partial block with them. Identity is
// what must be equal before caches can stand for each other: model, tokenizer, dtype, scheme, rope.
//
// The index lies in the folder as `.kvcs-index` and is brought up to date by size and time of each
// file before a search; it is a cache only: missing or damaged it is built anew. One thread.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

inline constexpr uint64_t kPrefixBlock = 256;
inline constexpr uint64_t kIndexBytesMax = 1ULL << 30;
inline constexpr size_t kIndexEntriesMax = 1'000'000;
inline constexpr size_t kBosCandidatesMax = 8;

using PrefixId = std::array<unsigned char, 32>;

// Of a file, when it and its sidecar were last seen.
struct FileStamp {
  uint64_t size_bytes = 0, sidecar_bytes = 0;
  int64_t modified_ns = 0, sidecar_modified_ns = 0;
  bool operator==(const FileStamp&) const = default;
};

struct IndexedFile {
  std::string name;  // In the folder.
  FileStamp stamp;
  std::string model, scheme, dtype;
  PrefixId root{};
  std::vector<uint32_t> tokens;  // Empty when not recorded.
  std::string prompt;
};

struct SearchHit {
  const IndexedFile* file = nullptr;
  uint64_t common_prefix = 0;  // Tokens, or bytes of text.
  bool without_bos = false;    // Only the query's or the file's first id had to be left out.
};

class PrefixIndex final {
 public:
  PrefixIndex() = default;
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  void add(IndexedFile file);
  // After the last add().
  void build();
  const std::vector<IndexedFile>& files() const { return files_; }

  // The files with the longest common prefix, longest first, none without one; `model` empty: any.
  std::vector<SearchHit> find_tokens(const std::vector<uint32_t>& query, const std::string& model,
                                     size_t hits_max) const;
  std::vector<SearchHit> find_text(const std::string& text, const std::string& model,
                                   size_t hits_max) const;

 private:
  struct Link {
    PrefixId id;
    uint32_t file;
  };
  void search_root(const PrefixId& root, const uint32_t* query, size_t count,
                   const std::string& model, std::vector<SearchHit>& hits, size_t hits_max) const;

  std::vector<IndexedFile> files_;
  std::vector<Link> links_;  // By id: every block boundary of every file.
  std::vector<PrefixId> roots_;
};

PrefixId prefix_root(const KvHeader& header, const std::string& model);
PrefixId next_prefix_id(const PrefixId& parent, const uint32_t* ids, size_t count);

struct FolderIndex {
  PrefixIndex index;
  uint64_t read_files = 0;  // New or changed since the last time.
  uint64_t reused_files = 0;
  std::vector<std::string> skipped;  // "name: why"
};
// Reads the index of a folder, brings it up to date and, when it can, writes it back.
Result<std::unique_ptr<FolderIndex>> open_folder_index(const std::string& folder);

}  // namespace kvcs::kvfile
