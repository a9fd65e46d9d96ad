// The bodies of kernels.h, compiled once per instruction set: each kernels_*.cc selects its target
// and includes this. Plain loops that the compiler vectorises; everything has internal linkage and
// nothing of the standard library is instantiated here, so no wide instruction can leak into code
// that other processors run. The parts, each including the one below it: kernels_quantize.h and
// kernels_maxima.h, kernels_lanes.h, kernels_convert.h.
#pragma once
#include "kvfile/kernels/kernels_maxima.h"
#include "kvfile/kernels/kernels_quantize.h"

namespace kvcs::kvfile {
namespace {

// One stage of the transform inside eight lanes: the lower lane of each pair that is `stride` apart
// becomes the sum, the upper one the difference. `swapped` has the lanes of each pair exchanged,
// and `sign` is -1 in the upper lane of each pair.
template <int stride>
[[gnu::always_inline]] inline Lanes butterfly(Lanes v) {
  constexpr int s = stride;
  const Lanes swapped =
      __builtin_shufflevector(v, v, 0 ^ s, 1 ^ s, 2 ^ s, 3 ^ s, 4 ^ s, 5 ^ s, 6 ^ s, 7 ^ s);
  Lanes sign = {};
  for (int i = 0; i < static_cast<int>(kLanes); i++) sign[i] = (i & s) != 0 ? -1.0F : 1.0F;
  return swapped + v * sign;
}

// The transform of fewer values than there are lanes, without its factor.
void hadamard_small(float* v, size_t size) {
  for (size_t half = 1; half < size; half *= 2) {
    for (size_t i = 0; i < size; i++) {
      if ((i & half) != 0) continue;
      const float a = v[i], b = v[i + half];
      v[i] = a + b;
      v[i + half] = a - b;
    }
  }
}

// The fast Walsh-Hadamard transform: log2(size) stages, and in stage s each value meets the one 2^s
// places on. The first three stages happen inside a register, the others between registers. Divided
// by the root of the size the matrix is orthonormal and symmetric, so the transform is its own
// inverse.
void hadamard(float* x, size_t runs, size_t size) {
  const float norm = 1.0F / __builtin_sqrtf(static_cast<float>(size));
  for (size_t run = 0; run < runs; run++) {
    float* const v = x + run * size;
    if (size < kLanes) {
      hadamard_small(v, size);
      for (size_t i = 0; i < size; i++) v[i] *= norm;
      continue;
    }
    for (size_t i = 0; i < size; i += kLanes) {
      const Lanes lanes = load_lanes(v + i);
      store_lanes(v + i, butterfly<4>(butterfly<2>(butterfly<1>(lanes))));
    }
    for (size_t half = kLanes; half < size; half *= 2) {
      for (size_t i = 0; i < size; i += kLanes) {
        if ((i & half) != 0) continue;
        const Lanes a = load_lanes(v + i), b = load_lanes(v + i + half);
        store_lanes(v + i, a + b);
        store_lanes(v + i + half, a - b);
      }
    }
    for (size_t i = 0; i < size; i += kLanes) store_lanes(v + i, load_lanes(v + i) * norm);
  }
}

// The sum of the lanes, added pairwise and always in this order: another order would round
// differently.
[[gnu::always_inline]] inline float sum_lanes(Lanes lanes) {
  float sums[kLanes];
  store_lanes(sums, lanes);
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t i = 0; i < width; i++) sums[i] += sums[i + width];
  }
  return sums[0];
}
// The last n < 8 values, with zeros behind them.
[[gnu::always_inline]] inline Lanes load_tail(const float* from, size_t n) {
  float values[kLanes] = {};
  for (size_t i = 0; i < n; i++) values[i] = from[i];
  return load_lanes(values);
}

// A row that is no multiple of eight values ends with lanes of zeros, which change no sum.
void row_error(const float* a, const float* b, size_t n, RowError* out) {
  Lanes dot = {}, aa = {}, bb = {}, error = {}, max = {};
  for (size_t i = 0; i < n; i += kLanes) {
    const bool whole = n - i >= kLanes;
    const Lanes x = whole ? load_lanes(a + i) : load_tail(a + i, n - i);
    const Lanes y = whole ? load_lanes(b + i) : load_tail(b + i, n - i);
    const Lanes difference = x - y;
    const Lanes magnitude = absolute(difference);
    dot += x * y;
    aa += x * x;
    bb += y * y;
    error += difference * difference;
    max = magnitude > max ? magnitude : max;
  }
  out->dot = sum_lanes(dot);
  out->aa = sum_lanes(aa);
  out->bb = sum_lanes(bb);
  out->error = sum_lanes(error);
  out->error_max = 0;
  for (size_t i = 0; i < kLanes; i++) {
    out->error_max = max[i] > out->error_max ? max[i] : out->error_max;
  }
}

// A dot product in two sums side by side, so that an addition need not wait for the one before it.
float dot_of(const float* a, const float* b, size_t n) {
  Lanes even = {}, odd = {};
  size_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    even += load_lanes(a + i) * load_lanes(b + i);
    odd += load_lanes(a + i + kLanes) * load_lanes(b + i + kLanes);
  }
  for (; i + kLanes <= n; i += kLanes) even += load_lanes(a + i) * load_lanes(b + i);
  if (i < n) odd += load_tail(a + i, n - i) * load_tail(b + i, n - i);
  return sum_lanes(even + odd);
}

void add_scaled(float* __restrict__ y, float factor, const float* x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += factor * x[i];
}
void scale_by(float* y, float factor, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] *= factor;
}

// The table of this instruction set, for the file that includes this one.
constexpr Kernels make_kernels(const char* name) {
  return {.name = name,
          .decode = decode_values,
          .encode = encode_values,
          .absolute_max = absolute_max_of,
          .column_absolute_max = column_absolute_max,
          .row_absolute_max = row_absolute_max,
          .column_range = column_range,
          .row_range = row_range,
          .quantize_columns = quantize_columns,
          .quantize_rows = quantize_rows,
          .dequantize_columns = dequantize_columns,
          .dequantize_rows = dequantize_rows,
          .quantize_kvcdn = quantize_kvcdn,
          .dequantize_kvcdn = dequantize_kvcdn,
          .quantize4_columns = quantize4_columns,
          .quantize4_rows = quantize4_rows,
          .dequantize4_columns = dequantize4_columns,
          .dequantize4_rows = dequantize4_rows,
          .pack4 = pack4,
          .unpack4 = unpack4,
          .hadamard = hadamard,
          .row_error = row_error,
          .dot = dot_of,
          .add_scaled = add_scaled,
          .scale = scale_by};
}

}  // namespace
}  // namespace kvcs::kvfile
