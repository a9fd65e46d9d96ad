// Plans a slice as pieces of the source, and reads any range of the file that the plan describes.
// Nothing is decoded: a slice is made of the source's own bytes behind a new header.
#include "kvfile/tools/slice.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "kvfile/format/layout.h"
#include "kvfile/format/publish.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kPiecesMax = 1 << 20;
constexpr size_t kCopyBytes = 1 << 20;

// A request whose ends are within the source.
struct Cut {
  const KvHeader& source;
  uint64_t from, to;  // Tokens.
  uint64_t first_layer, layers;
  bool is_all_tokens() const { return from == 0 && to == source.tokens; }
};

// How many tokens share a scale: a slice may begin only where such a group begins.
uint64_t token_group(Scheme scheme) {
  if (scheme == Scheme::kInt8c) return kTileTokens;
  return scheme == Scheme::kInt4c ? kInt4Group : 1;
}

Status check_range(const IndexRange& range, uint64_t count, std::string_view what) {
  if (range.begin < count && range.begin < range.end) return ok();
  return invalid(std::string(what) + ": " + std::to_string(range.begin) + " is beyond the " +
                 std::to_string(count) + " " + std::string(what) + " of the file");
}

// The rows of one layer that a slice takes. A window is taken from its first position in the slice
// to its end, which must be that of the slice: without the last tokens of its text it is nothing
// that a model could continue from.
Result<IndexRange> rows_of_layer(const Cut& cut, uint64_t layer) {
  const LayerShape& shape = cut.source.shapes[layer];
  if (shape.positions.empty()) return IndexRange{cut.from, cut.to};
  const std::string* const offset = cut.source.metadata_value("kvcs.position_offset");
  const uint64_t start = offset == nullptr ? 0 : KVCS_TRY(parse_u64(*offset, "offset"));
  if (cut.to != cut.source.tokens) {
    return invalid("tokens: layer " + std::to_string(layer) + " is a window of the positions " +
                   dump_ranges(shape.positions) + ", so that a slice must end at " +
                   std::to_string(cut.source.tokens) + ", not at " + std::to_string(cut.to));
  }
  uint64_t before = 0;
  for (const IndexRange& range : shape.positions) {
    const uint64_t end = std::min(range.end, std::max(range.begin, start + cut.from));
    before += end - range.begin;
  }
  if (before == shape.keys.tokens) {
    return invalid("tokens: layer " + std::to_string(layer) + " is a window of the positions " +
                   dump_ranges(shape.positions) + ", and none of them is left from " +
                   std::to_string(start + cut.from) + " on");
  }
  return IndexRange{before, shape.keys.tokens};
}

// One part of the new cache; int4c also says which of its tokens are kept ones.
Status cut_part(PartShape& part, const IndexRange& rows) {
  const PartShape source = part;
  part.tokens = rows.end - rows.begin;
  const uint64_t group = token_group(source.scheme);
  if (rows.begin % group != 0) {
    const uint64_t below = rows.begin / group * group;
    return invalid("tokens: " + std::string(scheme_name(source.scheme)) + " shares scales over " +
                   std::to_string(group) + " tokens, so begin at " + std::to_string(below) +
                   " or " + std::to_string(below + group) + " instead of " +
                   std::to_string(rows.begin) + ", or dequant first");
  }
  if (source.scheme != Scheme::kInt4c) return ok();
  const uint64_t last_start = source.tokens - source.kept_last;
  if (rows.end <= source.kept_first || rows.begin >= last_start) {
    return invalid("tokens: int4c keeps these tokens as they were; take more, or dequant first");
  }
  part.kept_first = source.kept_first - std::min(source.kept_first, rows.begin);
  part.kept_last = rows.end - std::min(rows.end, last_start);
  return ok();
}

Result<std::vector<LayerShape>> cut_shapes(const Cut& cut) {
  std::vector<LayerShape> shapes;
  for (uint64_t layer = cut.first_layer; layer < cut.first_layer + cut.layers; layer++) {
    LayerShape shape = cut.source.shapes[layer];
    if (!cut.is_all_tokens()) {
      const auto states = cut.source.states(layer);
      if (!states.empty()) {
        return invalid("tokens: \"" + states[0]->name +
                       "\" is the state of a recurrent layer after all " +
                       std::to_string(cut.source.tokens) + " tokens, and cannot be cut");
      }
    }
    if (shape.keys.exists() && !cut.is_all_tokens()) {
      const IndexRange rows = KVCS_TRY(rows_of_layer(cut, layer));
      KVCS_TRY(cut_part(shape.keys, rows));
      if (shape.values.exists()) KVCS_TRY(cut_part(shape.values, rows));
      uint64_t skip = shape.positions.empty() ? 0 : rows.begin;
      while (skip > 0) {
        IndexRange& first = shape.positions.front();
        const uint64_t taken = std::min(skip, first.end - first.begin);
        first.begin += taken;
        skip -= taken;
        if (first.begin == first.end) shape.positions.erase(shape.positions.begin());
      }
    }
    shapes.push_back(std::move(shape));
  }
  return shapes;
}

// The rows of a source tensor [1, heads, rows, width] that the new one takes, whose first token is
// row `from` of the source's part. Rows are tokens, but groups of tokens where keys share scales;
// in int4c the rows of codes begin behind the kept tokens.
IndexRange cut_rows(const PartShape& source, const PartShape& to, uint64_t from,
                    const Tensor& tensor) {
  const bool shared = tensor.name.ends_with("_s") || tensor.name.ends_with("_z");
  const bool keys = tensor.name[0] == 'k';
  const uint64_t end = from + to.tokens;
  if (source.scheme == Scheme::kInt8c && shared && keys) {
    return {from / kTileTokens, (end + kTileTokens - 1) / kTileTokens};
  }
  if (source.scheme != Scheme::kInt4c) return {from, end};
  const uint64_t last_start = source.tokens - source.kept_last;
  const uint64_t first = std::max(from, source.kept_first);
  if (tensor.name.ends_with("_f")) {
    // The kept tokens in front, then those behind, stand side by side.
    return {source.kept_first - to.kept_first, source.kept_first + to.kept_last};
  }
  if (shared && keys) {
    const uint64_t start = first / kInt4Group - int4_first_group(source);
    return {start, start + int4_groups(to)};
  }
  return {first - source.kept_first, std::min(end, last_start) - source.kept_first};
}

// A piece that continues the last one becomes part of it.
void add_piece(SlicePlan& plan, uint64_t offset, uint64_t size_bytes) {
  if (size_bytes == 0) return;
  uint64_t at = plan.header_bytes.size();
  if (!plan.pieces.empty()) {
    SlicePlan::Piece& last = plan.pieces.back();
    if (last.source_offset + last.size_bytes == offset) {
      last.size_bytes += size_bytes;
      return;
    }
    at = last.offset + last.size_bytes;
  }
  plan.pieces.push_back({at, offset, size_bytes});
}

// The tensor of the source that one of the new file is made of: its layer has another number.
const Tensor& source_tensor(const Cut& cut, const Tensor& made) {
  std::string name = made.name;
  if (const auto layer = layer_of(name)) {
    const size_t at = name.find('_') + 1;
    name.replace(at, std::to_string(*layer).size(), std::to_string(*layer + cut.first_layer));
  }
  const Tensor* const tensor = cut.source.find(name);
  KVCS_ASSERT(tensor != nullptr);
  return *tensor;
}

Status add_tensor(SlicePlan& plan, const Cut& cut, const Tensor& made) {
  const KvHeader& source = cut.source;
  const Tensor& tensor = source_tensor(cut, made);
  const uint64_t start = source.data_start + tensor.begin;
  if (made.name == "tokens") {
    add_piece(plan, start + cut.from * 4, made.size_bytes());
    return ok();
  }
  if (tensor.shape.size() < 3 || tensor.size_bytes() == made.size_bytes()) {
    add_piece(plan, start, made.size_bytes());
    return ok();
  }
  const Part part = made.name[0] == 'k' ? Part::kKeys : Part::kValues;
  const uint64_t layer = *layer_of(made.name);
  const PartShape& old = source.shape(part, layer + cut.first_layer);
  const uint64_t from = KVCS_TRY(rows_of_layer(cut, layer + cut.first_layer)).begin;
  const IndexRange rows = cut_rows(old, plan.header.shape(part, layer), from, tensor);
  const uint64_t row_bytes = tensor.shape.back() * dtype_bytes(tensor.dtype);
  const uint64_t head_bytes = tensor.size_bytes() / old.heads;
  for (uint64_t head = 0; head < old.heads; head++) {
    if (plan.pieces.size() >= kPiecesMax) {
      return invalid("the slice would be made of more than " + std::to_string(kPiecesMax) +
                     " pieces");
    }
    add_piece(plan, start + head * head_bytes + rows.begin * row_bytes,
              (rows.end - rows.begin) * row_bytes);
  }
  return ok();
}

// Facts about the whole text do not hold for a part of it, and the digest is that of another file.
// Positions stay absolute, so what was cut off in front is added to kvcs.position_offset.
Result<Metadata> cut_metadata(const Cut& cut, const std::vector<LayerShape>& shapes,
                              const std::vector<Tensor>& tensors) {
  Metadata metadata;
  for (const auto& [key, value] : cut.source.metadata) {
    if (key == "kvcs.source_sha256") continue;
    const bool of_all_tokens = key == "kvcs.prompt" || key == "kvcs.token_chain";
    if (of_all_tokens && !cut.is_all_tokens()) continue;
    metadata.emplace_back(key, value);
  }
  const auto add = [&](std::string_view key, uint64_t more) -> Status {
    const std::string* const old = cut.source.metadata_value(key);
    if (more == 0 && old == nullptr) return ok();
    const uint64_t before = old == nullptr ? 0 : KVCS_TRY(parse_u64(*old, key));
    set_metadata(metadata, key, std::to_string(before + more));
    return ok();
  };
  KVCS_TRY(add("kvcs.position_offset", cut.from));
  KVCS_TRY(add("kvcs.first_layer", cut.first_layer));
  const bool has_keys = std::any_of(shapes.begin(), shapes.end(),
                                    [](const LayerShape& shape) { return shape.keys.exists(); });
  // Without keys of every token nothing else says how many there are.
  if (cut.source.metadata_value("kvcs.n_tokens") != nullptr || !cut.source.is_uniform ||
      !has_keys) {
    set_metadata(metadata, "kvcs.n_tokens", std::to_string(cut.to - cut.from));
  }
  if (cut.source.scheme == Scheme::kMixed) {
    set_metadata(metadata, "kvcs.scheme", std::string(scheme_name(common_scheme(shapes))));
  }
  set_shape_metadata(metadata, shapes, tensors);
  return metadata;
}

std::string shortened(const IndexRange& asked, uint64_t count, std::string_view what) {
  const uint64_t end = asked.begin + count;
  if (asked.end == UINT64_MAX || asked.end <= end) return {};
  return std::string(what) + " end at " + std::to_string(end) + ", not " +
         std::to_string(asked.end);
}

}  // namespace

std::string shortened(const SliceSpec& asked, const KvHeader& slice) {
  const std::string tokens = shortened(asked.tokens, slice.tokens, "tokens");
  const std::string layers = shortened(asked.layers, slice.layers, "layers");
  return tokens + (tokens.empty() || layers.empty() ? "" : ", ") + layers;
}

Result<IndexRange> parse_index_range(std::string_view text, std::string_view what) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return invalid(std::string(what) + ": '" + printable(text, kShownWord) + "' is not a:b");
  }
  IndexRange range;
  if (colon > 0) range.begin = KVCS_TRY(parse_u64(text.substr(0, colon), what));
  if (colon + 1 < text.size()) range.end = KVCS_TRY(parse_u64(text.substr(colon + 1), what));
  if (range.begin >= range.end) {
    return invalid(std::string(what) + ": '" + printable(text, kShownWord) + "' is empty");
  }
  return range;
}

Result<SlicePlan> plan_slice(const KvHeader& source, const SliceSpec& spec) {
  KVCS_TRY(check_range(spec.tokens, source.tokens, "tokens"));
  KVCS_TRY(check_range(spec.layers, source.layers, "layers"));
  const Cut cut{source, spec.tokens.begin, std::min(spec.tokens.end, source.tokens),
                spec.layers.begin, std::min(spec.layers.end, source.layers) - spec.layers.begin};
  const std::vector<LayerShape> shapes = KVCS_TRY(cut_shapes(cut));
  std::vector<Tensor> tensors = layout_tensors(shapes);
  for (uint64_t layer = 0; layer < cut.layers; layer++) {
    for (const Tensor* const state : source.states(cut.first_layer + layer)) {
      Tensor made = *state;
      made.name = state_name(layer, state->name.substr(state->name.rfind('_') + 1));
      tensors.push_back(std::move(made));
    }
  }
  if (source.find("tokens") != nullptr) {
    tensors.push_back({"tokens", Dtype::kU32, {cut.to - cut.from}, 0, 0});
  }
  SlicePlan plan;
  Metadata metadata = KVCS_TRY(cut_metadata(cut, shapes, tensors));
  plan.header = KVCS_TRY(make_header(std::move(tensors), std::move(metadata)));
  plan.header_bytes = dump_header(plan.header);
  plan.size_bytes = plan.header.file_bytes;
  for (const Tensor& tensor : plan.header.tensors) KVCS_TRY(add_tensor(plan, cut, tensor));
  return plan;
}

Status read_slice(const SlicePlan& plan, const ReadSource& source, uint64_t offset, void* out,
                  size_t size_bytes) {
  KVCS_ASSERT(offset <= plan.size_bytes && size_bytes <= plan.size_bytes - offset);
  char* to = static_cast<char*>(out);
  if (offset < plan.header_bytes.size()) {
    const size_t n = std::min<size_t>(size_bytes, plan.header_bytes.size() - offset);
    std::memcpy(to, plan.header_bytes.data() + offset, n);
    to += n;
    offset += n;
    size_bytes -= n;
  }
  // The first piece that ends behind the offset.
  auto piece = std::upper_bound(
      plan.pieces.begin(), plan.pieces.end(), offset,
      [](uint64_t wanted, const SlicePlan::Piece& p) { return wanted < p.offset + p.size_bytes; });
  for (; size_bytes > 0; ++piece) {
    const uint64_t skip = offset - piece->offset;
    const size_t n = static_cast<size_t>(std::min<uint64_t>(size_bytes, piece->size_bytes - skip));
    KVCS_TRY(source(piece->source_offset + skip, to, n));
    to += n;
    offset += n;
    size_bytes -= n;
  }
  return ok();
}

Sidecar slice_sidecar(const Sidecar& source, const KvHeader& slice, const SliceSpec& spec) {
  Sidecar sidecar = source;
  const bool cut = slice.tokens != source.num_tokens;
  sidecar.num_layers = slice.layers;
  sidecar.num_tokens = slice.tokens;
  sidecar.nbytes = slice.file_bytes;
  if (cut) sidecar.prompt.reset();
  if (cut && sidecar.tokens && spec.tokens.begin + slice.tokens <= sidecar.tokens->size()) {
    const auto first = sidecar.tokens->begin() + static_cast<ptrdiff_t>(spec.tokens.begin);
    sidecar.tokens = std::vector<uint32_t>(first, first + static_cast<ptrdiff_t>(slice.tokens));
  }
  return sidecar;
}

Result<SliceReport> slice_file(const SliceOptions& options) {
  const auto input = KVCS_TRY(KvFile::open(options.input));
  const SlicePlan plan = KVCS_TRY(plan_slice(input->header(), options.spec));
  const auto output =
      KVCS_TRY(AtomicFile::create(options.output, {options.input, sidecar_path(options.input)}));
  const std::optional<Sidecar> given = KVCS_TRY(read_sidecar(options.input));
  if (given) KVCS_TRY(check_sidecar(*given, input->header()));
  KVCS_TRY(output->reserve(plan.size_bytes));
  const ReadSource source = [&input](uint64_t offset, void* out, size_t n) {
    return input->read(offset, out, n);
  };
  std::vector<char> buffer(static_cast<size_t>(std::min<uint64_t>(kCopyBytes, plan.size_bytes)));
  for (uint64_t at = 0; at < plan.size_bytes;) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(buffer.size(), plan.size_bytes - at));
    KVCS_TRY(read_slice(plan, source, at, buffer.data(), n));
    KVCS_TRY(output->write(at, buffer.data(), n));
    at += n;
  }
  KVCS_TRY(input->check_unchanged());
  const Sidecar sidecar =
      given ? slice_sidecar(*given, plan.header, options.spec) : describe_header(plan.header);
  Companion companion = KVCS_TRY(sidecar_companion(options.output, sidecar));
  KVCS_TRY(publish_together(*output, {std::move(companion)}));
  const SliceSpec& asked = options.spec;
  SliceReport report{plan.header,
                     {asked.tokens.begin, asked.tokens.begin + plan.header.tokens},
                     {asked.layers.begin, asked.layers.begin + plan.header.layers},
                     shortened(asked, plan.header)};
  return report;
}

}  // namespace kvcs::kvfile
