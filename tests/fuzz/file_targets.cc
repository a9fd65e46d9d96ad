#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/crypto.h"
#include "fuzz/targets.h"
#include "kvfile/convert/import.h"
#include "kvfile/convert/llama_reader.h"
#include "kvfile/tools/pack.h"
#include "kvfile/tools/search.h"
#include "kvfile/tools/slice.h"
#include "support/temp_dir.h"

namespace kvcs::fuzz {
namespace {

using namespace kvfile;

// The bytes as a file with a path, in memory.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : fd_(::memfd_create("kvcs-fuzz", MFD_CLOEXEC)) {
    KVCS_ASSERT(fd_ >= 0);
    size_t at = 0;
    while (at < bytes.size()) {
      const ssize_t n = ::write(fd_, bytes.data() + at, bytes.size() - at);
      KVCS_ASSERT(n > 0);
      at += static_cast<size_t>(n);
    }
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  const int fd_;
};

const test::TempDir& scratch() {
  static const test::TempDir folder;
  return folder;
}

// The planned file, read in pieces, is one that the strict parser takes.
void check_slice(const KvHeader& header, std::string_view file, const SliceSpec& spec) {
  const Result<SlicePlan> plan = plan_slice(header, spec);
  if (!plan.ok()) return;
  KVCS_ASSERT(plan->size_bytes <= file.size() + plan->header_bytes.size());
  std::string slice(plan->size_bytes, '\0');
  const ReadSource source = [file](uint64_t offset, void* out, size_t size) -> Status {
    KVCS_ASSERT(offset <= file.size() && size <= file.size() - offset);
    std::memcpy(out, file.data() + offset, size);
    return ok();
  };
  for (size_t at = 0; at < slice.size();) {
    const size_t n = std::min<size_t>(97, slice.size() - at);
    KVCS_ASSERT(read_slice(*plan, source, at, slice.data() + at, n).ok());
    at += n;
  }
  const auto size = parse_header_size(slice, slice.size());
  KVCS_ASSERT(size.ok());
  const auto again = parse_header(std::string_view(slice).substr(8, *size), slice.size());
  KVCS_ASSERT(again.ok() && again->tokens == plan->header.tokens);
}

void safetensors(std::string_view bytes) {
  const auto size = parse_header_size(bytes, bytes.size());
  if (!size.ok()) return;
  const std::string_view json = bytes.substr(8, *size);
  (void)parse_safetensors(json, bytes.size());
  const Result<KvHeader> header = parse_header(json, bytes.size());
  if (!header.ok()) return;
  const std::string dumped = dump_header(*header);
  const uint64_t data = header->file_bytes - header->data_start;
  const auto again = parse_header(std::string_view(dumped).substr(8), dumped.size() + data);
  KVCS_ASSERT(again.ok() && dump_header(*again) == dumped);
  check_slice(*header, bytes, {{0, 1}, {0, 1}});
  check_slice(*header, bytes, {{header->tokens / 2, UINT64_MAX}, {header->layers / 2, UINT64_MAX}});
}

void sidecar(std::string_view bytes) {
  const Result<Sidecar> parsed = parse_sidecar(bytes);
  if (!parsed.ok()) return;
  const std::string dumped = dump_sidecar(*parsed);
  const auto again = parse_sidecar(dumped);
  KVCS_ASSERT(again.ok() && dump_sidecar(*again) == dumped);
}

void token_ids(std::string_view bytes) {
  (void)parse_token_ids(bytes);
}

// Every value of a cache that was accepted can be read, and makes a file that opens.
void check_cache(const CacheSource& cache) {
  if (cache.geometry().kv_heads * cache.geometry().head_dim > 4096) return;
  ImportOptions options;
  options.output = scratch().file("imported.kv");
  if (!write_imported(cache, options).ok()) return;
  KVCS_ASSERT(KvFile::open(options.output).ok());
}

void llama(std::string_view bytes) {
  const MemoryFile file(bytes);
  const auto source = SourceFile::open(file.path());
  KVCS_ASSERT(source.ok());
  const auto parsed = parse_llama(**source);
  if (!parsed.ok()) return;
  KVCS_ASSERT(parsed->tokens.empty() || parsed->tokens.size() == parsed->token_count());
  KVCS_ASSERT(!parsed->describe().empty());
  for (const LlamaAttention& cache : parsed->caches) {
    KVCS_ASSERT(cache.rows.size() == cache.positions.size() && !cache.rows.empty());
  }
  LlamaImport options;
  for (const RopeOrder order : {RopeOrder::kAuto, RopeOrder::kNorm, RopeOrder::kRaw}) {
    options.rope = order;
    // First by what the keys show, then as one head.
    if (order != RopeOrder::kAuto && !parsed->caches.empty()) {
      options.kv_heads = 1;
      options.head_dim = parsed->caches[0].keys[0].row_values;
    }
    const auto imported = open_llama_cache(file.path(), options);
    if (imported.ok()) check_cache(*imported->cache);
  }
}

void import_hf(std::string_view bytes) {
  const MemoryFile file(bytes);
  const auto imported = open_hf_cache(file.path());
  if (imported.ok()) check_cache(*imported->cache);
}

void import_mlx(std::string_view bytes) {
  const MemoryFile file(bytes);
  const auto imported = open_mlx_cache(file.path());
  if (imported.ok()) check_cache(*imported->cache);
}

void import_vllm(std::string_view bytes) {
  static const test::TempDir folder;
  const std::string name = "model.layers.0.self_attn.attn.safetensors";
  if (!write_file_atomically(folder.file(name), bytes).ok()) return;
  const auto imported = open_vllm_cache(folder.path(), {.kv_heads = 2});
  if (imported.ok()) check_cache(*imported->cache);
}

void unpack(std::string_view bytes) {
  const MemoryFile file(bytes);
  (void)unpack_file(file.path(), scratch().file("unpacked.kv"));
}

// The digest at the end would stop all but whole indexes, so it is put right first.
void search_index(std::string_view bytes) {
  const Sha256Digest digest = sha256(bytes);
  std::string whole(bytes);
  whole.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  std::vector<IndexedFile> files = parse_folder_index(whole);
  if (files.empty()) return;
  KVCS_ASSERT(dump_folder_index(files) == whole);
  PrefixIndex index;
  for (IndexedFile& file : files) index.add(std::move(file));
  index.build();
  (void)index.find_tokens({1, 2, 3}, {}, 5);
  (void)index.find_text("a", {}, 5);
}

}  // namespace

std::vector<Target> file_targets() {
  return {{"safetensors", safetensors},  {"sidecar", sidecar},
          {"token_ids", token_ids},      {"llama", llama},
          {"import_hf", import_hf},      {"import_mlx", import_mlx},
          {"import_vllm", import_vllm},  {"unpack", unpack},
          {"search_index", search_index}};
}

}  // namespace kvcs::fuzz
