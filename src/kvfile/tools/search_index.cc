// The index of a folder on disk, `.kvcs-index`, and how it follows the folder. All numbers are
// little-endian; a text or a list has its number of bytes, a u64, before it.
//
//   "kvcs-index-2\n"
//   u64        number of files
//   per file   name
//              u64 × 4: bytes, bytes of the sidecar, change time of both in nanoseconds
//              model, tokenizer, scheme, dtype
//              32 bytes: the root of its chain
//              ids, u32 each
//              prompt
//   32 bytes   SHA-256 of everything before
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "base/bytes.h"
#include "base/crypto.h"
#include "kvfile/tools/search.h"

namespace kvcs::kvfile {
namespace {

constexpr std::string_view kMagic = "kvcs-index-2\n";
constexpr std::string_view kIndexName = "/.kvcs-index";

void append_sized(std::string& out, std::string_view text) {
  append_u64le(out, text.size());
  out += text;
}

}  // namespace

std::string dump_folder_index(const std::vector<IndexedFile>& files) {
  std::string out(kMagic);
  append_u64le(out, files.size());
  for (const IndexedFile& file : files) {
    append_sized(out, file.name);
    append_u64le(out, file.stamp.size_bytes);
    append_u64le(out, file.stamp.sidecar_bytes);
    append_u64le(out, static_cast<uint64_t>(file.stamp.changed_ns));
    append_u64le(out, static_cast<uint64_t>(file.stamp.sidecar_changed_ns));
    append_sized(out, file.model);
    append_sized(out, file.tokenizer);
    append_sized(out, file.scheme);
    append_sized(out, file.dtype);
    out.append(reinterpret_cast<const char*>(file.root.data()), file.root.size());
    append_u64le(out, file.tokens.size() * 4);
    for (const uint32_t id : file.tokens) append_u32le(out, id);
    append_sized(out, file.prompt);
  }
  const Sha256Digest digest = sha256(out);
  out.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  return out;
}

namespace {

// Takes bytes from the front; empty and not ok() once anything was missing.
class Reader final {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool ok() const { return ok_; }
  bool at_end() const { return text_.empty(); }
  std::string_view take(uint64_t count) {
    ok_ = ok_ && count <= text_.size();
    if (!ok_) return {};
    const std::string_view taken = text_.substr(0, count);
    text_.remove_prefix(count);
    return taken;
  }
  uint64_t number() {
    const std::string_view bytes = take(8);
    return ok_ ? load_u64le(bytes.data()) : 0;
  }
  std::string_view sized() { return take(number()); }

 private:
  std::string_view text_;
  bool ok_ = true;
};

}  // namespace

std::vector<IndexedFile> parse_folder_index(std::string_view text) {
  if (text.size() < kMagic.size() + 8 + 32 || !text.starts_with(kMagic)) return {};
  const Sha256Digest digest = sha256(text.substr(0, text.size() - 32));
  if (std::memcmp(digest.data(), text.data() + text.size() - 32, 32) != 0) return {};
  Reader in(text.substr(kMagic.size(), text.size() - kMagic.size() - 32));
  const uint64_t count = in.number();
  std::vector<IndexedFile> files;
  for (uint64_t i = 0; i < count && in.ok(); i++) {
    IndexedFile file;
    file.name = in.sized();
    file.stamp.size_bytes = in.number();
    file.stamp.sidecar_bytes = in.number();
    file.stamp.changed_ns = static_cast<int64_t>(in.number());
    file.stamp.sidecar_changed_ns = static_cast<int64_t>(in.number());
    file.model = in.sized();
    file.tokenizer = in.sized();
    file.scheme = in.sized();
    file.dtype = in.sized();
    const std::string_view root = in.take(file.root.size());
    std::copy(root.begin(), root.end(), file.root.begin());
    const std::string_view ids = in.sized();
    if (ids.size() % 4 != 0) return {};
    for (size_t at = 0; at < ids.size(); at += 4) {
      file.tokens.push_back(load_u32le(ids.data() + at));
    }
    file.prompt = in.sized();
    files.push_back(std::move(file));
  }
  if (!in.ok() || !in.at_end()) return {};
  return files;
}

namespace {

// A missing sidecar leaves zeros in the stamp.
bool stamp_of(const std::string& path, FileStamp& stamp) {
  struct stat file;
  if (::stat(path.c_str(), &file) != 0 || !S_ISREG(file.st_mode)) return false;
  const auto nanoseconds = [](const struct stat& s) {
    return int64_t{s.st_ctim.tv_sec} * 1'000'000'000 + s.st_ctim.tv_nsec;
  };
  stamp.size_bytes = static_cast<uint64_t>(file.st_size);
  stamp.changed_ns = nanoseconds(file);
  if (::stat(sidecar_path(path).c_str(), &file) == 0) {
    stamp.sidecar_bytes = static_cast<uint64_t>(file.st_size);
    stamp.sidecar_changed_ns = nanoseconds(file);
  }
  return true;
}

// Only the header, the sidecar and the token ids are read.
Result<IndexedFile> read_artifact(const std::string& path) {
  const auto file = KVCS_TRY(KvFile::open(path));
  const std::optional<Sidecar> sidecar = KVCS_TRY(read_sidecar(path));
  if (sidecar) KVCS_TRY(check_sidecar(*sidecar, file->header()));
  IndexedFile entry;
  entry.model = sidecar ? sidecar->model_name : describe_header(file->header()).model_name;
  entry.scheme = scheme_name(file->header().scheme);
  entry.dtype = dtype_name(file->header().dtype);
  const PrefixIdentity identity = prefix_identity(file->header(), entry.model);
  entry.tokenizer = identity.tokenizer;
  entry.root = prefix_root(identity);
  // A slice from the middle of a text is no beginning of any text, so it is listed without ids.
  const std::string* const offset = file->header().metadata_value("kvcs.position_offset");
  if (offset != nullptr && *offset != "0") return entry;
  entry.tokens = KVCS_TRY(recorded_tokens(*file, sidecar));
  if (const std::string* const prompt = recorded_prompt(file->header(), sidecar)) {
    entry.prompt = *prompt;
  }
  return entry;
}

struct FolderList {
  std::vector<std::string> names;    // Of .kv files, as IndexedFile has them.
  std::vector<std::string> skipped;  // Folders.
};

// Adds what lies in folder/below and deeper; `below` is "" or ends with a slash.
Status list_artifacts(const std::string& folder, const std::string& below, size_t depth,
                      FolderList& list) {
  const std::string path = folder + "/" + below;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (directory == nullptr) {
    const int error = errno;
    if (depth == 0 && error == ENOENT) return not_found("no such folder: " + printable(folder));
    const Status failed = io_error("cannot open the folder", path, error);
    if (depth == 0) return failed;
    list.skipped.push_back(below + ": " + failed.message());
    return ok();
  }
  while (const dirent* const entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name.starts_with(".")) continue;
    struct stat facts;
    if (::lstat((path + name).c_str(), &facts) != 0) continue;  // Gone again.
    if (S_ISDIR(facts.st_mode)) {
      if (depth == kIndexDepthMax) {
        list.skipped.push_back(below + name + ": folders nest deeper than " +
                               std::to_string(kIndexDepthMax));
        continue;
      }
      KVCS_TRY(list_artifacts(folder, below + name + "/", depth + 1, list));
    } else if (name.ends_with(".kv")) {
      if (list.names.size() == kIndexEntriesMax) {
        return too_large("more than " + std::to_string(kIndexEntriesMax) + " artifacts in " +
                         printable(folder));
      }
      list.names.push_back(below + name);
    }
  }
  return ok();
}

}  // namespace

Result<std::unique_ptr<FolderIndex>> open_folder_index(const std::string& folder) {
  FolderList list;
  KVCS_TRY(list_artifacts(folder, "", 0, list));
  std::sort(list.names.begin(), list.names.end());
  const std::string index_path = folder + std::string(kIndexName);
  const Result<std::string> text = read_small_file(index_path, kIndexBytesMax);
  std::unordered_map<std::string, IndexedFile> known;
  if (text.ok()) {
    for (IndexedFile& file : parse_folder_index(*text)) known.emplace(file.name, std::move(file));
  }
  const size_t known_before = known.size();
  auto opened = std::make_unique<FolderIndex>();
  opened->skipped = std::move(list.skipped);
  for (const std::string& name : list.names) {
    const std::string path = folder + "/" + name;
    FileStamp stamp;
    if (!stamp_of(path, stamp)) continue;
    const auto old = known.find(name);
    if (old != known.end() && old->second.stamp == stamp) {
      opened->index.add(std::move(old->second));
      opened->reused_files++;
      continue;
    }
    Result<IndexedFile> file = read_artifact(path);
    if (!file.ok()) {
      opened->skipped.push_back(name + ": " + file.status().message());
      continue;
    }
    file->name = name;
    file->stamp = stamp;
    opened->index.add(std::move(*file));
    opened->read_files++;
  }
  // A folder that cannot be written is searched all the same.
  if (opened->read_files > 0 || opened->reused_files != known_before) {
    const std::string bytes = dump_folder_index(opened->index.files());
    if (bytes.size() <= kIndexBytesMax) {
      [[maybe_unused]] const Status written = write_file_atomically(index_path, bytes);
    }
  }
  opened->index.build();
  return opened;
}

}  // namespace kvcs::kvfile
