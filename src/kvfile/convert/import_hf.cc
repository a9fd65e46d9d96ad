// Dumps of transformers' caches. They have no file form of their own, so the names of the tensors
// are whatever their writer chose; the common ones are known, and a pattern names others.
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/chars.h"
#include "base/counted.h"
#include "kvfile/convert/safetensors_source.h"

namespace kvcs::kvfile {
namespace {

constexpr std::string_view kMark = "{}";
constexpr size_t kNamedMax = 3;  // Of the tensors that are left out.

struct Names {
  std::string_view keys, values;
};
// What may stand behind any beginning that ends in a separator: "{}.key" is also
// past_key_values.0.key, present.0.key and layers.0.key. The first of two that fit equally stands.
constexpr Names kNames[] = {{"key_cache.{}", "value_cache.{}"},
                            {"key_cache_{}", "value_cache_{}"},
                            {"key_states.{}", "value_states.{}"},
                            {"key_states_{}", "value_states_{}"},
                            {"{}.keys", "{}.values"},
                            {"{}.key", "{}.value"},
                            {"{}.key_cache", "{}.value_cache"},
                            {"{}.key_states", "{}.value_states"},
                            {"{}.k_cache", "{}.v_cache"},
                            {"{}.self_attn.k", "{}.self_attn.v"},
                            {"{}_keys", "{}_values"},
                            {"{}_key", "{}_value"},
                            {"{}.k", "{}.v"},
                            {"{}_k", "{}_v"},
                            {"keys.{}", "values.{}"},
                            {"keys_{}", "values_{}"},
                            {"key.{}", "value.{}"},
                            {"key_{}", "value_{}"},
                            {"k.{}", "v.{}"},
                            {"k_{}", "v_{}"},
                            {"k{}", "v{}"},
                            {"{}.0", "{}.1"}};
// All layers in one tensor [layers, …].
constexpr Names kStacked[] = {
    {"key_cache", "value_cache"}, {"keys", "values"}, {"key", "value"}, {"k", "v"}};
// Keys and values of all layers in one tensor [layers, 2, …].
constexpr std::string_view kWhole[] = {"past_key_values", "kv_cache", "kv"};

struct Match {
  std::string begin;  // Before the pattern.
  uint64_t layer = 0;
};

// The layer's number, where a name is "<begin><pattern>" and the beginning is empty or ends in a
// separator. A pattern that the user gave is the whole name.
std::optional<Match> match(std::string_view name, std::string_view pattern, bool whole) {
  const size_t mark = pattern.find(kMark);
  const std::string_view before = pattern.substr(0, mark), after = pattern.substr(mark + 2);
  if (!name.ends_with(after)) return std::nullopt;
  name.remove_suffix(after.size());
  size_t digits = 0;
  while (digits < name.size() && is_digit(name[name.size() - 1 - digits])) digits++;
  const auto layer = parse_u64(name.substr(name.size() - digits), "layer");
  if (!layer.ok() || *layer >= kImportLayersMax) return std::nullopt;
  name.remove_suffix(digits);
  if (!name.ends_with(before)) return std::nullopt;
  name.remove_suffix(before.size());
  if (whole && !name.empty()) return std::nullopt;
  if (!name.empty() && std::string_view("._/").find(name.back()) == std::string_view::npos) {
    return std::nullopt;
  }
  return Match{std::string(name), *layer};
}

struct Layer {
  const Tensor* keys = nullptr;
  const Tensor* values = nullptr;
};
using Layers = std::map<uint64_t, Layer>;

size_t count_tensors(const Layers& layers) {
  size_t count = 0;
  for (const auto& [number, layer] : layers) {
    count += (layer.keys != nullptr ? 1 : 0) + (layer.values != nullptr ? 1 : 0);
  }
  return count;
}

// The layers that one pair of patterns finds, under the beginning that finds most.
Result<Layers> layers_named(const KvHeader& header, const Names& names, bool whole) {
  std::map<std::string, Layers> found;
  for (const Tensor& tensor : header.tensors) {
    for (const bool keys : {true, false}) {
      const auto at = match(tensor.name, keys ? names.keys : names.values, whole);
      if (!at) continue;
      Layer& layer = found[at->begin][at->layer];
      const Tensor*& place = keys ? layer.keys : layer.values;
      if (place != nullptr) return wrong_tensor(tensor, "the layer has another of its kind");
      place = &tensor;
    }
  }
  Layers best;
  for (auto& [begin, layers] : found) {
    if (count_tensors(layers) > count_tensors(best)) best = std::move(layers);
  }
  return best;
}

Status check_pattern(const std::string& option, const std::string& pattern) {
  const size_t at = pattern.find(kMark);
  if (at != std::string::npos && pattern.find(kMark, at + 1) == std::string::npos) return ok();
  return invalid(option + ": '" + printable(pattern, kShownName) +
                 "' must have one {} where the layer's number stands");
}

Result<Layers> find_layers(const KvHeader& header, const HfImport& options) {
  if (options.key_name.empty() != options.value_name.empty()) {
    return invalid("--key-name and --value-name are given together");
  }
  if (!options.key_name.empty()) {
    KVCS_TRY(check_pattern("--key-name", options.key_name));
    KVCS_TRY(check_pattern("--value-name", options.value_name));
    return layers_named(header, {options.key_name, options.value_name}, true);
  }
  Layers best;
  for (const Names& names : kNames) {
    Layers layers = KVCS_TRY(layers_named(header, names, false));
    if (count_tensors(layers) > count_tensors(best)) best = std::move(layers);
  }
  return best;
}

// [1, heads, tokens, dim] or the same without the 1; `skip` dimensions in front are the caller's.
Result<TensorView> view_of(const ForeignTensors& from, const Tensor& tensor, size_t skip,
                           TensorLayout layout) {
  KVCS_TRY(check_values(tensor));
  std::vector<uint64_t> shape(tensor.shape.begin() + static_cast<ptrdiff_t>(skip),
                              tensor.shape.end());
  const bool nhd = layout == TensorLayout::kNhd;
  if (shape.size() == 4 && shape[0] != 1) {
    return wrong_tensor(
        tensor, "a batch of " + std::to_string(shape[0]) + "; only one sequence is imported");
  }
  if (shape.size() == 4) shape.erase(shape.begin());
  if (shape.size() != 3) {
    return wrong_tensor(
        tensor, nhd ? "not [1, tokens, heads, head_dim]" : "not [1, heads, tokens, head_dim]");
  }
  TensorView view;
  view.heads = shape[nhd ? 1 : 0];
  view.tokens = shape[nhd ? 0 : 1];
  view.dim = shape[2];
  view.dtype = tensor.dtype;
  nhd ? stride_tokens_first(view) : stride_heads_first(view);
  view.runs = {{from.source, tensor_offset(from, tensor), view.tokens}};
  return view;
}

Status add_layers(TensorCache& cache, const ForeignTensors& from, const Layers& layers,
                  TensorLayout layout) {
  uint64_t expected = 0;
  for (const auto& [number, layer] : layers) {
    if (number != expected) {
      return invalid("layer " + std::to_string(expected) + " is missing; the next is " +
                     std::to_string(number));
    }
    expected++;
    if (layer.keys == nullptr || layer.values == nullptr) {
      return invalid("layer " + std::to_string(number) + " has " +
                     (layer.keys == nullptr ? "values without keys" : "keys without values"));
    }
    cache.keys.push_back(KVCS_TRY(view_of(from, *layer.keys, 0, layout)));
    cache.values.push_back(KVCS_TRY(view_of(from, *layer.values, 0, layout)));
  }
  return ok();
}

// `kinds`: 1 where the tensor holds keys or values alone, 2 where each layer has both.
Status add_stacked(const ForeignTensors& from, const Tensor& tensor, uint64_t kinds,
                   std::vector<std::vector<TensorView>*> to, TensorLayout layout) {
  const size_t skip = kinds == 1 ? 1 : 2;
  if (tensor.shape.size() < skip + 3 || (kinds == 2 && tensor.shape[1] != 2)) {
    return wrong_tensor(tensor, kinds == 1 ? "not [layers, 1, heads, tokens, head_dim]"
                                           : "not [layers, 2, 1, heads, tokens, head_dim]");
  }
  const uint64_t layers = tensor.shape[0];
  const TensorView model = KVCS_TRY(view_of(from, tensor, skip, layout));
  if (layers > kImportLayersMax) return wrong_tensor(tensor, "more layers than are imported");
  const uint64_t step = tensor.size_bytes() / (layers * kinds);
  for (uint64_t i = 0; i < layers * kinds; i++) {
    TensorView view = model;
    view.runs[0].offset += i * step;
    to[i % kinds]->push_back(std::move(view));
  }
  return ok();
}

// Tensors that are no layer's: ids, masks, counters. What has the form of keys is none of these,
// and leaving it out would make another cache.
Result<std::vector<const Tensor*>> left_out(const KvHeader& header,
                                            const std::set<const Tensor*>& used, bool named) {
  std::vector<const Tensor*> others;
  for (const Tensor& tensor : header.tensors) {
    if (used.count(&tensor) > 0) continue;
    if (!named && tensor.shape.size() >= 3 && is_float16_or_32(tensor.dtype)) {
      return wrong_tensor(tensor,
                          "it is no layer's by its name. Known names are key_cache.N, "
                          "past_key_values.N.key, layers.N.keys, present.N.key, layer_N_key, "
                          "keys.N, N.0, k_N; name others with --key-name 'layers.{}.k' "
                          "--value-name 'layers.{}.v'");
    }
    others.push_back(&tensor);
  }
  return others;
}

Status add_all(TensorCache& cache, const ForeignTensors& from, const HfImport& options,
               std::set<const Tensor*>& used) {
  const Layers layers = KVCS_TRY(find_layers(from.header, options));
  for (const auto& [number, layer] : layers) used.insert({layer.keys, layer.values});
  if (!layers.empty()) return add_layers(cache, from, layers, options.layout);
  if (!options.key_name.empty()) {
    return invalid(
        "no tensor is named '" + printable(options.key_name, kShownName) + "' or '" +
        printable(options.value_name, kShownName) + "'; the first is \"" +
        printable(from.header.tensors.empty() ? "" : from.header.tensors[0].name, kShownName) +
        "\"");
  }
  for (const Names& names : kStacked) {
    const Tensor* const keys = from.header.find(names.keys);
    const Tensor* const values = from.header.find(names.values);
    if (keys == nullptr || values == nullptr) continue;
    used = {keys, values};
    KVCS_TRY(add_stacked(from, *keys, 1, {&cache.keys}, options.layout));
    return add_stacked(from, *values, 1, {&cache.values}, options.layout);
  }
  for (const std::string_view name : kWhole) {
    const Tensor* const both = from.header.find(name);
    if (both == nullptr) continue;
    used = {both};
    return add_stacked(from, *both, 2, {&cache.keys, &cache.values}, options.layout);
  }
  return ok();
}

std::string name_some(const std::vector<const Tensor*>& tensors) {
  std::string text;
  for (size_t i = 0; i < std::min(tensors.size(), kNamedMax); i++) {
    text += (i == 0 ? "" : ", ") + printable(tensors[i]->name, kShownName);
  }
  return text + (tensors.size() > kNamedMax ? ", …" : "");
}

// Token ids that were dumped beside the cache, when they are as many as its tokens.
Status take_ids(TensorCache& cache, const ForeignTensors& from,
                const std::vector<const Tensor*>& others) {
  static constexpr std::string_view kNamesOfIds[] = {"input_ids", "prompt_token_ids", "token_ids",
                                                     "tokens"};
  for (const Tensor* const tensor : others) {
    if (std::find(std::begin(kNamesOfIds), std::end(kNamesOfIds), tensor->name) ==
        std::end(kNamesOfIds)) {
      continue;
    }
    const bool wide = tensor->foreign_dtype == "I64" || tensor->foreign_dtype == "U64";
    if (!wide && tensor->foreign_dtype != "I32" && tensor->dtype != Dtype::kU32) continue;
    const uint64_t width = wide ? 8 : 4, count = tensor->size_bytes() / width;
    if (count != cache.geometry().tokens) continue;
    std::string bytes(tensor->size_bytes(), '\0');
    KVCS_TRY(
        cache.sources[from.source]->read(tensor_offset(from, *tensor), bytes.data(), bytes.size()));
    std::vector<uint32_t> ids;
    for (uint64_t i = 0; i < count; i++) {
      const uint64_t id =
          wide ? load_u64le(bytes.data() + i * width) : load_u32le(bytes.data() + i * width);
      if (id > (wide ? UINT32_MAX : INT32_MAX)) {
        return wrong_tensor(*tensor, "value " + std::to_string(i) + " is no token id");
      }
      ids.push_back(static_cast<uint32_t>(id));
    }
    cache.ids = std::move(ids);
    cache.findings.push_back("token ids of the tensor " + tensor->name);
    return ok();
  }
  return ok();
}

// A cache that was allocated in advance ends in rows of zeros, which no token has in all layers.
Status cut_padding(TensorCache& cache, const HfImport& options) {
  const uint64_t rows = cache.geometry().tokens, heads = cache.geometry().kv_heads;
  if (options.tokens && options.layout == TensorLayout::kHnd && *options.tokens != rows &&
      *options.tokens == heads) {
    return invalid(std::to_string(heads) + " token ids, and tensors of " + std::to_string(heads) +
                   " heads and " + std::to_string(rows) +
                   " tokens: if tokens stand before heads there, say --layout nhd");
  }
  const uint64_t zeros = KVCS_TRY(count_zero_tail(cache));
  if (zeros == rows) {
    cache.findings.push_back("every value is zero, so that no row is known to be room");
    return ok();
  }
  uint64_t kept = rows - zeros;
  if (options.tokens && *options.tokens >= kept && *options.tokens <= rows) kept = *options.tokens;
  if (kept == rows) return ok();
  for (auto* const views : {&cache.keys, &cache.values}) {
    for (TensorView& view : *views) {
      view.runs = cut_runs(view, 0, kept);
      view.tokens = kept;
    }
  }
  cache.findings.push_back(counted(rows - kept, "row") +
                           " of zeros at the end left out: room of a static cache");
  return cache.finish();
}

}  // namespace

Result<ImportedTensors> open_hf_cache(const std::string& path, const HfImport& options) {
  auto cache = std::make_unique<TensorCache>();
  const auto from = KVCS_TRY(open_safetensors(*cache, path, "hf"));
  if (from.header.metadata_value("2.0") != nullptr) {
    return invalid("this is a prompt cache of mlx-lm; take --from mlx");
  }
  KVCS_TRY(refuse_incomplete(from.header));
  std::set<const Tensor*> used;
  KVCS_TRY(add_all(*cache, from, options, used));
  const auto others = KVCS_TRY(left_out(from.header, used, !options.key_name.empty()));
  KVCS_TRY(cache->finish());
  KVCS_TRY(cut_padding(*cache, options));
  if (!others.empty()) {
    cache->findings.push_back(counted(others.size(), "other tensor") +
                              " left out: " + name_some(others));
  }
  KVCS_TRY(take_carried_facts(*cache, from.header));
  if (cache->ids.empty()) KVCS_TRY(take_ids(*cache, from, others));
  std::vector<std::string> seen = std::move(cache->findings);
  return ImportedTensors{std::move(cache), std::move(seen)};
}

}  // namespace kvcs::kvfile
