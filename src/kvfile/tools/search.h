// Finds the .kv files of a folder that begin as a given text does, by the hash chain of
// prefix_chain.h.
//
// The index lies in the folder as `.kvcs-index` and covers its subfolders. Before a search it is
// brought up to date by the stamp of each file. It is a cache only: when it is missing or damaged
// it is built anew. Links to folders are not followed, and names that begin with a point are left
// out. One thread.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kvfile/kvfile.h"
#include "kvfile/tools/prefix_chain.h"

namespace kvcs::kvfile {

inline constexpr uint64_t kIndexBytesMax = 1ULL << 30;
inline constexpr size_t kIndexEntriesMax = 1'000'000;
inline constexpr size_t kIndexDepthMax = 16;  // Of subfolders.

// The state of a file and its sidecar when they were last read. The time is that of the inode's
// last change (ctime), which no user can set: a file that was replaced by one of the same size and
// with the same time of modification shows, too.
struct FileStamp {
  uint64_t size_bytes = 0, sidecar_bytes = 0;
  int64_t changed_ns = 0, sidecar_changed_ns = 0;
  bool operator==(const FileStamp&) const = default;
};

struct IndexedFile {
  std::string name;  // In the folder: "sub/a.kv".
  FileStamp stamp;
  std::string model, tokenizer, scheme, dtype;
  PrefixId root{};
  std::vector<uint32_t> tokens;  // Empty when not recorded.
  std::string prompt;
};

struct SearchHit {
  const IndexedFile* file = nullptr;
  uint64_t common_prefix = 0;  // Tokens, or bytes of text.
  bool without_bos = false;    // Only the query's or the file's first id had to be left out.
};

// The caches that may answer at all.
struct SearchGate {
  std::string model = {};                     // Empty: any.
  std::optional<std::string> tokenizer = {};  // "": where none is recorded.
  bool passes(const IndexedFile& file) const {
    return (model.empty() || file.model == model) && (!tokenizer || file.tokenizer == *tokenizer);
  }
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

  // The files with the longest common prefix, longest first, none without one.
  std::vector<SearchHit> find_tokens(const std::vector<uint32_t>& query, const SearchGate& gate,
                                     size_t hits_max) const;
  std::vector<SearchHit> find_text(const std::string& text, const SearchGate& gate,
                                   size_t hits_max) const;

 private:
  struct Link {
    PrefixId id;
    uint32_t file;
  };
  std::pair<const Link*, const Link*> links_of(const PrefixId& id) const;
  void add_neighbours(const PrefixPlace& place, size_t hits_max,
                      std::vector<SearchHit>& hits) const;

  std::vector<IndexedFile> files_;
  std::vector<Link> links_;  // By id: every block boundary of every file.
  std::vector<PrefixId> roots_;
};

// The form of `.kvcs-index` is in search_index.cc. Parsing gives no files when the text is not
// whole: the index is built anew then.
std::string dump_folder_index(const std::vector<IndexedFile>& files);
std::vector<IndexedFile> parse_folder_index(std::string_view text);

struct FolderIndex {
  PrefixIndex index;
  uint64_t read_files = 0;  // New or changed since the last time.
  uint64_t reused_files = 0;
  std::vector<std::string> skipped;  // "name: why"
};
// Reads the index of a folder, brings it up to date and, when it can, writes it back.
Result<std::unique_ptr<FolderIndex>> open_folder_index(const std::string& folder);

}  // namespace kvcs::kvfile
