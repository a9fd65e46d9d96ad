// The schemes: which tensors each one has, and in which shapes; and what is written of shapes that
// the tensors alone do not tell. A new scheme is a row of kSchemes and a case of layout_tensors().
#include "kvfile/format/layout.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace kvcs::kvfile {
namespace {

// int4c keeps the first tokens, on which attention leans (the "attention sink"), and the most
// recent ones, as KIVI does.
constexpr uint64_t kInt4KeptFirst = 4, kInt4KeptLast = 128;
constexpr std::string_view kStatePrefix = "state_";
constexpr size_t kStateNameMax = 16;
// Each layer has a list of its own, so that this bounds memory.
constexpr size_t kRangesMax = 256;

// In the order of Scheme.
struct SchemeRow {
  Scheme scheme;
  std::string_view name;
};
constexpr std::array kSchemes = {
    SchemeRow{Scheme::kPlain, "plain"},      SchemeRow{Scheme::kInt8, "int8"},
    SchemeRow{Scheme::kInt8c, "int8c"},      SchemeRow{Scheme::kQ8, "q8_0"},
    SchemeRow{Scheme::kInt4c, "int4c"},      SchemeRow{Scheme::kFp8E4m3, "fp8_e4m3"},
    SchemeRow{Scheme::kFp8E5m2, "fp8_e5m2"}, SchemeRow{Scheme::kMixed, "mixed"},
};

uint64_t divide_up(uint64_t a, uint64_t b) {
  return (a + b - 1) / b;
}

// The digits at the front of `text`, which are removed from it; empty when they are no number of a
// layer.
std::string_view take_layer(std::string_view& text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || digits > 5 || (digits > 1 && text[0] == '0')) return {};
  const std::string_view number = text.substr(0, digits);
  text.remove_prefix(digits);
  return number;
}

// The layers of which `is_meant` holds, as ranges.
template <typename IsMeant>
std::vector<IndexRange> layers_where(const std::vector<LayerShape>& shapes, IsMeant is_meant) {
  std::vector<IndexRange> ranges;
  for (uint64_t layer = 0; layer < shapes.size(); layer++) {
    if (!is_meant(shapes[layer])) continue;
    if (!ranges.empty() && ranges.back().end == layer) {
      ranges.back().end++;
    } else {
      ranges.push_back({layer, layer + 1});
    }
  }
  return ranges;
}

void erase_metadata(Metadata& metadata, std::string_view key) {
  std::erase_if(metadata, [key](const auto& entry) { return entry.first == key; });
}

void set_or_erase(Metadata& metadata, std::string_view key, std::string value) {
  if (value.empty()) {
    erase_metadata(metadata, key);
  } else {
    set_metadata(metadata, key, std::move(value));
  }
}

// "1:6=236:300;7=0:4,290:300": the layers of each list of positions.
std::string dump_positions(const std::vector<LayerShape>& shapes) {
  std::string text;
  for (size_t layer = 0; layer < shapes.size(); layer++) {
    const std::vector<IndexRange>& positions = shapes[layer].positions;
    const auto is_same = [&](const LayerShape& s) { return s.positions == positions; };
    const bool known =
        std::any_of(shapes.begin(), shapes.begin() + static_cast<ptrdiff_t>(layer), is_same);
    if (positions.empty() || known) continue;
    text += (text.empty() ? "" : ";") + dump_ranges(layers_where(shapes, is_same)) + "=" +
            dump_ranges(positions);
  }
  return text;
}

// One number when it is that of every layer of int4c, else one for each layer.
std::string dump_kept_first(const std::vector<LayerShape>& shapes) {
  std::vector<uint64_t> numbers;
  std::optional<uint64_t> common;
  bool differs = false;
  for (const LayerShape& shape : shapes) {
    const bool is_int4 =
        shape.keys.scheme == Scheme::kInt4c || shape.values.scheme == Scheme::kInt4c;
    const uint64_t kept = std::max(shape.keys.kept_first, shape.values.kept_first);
    numbers.push_back(is_int4 ? kept : 0);
    if (!is_int4) continue;
    differs = differs || (common && *common != kept);
    common = kept;
  }
  if (!common) return {};
  if (!differs) return std::to_string(*common);
  std::string text;
  for (const uint64_t number : numbers) {
    text += (text.empty() ? "" : ",") + std::to_string(number);
  }
  return text;
}

}  // namespace

std::string_view scheme_name(Scheme scheme) {
  return kSchemes[static_cast<size_t>(scheme)].name;
}
std::optional<Scheme> parse_scheme(std::string_view name) {
  for (const SchemeRow& row : kSchemes) {
    if (row.name == name) return row.scheme;
  }
  return std::nullopt;
}

std::string tensor_name(Part part, uint64_t layer, std::string_view suffix) {
  return (part == Part::kKeys ? "k_" : "v_") + std::to_string(layer) + std::string(suffix);
}

std::string state_name(uint64_t layer, std::string_view name) {
  return std::string(kStatePrefix) + std::to_string(layer) + "_" + std::string(name);
}

bool is_tensor_name(std::string_view name) {
  if (name == "tokens") return true;
  if (name.starts_with(kStatePrefix)) {
    name.remove_prefix(kStatePrefix.size());
    if (take_layer(name).empty() || !name.starts_with('_')) return false;
    name.remove_prefix(1);
    return !name.empty() && name.size() <= kStateNameMax &&
           name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == std::string_view::npos;
  }
  if (!name.starts_with("k_") && !name.starts_with("v_")) return false;
  name.remove_prefix(2);
  if (take_layer(name).empty()) return false;
  return name.empty() || name == "_q" || name == "_s" || name == "_z" || name == "_f";
}

std::optional<uint64_t> layer_of(std::string_view tensor_name) {
  if (tensor_name == "tokens") return std::nullopt;
  tensor_name.remove_prefix(tensor_name.starts_with(kStatePrefix) ? kStatePrefix.size() : 2);
  return parse_u64(take_layer(tensor_name), "layer").value();
}

PartShape Geometry::shape(Part part, uint64_t layer) const {
  if (!shapes.empty()) return shapes[layer].part(part);
  PartShape shape;
  shape.heads = kv_heads;
  shape.tokens = tokens;
  shape.head_dim = head_dim;
  shape.kept_first = kept_first;
  shape.kept_last = kept_last;
  return shape;
}

Geometry geometry_of(const KvHeader& header) {
  Geometry geometry{header.layers,   header.kv_heads,   header.tokens,
                    header.head_dim, header.kept_first, header.kept_last};
  if (!header.is_uniform) geometry.shapes = header.shapes;
  return geometry;
}

// A short text is not kept whole: at least half of it is quantised.
void choose_kept_tokens(PartShape& shape) {
  shape.kept_first = std::min(kInt4KeptFirst, shape.tokens / 2);
  shape.kept_last = std::min(kInt4KeptLast, (shape.tokens - shape.kept_first) / 2);
}

void set_scheme(Geometry& geometry, Scheme scheme, Dtype dtype) {
  geometry.kept_first = geometry.kept_last = 0;
  if (geometry.is_uniform() && scheme == Scheme::kInt4c) {
    PartShape all = geometry.shape(Part::kKeys, 0);
    choose_kept_tokens(all);
    geometry.kept_first = all.kept_first;
    geometry.kept_last = all.kept_last;
  }
  for (LayerShape& layer : geometry.shapes) {
    for (PartShape* const part : {&layer.keys, &layer.values}) {
      part->scheme = scheme;
      part->dtype = dtype;
      part->kept_first = part->kept_last = part->rotation = 0;
      if (scheme == Scheme::kInt4c) choose_kept_tokens(*part);
    }
  }
}

uint64_t int4_first_group(const PartShape& shape) {
  return shape.kept_first / kInt4Group;
}
// Groups count from token 0, so the first and the last one may have fewer tokens.
uint64_t int4_groups(const PartShape& shape) {
  return divide_up(shape.tokens - shape.kept_last, kInt4Group) - int4_first_group(shape);
}

Scheme common_scheme(const std::vector<LayerShape>& shapes) {
  std::optional<Scheme> common;
  for (const LayerShape& shape : shapes) {
    for (const PartShape& part : {shape.keys, shape.values}) {
      if (!part.exists()) continue;
      if (common && *common != part.scheme) return Scheme::kMixed;
      common = part.scheme;
    }
  }
  return common.value_or(Scheme::kPlain);
}

Dtype stored_dtype(const PartShape& shape) {
  switch (shape.scheme) {
    case Scheme::kFp8E4m3:
      return Dtype::kF8E4m3;
    case Scheme::kFp8E5m2:
      return Dtype::kF8E5m2;
    case Scheme::kInt8:
    case Scheme::kInt4c:
      return Dtype::kU8;
    case Scheme::kInt8c:
    case Scheme::kQ8:
      return Dtype::kI8;
    case Scheme::kMixed:
    case Scheme::kPlain:
      break;
  }
  return shape.dtype;
}

std::vector<Tensor> layout_tensors(const PartShape& shape, Part part, uint64_t layer) {
  std::vector<Tensor> tensors;
  if (!shape.exists()) return tensors;
  const uint64_t heads = shape.heads, tokens = shape.tokens, dim = shape.head_dim;
  const auto add = [&](std::string_view suffix, Dtype type, std::vector<uint64_t> sizes) {
    tensors.push_back({tensor_name(part, layer, suffix), type, std::move(sizes), 0, 0});
  };
  // Codes, or values themselves, of so many rows.
  const auto add_rows = [&](std::string_view suffix, Dtype type, uint64_t rows, uint64_t width) {
    if (shape.is_latent) {
      add(suffix, type, {1, rows, width});
    } else {
      add(suffix, type, {1, heads, rows, width});
    }
  };
  switch (shape.scheme) {
    case Scheme::kMixed:
    case Scheme::kPlain:
      add_rows("", shape.dtype, tokens, dim);
      break;
    case Scheme::kFp8E4m3:
      add_rows("", Dtype::kF8E4m3, tokens, dim);
      break;
    case Scheme::kFp8E5m2:
      add_rows("", Dtype::kF8E5m2, tokens, dim);
      break;
    case Scheme::kInt8:
      add_rows("_q", Dtype::kU8, tokens, dim);
      add("_s", Dtype::kF32, {});
      break;
    case Scheme::kInt8c:
      add_rows("_q", Dtype::kI8, tokens, dim);
      if (part == Part::kKeys) {
        add("_s", Dtype::kBf16, {1, heads, divide_up(tokens, kTileTokens), dim});
      } else {
        add("_s", Dtype::kBf16, {1, heads, tokens, 1});
      }
      break;
    case Scheme::kQ8:
      add_rows("_q", Dtype::kI8, tokens, dim);
      add("_s", Dtype::kF16, {1, heads, tokens, dim / kQ8Block});
      break;
    case Scheme::kInt4c: {
      const uint64_t kept = shape.kept_first + shape.kept_last;
      add_rows("_q", Dtype::kU8, tokens - kept, dim / 2);
      for (const std::string_view suffix : {"_s", "_z"}) {
        if (part == Part::kKeys) {
          add(suffix, Dtype::kBf16, {1, heads, int4_groups(shape), dim});
        } else {
          add(suffix, Dtype::kBf16, {1, heads, tokens - kept, divide_up(dim, kInt4Group)});
        }
      }
      if (kept > 0) add_rows("_f", shape.dtype, kept, dim);
      break;
    }
  }
  return tensors;
}

std::vector<Tensor> layout_tensors(Scheme scheme, Dtype dtype, const Geometry& geometry) {
  std::vector<Tensor> all;
  for (uint64_t layer = 0; layer < geometry.layers; layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      PartShape shape = geometry.shape(part, layer);
      shape.scheme = scheme;
      shape.dtype = dtype;
      for (Tensor& tensor : layout_tensors(shape, part, layer)) all.push_back(std::move(tensor));
    }
  }
  return all;
}

std::vector<Tensor> layout_tensors(const std::vector<LayerShape>& shapes) {
  std::vector<Tensor> all;
  for (uint64_t layer = 0; layer < shapes.size(); layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      for (Tensor& tensor : layout_tensors(shapes[layer].part(part), part, layer)) {
        all.push_back(std::move(tensor));
      }
    }
  }
  return all;
}

std::vector<Tensor> carried_tensors(const KvHeader& header) {
  std::vector<Tensor> carried;
  for (const Tensor& tensor : header.tensors) {
    if (tensor.name == "tokens" || tensor.name.starts_with(kStatePrefix)) carried.push_back(tensor);
  }
  return carried;
}

void set_shape_metadata(Metadata& metadata, const std::vector<LayerShape>& shapes,
                        const std::vector<Tensor>& tensors) {
  std::vector<bool> is_there(shapes.size(), false);
  for (const Tensor& tensor : tensors) {
    const std::optional<uint64_t> layer = layer_of(tensor.name);
    if (layer && *layer < is_there.size()) is_there[*layer] = true;
  }
  set_or_erase(metadata, "kvcs.positions", dump_positions(shapes));
  set_or_erase(metadata, "kvcs.keys_only", dump_ranges(layers_where(shapes, [](const auto& s) {
                 return s.keys.exists() && !s.values.exists();
               })));
  set_or_erase(metadata, "kvcs.absent_layers",
               dump_ranges(layers_where(shapes, [&](const LayerShape& s) {
                 return !is_there[static_cast<size_t>(&s - shapes.data())];
               })));
  set_or_erase(metadata, "kvcs.kept_first", dump_kept_first(shapes));
}

Status check_scheme_fits(Scheme scheme, const PartShape& shape) {
  if (scheme == Scheme::kQ8 && shape.head_dim % kQ8Block != 0) {
    return invalid("q8_0 needs a head_dim that is a multiple of 32, this one is " +
                   std::to_string(shape.head_dim) + "; take int8c");
  }
  if (scheme == Scheme::kInt4c && shape.head_dim % 2 != 0) {
    return invalid("int4c needs an even head_dim, this one is " + std::to_string(shape.head_dim) +
                   "; take int8c");
  }
  return ok();
}

Status check_scheme_fits(Scheme scheme, const Geometry& geometry) {
  for (uint64_t layer = 0; layer < (geometry.is_uniform() ? 1 : geometry.layers); layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      Status fits = check_scheme_fits(scheme, geometry.shape(part, layer));
      if (fits.ok()) continue;
      if (geometry.is_uniform()) return fits;
      return std::move(fits).with_context(tensor_name(part, layer));
    }
  }
  return ok();
}

Result<std::vector<IndexRange>> parse_ranges(std::string_view text, uint64_t end_max,
                                             std::string_view what) {
  std::vector<IndexRange> ranges;
  const auto fault = [&](const std::string& why) {
    return invalid(std::string(what) + " \"" + printable(text, kShownName) + "\": " + why);
  };
  for (std::string_view rest = text;;) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view one = rest.substr(0, comma);
    const size_t colon = std::min(one.find(':'), one.size());
    IndexRange range;
    range.begin = KVCS_TRY(parse_u64(one.substr(0, colon), what));
    range.end = colon == one.size() ? range.begin + (range.begin < UINT64_MAX ? 1 : 0)
                                    : KVCS_TRY(parse_u64(one.substr(colon + 1), what));
    if (range.begin >= range.end) return fault("a range is empty");
    if (range.end > end_max) return fault("it passes " + std::to_string(end_max));
    if (!ranges.empty() && range.begin <= ranges.back().end) {
      return fault("the ranges are not ascending and apart");
    }
    if (ranges.size() == kRangesMax) {
      return fault("more than " + std::to_string(kRangesMax) + " ranges");
    }
    ranges.push_back(range);
    if (comma == rest.size()) return ranges;
    rest.remove_prefix(comma + 1);
  }
}

std::string dump_ranges(const std::vector<IndexRange>& ranges) {
  std::string text;
  for (const IndexRange& range : ranges) {
    text += (text.empty() ? "" : ",") + std::to_string(range.begin);
    if (range.end > range.begin + 1) text += ":" + std::to_string(range.end);
  }
  return text;
}

uint64_t count_in(const std::vector<IndexRange>& ranges) {
  uint64_t count = 0;
  for (const IndexRange& range : ranges) count += range.end - range.begin;
  return count;
}

}  // namespace kvcs::kvfile
