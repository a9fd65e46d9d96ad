// Caches that others keep as safetensors: transformers' dumps, mlx-lm's prompt caches, the folders
// of vLLM's example connector. They have transformers' order of channels already; the names of the
// tensors and the order of heads and tokens differ. None of them records token ids.
#include <dirent.h>

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "kvfile/convert/import.h"
#include "kvfile/format/hash_file.h"
#include "kvfile/kernels/kernels.h"

namespace kvcs::kvfile {
namespace {

constexpr uint64_t kLayersMax = 8192;
constexpr size_t kFolderEntriesMax = 65'536;

struct OpenSafetensors {
  std::unique_ptr<SourceFile> file;
  KvHeader header;  // Only tensors and metadata.
};

Result<OpenSafetensors> open_safetensors(const std::string& path) {
  OpenSafetensors opened;
  opened.file = KVCS_TRY(SourceFile::open(path));
  const SourceFile& file = *opened.file;
  opened.header = KVCS_TRY(read_safetensors(
      [&file](uint64_t offset, void* out, size_t n) { return file.read(offset, out, n); },
      file.size_bytes()));
  return opened;
}

// Where the keys or the values of one layer begin.
struct Place {
  const OpenSafetensors* source = nullptr;
  uint64_t offset = 0;  // In the file.
};

// Filled in by the functions below, which check shapes and dtypes; read() relies on that.
class SafetensorsCache final : public CacheSource {
 public:
  std::vector<std::unique_ptr<OpenSafetensors>> sources;
  std::vector<Place> keys, values;
  Geometry shape;
  Dtype type = Dtype::kF16;
  bool heads_inside = false;  // Rows are tokens of kv_heads · head_dim, not heads of tokens.
  Metadata facts;

  const Geometry& geometry() const override { return shape; }
  Dtype dtype() const override { return type; }
  const std::vector<uint32_t>& tokens() const override { return none_; }
  Metadata metadata() const override { return facts; }

  Status check_unchanged() const override {
    for (const auto& source : sources) KVCS_TRY(source->file->check_unchanged());
    return ok();
  }

  Status read(Part part, uint64_t layer, uint64_t first, uint64_t rows, float* out) const override {
    const Place& place = part == Part::kKeys ? keys[layer] : values[layer];
    const uint64_t dim = shape.head_dim, width = dtype_bytes(type);
    const SourceFile& file = *place.source->file;
    // Heads of tokens: one read for each head. Tokens of heads: one read for all, and then each
    // head is picked out of every row.
    if (!heads_inside) {
      std::string raw(rows * dim * width, '\0');
      for (uint64_t head = 0; head < shape.kv_heads; head++) {
        const uint64_t start = (head * shape.tokens + first) * dim * width;
        KVCS_TRY(file.read(place.offset + start, raw.data(), raw.size()));
        kernels().decode(type, raw.data(), out + head * rows * dim, rows * dim);
      }
      return ok();
    }
    const uint64_t row_bytes = shape.kv_heads * dim * width;
    std::string raw(rows * row_bytes, '\0');
    KVCS_TRY(file.read(place.offset + first * row_bytes, raw.data(), raw.size()));
    for (uint64_t head = 0; head < shape.kv_heads; head++) {
      for (uint64_t row = 0; row < rows; row++) {
        kernels().decode(type, raw.data() + row * row_bytes + head * dim * width,
                         out + (head * rows + row) * dim, dim);
      }
    }
    return ok();
  }

 private:
  const std::vector<uint32_t> none_{};
};

Status wrong_tensor(const Tensor& tensor, const std::string& why) {
  return invalid("tensor \"" + printable(tensor.name, kShownName) + "\": " + why);
}

// One layer's keys or values as [1, heads, tokens, head_dim].
Status add_tensor(SafetensorsCache& cache, const OpenSafetensors& source, const Tensor& tensor,
                  std::vector<Place>& places) {
  if (tensor.shape.size() != 4 || tensor.shape[0] != 1) {
    return wrong_tensor(tensor, "not [1, heads, tokens, head_dim]");
  }
  if (!is_float16_or_32(tensor.dtype)) {
    return wrong_tensor(tensor, std::string(dtype_name(tensor.dtype)) + " is not F16, BF16 or F32");
  }
  const Geometry& shape = cache.shape;
  if (shape.kv_heads == 0) {
    cache.shape.kv_heads = tensor.shape[1];
    cache.shape.tokens = tensor.shape[2];
    cache.shape.head_dim = tensor.shape[3];
    cache.type = tensor.dtype;
  }
  if (shape.kv_heads != tensor.shape[1] || shape.tokens != tensor.shape[2] ||
      shape.head_dim != tensor.shape[3] || cache.type != tensor.dtype) {
    return wrong_tensor(tensor, "another shape or dtype than the layers before it");
  }
  if (tensor.size_bytes() == 0) return wrong_tensor(tensor, "it is empty");
  places.push_back({&source, source.header.data_start + tensor.begin});
  return ok();
}

using NameTensor = std::string (*)(uint64_t layer, bool keys);

// Layers 0, 1, … until one is missing; what is left over is a fault.
Status add_layers(SafetensorsCache& cache, const OpenSafetensors& source, NameTensor name) {
  for (uint64_t layer = 0; layer < kLayersMax; layer++) {
    const Tensor* const keys = source.header.find(name(layer, true));
    const Tensor* const values = source.header.find(name(layer, false));
    if (keys == nullptr && values == nullptr) break;
    if (keys == nullptr || values == nullptr) {
      return invalid("layer " + std::to_string(layer) + " has " +
                     (keys == nullptr ? "values without keys" : "keys without values"));
    }
    KVCS_TRY(add_tensor(cache, source, *keys, cache.keys));
    KVCS_TRY(add_tensor(cache, source, *values, cache.values));
  }
  cache.shape.layers = cache.keys.size();
  if (cache.shape.layers * 2 != source.header.tensors.size()) {
    return invalid(
        std::to_string(source.header.tensors.size()) + " tensors for " +
        std::to_string(cache.shape.layers) + " layers from 0 on; the first is \"" +
        printable(source.header.tensors.empty() ? "" : source.header.tensors[0].name, kShownName) +
        "\"");
  }
  return ok();
}

// How users dump transformers' DynamicCache, which has no file form of its own.
std::string dynamic_name(uint64_t layer, bool keys) {
  return (keys ? "key_cache." : "value_cache.") + std::to_string(layer);
}
// The older form, past_key_values.
std::string past_name(uint64_t layer, bool keys) {
  return "past_key_values." + std::to_string(layer) + (keys ? ".key" : ".value");
}
// mlx-lm numbers the arrays of a layer's cache: 0 is the keys, 1 the values.
std::string mlx_name(uint64_t layer, bool keys) {
  return std::to_string(layer) + (keys ? ".0" : ".1");
}

Result<std::unique_ptr<SafetensorsCache>> open_one(const std::string& path,
                                                   const std::string& format) {
  auto cache = std::make_unique<SafetensorsCache>();
  auto opened = std::make_unique<OpenSafetensors>(KVCS_TRY(open_safetensors(path)));
  cache->facts = {{"kvcs.source_format", format},
                  {"kvcs.source_sha256", KVCS_TRY(hash_file(*opened->file))},
                  {"kvcs.rope_layout", "half"}};
  cache->sources.push_back(std::move(opened));
  return cache;
}

// mlx-lm flattens its state into the metadata: "2.N" holds the class of layer N's cache. Only
// KVCache keeps every token, in order and in plain values.
Status check_mlx_classes(const KvHeader& header) {
  for (const auto& [key, value] : header.metadata) {
    if (!key.starts_with("2.") || value == "KVCache") continue;
    std::string why = "only KVCache is imported";
    if (value == "QuantizedKVCache") why = "dequantise the cache before saving it";
    if (value == "RotatingKVCache") why = "its tokens are not in order and may have been dropped";
    return invalid("layer " + printable(key.substr(2), kShownWord) + " is a " +
                   printable(value, kShownName) + ": " + why);
  }
  return ok();
}

// The files of a vLLM folder by layer number. The example connector writes a folder for each
// prompt, with model.layers.N.self_attn.attn.safetensors for each layer.
Result<std::map<uint64_t, std::string>> list_layers(const std::string& folder) {
  static constexpr std::string_view kPrefix = "model.layers.";
  static constexpr std::string_view kSuffix = ".self_attn.attn.safetensors";
  DIR* const directory = ::opendir(folder.c_str());
  if (directory == nullptr) {
    return errno == ENOENT ? not_found("no such folder: " + printable(folder))
                           : io_error("cannot open the folder", folder, errno);
  }
  std::map<uint64_t, std::string> layers;
  Status fault;
  size_t entries = 0;
  while (const dirent* const entry = ::readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (++entries > kFolderEntriesMax) fault = too_large("the folder has too many entries");
    if (!name.ends_with(".safetensors") || !fault.ok()) continue;
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix) ||
        name.size() <= kPrefix.size() + kSuffix.size()) {
      fault = invalid("a file of an unknown name in the folder: " + printable(name, kShownName));
      continue;
    }
    const std::string_view digits =
        name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
    const auto layer = parse_u64(digits, "layer");
    if (!layer.ok()) {
      fault = layer.status();
      continue;
    }
    layers.emplace(*layer, folder + "/" + std::string(name));
  }
  ::closedir(directory);
  if (!fault.ok()) return fault;
  if (layers.empty()) {
    return invalid("no model.layers.N.self_attn.attn.safetensors in " + printable(folder));
  }
  if (layers.size() > kLayersMax || layers.rbegin()->first != layers.size() - 1) {
    return invalid("the folder's layers are not 0 to " + std::to_string(layers.size() - 1));
  }
  return layers;
}

// One tensor kv_cache [2, tokens, kv_heads · head_dim]: all keys, then all values.
Status add_vllm_layer(SafetensorsCache& cache, const OpenSafetensors& source, uint64_t kv_heads) {
  const Tensor* const tensor = source.header.find("kv_cache");
  if (tensor == nullptr || source.header.tensors.size() != 1) {
    return invalid("not one tensor \"kv_cache\": " + printable(source.file->path()));
  }
  if (tensor->shape.size() != 3 || tensor->shape[0] != 2) {
    return wrong_tensor(*tensor,
                        "not [2, tokens, heads × head_dim]; the layout of vLLM since 2026 "
                        "is not imported");
  }
  if (!is_float16_or_32(tensor->dtype)) {
    return wrong_tensor(*tensor,
                        std::string(dtype_name(tensor->dtype)) + " is not F16, BF16 or F32");
  }
  const uint64_t tokens = tensor->shape[1], width = tensor->shape[2];
  if (kv_heads == 0 || width % kv_heads != 0) {
    return invalid("the folder does not say its heads: give --heads, a divisor of " +
                   std::to_string(width));
  }
  if (cache.keys.empty()) {
    cache.shape.kv_heads = kv_heads;
    cache.shape.tokens = tokens;
    cache.shape.head_dim = width / kv_heads;
    cache.type = tensor->dtype;
  }
  if (cache.shape.tokens != tokens || cache.shape.head_dim != width / kv_heads ||
      cache.type != tensor->dtype) {
    return wrong_tensor(*tensor, "another shape or dtype than the layers before it");
  }
  if (tensor->size_bytes() == 0) return wrong_tensor(*tensor, "it is empty");
  const uint64_t start = source.header.data_start + tensor->begin;
  cache.keys.push_back({&source, start});
  cache.values.push_back({&source, start + tensor->size_bytes() / 2});
  return ok();
}

}  // namespace

Result<std::unique_ptr<CacheSource>> open_hf_cache(const std::string& path) {
  auto cache = KVCS_TRY(open_one(path, "hf"));
  const OpenSafetensors& source = *cache->sources[0];
  const bool past = source.header.find(past_name(0, true)) != nullptr;
  KVCS_TRY(add_layers(*cache, source, past ? past_name : dynamic_name));
  return std::unique_ptr<CacheSource>(std::move(cache));
}

Result<std::unique_ptr<CacheSource>> open_mlx_cache(const std::string& path) {
  auto cache = KVCS_TRY(open_one(path, "mlx"));
  const OpenSafetensors& source = *cache->sources[0];
  KVCS_TRY(check_mlx_classes(source.header));
  KVCS_TRY(add_layers(*cache, source, mlx_name));
  for (const auto& [key, value] : source.header.metadata) {
    if (key == "1.model") cache->facts.emplace_back("kvcs.model", value);
  }
  return std::unique_ptr<CacheSource>(std::move(cache));
}

Result<std::unique_ptr<CacheSource>> open_vllm_cache(const std::string& folder, uint64_t kv_heads) {
  auto cache = std::make_unique<SafetensorsCache>();
  cache->facts = {{"kvcs.source_format", "vllm example connector"}, {"kvcs.rope_layout", "half"}};
  cache->heads_inside = true;
  const auto layers = KVCS_TRY(list_layers(folder));
  for (const auto& [layer, path] : layers) {
    cache->sources.push_back(std::make_unique<OpenSafetensors>(KVCS_TRY(open_safetensors(path))));
    KVCS_TRY(add_vllm_layer(*cache, *cache->sources.back(), kv_heads));
  }
  cache->shape.layers = layers.size();
  return std::unique_ptr<CacheSource>(std::move(cache));
}

}  // namespace kvcs::kvfile
