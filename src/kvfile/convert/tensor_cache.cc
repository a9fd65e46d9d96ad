// Reads strided tensors of foreign caches as rows of floats.
#include "kvfile/convert/tensor_cache.h"

#include <algorithm>

#include "base/bytes.h"
#include "kvfile/kernels/kernels.h"

namespace kvcs::kvfile {
namespace {

// What the values of a view are written as unless the user says otherwise.
Dtype written_dtype(const TensorView& view) {
  if (view.codes) return view.codes->dtype;
  return is_float16_or_32(view.dtype) ? view.dtype : Dtype::kBf16;
}

// Bytes of one head of one token.
uint64_t row_bytes(const TensorView& view) {
  return view.codes ? view.dim * view.codes->bits / 8 : view.dim * dtype_bytes(view.dtype);
}

// A stride in bytes; strides of codes are whole rows.
uint64_t stride_bytes(const TensorView& view, uint64_t stride) {
  return view.codes ? stride / view.dim * row_bytes(view) : stride * dtype_bytes(view.dtype);
}

// The last byte of a run must lie in its file; everything that is read lies before it.
Status check_run(const TensorView& view, const TokenRun& run, const SourceFile& file) {
  uint64_t end = 0, heads = 0;
  if (__builtin_mul_overflow(run.tokens - 1, stride_bytes(view, view.token_stride), &end) ||
      __builtin_mul_overflow(view.heads - 1, stride_bytes(view, view.head_stride), &heads) ||
      __builtin_add_overflow(end, heads, &end) ||
      __builtin_add_overflow(end, run.offset + row_bytes(view), &end) || end > file.size_bytes()) {
    return invalid("the values of " + printable(file.path(), kShownName) +
                   " would end behind the file's end");
  }
  return ok();
}

std::string shape_name(const TensorView& view) {
  return std::to_string(view.heads) + " heads × " + std::to_string(view.tokens) + " tokens × " +
         std::to_string(view.dim) + " " + std::string(dtype_name(written_dtype(view)));
}

}  // namespace

void stride_heads_first(TensorView& view) {
  view.head_stride = view.tokens * view.dim;
  view.token_stride = view.dim;
}

void stride_tokens_first(TensorView& view) {
  view.head_stride = view.dim;
  view.token_stride = view.heads * view.dim;
}

std::vector<TokenRun> cut_runs(const TensorView& view, uint64_t first, uint64_t count) {
  std::vector<TokenRun> runs;
  const uint64_t step = stride_bytes(view, view.token_stride);
  for (const TokenRun& run : view.runs) {
    if (first >= run.tokens) {
      first -= run.tokens;
      continue;
    }
    const uint64_t taken = std::min(count, run.tokens - first);
    if (taken == 0) break;
    runs.push_back({run.source, run.offset + first * step, taken});
    count -= taken;
    first = 0;
  }
  return runs;
}

Status TensorCache::finish() {
  if (keys.empty()) return invalid("no layer with keys and values");
  const TensorView& model = keys[0];
  shape_ = {.layers = keys.size(),
            .kv_heads = model.heads,
            .tokens = model.tokens,
            .head_dim = model.dim};
  KVCS_TRY(check_row_values(shape_));
  dtype_ = written_dtype(model);
  for (const auto* const views : {&keys, &values}) {
    for (size_t layer = 0; layer < views->size(); layer++) {
      const TensorView& view = (*views)[layer];
      if (view.heads == 0 || view.tokens == 0 || view.dim == 0) {
        return invalid("layer " + std::to_string(layer) + " is empty");
      }
      if (shape_name(view) != shape_name(model)) {
        return invalid("layer " + std::to_string(layer) +
                       (views == &keys ? "'s keys are " : "'s values are ") + shape_name(view) +
                       ", the keys of layer 0 " + shape_name(model));
      }
      for (const TokenRun& run : view.runs) {
        KVCS_TRY(check_run(view, run, *sources[run.source]));
      }
    }
  }
  return ok();
}

Status TensorCache::check_unchanged() const {
  for (const auto& source : sources) KVCS_TRY(source->check_unchanged());
  return ok();
}

Status TensorCache::read(Part part, uint64_t layer, uint64_t first, uint64_t rows,
                         float* out) const {
  const TensorView& view = (part == Part::kKeys ? keys : values)[layer];
  uint64_t row = 0;
  for (const TokenRun& run : cut_runs(view, first, rows)) {
    float* const to = out + row * view.dim;
    KVCS_TRY(view.codes ? read_codes(view, run, run.tokens, to, rows)
                        : read_run(view, run, run.tokens, to, rows));
    row += run.tokens;
  }
  if (view.scale != 1) {
    for (uint64_t i = 0; i < view.heads * rows * view.dim; i++) out[i] *= view.scale;
  }
  return ok();
}

// Heads whose tokens are side by side are one read each. Where a token's heads are side by side the
// tokens are read with what lies between them, as long as that is not most of it.
Status TensorCache::read_run(const TensorView& view, const TokenRun& run, uint64_t rows, float* out,
                             uint64_t out_rows) const {
  const SourceFile& file = *sources[run.source];
  const uint64_t width = dtype_bytes(view.dtype), dim = view.dim;
  std::string raw;
  if (view.token_stride == dim) {
    raw.resize(rows * dim * width);
    for (uint64_t head = 0; head < view.heads; head++) {
      KVCS_TRY(file.read(run.offset + head * view.head_stride * width, raw.data(), raw.size()));
      kernels().decode(view.dtype, raw.data(), out + head * out_rows * dim, rows * dim);
    }
    return ok();
  }
  const uint64_t token_values = (view.heads - 1) * view.head_stride + dim;
  const bool together = view.token_stride <= 4 * token_values;
  const uint64_t step = together ? rows : 1;
  raw.resize(((step - 1) * view.token_stride + token_values) * width);
  for (uint64_t row = 0; row < rows; row++) {
    const uint64_t at = row % step;
    if (at == 0) {
      KVCS_TRY(file.read(run.offset + row * view.token_stride * width, raw.data(), raw.size()));
    }
    for (uint64_t head = 0; head < view.heads; head++) {
      kernels().decode(view.dtype,
                       raw.data() + (at * view.token_stride + head * view.head_stride) * width,
                       out + (head * out_rows + row) * dim, dim);
    }
  }
  return ok();
}

Status TensorCache::read_codes(const TensorView& view, const TokenRun& run, uint64_t rows,
                               float* out, uint64_t out_rows) const {
  const SourceFile& file = *sources[run.source];
  const GroupCodes& codes = *view.codes;
  const uint64_t bytes = row_bytes(view), groups = view.dim / codes.group;
  const uint64_t factor_bytes = groups * dtype_bytes(codes.dtype);
  // Scales and biases have the rows of the codes, [heads, tokens].
  const uint64_t first = (run.offset - view.runs[0].offset) / bytes;
  std::string raw(rows * bytes, '\0'), factors(rows * factor_bytes, '\0');
  std::vector<float> scales(rows * groups), biases(rows * groups);
  const uint32_t mask = (1U << codes.bits) - 1;
  for (uint64_t head = 0; head < view.heads; head++) {
    const uint64_t row0 = head * (view.head_stride / view.dim);
    KVCS_TRY(file.read(run.offset + row0 * bytes, raw.data(), raw.size()));
    const uint64_t at = (row0 + first) * factor_bytes;
    KVCS_TRY(file.read(codes.scales + at, factors.data(), factors.size()));
    kernels().decode(codes.dtype, factors.data(), scales.data(), scales.size());
    KVCS_TRY(file.read(codes.biases + at, factors.data(), factors.size()));
    kernels().decode(codes.dtype, factors.data(), biases.data(), biases.size());
    for (uint64_t row = 0; row < rows; row++) {
      const char* const bits = raw.data() + row * bytes;
      float* const to = out + (head * out_rows + row) * view.dim;
      for (uint64_t c = 0; c < view.dim; c++) {
        const uint64_t bit = c * codes.bits;
        uint32_t word = static_cast<uint8_t>(bits[bit / 8]);
        if (bit / 8 + 1 < bytes)
          word |= static_cast<uint32_t>(static_cast<uint8_t>(bits[bit / 8 + 1])) << 8;
        const auto code = static_cast<float>((word >> (bit % 8)) & mask);
        const uint64_t group = row * groups + c / codes.group;
        to[c] = code * scales[group] + biases[group];
      }
    }
  }
  return ok();
}

Result<uint64_t> count_zero_tail(const TensorCache& cache) {
  const Geometry& shape = cache.geometry();
  uint64_t zeros = shape.tokens;
  std::vector<float> rows;
  for (uint64_t layer = 0; layer < shape.layers && zeros > 0; layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      // From the last tile on: the first value that is found bounds what the others are asked.
      uint64_t here = 0;
      while (here < zeros) {
        const uint64_t end = shape.tokens - here;
        const uint64_t count = std::min({kTileTokens, end, zeros - here});
        rows.resize(shape.kv_heads * count * shape.head_dim);
        KVCS_TRY(cache.read(part, layer, end - count, count, rows.data()));
        uint64_t row = count;
        const auto is_zero = [&](uint64_t r) {
          for (uint64_t head = 0; head < shape.kv_heads; head++) {
            const float* const x = rows.data() + (head * count + r) * shape.head_dim;
            if (std::any_of(x, x + shape.head_dim, [](float v) { return v != 0; })) return false;
          }
          return true;
        };
        while (row > 0 && is_zero(row - 1)) row--;
        here += count - row;
        if (row > 0) break;
      }
      zeros = std::min(zeros, here);
    }
  }
  return zeros;
}

}  // namespace kvcs::kvfile
