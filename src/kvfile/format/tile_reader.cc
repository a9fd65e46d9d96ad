// Decodes tiles of any scheme. Codes and factors are read for the tile alone; factors are checked,
// since a scale that is NaN, zero or negative would make nonsense of a whole tile.
#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "base/bytes.h"
#include "kvfile/format/finite.h"
#include "kvfile/format/tiles.h"

namespace kvcs::kvfile {

std::vector<Tile> tiles_of(const PartShape& shape, Part part, uint64_t layer) {
  std::vector<Tile> tiles;
  for (uint64_t head = 0; head < shape.heads; head++) {
    for (uint64_t first = 0; first < shape.tokens; first += kTileTokens) {
      tiles.push_back({part, layer, head, first, std::min(kTileTokens, shape.tokens - first)});
    }
  }
  return tiles;
}

std::vector<Tile> tiles_of(const Geometry& geometry, Part part, uint64_t layer) {
  return tiles_of(geometry.shape(part, layer), part, layer);
}

uint64_t tile_values_max(const KvHeader& header) {
  uint64_t most = 0;
  for (const LayerShape& shape : header.shapes) {
    for (const PartShape& part : {shape.keys, shape.values}) {
      most = std::max(most, std::min(kTileTokens, part.tokens) * part.head_dim);
    }
  }
  return most;
}

// Both ends are held within the tile: a tile may lie wholly among the kept tokens.
Span quantized_span(const PartShape& shape, const Tile& tile) {
  const uint64_t end = tile.first + tile.rows;
  const uint64_t from = std::clamp(shape.kept_first, tile.first, end);
  return {from, std::clamp(shape.tokens - shape.kept_last, from, end)};
}

std::string rotation_name(const Rotation& rotation) {
  return rotation.block == 0 ? "none" : "hadamard-" + std::to_string(rotation.block);
}

std::string rotation_name(const std::array<Rotation, 2>& rotations) {
  const std::string keys = rotation_name(rotations[0]), values = rotation_name(rotations[1]);
  return keys == values ? keys : keys + "," + values;
}

Result<Rotation> parse_rotation(std::string_view name, uint64_t head_dim) {
  if (name == "none") return Rotation{};
  if (name.starts_with("hadamard-")) {
    const Result<uint64_t> block = parse_u64(name.substr(9), "rotation");
    if (block.ok() && std::has_single_bit(*block) && head_dim % *block == 0) {
      return Rotation{*block};
    }
  }
  return invalid("kvcs.rotation \"" + printable(name, kShownWord) + "\" does not fit head_dim " +
                 std::to_string(head_dim));
}

Result<uint64_t> paired_channels(const Metadata& metadata, uint64_t head_dim) {
  const auto value_of = [&](std::string_view key) {
    const auto found = std::find_if(metadata.begin(), metadata.end(),
                                    [key](const auto& entry) { return entry.first == key; });
    return found == metadata.end() ? nullptr : &found->second;
  };
  const std::string* const order = value_of("kvcs.key_order");
  if (order == nullptr) return 0;
  const std::string* const told = value_of("kvcs.rope_dim");
  const uint64_t paired = told == nullptr ? head_dim : KVCS_TRY(parse_u64(*told, "kvcs.rope_dim"));
  if (*order == "pair" && paired <= head_dim && paired % 2 == 0) return paired;
  return invalid("kvcs.key_order \"" + printable(*order, kShownWord) + "\" of " +
                 std::to_string(paired) + " channels does not fit head_dim " +
                 std::to_string(head_dim));
}

namespace {

// Brings the first channels of each row from neighbouring pairs to halves.
void split_pairs(float* x, uint64_t rows, uint64_t dim, uint64_t paired) {
  std::vector<float> row(paired);
  for (uint64_t r = 0; r < rows; r++, x += dim) {
    for (uint64_t j = 0; j < paired / 2; j++) {
      row[j] = x[2 * j];
      row[j + paired / 2] = x[2 * j + 1];
    }
    std::copy(row.begin(), row.end(), x);
  }
}

}  // namespace

// A larger block spreads an outlier further.
Rotation hadamard_for(uint64_t head_dim) {
  return {uint64_t{1} << std::countr_zero(head_dim)};
}

std::array<Rotation, 2> hadamard_for(const std::vector<LayerShape>& shapes) {
  std::array<uint64_t, 2> common{};
  for (const LayerShape& shape : shapes) {
    common[0] = std::gcd(common[0], shape.keys.head_dim);
    common[1] = std::gcd(common[1], shape.values.head_dim);
  }
  const auto block = [](uint64_t head_dim) {
    return head_dim == 0 ? Rotation{} : hadamard_for(head_dim);
  };
  return {block(common[0]), block(common[1])};
}

Result<TileReader> TileReader::create(const KvFile& file) {
  for (const LayerShape& shape : file.header().shapes) {
    const uint64_t head_dim = std::max(shape.keys.head_dim, shape.values.head_dim);
    if (head_dim <= kHeadDimMax) continue;
    return invalid("head_dim " + std::to_string(head_dim) + " is over the limit of " +
                   std::to_string(kHeadDimMax));
  }
  return TileReader(file);
}

Status TileReader::read(const Tile& tile, float* out, uint64_t* nonfinite) {
  return read_as(tile, Dtype::kF32, out, nonfinite);
}

Status TileReader::read_as(const Tile& tile, Dtype dtype, void* out, uint64_t* nonfinite) {
  shape_ = &file_->header().shape(tile.part, tile.layer);
  switch (shape_->scheme) {
    case Scheme::kMixed:
    case Scheme::kPlain:
    case Scheme::kFp8E4m3:
    case Scheme::kFp8E5m2:
      return read_plain(tile, dtype, out, nonfinite);
    case Scheme::kInt8:
      return read_int8(tile, dtype, out);
    case Scheme::kInt8c:
    case Scheme::kQ8:
      if (shape_->rotation == 0 && shape_->paired == 0) return read_scaled(tile, dtype, out);
      break;
    case Scheme::kInt4c:
      break;
  }
  // A rotation mixes channels, and int4c has kept rows between others, so these need all floats of
  // the tile at once.
  const uint64_t dim = shape_->head_dim, count = tile.rows * dim;
  float* x = static_cast<float*>(out);
  if (dtype != Dtype::kF32) {
    floats_.resize(count);
    x = floats_.data();
  }
  if (shape_->scheme == Scheme::kInt4c) {
    KVCS_TRY(read_int4(tile, x));
  } else {
    KVCS_TRY(read_scaled(tile, Dtype::kF32, x));
  }
  const Span span = quantized_span(*shape_, tile);
  float* const coded = x + (span.from - tile.first) * dim;
  const uint64_t coded_rows = span.to - span.from;
  if (shape_->rotation > 0) {
    kernels().hadamard(coded, coded_rows * dim / shape_->rotation, shape_->rotation);
  }
  if (shape_->paired > 0) split_pairs(coded, coded_rows, dim, shape_->paired);
  if (dtype != Dtype::kF32) kernels().encode(dtype, x, out, count);
  return ok();
}

Status TileReader::read_plain(const Tile& tile, Dtype dtype, void* out, uint64_t* nonfinite) {
  const KvHeader& header = file_->header();
  const Tensor& tensor = header.get(tile.part, tile.layer);
  const size_t width = dtype_bytes(tensor.dtype);
  const uint64_t count = tile.rows * shape_->head_dim;
  const uint64_t start = (tile.head * shape_->tokens + tile.first) * shape_->head_dim * width;
  void* raw = out;
  if (tensor.dtype != dtype) {
    raw_.resize(count * width);
    raw = raw_.data();
  }
  KVCS_TRY(file_->read(tensor, start, raw, count * width));
  if (nonfinite != nullptr) *nonfinite += count_nonfinite(tensor.dtype, raw, count * width);
  if (tensor.dtype == dtype) return ok();
  if (dtype == Dtype::kF32) {
    kernels().decode(tensor.dtype, raw, static_cast<float*>(out), count);
    return ok();
  }
  floats_.resize(count);
  kernels().decode(tensor.dtype, raw, floats_.data(), count);
  kernels().encode(dtype, floats_.data(), out, count);
  return ok();
}

// Reads the codes of `rows` tokens of the tile's head into raw_.
Status TileReader::read_codes(const Tile& tile, uint64_t first, uint64_t rows, uint64_t row_bytes) {
  const Tensor& tensor = file_->header().get(tile.part, tile.layer, "_q");
  raw_.resize(rows * row_bytes);
  return file_->read(
      tensor, (tile.head * (tensor.size_bytes() / (shape_->heads * row_bytes)) + first) * row_bytes,
      raw_.data(), raw_.size());
}

// Reads `count` scales, minima or kept values as floats. Invalid when one is not finite, or a scale
// not above zero: no value could be made of the codes.
Result<const float*> TileReader::read_factors(const Tensor& tensor, uint64_t offset, uint64_t count,
                                              std::vector<float>& to) {
  const size_t width = dtype_bytes(tensor.dtype);
  factor_bytes_.resize(count * width);
  to.resize(count);
  KVCS_TRY(file_->read(tensor, offset * width, factor_bytes_.data(), factor_bytes_.size()));
  const bool scales = tensor.name.ends_with("_s");
  const auto count_bad = scales ? count_bad_scales : count_nonfinite;
  if (count_bad(tensor.dtype, factor_bytes_.data(), factor_bytes_.size()) > 0) {
    return invalid("tensor \"" + tensor.name + "\": " +
                   (scales ? "a scale is not finite and above zero" : "a value is not finite"));
  }
  kernels().decode(tensor.dtype, factor_bytes_.data(), to.data(), count);
  return static_cast<const float*>(to.data());
}

// kvcdn's scheme: one scale for the whole tensor.
Status TileReader::read_int8(const Tile& tile, Dtype dtype, void* out) {
  const KvHeader& header = file_->header();
  const float* const scale =
      KVCS_TRY(read_factors(header.get(tile.part, tile.layer, "_s"), 0, 1, scales_));
  KVCS_TRY(read_codes(tile, tile.first, tile.rows, shape_->head_dim));
  kernels().dequantize_kvcdn(reinterpret_cast<const uint8_t*>(raw_.data()), raw_.size(), *scale,
                             dtype, out);
  return ok();
}

// int8c and q8_0: codes times a scale of the column or of the row.
Status TileReader::read_scaled(const Tile& tile, Dtype dtype, void* out) {
  const KvHeader& header = file_->header();
  const uint64_t dim = shape_->head_dim;
  const Tensor& tensor = header.get(tile.part, tile.layer, "_s");
  KVCS_TRY(read_codes(tile, tile.first, tile.rows, dim));
  const auto* codes = reinterpret_cast<const int8_t*>(raw_.data());
  if (shape_->scheme == Scheme::kInt8c && tile.part == Part::kKeys) {
    const uint64_t tiles = tensor.shape[2];
    const float* const scales = KVCS_TRY(
        read_factors(tensor, (tile.head * tiles + tile.first / kTileTokens) * dim, dim, scales_));
    kernels().dequantize_columns(codes, tile.rows, dim, scales, dtype, out);
    return ok();
  }
  // One scale per token, or per block of a token: rows of another width.
  const uint64_t width = shape_->scheme == Scheme::kQ8 ? kQ8Block : dim;
  const uint64_t per_row = dim / width;
  const float* const scales = KVCS_TRY(read_factors(
      tensor, (tile.head * shape_->tokens + tile.first) * per_row, tile.rows * per_row, scales_));
  kernels().dequantize_rows(codes, tile.rows * per_row, width, scales, dtype, out);
  return ok();
}

// First the kept tokens at either end of the tile, then the codes between them: keys by groups of
// 64 positions that share a scale per channel, values row by row with a scale for each 64 channels.
Status TileReader::read_int4(const Tile& tile, float* out) {
  const KvHeader& header = file_->header();
  const uint64_t dim = shape_->head_dim, last_start = shape_->tokens - shape_->kept_last;
  const uint64_t end = tile.first + tile.rows;
  const auto [from, to] = quantized_span(*shape_, tile);
  if (shape_->kept_first + shape_->kept_last > 0) {
    const Tensor& kept = header.get(tile.part, tile.layer, "_f");
    const auto copy = [&](uint64_t first, uint64_t stop) -> Status {
      if (first >= stop) return ok();
      const uint64_t row =
          first < shape_->kept_first ? first : first - last_start + shape_->kept_first;
      KVCS_TRY(read_factors(kept,
                            (tile.head * (shape_->kept_first + shape_->kept_last) + row) * dim,
                            (stop - first) * dim, scales_));
      std::memcpy(out + (first - tile.first) * dim, scales_.data(), (stop - first) * dim * 4);
      return ok();
    };
    KVCS_TRY(copy(tile.first, from));
    KVCS_TRY(copy(to, end));
  }
  if (from >= to) return ok();
  const uint64_t rows = to - from, row = from - shape_->kept_first;
  KVCS_TRY(read_codes(tile, row, rows, dim / 2));
  codes_.resize(rows * dim);
  kernels().unpack4(reinterpret_cast<const uint8_t*>(raw_.data()), raw_.size(), codes_.data());
  const Tensor& scale_tensor = header.get(tile.part, tile.layer, "_s");
  const Tensor& minimum_tensor = header.get(tile.part, tile.layer, "_z");
  const uint64_t per_row = scale_tensor.shape[3], in_head = scale_tensor.shape[2];
  float* const target = out + (from - tile.first) * dim;
  if (tile.part == Part::kKeys) {
    for (uint64_t at = from; at < to;) {
      const uint64_t stop = std::min(to, (at / kInt4Group + 1) * kInt4Group);
      const uint64_t group = at / kInt4Group - int4_first_group(*shape_);
      const uint64_t offset = (tile.head * in_head + group) * dim;
      const float* const scales = KVCS_TRY(read_factors(scale_tensor, offset, dim, scales_));
      const float* const minima = KVCS_TRY(read_factors(minimum_tensor, offset, dim, minima_));
      kernels().dequantize4_columns(codes_.data() + (at - from) * dim, stop - at, dim, minima,
                                    scales, target + (at - from) * dim);
      at = stop;
    }
    return ok();
  }
  const uint64_t offset = (tile.head * in_head + row) * per_row;
  const float* const scales = KVCS_TRY(read_factors(scale_tensor, offset, rows * per_row, scales_));
  const float* const minima =
      KVCS_TRY(read_factors(minimum_tensor, offset, rows * per_row, minima_));
  // Groups of one width are rows of a matrix; else the last group of a row is narrower and each is
  // decoded by itself.
  if (dim % kInt4Group == 0) {
    kernels().dequantize4_rows(codes_.data(), rows * per_row, kInt4Group, minima, scales, target);
    return ok();
  }
  for (uint64_t r = 0; r < rows; r++) {
    for (uint64_t group = 0; group < per_row; group++) {
      const uint64_t start = r * dim + group * kInt4Group;
      const uint64_t width = std::min(kInt4Group, dim - group * kInt4Group);
      kernels().dequantize4_rows(codes_.data() + start, 1, width, minima + r * per_row + group,
                                 scales + r * per_row + group, target + start);
    }
  }
  return ok();
}

}  // namespace kvcs::kvfile
