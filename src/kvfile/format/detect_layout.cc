// Finds how each layer is kept and how large it is from the tensors of a file, and refuses what
// does not fit together.
#include <algorithm>
#include <array>
#include <numeric>

#include "base/bytes.h"
#include "kvfile/format/layout.h"
#include "kvfile/format/tiles.h"

namespace kvcs::kvfile {
namespace {

constexpr uint64_t kPlaceMax = UINT32_MAX;  // Of a token in its text, of a layer in its model.

std::string shape_text(const std::vector<uint64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); i++) {
    text += (i > 0 ? "," : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

Status tensor_fault(const Tensor& tensor, const std::string& why) {
  return invalid("tensor \"" + tensor.name + "\": " + why);
}

// Whether the tensor holds one element: any such shape broadcasts over the codes, so each is taken.
bool is_scalar(const Tensor& tensor) {
  return std::all_of(tensor.shape.begin(), tensor.shape.end(),
                     [](uint64_t dimension) { return dimension == 1; });
}

Status check_tensor(const KvHeader& header, const Tensor& wanted) {
  const Tensor* const found = header.find(wanted.name);
  if (found == nullptr) return invalid("tensor \"" + wanted.name + "\" is missing");
  if (found->dtype != wanted.dtype) {
    return tensor_fault(*found, "dtype " + std::string(dtype_name(found->dtype)) + ", expected " +
                                    std::string(dtype_name(wanted.dtype)));
  }
  if (found->shape == wanted.shape || (wanted.shape.empty() && is_scalar(*found))) return ok();
  return tensor_fault(
      *found, "shape " + shape_text(found->shape) + ", expected " + shape_text(wanted.shape));
}

// The scheme of one layer's keys or values, from names and dtypes alone: kvcdn's files have no
// metadata at all.
Result<Scheme> detect_scheme(const KvHeader& header, Part part, uint64_t layer) {
  if (const Tensor* const plain = header.find(tensor_name(part, layer))) {
    if (plain->dtype == Dtype::kF8E4m3) return Scheme::kFp8E4m3;
    if (plain->dtype == Dtype::kF8E5m2) return Scheme::kFp8E5m2;
    if (is_float16_or_32(plain->dtype)) return Scheme::kPlain;
    return tensor_fault(*plain, "dtype " + std::string(dtype_name(plain->dtype)) +
                                    " needs scales; keys and values are F32, F16, BF16 or F8");
  }
  const Tensor* const codes = header.find(tensor_name(part, layer, "_q"));
  const Tensor* const scales = header.find(tensor_name(part, layer, "_s"));
  if (scales == nullptr) {
    return invalid("\"" + codes->name + "\" has no scales \"" + tensor_name(part, layer, "_s") +
                   "\"");
  }
  if (header.find(tensor_name(part, layer, "_z")) != nullptr) return Scheme::kInt4c;
  if (codes->dtype == Dtype::kU8) return Scheme::kInt8;
  return scales->dtype == Dtype::kF16 ? Scheme::kQ8 : Scheme::kInt8c;
}

// The tensor of a part whose shape tells its size: values, or codes.
const Tensor* main_tensor(const KvHeader& header, Part part, uint64_t layer) {
  const Tensor* const plain = header.find(tensor_name(part, layer));
  return plain != nullptr ? plain : header.find(tensor_name(part, layer, "_q"));
}

// What is read of the metadata before the layers are.
struct Declared {
  std::vector<IndexRange> keys_only, absent;
  std::vector<uint64_t> kept_first;     // One, or one for each layer.
  std::array<std::string, 2> rotation;  // Of keys and of values.
  std::optional<uint64_t> tokens;

  static bool has(const std::vector<IndexRange>& ranges, uint64_t layer) {
    return std::any_of(ranges.begin(), ranges.end(), [layer](const IndexRange& range) {
      return layer >= range.begin && layer < range.end;
    });
  }
};

Result<Declared> read_declared(const KvHeader& header) {
  Declared declared;
  if (const std::string* const text = header.metadata_value("kvcs.keys_only")) {
    declared.keys_only = KVCS_TRY(parse_ranges(*text, kTensorsMax, "kvcs.keys_only"));
  }
  if (const std::string* const text = header.metadata_value("kvcs.absent_layers")) {
    declared.absent = KVCS_TRY(parse_ranges(*text, kTensorsMax, "kvcs.absent_layers"));
  }
  if (const std::string* const text = header.metadata_value("kvcs.kept_first")) {
    for (std::string_view rest = *text;;) {
      const size_t comma = std::min(rest.find(','), rest.size());
      declared.kept_first.push_back(KVCS_TRY(parse_u64(rest.substr(0, comma), "kvcs.kept_first")));
      if (comma == rest.size()) break;
      rest.remove_prefix(comma + 1);
    }
  }
  if (const std::string* const text = header.metadata_value("kvcs.rotation")) {
    const size_t comma = text->find(',');
    declared.rotation[0] = text->substr(0, comma);
    declared.rotation[1] = comma == std::string::npos ? *text : text->substr(comma + 1);
  }
  if (const std::string* const text = header.metadata_value("kvcs.n_tokens")) {
    declared.tokens = KVCS_TRY(parse_u64(*text, "kvcs.n_tokens"));
  }
  return declared;
}

// The tokens that int4c keeps stand in a tensor of their own, and add to those of the codes.
Status read_kept(const KvHeader& header, const Declared& declared, Part part, uint64_t layer,
                 PartShape& shape) {
  const Tensor* const kept = header.find(tensor_name(part, layer, "_f"));
  if (kept == nullptr) return ok();
  const size_t rank = shape.is_latent ? 3 : 4;
  if (kept->shape.size() != rank) {
    return tensor_fault(*kept, "rank " + std::to_string(kept->shape.size()) + " beside codes of " +
                                   "rank " + std::to_string(rank));
  }
  const uint64_t kept_tokens = kept->shape[rank - 2];
  if (!is_float16_or_32(kept->dtype) || kept_tokens > kTokensMax) {
    return tensor_fault(*kept, "not tokens kept as F16, BF16 or F32");
  }
  PartShape usual;
  usual.tokens = 2 * kTokensMax;
  choose_kept_tokens(usual);
  shape.kept_first = std::min(usual.kept_first, kept_tokens);
  if (!declared.kept_first.empty()) {
    const size_t at = declared.kept_first.size() == 1 ? 0 : layer;
    if (at >= declared.kept_first.size()) {
      return invalid("kvcs.kept_first has " + std::to_string(declared.kept_first.size()) +
                     " numbers and none for layer " + std::to_string(layer));
    }
    shape.kept_first = declared.kept_first[at];
  }
  if (shape.kept_first > kept_tokens) {
    return invalid("kvcs.kept_first " + std::to_string(shape.kept_first) + " is more than the " +
                   std::to_string(kept_tokens) + " tokens of \"" + kept->name + "\"");
  }
  shape.kept_last = kept_tokens - shape.kept_first;
  shape.tokens += kept_tokens;
  return ok();
}

// The size and the scheme of one layer's keys or values; without heads when it has none.
Result<PartShape> read_part(const KvHeader& header, const Declared& declared, Part part,
                            uint64_t layer) {
  PartShape shape;
  const Tensor* const main = main_tensor(header, part, layer);
  if (main == nullptr) return shape;
  shape.scheme = KVCS_TRY(detect_scheme(header, part, layer));
  shape.dtype = header.dtype;
  const std::vector<uint64_t>& sizes = main->shape;
  // kvcdn keeps the latents of DeepSeek as keys without heads, and their rotary part as values.
  shape.is_latent = part == Part::kKeys && sizes.size() == 3;
  if (sizes.size() != 4 && !shape.is_latent) {
    return tensor_fault(*main, "rank " + std::to_string(sizes.size()) +
                                   "; [1, kv_heads, tokens, head_dim] needs rank 4");
  }
  if (sizes[0] != 1) {
    return tensor_fault(*main,
                        "batch " + std::to_string(sizes[0]) + "; a .kv file holds one sequence");
  }
  shape.heads = shape.is_latent ? 1 : sizes[1];
  shape.tokens = sizes[sizes.size() - 2];
  shape.head_dim = sizes.back();
  if (shape.scheme == Scheme::kInt4c) {
    if (shape.head_dim <= kTokensMax) shape.head_dim *= 2;  // A byte holds two channels.
    KVCS_TRY(read_kept(header, declared, part, layer, shape));
  }
  const std::array<std::pair<std::string_view, uint64_t>, 3> counts = {
      {{"heads", shape.heads}, {"tokens", shape.tokens}, {"head_dim", shape.head_dim}}};
  for (const auto& [what, count] : counts) {
    if (count == 0) return tensor_fault(*main, "no " + std::string(what));
    if (count > kTokensMax) {
      return tensor_fault(*main, std::to_string(count) + " " + std::string(what) +
                                     " are over the limit of " + std::to_string(kTokensMax));
    }
  }
  KVCS_TRY(check_scheme_fits(shape.scheme, shape));
  const std::string& rotation = declared.rotation[part == Part::kKeys ? 0 : 1];
  if (!rotation.empty()) shape.rotation = KVCS_TRY(parse_rotation(rotation, shape.head_dim)).block;
  if (part == Part::kKeys) {
    shape.paired = KVCS_TRY(paired_channels(header.metadata, shape.head_dim));
  }
  return shape;
}

// Keys and values of a layer belong to the same heads and tokens.
Status check_values(const KvHeader& header, const Declared& declared, uint64_t layer,
                    const LayerShape& shape) {
  const std::string keys = tensor_name(Part::kKeys, layer);
  const std::string values = tensor_name(Part::kValues, layer);
  if (!shape.keys.exists()) return invalid("layer " + std::to_string(layer) + " has no keys");
  if (!shape.values.exists()) {
    if (Declared::has(declared.keys_only, layer)) return ok();
    return invalid("tensor \"" + values + "\" is missing");
  }
  if (Declared::has(declared.keys_only, layer)) {
    return invalid("kvcs.keys_only has layer " + std::to_string(layer) + ", which has \"" +
                   main_tensor(header, Part::kValues, layer)->name + "\"");
  }
  const auto compare = [&](std::string_view what, uint64_t of_keys, uint64_t of_values) -> Status {
    if (of_keys == of_values) return ok();
    return tensor_fault(*main_tensor(header, Part::kValues, layer),
                        std::to_string(of_values) + " " + std::string(what) + ", the keys have " +
                            std::to_string(of_keys));
  };
  KVCS_TRY(compare("heads", shape.keys.heads, shape.values.heads));
  return compare("tokens", shape.keys.tokens, shape.values.tokens);
}

// How many layers there are, by the highest number of a tensor or of kvcs.absent_layers.
uint64_t count_layers(const KvHeader& header, const Declared& declared) {
  uint64_t layers = declared.absent.empty() ? 0 : declared.absent.back().end;
  for (const Tensor& tensor : header.tensors) {
    if (const auto layer = layer_of(tensor.name)) layers = std::max(layers, *layer + 1);
  }
  return layers;
}

// Every tensor that the layers demand must be there with its dtype and shape, and no other:
// `expected` counts those, and when there are more in the file the first stranger is named.
Status check_tensors(const KvHeader& header) {
  size_t expected = 0;
  for (const Tensor& wanted : layout_tensors(header.shapes)) {
    KVCS_TRY(check_tensor(header, wanted));
    expected++;
  }
  for (const Tensor& tensor : header.tensors) {
    if (tensor.name == "tokens" || tensor.name.starts_with("state_")) expected++;
  }
  if (expected == header.tensors.size()) return ok();
  for (const Tensor& tensor : header.tensors) {
    const std::optional<uint64_t> layer = layer_of(tensor.name);
    if (!layer || tensor.name.starts_with("state_")) continue;
    const Part part = tensor.name[0] == 'k' ? Part::kKeys : Part::kValues;
    const std::vector<Tensor> wanted = layout_tensors(header.shape(part, *layer), part, *layer);
    const bool known = std::any_of(wanted.begin(), wanted.end(),
                                   [&](const Tensor& t) { return t.name == tensor.name; });
    if (!known) {
      return invalid("tensor \"" + tensor.name + "\" does not belong to " +
                     std::to_string(header.layers) + " layers of scheme " +
                     std::string(scheme_name(header.scheme)));
    }
  }
  return ok();
}

// A layer that is missing shows by the tensors behind it.
Status gap_fault(const KvHeader& header, uint64_t layer) {
  const Tensor* behind = nullptr;
  for (const Tensor& tensor : header.tensors) {
    const std::optional<uint64_t> number = layer_of(tensor.name);
    if (number && *number > layer && behind == nullptr) behind = &tensor;
  }
  const std::string missing = "layer " + std::to_string(layer) + " is missing";
  if (behind == nullptr) return invalid(missing);
  return invalid("tensor \"" + behind->name + "\" does not belong to " + std::to_string(layer) +
                 " layers: " + missing + ", and kvcs.absent_layers does not have it");
}

Status read_layers(KvHeader& header, const Declared& declared) {
  header.layers = count_layers(header, declared);
  if (header.layers > kTensorsMax) {
    return invalid(std::to_string(header.layers) + " layers are over the limit of " +
                   std::to_string(kTensorsMax));
  }
  std::vector<bool> has_state(header.layers, false);
  for (const Tensor& tensor : header.tensors) {
    if (tensor.name.starts_with("state_")) has_state[*layer_of(tensor.name)] = true;
  }
  header.shapes.resize(header.layers);
  for (uint64_t layer = 0; layer < header.layers; layer++) {
    LayerShape& shape = header.shapes[layer];
    shape.keys = KVCS_TRY(read_part(header, declared, Part::kKeys, layer));
    shape.values = KVCS_TRY(read_part(header, declared, Part::kValues, layer));
    const bool is_there = shape.keys.exists() || shape.values.exists() || has_state[layer];
    if (Declared::has(declared.absent, layer) == is_there) {
      const std::string number = std::to_string(layer);
      if (is_there) return invalid("kvcs.absent_layers has layer " + number + ", which is there");
      if (layer > 0) return gap_fault(header, layer);
      return invalid("layer " + number + " has no keys: neither \"k_" + number + "\" nor \"k_" +
                     number + "_q\"");
    }
    if (shape.keys.exists() || shape.values.exists()) {
      KVCS_TRY(check_values(header, declared, layer, shape));
    }
  }
  return ok();
}

// The positions that each window holds: "LAYERS=POSITIONS;…".
Status read_positions(KvHeader& header) {
  const std::string* const text = header.metadata_value("kvcs.positions");
  if (text == nullptr) return ok();
  for (std::string_view rest = *text;;) {
    const size_t end = std::min(rest.find(';'), rest.size());
    const std::string_view one = rest.substr(0, end);
    const size_t equals = one.find('=');
    if (equals == std::string_view::npos) {
      return invalid("kvcs.positions \"" + printable(*text, kShownName) +
                     "\" is not LAYERS=POSITIONS;…");
    }
    const auto positions =
        KVCS_TRY(parse_ranges(one.substr(equals + 1), kPlaceMax, "kvcs.positions"));
    const uint64_t count = count_in(positions);
    for (const IndexRange& layers :
         KVCS_TRY(parse_ranges(one.substr(0, equals), header.layers, "kvcs.positions"))) {
      for (uint64_t layer = layers.begin; layer < layers.end; layer++) {
        LayerShape& shape = header.shapes[layer];
        if (!shape.positions.empty()) {
          return invalid("kvcs.positions has layer " + std::to_string(layer) + " twice");
        }
        if (shape.keys.tokens != count) {
          return invalid("kvcs.positions has " + std::to_string(count) + " positions of layer " +
                         std::to_string(layer) + ", which has " +
                         std::to_string(shape.keys.tokens) + " tokens");
        }
        shape.positions = positions;
      }
    }
    if (end == rest.size()) return ok();
    rest.remove_prefix(end + 1);
  }
}

// The tokens of the text: those of the layers that hold all of it. Where none does, the metadata or
// the token ids say them, or else the last position of a window.
Status read_tokens(KvHeader& header, const Declared& declared, uint64_t position_offset) {
  std::optional<uint64_t> tokens, last;
  uint64_t first_layer = 0;
  for (uint64_t layer = 0; layer < header.layers; layer++) {
    const LayerShape& shape = header.shapes[layer];
    if (!shape.keys.exists()) continue;
    if (!shape.positions.empty()) {
      last = std::max(last.value_or(0), shape.positions.back().end);
      continue;
    }
    if (!tokens) {
      tokens = shape.keys.tokens;
      first_layer = layer;
    }
    if (*tokens != shape.keys.tokens) {
      return tensor_fault(*main_tensor(header, Part::kKeys, layer),
                          std::to_string(shape.keys.tokens) + " tokens, layer " +
                              std::to_string(first_layer) + " has " + std::to_string(*tokens) +
                              "; kvcs.positions does not say which it holds");
    }
  }
  const Tensor* const ids = header.find("tokens");
  if (!tokens && ids != nullptr && ids->shape.size() == 1) tokens = ids->shape[0];
  if (!tokens) tokens = declared.tokens;
  if (!tokens && last) tokens = *last - std::min(*last, position_offset);
  header.tokens = tokens.value_or(0);
  if (header.tokens == 0 || header.tokens > kTokensMax) {
    return invalid("the file says " + std::to_string(header.tokens) + " tokens; there are 1 to " +
                   std::to_string(kTokensMax));
  }
  if (declared.tokens && *declared.tokens != header.tokens) {
    return invalid("kvcs.n_tokens says " + std::to_string(*declared.tokens) +
                   ", the tensors have " + std::to_string(header.tokens));
  }
  if (ids != nullptr &&
      (ids->dtype != Dtype::kU32 || ids->shape != std::vector<uint64_t>{header.tokens})) {
    return invalid("tensor \"tokens\": must be U32 [" + std::to_string(header.tokens) + "]");
  }
  for (uint64_t layer = 0; layer < header.layers; layer++) {
    const std::vector<IndexRange>& positions = header.shapes[layer].positions;
    if (positions.empty()) continue;
    const uint64_t end = position_offset + header.tokens;
    if (positions.front().begin < position_offset || positions.back().end > end) {
      return invalid("kvcs.positions of layer " + std::to_string(layer) +
                     " are not within those of the file, " + std::to_string(position_offset) + ":" +
                     std::to_string(end));
    }
  }
  return ok();
}

// The dtype of values: that of the first that are kept as they were. For codes the metadata says
// it, and each of them is checked later.
Status read_value_dtype(KvHeader& header) {
  for (const Tensor& tensor : header.tensors) {
    if (tensor.name.starts_with("state_") || tensor.name == "tokens") continue;
    const bool is_main = tensor.name.find('_', 2) == std::string::npos;
    if (is_float16_or_32(tensor.dtype) && (is_main || tensor.name.ends_with("_f"))) {
      header.dtype = tensor.dtype;
    }
    if (is_float16_or_32(tensor.dtype) && is_main) return ok();
  }
  const std::string* const name = header.metadata_value("kvcs.dtype");
  if (name == nullptr) return ok();
  const std::optional<Dtype> dtype = parse_dtype(*name);
  if (!dtype || !is_float16_or_32(*dtype)) {
    return invalid("kvcs.dtype " + printable(*name, kShownWord) + " is not F16, BF16 or F32");
  }
  const auto is_kept = [](const Tensor& tensor) { return tensor.name.ends_with("_f"); };
  if (std::none_of(header.tensors.begin(), header.tensors.end(), is_kept)) header.dtype = *dtype;
  return ok();
}

// The numbers of the whole file, by the first part that there is.
Status sum_up(KvHeader& header) {
  const PartShape* first = nullptr;
  bool one_scheme = true, one_width = true, one_head_count = true;
  header.is_uniform = !header.has_states();
  for (uint64_t layer = 0; layer < header.layers; layer++) {
    const LayerShape& shape = header.shapes[layer];
    for (const Part part : {Part::kKeys, Part::kValues}) {
      const PartShape& one = shape.part(part);
      if (!one.exists()) {
        header.is_uniform = false;
        continue;
      }
      if (first == nullptr) {
        first = &one;
        header.storage_dtype = main_tensor(header, part, layer)->dtype;
      }
      one_scheme = one_scheme && one.scheme == first->scheme;
      one_width = one_width && one.head_dim == first->head_dim;
      one_head_count = one_head_count && one.heads == first->heads;
      if (one.is_latent || one.tokens != header.tokens ||
          one.rotation != header.shapes[0].part(part).rotation ||
          one.kept_first != first->kept_first) {
        header.is_uniform = false;
      }
    }
    if (!shape.positions.empty()) header.is_uniform = false;
  }
  header.is_uniform = header.is_uniform && one_scheme && one_width && one_head_count;
  if (first == nullptr) return ok();
  header.scheme = one_scheme ? first->scheme : Scheme::kMixed;
  header.kv_heads = one_head_count ? first->heads : 0;
  header.head_dim = one_width ? first->head_dim : 0;
  header.kept_first = first->kept_first;
  header.kept_last = first->kept_last;
  return ok();
}

// Refuses metadata that the tensors contradict. Other facts of the metadata cannot be checked
// against the file.
Status check_metadata(const KvHeader& header) {
  const std::string* const scheme = header.metadata_value("kvcs.scheme");
  if (scheme != nullptr && *scheme != scheme_name(header.scheme)) {
    return invalid("kvcs.scheme says " + printable(*scheme, kShownWord) + ", the tensors are " +
                   std::string(scheme_name(header.scheme)));
  }
  if (scheme == nullptr && header.scheme == Scheme::kMixed) {
    return invalid("layers are kept in different schemes, and kvcs.scheme does not say \"mixed\"");
  }
  return ok();
}

// The places in metadata, each within its limit; returns the position of token 0.
Result<uint64_t> read_places(const KvHeader& header) {
  uint64_t position = 0;
  for (const std::string_view place : {"kvcs.first_layer", "kvcs.position_offset"}) {
    const std::string* const text = header.metadata_value(place);
    position = text == nullptr ? 0 : KVCS_TRY(parse_u64(*text, place));
    if (position > kPlaceMax) {
      return invalid(std::string(place) + " " + *text + " is over the limit of " +
                     std::to_string(kPlaceMax));
    }
  }
  return position;
}

}  // namespace

Status detect_layout(KvHeader& header) {
  if (header.tensors.empty()) return invalid("the file has no tensors");
  const Declared declared = KVCS_TRY(read_declared(header));
  const uint64_t position_offset = KVCS_TRY(read_places(header));
  KVCS_TRY(read_value_dtype(header));
  KVCS_TRY(read_layers(header, declared));
  KVCS_TRY(read_positions(header));
  KVCS_TRY(read_tokens(header, declared, position_offset));
  KVCS_TRY(sum_up(header));
  KVCS_TRY(check_tensors(header));
  return check_metadata(header);
}

}  // namespace kvcs::kvfile
