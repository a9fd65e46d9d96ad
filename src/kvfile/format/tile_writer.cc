// Encodes tiles of any scheme. Every factor is rounded to the dtype that stores it before codes are
// made with it, so that a reader multiplies by the very number that the writer divided by.
#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "kvfile/format/finite.h"
#include "kvfile/format/tiles.h"

namespace kvcs::kvfile {
namespace {

// The least scale. The inverse of a smaller one would leave the range of a float; values that small
// become the code zero.
constexpr float kScaleMin = 0x1p-100F;
constexpr float kBf16Max = 0x1.fep127F;
constexpr float kHalfScaleMin = 0x1p-24F, kHalfMax = 65504.0F;

// The next bfloat16 at or above x, and at or below it. A scale that was rounded down could not
// reach the largest value of its group.
float bfloat_up(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t cut = bits & 0xffff0000U;
  if (cut == bits) return x;
  return std::bit_cast<float>((bits >> 31) != 0 ? cut : cut + 0x10000U);
}
float bfloat_down(float x) {
  return std::max(-bfloat_up(-x), -kBf16Max);
}

uint64_t count_over(const float* x, size_t n, float limit) {
  uint64_t count = 0;
  for (size_t i = 0; i < n; i++) count += std::fabs(x[i]) > limit ? 1 : 0;
  return count;
}

// The least magnitude that a dtype does not hold, as far as saturation is concerned: half a step
// beyond the largest value, where rounding would leave the range. E4M3: 448 has the step 32, E5M2:
// 57344 has the step 8192.
float largest_value(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF16:
      return 65519.99F;  // What still rounds to 65504.
    case Dtype::kBf16:
      return 0x1.fefffep127F;  // Half a step above is infinity.
    case Dtype::kF8E4m3:
      return 464.0F;
    case Dtype::kF8E5m2:
      return 61440.0F;
    default:
      return INFINITY;
  }
}

}  // namespace

void saturate_nonfinite(float* x, size_t n, Dtype dtype) {
  const float max = dtype == Dtype::kF16 ? kHalfMax : dtype == Dtype::kBf16 ? kBf16Max : FLT_MAX;
  for (size_t i = 0; i < n; i++) {
    if (std::isnan(x[i])) x[i] = 0;
    if (std::isinf(x[i])) x[i] = std::copysign(max, x[i]);
  }
}

void saturate_values(Dtype dtype, void* x, size_t n) {
  std::vector<float> floats(n);
  kernels().decode(dtype, x, floats.data(), n);
  saturate_nonfinite(floats.data(), n, dtype);
  kernels().encode(dtype, floats.data(), x, n);
}

// kvcdn stores max |x| itself, held above 1e-12, and not max / 127 as its manual says.
float kvcdn_scale(float max) {
  return std::max(max, 1e-12F);
}

TileWriter::TileWriter(KvWriter& writer) : writer_(&writer) {}

Status TileWriter::write(const Tile& tile, Dtype dtype, const void* x, EncodeCounts& counts) {
  shape_ = &writer_->header().shape(tile.part, tile.layer);
  const uint64_t dim = shape_->head_dim;
  if (shape_->rotates() || shape_->scheme == Scheme::kInt4c) {
    floats_.resize(tile.rows * dim);
    kernels().decode(dtype, x, floats_.data(), floats_.size());
    x = floats_.data();
    dtype = Dtype::kF32;
  }
  if (shape_->rotates()) {
    const Span span = quantized_span(*shape_, tile);
    kernels().hadamard(floats_.data() + (span.from - tile.first) * dim,
                       (span.to - span.from) * dim / shape_->rotation, shape_->rotation);
  }
  switch (shape_->scheme) {
    case Scheme::kMixed:
    case Scheme::kPlain:
    case Scheme::kFp8E4m3:
    case Scheme::kFp8E5m2:
      return write_plain(tile, dtype, x, counts);
    case Scheme::kInt8:
      return write_int8(tile, dtype, x);
    case Scheme::kInt8c:
      return write_int8c(tile, dtype, x);
    case Scheme::kQ8:
      return write_q8(tile, dtype, x, counts);
    case Scheme::kInt4c:
      break;
  }
  return write_int4(tile, floats_.data());
}

// Values that the dtype does not hold are cut to its largest one and counted; a copy of the same
// dtype can only have NaN and infinities to cut.
Status TileWriter::write_plain(const Tile& tile, Dtype dtype, const void* x, EncodeCounts& counts) {
  const KvHeader& header = writer_->header();
  const Tensor& tensor = header.get(tile.part, tile.layer);
  const size_t width = dtype_bytes(tensor.dtype);
  const uint64_t count = tile.rows * shape_->head_dim;
  raw_.resize(count * width);
  uint64_t cut = 0;
  if (dtype == tensor.dtype) {
    std::memcpy(raw_.data(), x, raw_.size());
    cut = count_nonfinite(dtype, x, raw_.size());
  } else {
    floats_.resize(count);
    kernels().decode(dtype, x, floats_.data(), count);
    const float limit = largest_value(tensor.dtype);
    const bool any = kernels().absolute_max(Dtype::kF32, floats_.data(), count) >= limit;
    if (any) cut = count_over(floats_.data(), count, limit);
    kernels().encode(tensor.dtype, floats_.data(), raw_.data(), count);
  }
  if (cut > 0) saturate_values(tensor.dtype, raw_.data(), count);
  counts.saturated += cut;
  const uint64_t start = (tile.head * shape_->tokens + tile.first) * shape_->head_dim * width;
  return writer_->write(tensor, start, raw_.data(), raw_.size());
}

// The scale is written once, with the first tile of the tensor.
Status TileWriter::write_int8(const Tile& tile, Dtype dtype, const void* x) {
  const KvHeader& header = writer_->header();
  const uint64_t count = tile.rows * shape_->head_dim;
  codes_.resize(count);
  kernels().quantize_kvcdn(dtype, x, count, tensor_scale_, codes_.data());
  if (tile.head == 0 && tile.first == 0) {
    const Tensor& scale = header.get(tile.part, tile.layer, "_s");
    KVCS_TRY(writer_->write(scale, 0, &tensor_scale_, sizeof tensor_scale_));
  }
  return writer_->write(header.get(tile.part, tile.layer, "_q"),
                        (tile.head * shape_->tokens + tile.first) * shape_->head_dim, codes_.data(),
                        count);
}

// Scales or minima in the tensor's dtype, into which they fit exactly.
Status TileWriter::put_factors(const Tensor& tensor, uint64_t offset,
                               const std::vector<float>& factors) {
  const size_t width = dtype_bytes(tensor.dtype);
  raw_.resize(factors.size() * width);
  kernels().encode(tensor.dtype, factors.data(), raw_.data(), factors.size());
  return writer_->write(tensor, offset * width, raw_.data(), raw_.size());
}

// Keys have outliers in few channels, so each channel of 256 tokens has a scale; values have them
// in tokens, so each token has one.
Status TileWriter::write_int8c(const Tile& tile, Dtype dtype, const void* x) {
  const KvHeader& header = writer_->header();
  const uint64_t dim = shape_->head_dim;
  const bool keys = tile.part == Part::kKeys;
  const size_t factors = keys ? dim : tile.rows;
  scales_.assign(factors, 0.0F);
  inverses_.resize(factors);
  if (keys) {
    kernels().column_absolute_max(dtype, x, tile.rows, dim, scales_.data());
  } else {
    kernels().row_absolute_max(dtype, x, tile.rows, dim, scales_.data());
  }
  for (size_t i = 0; i < factors; i++) {
    scales_[i] = bfloat_up(std::max(scales_[i] / 127.0F, kScaleMin));
    inverses_[i] = 1.0F / scales_[i];
  }
  codes_.resize(tile.rows * dim);
  auto* const codes = reinterpret_cast<int8_t*>(codes_.data());
  const uint64_t row = tile.head * shape_->tokens + tile.first;
  uint64_t at = row;
  if (keys) {
    kernels().quantize_columns(dtype, x, tile.rows, dim, inverses_.data(), codes);
    const uint64_t tiles = header.get(tile.part, tile.layer, "_s").shape[2];
    at = (tile.head * tiles + tile.first / kTileTokens) * dim;
  } else {
    kernels().quantize_rows(dtype, x, tile.rows, dim, inverses_.data(), codes);
  }
  KVCS_TRY(put_factors(header.get(tile.part, tile.layer, "_s"), at, scales_));
  return writer_->write(header.get(tile.part, tile.layer, "_q"), row * dim, codes_.data(),
                        codes_.size());
}

// ggml's q8_0: blocks of 32 channels, each with a scale in F16.
Status TileWriter::write_q8(const Tile& tile, Dtype dtype, const void* x, EncodeCounts& counts) {
  const KvHeader& header = writer_->header();
  const uint64_t dim = shape_->head_dim, blocks = tile.rows * dim / kQ8Block;
  scales_.resize(blocks);
  inverses_.resize(blocks);
  kernels().row_absolute_max(dtype, x, blocks, kQ8Block, scales_.data());
  for (uint64_t i = 0; i < blocks; i++) {
    const float exact = scales_[i] / 127.0F;
    if (exact > kHalfMax) {
      float block[kQ8Block];
      const char* const at = static_cast<const char*>(x) + i * kQ8Block * dtype_bytes(dtype);
      kernels().decode(dtype, at, block, kQ8Block);
      counts.saturated += count_over(block, kQ8Block, kHalfMax * 127.0F);
    }
    scales_[i] = std::clamp(exact, kHalfScaleMin, kHalfMax);
    // ggml makes codes by the exact scale and stores it rounded to a half; the bytes must be equal
    // to its own, so here the rule of this file does not hold.
    inverses_[i] = 1.0F / scales_[i];
  }
  codes_.resize(tile.rows * dim);
  kernels().quantize_rows(dtype, x, blocks, kQ8Block, inverses_.data(),
                          reinterpret_cast<int8_t*>(codes_.data()));
  const uint64_t row = tile.head * shape_->tokens + tile.first;
  KVCS_TRY(put_factors(header.get(tile.part, tile.layer, "_s"), row * dim / kQ8Block, scales_));
  return writer_->write(header.get(tile.part, tile.layer, "_q"), row * dim, codes_.data(),
                        codes_.size());
}

// The kept tokens go to the tensor of their own, the others in groups of 64 positions.
Status TileWriter::write_int4(const Tile& tile, const float* x) {
  const KvHeader& header = writer_->header();
  const uint64_t dim = shape_->head_dim, last_start = shape_->tokens - shape_->kept_last;
  const uint64_t end = tile.first + tile.rows;
  const auto [from, to] = quantized_span(*shape_, tile);
  const auto keep = [&](uint64_t first, uint64_t stop) -> Status {
    if (first >= stop) return ok();
    const Tensor& kept = header.get(tile.part, tile.layer, "_f");
    const uint64_t row =
        first < shape_->kept_first ? first : first - last_start + shape_->kept_first;
    const float* const start = x + (first - tile.first) * dim;
    minima_.assign(start, start + (stop - first) * dim);
    return put_factors(kept, (tile.head * (shape_->kept_first + shape_->kept_last) + row) * dim,
                       minima_);
  };
  KVCS_TRY(keep(tile.first, from));
  KVCS_TRY(keep(to, end));
  for (uint64_t at = from; at < to;) {
    const uint64_t stop = std::min(to, (at / kInt4Group + 1) * kInt4Group);
    KVCS_TRY(write_int4_groups(tile, x + (at - tile.first) * dim, at, stop));
    at = stop;
  }
  return ok();
}

// Tokens [from, to) of one group of positions; `x` points at the first.
Status TileWriter::write_int4_groups(const Tile& tile, const float* x, uint64_t from, uint64_t to) {
  const KvHeader& header = writer_->header();
  const Tensor& scale_tensor = header.get(tile.part, tile.layer, "_s");
  const uint64_t dim = shape_->head_dim, rows = to - from;
  const uint64_t in_head = scale_tensor.shape[2], per_row = scale_tensor.shape[3];
  const bool keys = tile.part == Part::kKeys;
  const size_t factors = keys ? dim : rows * per_row;
  scales_.resize(factors);
  minima_.resize(factors);
  inverses_.resize(factors);
  codes_.resize(rows * dim);
  const auto group_width = [&](uint64_t group) {
    return std::min(kInt4Group, dim - group * kInt4Group);
  };
  if (keys) {
    std::memcpy(minima_.data(), x, dim * 4);
    std::memcpy(scales_.data(), x, dim * 4);
    kernels().column_range(x, rows, dim, minima_.data(), scales_.data());
  } else {
    for (size_t i = 0; i < factors; i++) {
      const uint64_t row = i / per_row, group = i % per_row;
      kernels().row_range(x + row * dim + group * kInt4Group, 1, group_width(group), &minima_[i],
                          &scales_[i]);
    }
  }
  for (size_t i = 0; i < factors; i++) {
    const float high = scales_[i];
    minima_[i] = bfloat_down(minima_[i]);
    // Both terms apart, because their difference may leave the range of a float.
    scales_[i] = bfloat_up(std::max(high / 15.0F - minima_[i] / 15.0F, kScaleMin));
    inverses_[i] = 1.0F / scales_[i];
  }
  if (keys) {
    kernels().quantize4_columns(x, rows, dim, minima_.data(), inverses_.data(), codes_.data());
  } else {
    for (size_t i = 0; i < factors; i++) {
      const uint64_t start = i / per_row * dim + i % per_row * kInt4Group;
      kernels().quantize4_rows(x + start, 1, group_width(i % per_row), &minima_[i], &inverses_[i],
                               codes_.data() + start);
    }
  }
  packed_.resize(rows * dim / 2);
  kernels().pack4(codes_.data(), packed_.size(), packed_.data());
  const uint64_t row = from - shape_->kept_first;
  const uint64_t offset =
      keys ? (tile.head * in_head + from / kInt4Group - int4_first_group(*shape_)) * dim
           : (tile.head * in_head + row) * per_row;
  KVCS_TRY(put_factors(scale_tensor, offset, scales_));
  KVCS_TRY(put_factors(header.get(tile.part, tile.layer, "_z"), offset, minima_));
  const Tensor& codes = header.get(tile.part, tile.layer, "_q");
  return writer_->write(
      codes, (tile.head * (codes.size_bytes() / (shape_->heads * (dim / 2))) + row) * (dim / 2),
      packed_.data(), packed_.size());
}

}  // namespace kvcs::kvfile
