// The schemes: which tensors each one has, in which shapes, and how a file's scheme and geometry
// are found from its tensors. A new scheme is a row of kSchemes and a case of layout_tensors().
#include "kvfile/format/layout.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "kvfile/format/tiles.h"

namespace kvcs::kvfile {
namespace {

constexpr uint64_t kPlaceMax = UINT32_MAX;  // Of a token in its text, of a layer in its model.
// int4c keeps the first tokens, on which attention leans (the "attention sink"), and the most
// recent ones, as KIVI does.
constexpr uint64_t kInt4KeptFirst = 4, kInt4KeptLast = 128;

// In the order of Scheme.
struct SchemeRow {
  Scheme scheme;
  std::string_view name;
};
constexpr std::array kSchemes = {
    SchemeRow{Scheme::kPlain, "plain"},      SchemeRow{Scheme::kInt8, "int8"},
    SchemeRow{Scheme::kInt8c, "int8c"},      SchemeRow{Scheme::kQ8, "q8_0"},
    SchemeRow{Scheme::kInt4c, "int4c"},      SchemeRow{Scheme::kFp8E4m3, "fp8_e4m3"},
    SchemeRow{Scheme::kFp8E5m2, "fp8_e5m2"},
};

uint64_t divide_up(uint64_t a, uint64_t b) {
  return (a + b - 1) / b;
}

std::string shape_text(const std::vector<uint64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); i++) {
    text += (i > 0 ? "," : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

Status need_rank_4(const Tensor& tensor) {
  if (tensor.shape.size() == 4) return ok();
  return invalid("tensor \"" + tensor.name + "\": rank " + std::to_string(tensor.shape.size()) +
                 "; [1, kv_heads, tokens, head_dim] needs rank 4");
}

// The names and dtypes of layer 0 decide; kvcs.scheme in the metadata is compared with that later.
// kvcdn's files have no metadata at all.
Result<Scheme> detect_scheme(const KvHeader& header) {
  if (const Tensor* const plain = header.find("k_0")) {
    if (plain->dtype == Dtype::kF8E4m3) return Scheme::kFp8E4m3;
    if (plain->dtype == Dtype::kF8E5m2) return Scheme::kFp8E5m2;
    if (is_float16_or_32(plain->dtype)) return Scheme::kPlain;
    return invalid("tensor \"k_0\": dtype " + std::string(dtype_name(plain->dtype)) +
                   " needs scales; keys and values are F32, F16, BF16 or F8");
  }
  const Tensor* const codes = header.find("k_0_q");
  if (codes == nullptr) {
    if (header.tensors.empty()) return invalid("the file has no tensors");
    return invalid("layer 0 has no keys: neither \"k_0\" nor \"k_0_q\"");
  }
  const Tensor* const scales = header.find("k_0_s");
  if (scales == nullptr) return invalid("\"k_0_q\" has no scales \"k_0_s\"");
  if (header.find("k_0_z") != nullptr) return Scheme::kInt4c;
  if (codes->dtype == Dtype::kU8) return Scheme::kInt8;
  return scales->dtype == Dtype::kF16 ? Scheme::kQ8 : Scheme::kInt8c;
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
    return invalid("tensor \"" + wanted.name + "\": dtype " +
                   std::string(dtype_name(found->dtype)) + ", expected " +
                   std::string(dtype_name(wanted.dtype)));
  }
  if (found->shape == wanted.shape || (wanted.shape.empty() && is_scalar(*found))) return ok();
  return invalid("tensor \"" + wanted.name + "\": shape " + shape_text(found->shape) +
                 ", expected " + shape_text(wanted.shape));
}

// Reads the geometry from layer 0; every other layer is compared with it afterwards. In int4c a
// byte holds two channels, and the tokens that are kept stand in a tensor of their own.
Status read_geometry(KvHeader& header) {
  const bool int4 = header.scheme == Scheme::kInt4c;
  const Tensor* const plain = header.find("k_0");
  const Tensor& keys = plain != nullptr ? *plain : *header.find("k_0_q");
  KVCS_TRY(need_rank_4(keys));
  if (keys.shape[0] != 1) {
    return invalid("tensor \"" + keys.name + "\": batch " + std::to_string(keys.shape[0]) +
                   "; a .kv file holds one sequence");
  }
  header.storage_dtype = keys.dtype;
  header.kv_heads = keys.shape[1];
  header.tokens = keys.shape[2];
  header.head_dim = keys.shape[3];
  if (int4 && header.head_dim <= kTokensMax) header.head_dim *= 2;
  if (const Tensor* const kept = int4 ? header.find("k_0_f") : nullptr) {
    KVCS_TRY(need_rank_4(*kept));
    const uint64_t kept_tokens = kept->shape[2];
    if (!is_float16_or_32(kept->dtype) || kept_tokens > kTokensMax) {
      return invalid("tensor \"k_0_f\": not tokens kept as F16, BF16 or F32");
    }
    header.dtype = kept->dtype;
    const std::string* const first = header.metadata_value("kvcs.kept_first");
    header.kept_first = first == nullptr ? std::min(kInt4KeptFirst, kept_tokens)
                                         : KVCS_TRY(parse_u64(*first, "kvcs.kept_first"));
    if (header.kept_first > kept_tokens) {
      return invalid("kvcs.kept_first " + *first + " is more than the " +
                     std::to_string(kept_tokens) + " tokens of \"k_0_f\"");
    }
    header.kept_last = kept_tokens - header.kept_first;
    header.tokens += kept_tokens;
  }
  const std::array<std::pair<std::string_view, uint64_t>, 3> sizes = {
      {{"heads", header.kv_heads}, {"tokens", header.tokens}, {"head_dim", header.head_dim}}};
  for (const auto& [what, size] : sizes) {
    if (size == 0) return invalid("tensor \"" + keys.name + "\": no " + std::string(what));
    if (size > kTokensMax) {
      return invalid("tensor \"" + keys.name + "\": " + std::to_string(size) + " " +
                     std::string(what) + " are over the limit of " + std::to_string(kTokensMax));
    }
  }
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
  if (const std::string* const tokens = header.metadata_value("kvcs.n_tokens")) {
    if (KVCS_TRY(parse_u64(*tokens, "kvcs.n_tokens")) != header.tokens) {
      return invalid("kvcs.n_tokens says " + *tokens + ", the tensors have " +
                     std::to_string(header.tokens));
    }
  }
  for (const std::string_view place : {"kvcs.position_offset", "kvcs.first_layer"}) {
    const std::string* const text = header.metadata_value(place);
    if (text != nullptr && KVCS_TRY(parse_u64(*text, place)) > kPlaceMax) {
      return invalid(std::string(place) + " " + *text + " is over the limit of " +
                     std::to_string(kPlaceMax));
    }
  }
  return code_order(header).status();
}

// The dtype that the values had before they were quantised, which they get back: the metadata says
// it, and for int4c the kept tokens show it.
Status read_value_dtype(KvHeader& header) {
  if (header.scheme == Scheme::kPlain) {
    header.dtype = header.storage_dtype;
    return ok();
  }
  const std::string* const name = header.metadata_value("kvcs.dtype");
  if (name == nullptr) return ok();
  const std::optional<Dtype> dtype = parse_dtype(*name);
  if (!dtype || !is_float16_or_32(*dtype)) {
    return invalid("kvcs.dtype " + printable(*name, kShownWord) + " is not F16, BF16 or F32");
  }
  if (header.find("k_0_f") == nullptr) header.dtype = *dtype;
  return ok();
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

bool is_tensor_name(std::string_view name) {
  if (name == "tokens") return true;
  if (!name.starts_with("k_") && !name.starts_with("v_")) return false;
  name.remove_prefix(2);
  const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  if (digits == 0 || digits > 5 || (digits > 1 && name[0] == '0')) return false;
  const std::string_view suffix = name.substr(digits);
  return suffix.empty() || suffix == "_q" || suffix == "_s" || suffix == "_z" || suffix == "_f";
}

Geometry geometry_of(const KvHeader& header) {
  return {header.layers,   header.kv_heads,   header.tokens,
          header.head_dim, header.kept_first, header.kept_last};
}

// A short text is not kept whole: at least half of it is quantised.
void choose_kept_tokens(Geometry& geometry) {
  geometry.kept_first = std::min(kInt4KeptFirst, geometry.tokens / 2);
  geometry.kept_last = std::min(kInt4KeptLast, (geometry.tokens - geometry.kept_first) / 2);
}

uint64_t int4_first_group(const Geometry& geometry) {
  return geometry.kept_first / kInt4Group;
}
// Groups count from token 0, so the first and the last one may have fewer tokens.
uint64_t int4_groups(const Geometry& geometry) {
  return divide_up(geometry.tokens - geometry.kept_last, kInt4Group) - int4_first_group(geometry);
}

std::vector<Tensor> layout_tensors(Scheme scheme, Dtype dtype, const Geometry& geometry, Part part,
                                   uint64_t layer) {
  const uint64_t heads = geometry.kv_heads, tokens = geometry.tokens, dim = geometry.head_dim;
  std::vector<Tensor> tensors;
  const auto add = [&](std::string_view suffix, Dtype type, std::vector<uint64_t> shape) {
    tensors.push_back({tensor_name(part, layer, suffix), type, std::move(shape), 0, 0});
  };
  switch (scheme) {
    case Scheme::kPlain:
      add("", dtype, {1, heads, tokens, dim});
      break;
    case Scheme::kFp8E4m3:
      add("", Dtype::kF8E4m3, {1, heads, tokens, dim});
      break;
    case Scheme::kFp8E5m2:
      add("", Dtype::kF8E5m2, {1, heads, tokens, dim});
      break;
    case Scheme::kInt8:
      add("_q", Dtype::kU8, {1, heads, tokens, dim});
      add("_s", Dtype::kF32, {});
      break;
    case Scheme::kInt8c:
      add("_q", Dtype::kI8, {1, heads, tokens, dim});
      if (part == Part::kKeys) {
        add("_s", Dtype::kBf16, {1, heads, divide_up(tokens, kTileTokens), dim});
      } else {
        add("_s", Dtype::kBf16, {1, heads, tokens, 1});
      }
      break;
    case Scheme::kQ8:
      add("_q", Dtype::kI8, {1, heads, tokens, dim});
      add("_s", Dtype::kF16, {1, heads, tokens, dim / kQ8Block});
      break;
    case Scheme::kInt4c: {
      const uint64_t kept = geometry.kept_first + geometry.kept_last;
      add("_q", Dtype::kU8, {1, heads, tokens - kept, dim / 2});
      for (const std::string_view suffix : {"_s", "_z"}) {
        if (part == Part::kKeys) {
          add(suffix, Dtype::kBf16, {1, heads, int4_groups(geometry), dim});
        } else {
          add(suffix, Dtype::kBf16, {1, heads, tokens - kept, divide_up(dim, kInt4Group)});
        }
      }
      if (kept > 0) add("_f", dtype, {1, heads, kept, dim});
      break;
    }
  }
  return tensors;
}

std::vector<Tensor> layout_tensors(Scheme scheme, Dtype dtype, const Geometry& geometry) {
  std::vector<Tensor> all;
  for (uint64_t layer = 0; layer < geometry.layers; layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      for (Tensor& tensor : layout_tensors(scheme, dtype, geometry, part, layer)) {
        all.push_back(std::move(tensor));
      }
    }
  }
  return all;
}

Status check_scheme_fits(Scheme scheme, const Geometry& geometry) {
  if (scheme == Scheme::kQ8 && geometry.head_dim % kQ8Block != 0) {
    return invalid("q8_0 needs a head_dim that is a multiple of 32, this one is " +
                   std::to_string(geometry.head_dim) + "; take int8c");
  }
  if (scheme == Scheme::kInt4c && geometry.head_dim % 2 != 0) {
    return invalid("int4c needs an even head_dim, this one is " +
                   std::to_string(geometry.head_dim) + "; take int8c");
  }
  return ok();
}

// Every tensor that the scheme demands must be there with its dtype and shape, and no other:
// `expected` counts those, and when there are more in the file the first stranger is named.
Status detect_layout(KvHeader& header) {
  header.scheme = KVCS_TRY(detect_scheme(header));
  KVCS_TRY(read_geometry(header));
  KVCS_TRY(read_value_dtype(header));
  const std::string_view suffix = header.find("k_0") != nullptr ? "" : "_q";
  while (header.find(tensor_name(Part::kKeys, header.layers, suffix)) != nullptr) header.layers++;
  const Geometry geometry = geometry_of(header);
  KVCS_TRY(check_scheme_fits(header.scheme, geometry));
  size_t expected = 0;
  for (uint64_t layer = 0; layer < header.layers; layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      for (const Tensor& wanted :
           layout_tensors(header.scheme, header.dtype, geometry, part, layer)) {
        KVCS_TRY(check_tensor(header, wanted));
        expected++;
      }
    }
  }
  if (const Tensor* const tokens = header.find("tokens")) {
    if (tokens->dtype != Dtype::kU32 || tokens->shape != std::vector<uint64_t>{header.tokens}) {
      return invalid("tensor \"tokens\": must be U32 [" + std::to_string(header.tokens) + "]");
    }
    expected++;
  }
  if (expected != header.tensors.size()) {
    for (const Tensor& tensor : header.tensors) {
      if (tensor.name == "tokens") continue;
      const uint64_t layer = KVCS_TRY(parse_u64(
          std::string_view(tensor.name).substr(2, tensor.name.find('_', 2) - 2), "layer"));
      const std::vector<Tensor> wanted =
          layout_tensors(header.scheme, header.dtype, geometry,
                         tensor.name[0] == 'k' ? Part::kKeys : Part::kValues, layer);
      const bool known = std::any_of(wanted.begin(), wanted.end(),
                                     [&](const Tensor& t) { return t.name == tensor.name; });
      if (layer >= header.layers || !known) {
        return invalid("tensor \"" + tensor.name + "\" does not belong to " +
                       std::to_string(header.layers) + " layers of scheme " +
                       std::string(scheme_name(header.scheme)));
      }
    }
  }
  return check_metadata(header);
}

}  // namespace kvcs::kvfile
