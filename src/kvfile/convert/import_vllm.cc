// Folders of vLLM's example connector: one for each prompt, in it one file for each layer, named
// after the layer, with one tensor "kv_cache". Its shape has changed with vLLM's versions:
//
//   [2, tokens, heads · dim]    2025, keys before values; heads are not told
//   [2, tokens, heads, dim]     the same
//   [tokens, 2, heads, dim]     backends with pages of keys and values
//   [tokens, heads, 2 · dim]    2026, keys and values of a head side by side
//
// Narrow values (a cache of type fp8) are F8_E4M3, F8_E5M2 or bytes, U8; a scale for each layer is
// the engine's, and stands as "k_scale" and "v_scale" in the file only if somebody put it there.
#include <dirent.h>

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "base/chars.h"
#include "kvfile/convert/safetensors_source.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kFolderEntriesMax = 65'536;
constexpr std::string_view kEnd = ".safetensors";

bool is_number(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), is_digit);
}

// The layer's number in "model.layers.3.self_attn.attn" or "transformer.h.3.attn": its only number,
// or the one behind the word for layers.
Result<uint64_t> layer_number(std::string_view name) {
  const std::vector<std::string_view> words = split(name.substr(0, name.size() - kEnd.size()), '.');
  std::optional<std::string_view> only, behind;
  size_t numbers = 0;
  for (size_t i = 0; i < words.size(); i++) {
    if (!is_number(words[i])) continue;
    numbers++;
    only = words[i];
    const bool named = i > 0 && (words[i - 1] == "layers" || words[i - 1] == "h" ||
                                 words[i - 1] == "blocks" || words[i - 1] == "layer");
    if (named && !behind) behind = words[i];
  }
  if (!behind && numbers == 1) behind = only;
  if (!behind) {
    return invalid("a file without a layer's number in the folder: " + printable(name, kShownName));
  }
  return parse_u64(*behind, "layer");
}

struct ClosesDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// The files of the folder by their layer.
Result<std::map<uint64_t, std::string>> list_layers(const std::string& folder) {
  const std::unique_ptr<DIR, ClosesDirectory> directory(::opendir(folder.c_str()));
  if (directory == nullptr) {
    return errno == ENOENT ? not_found("no such folder: " + printable(folder))
                           : io_error("cannot open the folder", folder, errno);
  }
  std::map<uint64_t, std::string> layers;
  size_t entries = 0;
  while (const dirent* const entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (++entries > kFolderEntriesMax) return too_large("the folder has too many entries");
    if (!name.ends_with(kEnd)) continue;
    const uint64_t layer = KVCS_TRY(layer_number(name));
    const auto [it, added] = layers.emplace(layer, std::string(name));
    if (!added) {
      return invalid("two files of layer " + std::to_string(layer) + ": " +
                     printable(std::min(it->second, std::string(name)), kShownName) + " and " +
                     printable(std::max(it->second, std::string(name)), kShownName));
    }
  }
  if (layers.empty()) {
    return invalid("no file as model.layers.0.self_attn.attn.safetensors in " + printable(folder));
  }
  if (layers.size() > kImportLayersMax || layers.rbegin()->first != layers.size() - 1) {
    uint64_t missing = 0;
    while (layers.count(missing) > 0) missing++;
    return invalid("the folder's layers are not 0 to " + std::to_string(layers.size() - 1) +
                   ": layer " + std::to_string(missing) +
                   " is missing; the gaps of a hybrid model are not imported");
  }
  return layers;
}

// The factor of a narrow layer: the user's, else the file's, else 1, which is vLLM's own.
Result<float> scale_of(const TensorCache& cache, const ForeignTensors& from, const char* name,
                       const std::optional<float>& told) {
  if (told) return *told;
  const Tensor* const tensor = from.header.find(name);
  if (tensor == nullptr) return 1.0F;
  float scale = 0;
  if (tensor->dtype != Dtype::kF32 || tensor->size_bytes() != sizeof scale) {
    return wrong_tensor(*tensor, "not one F32 value");
  }
  KVCS_TRY(cache.sources[from.source]->read(tensor_offset(from, *tensor), &scale, sizeof scale));
  if (!(scale > 0) || scale > 1e30F) return wrong_tensor(*tensor, "not a scale above zero");
  return scale;
}

Status check_heads(const VllmImport& options, uint64_t heads) {
  if (options.kv_heads == 0 || options.kv_heads == heads) return ok();
  return invalid("--heads " + std::to_string(options.kv_heads) + ": the folder has " +
                 std::to_string(heads));
}

// Where keys and values lie in a tensor of one of the known shapes.
Status place(const Tensor& tensor, const VllmImport& options, TensorView& keys, uint64_t& values) {
  const std::vector<uint64_t>& shape = tensor.shape;
  if (shape.size() == 3 && shape[0] == 2) {
    if (options.kv_heads == 0 || shape[2] % options.kv_heads != 0) {
      return invalid("the folder does not say its heads: give --heads, a divisor of " +
                     std::to_string(shape[2]));
    }
    keys.heads = options.kv_heads;
    keys.tokens = shape[1];
    keys.dim = shape[2] / options.kv_heads;
    stride_tokens_first(keys);
    values = tensor.size_bytes() / 2;
    return ok();
  }
  if (shape.size() == 4 && (shape[0] == 2 || shape[1] == 2)) {
    const bool parts_first = shape[0] == 2;
    if (parts_first && shape[1] == 2) {
      return wrong_tensor(tensor, "of its two tokens nobody can tell the order");
    }
    keys.heads = shape[2];
    keys.tokens = shape[parts_first ? 1 : 0];
    keys.dim = shape[3];
    stride_tokens_first(keys);
    if (!parts_first) keys.token_stride *= 2;
    values =
        parts_first ? tensor.size_bytes() / 2 : keys.heads * keys.dim * dtype_bytes(tensor.dtype);
    return check_heads(options, keys.heads);
  }
  if (shape.size() == 3 && shape[2] % 2 == 0) {
    keys.heads = shape[1];
    keys.tokens = shape[0];
    keys.dim = shape[2] / 2;
    keys.head_stride = shape[2];
    keys.token_stride = shape[1] * shape[2];
    values = keys.dim * dtype_bytes(tensor.dtype);
    return check_heads(options, keys.heads);
  }
  if (shape.size() == 2) {
    return wrong_tensor(tensor, "[tokens, channels] is a latent cache (MLA): keys without values");
  }
  return wrong_tensor(tensor, "not a shape of vLLM's example connector");
}

Status add_layer(TensorCache& cache, const ForeignTensors& from, const VllmImport& options) {
  const std::string shown = printable(cache.sources[from.source]->path());
  const Tensor* const tensor = from.header.find("kv_cache");
  const size_t scales = (from.header.find("k_scale") != nullptr ? 1 : 0) +
                        (from.header.find("v_scale") != nullptr ? 1 : 0);
  if (tensor == nullptr || from.header.tensors.size() != 1 + scales) {
    return invalid("not one tensor \"kv_cache\": " + shown);
  }
  TensorView keys;
  keys.dtype =
      tensor->dtype == Dtype::kU8 && tensor->foreign_dtype.empty() ? options.narrow : tensor->dtype;
  const bool narrow = keys.dtype == Dtype::kF8E4m3 || keys.dtype == Dtype::kF8E5m2;
  if (!narrow && !is_float16_or_32(keys.dtype)) {
    return wrong_tensor(*tensor, shown_dtype(*tensor) +
                                     " is not F16, BF16, F32, F8_E4M3, F8_E5M2 or bytes of these");
  }
  if (tensor->size_bytes() == 0) return wrong_tensor(*tensor, "it is empty");
  uint64_t values_at = 0;
  KVCS_TRY(place(*tensor, options, keys, values_at));
  keys.runs = {{from.source, tensor_offset(from, *tensor), keys.tokens}};
  TensorView values = keys;
  values.runs[0].offset += values_at;
  if (narrow) {
    keys.scale = KVCS_TRY(scale_of(cache, from, "k_scale", options.key_scale));
    values.scale = KVCS_TRY(scale_of(cache, from, "v_scale", options.value_scale));
  }
  cache.keys.push_back(std::move(keys));
  cache.values.push_back(std::move(values));
  return ok();
}

void describe(TensorCache& cache) {
  const TensorView& view = cache.keys[0];
  if (is_float16_or_32(view.dtype)) return;
  const bool scaled = std::any_of(cache.keys.begin(), cache.keys.end(),
                                  [](const TensorView& v) { return v.scale != 1; });
  cache.findings.push_back(
      std::string(dtype_name(view.dtype)) +
      (scaled ? " with scales, multiplied out"
              : " read with a scale of 1; where the engine had others, give --key-scale and "
                "--value-scale"));
}

}  // namespace

Result<ImportedTensors> open_vllm_cache(const std::string& folder, const VllmImport& options) {
  auto cache = std::make_unique<TensorCache>();
  cache->facts = {{"kvcs.source_format", "vllm example connector"}, {"kvcs.rope_layout", "half"}};
  for (const auto& [layer, name] : KVCS_TRY(list_layers(folder))) {
    const auto from = KVCS_TRY(add_safetensors(*cache, folder + "/" + name));
    KVCS_TRY(add_layer(*cache, from, options));
  }
  KVCS_TRY(cache->finish());
  describe(*cache);
  std::vector<std::string> seen = std::move(cache->findings);
  return ImportedTensors{std::move(cache), std::move(seen)};
}

}  // namespace kvcs::kvfile
