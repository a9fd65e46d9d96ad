// Writes what a CacheSource reads as a plain .kv file with its sidecar. The sources are in
// import_llama.cc, import_hf.cc, import_mlx.cc, import_vllm.cc and import_pages.cc.
#include "kvfile/convert/import.h"

#include <algorithm>

#include "kvfile/format/finite.h"
#include "kvfile/format/tiles.h"
#include "kvfile/tools/annotate.h"
#include "kvfile/tools/prefix_chain.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kCopyBytes = 1 << 20;

// The user's facts stand over those of the source: somebody who names the model knows better than
// the file.
Result<KvHeader> imported_header(const CacheSource& source, const ImportOptions& options,
                                 const std::vector<uint32_t>& tokens) {
  Geometry geometry = source.geometry();
  KVCS_TRY(check_row_values(geometry));
  const Dtype dtype = options.dtype.value_or(source.dtype());
  set_scheme(geometry, Scheme::kPlain, dtype);
  Metadata metadata{{"kvcs.version", "1"}};
  for (auto& [key, value] : source.metadata()) set_metadata(metadata, key, value);
  for (const auto& [key, value] : options.facts) set_metadata(metadata, key, value);
  if (!tokens.empty()) set_metadata(metadata, "kvcs.token_chain", token_chain(tokens));
  set_metadata(metadata, "kvcs.n_tokens", std::to_string(geometry.tokens));
  if (options.blocks) {
    set_metadata(metadata, "kvcs.scheme", "q8_0");
    set_metadata(metadata, "kvcs.dtype", std::string(dtype_name(source.dtype())));
    return make_header(layout_tensors(Scheme::kQ8, source.dtype(), geometry), std::move(metadata));
  }
  std::erase_if(metadata, [](const auto& fact) {
    return fact.first == "kvcs.rotation" || fact.first == "kvcs.key_order";
  });
  std::vector<Tensor> tensors = layout_tensors(Scheme::kPlain, dtype, geometry);
  for (Tensor& state : source.states()) tensors.push_back(std::move(state));
  if (!geometry.is_uniform()) set_shape_metadata(metadata, geometry.shapes, tensors);
  return make_header(std::move(tensors), std::move(metadata));
}

// A block of zeros has the scale 0 in ggml, which a .kv file does not have; any other says the
// same.
constexpr uint16_t kSmallestScale = 1;

// Codes and scales, as the engine made them.
Status copy_blocks(const ReadBlocks& read, const Geometry& geometry, KvWriter& writer) {
  const uint64_t dim = geometry.head_dim, per_row = dim / kQ8Block;
  std::vector<int8_t> codes(geometry.kv_heads * kTileTokens * dim);
  std::vector<uint16_t> scales(geometry.kv_heads * kTileTokens * per_row);
  for (uint64_t layer = 0; layer < geometry.layers; layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      const Tensor& to_codes = writer.header().get(part, layer, "_q");
      const Tensor& to_scales = writer.header().get(part, layer, "_s");
      for (uint64_t first = 0; first < geometry.tokens; first += kTileTokens) {
        const uint64_t rows = std::min(kTileTokens, geometry.tokens - first);
        KVCS_TRY(read(part, layer, first, rows, codes.data(), scales.data()));
        for (uint64_t i = 0; i < geometry.kv_heads * rows * per_row; i++) {
          if (scales[i] == 0) scales[i] = kSmallestScale;
        }
        if (count_bad_scales(Dtype::kF16, scales.data(), geometry.kv_heads * rows * per_row * 2) >
            0) {
          return invalid("tensor \"" + to_scales.name + "\": a scale is not finite and above zero");
        }
        for (uint64_t head = 0; head < geometry.kv_heads; head++) {
          const uint64_t row = head * geometry.tokens + first;
          KVCS_TRY(writer.write(to_codes, row * dim, codes.data() + head * rows * dim, rows * dim));
          KVCS_TRY(writer.write(to_scales, row * per_row * 2, scales.data() + head * rows * per_row,
                                rows * per_row * 2));
        }
      }
    }
  }
  return ok();
}

// One read of the source has all heads of 256 tokens; each head of it is a tile of the output.
Status copy_values(const CacheSource& source, KvWriter& writer, EncodeCounts& counts) {
  const Geometry& geometry = source.geometry();
  TileWriter tiles(writer);
  std::vector<float> values;
  for (uint64_t layer = 0; layer < geometry.layers; layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      const PartShape shape = geometry.shape(part, layer);
      if (!shape.exists()) continue;
      values.resize(shape.heads * kTileTokens * shape.head_dim);
      for (uint64_t first = 0; first < shape.tokens; first += kTileTokens) {
        const uint64_t rows = std::min(kTileTokens, shape.tokens - first);
        KVCS_TRY(source.read(part, layer, first, rows, values.data()));
        for (uint64_t head = 0; head < shape.heads; head++) {
          const float* const x = values.data() + head * rows * shape.head_dim;
          KVCS_TRY(tiles.write({part, layer, head, first, rows}, Dtype::kF32, x, counts));
        }
      }
    }
  }
  return ok();
}

Status copy_states(const CacheSource& source, KvWriter& writer) {
  std::vector<char> buffer(kCopyBytes);
  for (const Tensor& state : source.states()) {
    const Tensor& to = *writer.header().find(state.name);
    for (uint64_t at = 0; at < to.size_bytes();) {
      const size_t n = std::min<uint64_t>(buffer.size(), to.size_bytes() - at);
      KVCS_TRY(source.read_state(state, at, buffer.data(), n));
      KVCS_TRY(writer.write(to, at, buffer.data(), n));
      at += n;
    }
  }
  return ok();
}

Status check_row(const PartShape& part) {
  // Either may be near 2^63 in a file that lies, so nothing is multiplied before it is compared.
  if (part.head_dim > 0 && part.heads <= kRowValuesMax / part.head_dim) return ok();
  return invalid("rows of " + std::to_string(part.heads) + " × " + std::to_string(part.head_dim) +
                 " values are over the limit of " + std::to_string(kRowValuesMax));
}

}  // namespace

Status check_row_values(const Geometry& geometry) {
  if (geometry.is_uniform()) return check_row(geometry.shape(Part::kKeys, 0));
  for (const LayerShape& layer : geometry.shapes) {
    for (const PartShape& part : {layer.keys, layer.values}) {
      if (part.exists()) KVCS_TRY(check_row(part));
    }
  }
  return ok();
}

Result<ImportReport> write_imported(const CacheSource& source, const ImportOptions& options) {
  const std::vector<uint32_t>& tokens = options.tokens ? *options.tokens : source.tokens();
  if (!tokens.empty() && tokens.size() != source.geometry().tokens) {
    return invalid(std::to_string(tokens.size()) + " token ids for a cache of " +
                   std::to_string(source.geometry().tokens) + " tokens");
  }
  if (options.prompt) KVCS_TRY(check_prompt(*options.prompt));
  KvHeader header = KVCS_TRY(imported_header(source, options, tokens));
  auto writer = KVCS_TRY(KvWriter::create(options.output, std::move(header), options.inputs));
  EncodeCounts counts;
  if (options.blocks) {
    KVCS_TRY(copy_blocks(options.blocks, source.geometry(), *writer));
  } else {
    KVCS_TRY(copy_values(source, *writer, counts));
    KVCS_TRY(copy_states(source, *writer));
  }
  KVCS_TRY(source.check_unchanged());
  Sidecar sidecar = describe_header(writer->header());
  if (!tokens.empty()) sidecar.tokens = tokens;
  KVCS_TRY(writer->write_header());
  sidecar.prompt = options.prompt;
  std::vector<Companion> companions = options.companions;
  companions.push_back(KVCS_TRY(sidecar_companion(options.output, sidecar)));
  KVCS_TRY(publish_together(writer->file(), companions));
  return ImportReport{writer->header(), counts.saturated};
}

}  // namespace kvcs::kvfile
