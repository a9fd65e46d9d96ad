// Prompt caches of mlx-lm. Its arrays are numbered: N.0 are layer N's keys and N.1 its values, each
// of them codes, scales and biases (N.0.0, N.0.1, N.0.2) when they are quantised. The metadata has
// "0.N" and "0.N.i" for the state of layer N's cache, "1.key" for the user, "2.N" for the class.
#include <algorithm>

#include "base/bytes.h"
#include "kvfile/convert/safetensors_source.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kStateMax = 8;

std::string layer_name(uint64_t layer, std::string_view rest) {
  return std::to_string(layer) + std::string(rest);
}

Status wrong_layer(uint64_t layer, const std::string& class_name, const std::string& why) {
  return invalid("layer " + std::to_string(layer) + " is a " + printable(class_name, kShownName) +
                 ": " + why);
}

// The numbers of a layer's state, "0.N.0", "0.N.1", ….
Result<std::vector<uint64_t>> state_of(const KvHeader& header, uint64_t layer) {
  std::vector<uint64_t> numbers;
  for (size_t i = 0; i < kStateMax; i++) {
    const std::string key = "0." + std::to_string(layer) + "." + std::to_string(i);
    const std::string* const value = header.metadata_value(key);
    if (value == nullptr) break;
    numbers.push_back(KVCS_TRY(parse_u64(*value, key)));
  }
  return numbers;
}

Result<TensorView> plain_view(const ForeignTensors& from, const Tensor& tensor) {
  KVCS_TRY(check_values(tensor));
  if (tensor.shape.size() != 4 || tensor.shape[0] != 1) {
    return wrong_tensor(tensor, "not [1, heads, tokens, head_dim]");
  }
  TensorView view;
  view.heads = tensor.shape[1];
  view.tokens = tensor.shape[2];
  view.dim = tensor.shape[3];
  view.dtype = tensor.dtype;
  stride_heads_first(view);
  view.runs = {{from.source, tensor_offset(from, tensor), view.tokens}};
  return view;
}

// Codes as U32 [1, heads, tokens, dim · bits / 32]; a scale and a bias for each group of channels.
Result<TensorView> quantized_view(const ForeignTensors& from, const std::string& name,
                                  uint64_t group, uint64_t bits) {
  const Tensor* parts[3];
  for (size_t i = 0; i < 3; i++) {
    parts[i] = from.header.find(name + "." + std::to_string(i));
    if (parts[i] == nullptr) {
      return invalid("tensor \"" + name + "." + std::to_string(i) +
                     "\" is missing; only codes with scales and biases are read");
    }
    if (parts[i]->shape.size() != 4 || parts[i]->shape[0] != 1) {
      return wrong_tensor(*parts[i], "not [1, heads, tokens, …]");
    }
  }
  const Tensor &codes = *parts[0], &scales = *parts[1], &biases = *parts[2];
  if (codes.dtype != Dtype::kU32) return wrong_tensor(codes, "codes are not U32");
  KVCS_TRY(check_values(scales));
  KVCS_TRY(check_values(biases));
  const bool known_bits = bits >= 2 && bits <= 8 && bits != 7;
  if (!known_bits || group == 0 || group > kRowValuesMax) {
    return invalid(std::to_string(bits) + " bits in groups of " + std::to_string(group) +
                   " are not mlx's");
  }
  TensorView view;
  view.heads = codes.shape[1];
  view.tokens = codes.shape[2];
  if (scales.shape[3] > kRowValuesMax) return wrong_tensor(scales, "too many groups");
  view.dim = scales.shape[3] * group;
  if (scales.shape != biases.shape || scales.dtype != biases.dtype ||
      scales.shape[1] != view.heads || scales.shape[2] != view.tokens ||
      codes.shape[3] * 32 != view.dim * bits) {
    return wrong_tensor(codes, "its scales, biases, bits and groups do not fit it");
  }
  if (codes.size_bytes() == 0) return wrong_tensor(codes, "it is empty");
  stride_heads_first(view);
  view.runs = {{from.source, tensor_offset(from, codes), view.tokens}};
  view.codes = GroupCodes{bits, group, tensor_offset(from, scales), tensor_offset(from, biases),
                          scales.dtype};
  return view;
}

// A ring buffer, as long as it has not come round. Its state is: tokens kept in front, size, in
// some versions a step, tokens seen, place of the next one.
Status unwind_ring(const std::vector<uint64_t>& state, uint64_t layer, TensorView& view) {
  const std::string name = "RotatingKVCache";
  if (state.size() != 4 && state.size() != 5) {
    return wrong_layer(layer, name, "its state is not four or five numbers");
  }
  const uint64_t seen = state[state.size() - 2], next = state.back();
  if (next > view.tokens) {
    return wrong_layer(layer, name, "its state lies beyond its tensors");
  }
  if (seen > view.tokens) {
    return wrong_layer(layer, name,
                       "it has dropped " + std::to_string(seen - view.tokens) + " of its " +
                           std::to_string(seen) + " tokens; save it with a larger --max-kv-size");
  }
  if (next != seen) return wrong_layer(layer, name, "its state contradicts itself");
  // What lies behind the tokens that were seen is room.
  view.runs = cut_runs(view, 0, seen);
  view.tokens = seen;
  return ok();
}

Status add_layer(TensorCache& cache, const ForeignTensors& from, uint64_t layer) {
  const std::string* const recorded = from.header.metadata_value("2." + std::to_string(layer));
  const std::string name = recorded == nullptr ? "KVCache" : *recorded;
  const std::vector<uint64_t> state = KVCS_TRY(state_of(from.header, layer));
  if (name == "QuantizedKVCache") {
    // Tokens, group, bits; files of 2024 have the step in front.
    if (state.size() != 3 && state.size() != 4) {
      return wrong_layer(layer, name, "its state is not three or four numbers");
    }
    const uint64_t group = state[state.size() - 2], bits = state.back();
    for (auto* const views : {&cache.keys, &cache.values}) {
      const std::string tensor = layer_name(layer, views == &cache.keys ? ".0" : ".1");
      views->push_back(KVCS_TRY(quantized_view(from, tensor, group, bits)));
    }
    return ok();
  }
  const bool ring = name == "RotatingKVCache", chunks = name == "ChunkedKVCache";
  if (!ring && !chunks && name != "KVCache" && name != "ConcatenateKVCache") {
    return wrong_layer(layer, name,
                       "KVCache, ConcatenateKVCache, QuantizedKVCache, RotatingKVCache and "
                       "ChunkedKVCache are imported");
  }
  if (chunks && state.size() >= 2 && state[1] != 0) {
    return wrong_layer(layer, name,
                       "it has dropped its first " + std::to_string(state[1]) + " tokens");
  }
  for (auto* const views : {&cache.keys, &cache.values}) {
    const Tensor* const tensor =
        from.header.find(layer_name(layer, views == &cache.keys ? ".0" : ".1"));
    if (tensor == nullptr) return wrong_layer(layer, name, "keys or values are missing");
    TensorView view = KVCS_TRY(plain_view(from, *tensor));
    if (ring) KVCS_TRY(unwind_ring(state, layer, view));
    views->push_back(std::move(view));
  }
  return ok();
}

// One more than the largest first number of a tensor's name.
Result<uint64_t> count_layers(const KvHeader& header) {
  uint64_t layers = 0;
  for (const Tensor& tensor : header.tensors) {
    const std::string_view name = tensor.name;
    const size_t dot = name.find('.');
    const auto number = parse_u64(name.substr(0, dot), "layer");
    if (dot == std::string_view::npos || !number.ok() || *number >= kImportLayersMax) {
      return wrong_tensor(tensor, "not a name of mlx-lm, as 0.0 and 0.1 are");
    }
    layers = std::max(layers, *number + 1);
  }
  return layers;
}

}  // namespace

Result<ImportedTensors> open_mlx_cache(const std::string& path) {
  auto cache = std::make_unique<TensorCache>();
  const auto from = KVCS_TRY(open_safetensors(*cache, path, "mlx"));
  KVCS_TRY(refuse_incomplete(from.header));
  const uint64_t layers = KVCS_TRY(count_layers(from.header));
  for (uint64_t layer = 0; layer < layers; layer++) KVCS_TRY(add_layer(*cache, from, layer));
  KVCS_TRY(cache->finish());
  KVCS_TRY(take_carried_facts(*cache, from.header, "1."));
  if (const std::string* const model = from.header.metadata_value("1.model")) {
    set_metadata(cache->facts, "kvcs.model", *model);
  }
  const auto quantized =
      std::find_if(cache->keys.begin(), cache->keys.end(),
                   [](const TensorView& view) { return view.codes.has_value(); });
  if (quantized != cache->keys.end()) {
    cache->findings.push_back("codes of " + std::to_string(quantized->codes->bits) +
                              " bits in groups of " + std::to_string(quantized->codes->group) +
                              ", decoded");
  }
  std::vector<std::string> seen = std::move(cache->findings);
  return ImportedTensors{std::move(cache), std::move(seen)};
}

}  // namespace kvcs::kvfile
