// The bodies of kernels.h, compiled once per instruction set: each kernels_*.cc selects its target
// and includes this. Plain loops that the compiler vectorises; everything has internal linkage and
// nothing of the standard library is instantiated here, so no wide instruction can leak into code
// that other processors run.
#pragma once
#include "kvfile/kernels.h"

// Lanes are passed between inlined functions only, so no calling convention is at stake.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace kvcs::kvfile {
namespace {

constexpr size_t kLanes = 8;
// Adding it to |x| < 2^22 leaves round_to_even(x) in the low bits of the sum.
constexpr float kRoundMagic = 12582912.0F;  // 1.5 · 2^23
constexpr int32_t kRoundBits = 0x4b400000;

[[gnu::always_inline]] inline uint32_t bits_of(float x) {
  return __builtin_bit_cast(uint32_t, x);
}
[[gnu::always_inline]] inline float float_of(uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
[[gnu::always_inline]] inline float absolute(float x) {
  return float_of(bits_of(x) & 0x7fffffffU);
}
[[gnu::always_inline]] inline int32_t round_to_int(float x) {
  return static_cast<int32_t>(bits_of(x + kRoundMagic)) - kRoundBits;
}

// Eight floats that the compiler keeps in as many registers as its target needs.
using Lanes = float __attribute__((vector_size(32)));
using LaneBits = uint32_t __attribute__((vector_size(32)));
[[gnu::always_inline]] inline Lanes load_lanes(const float* from) {
  Lanes lanes;
  __builtin_memcpy(&lanes, from, sizeof lanes);
  return lanes;
}
[[gnu::always_inline]] inline void store_lanes(float* to, Lanes lanes) {
  __builtin_memcpy(to, &lanes, sizeof lanes);
}
[[gnu::always_inline]] inline Lanes absolute(Lanes x) {
  return reinterpret_cast<Lanes>(reinterpret_cast<LaneBits>(x) & 0x7fffffffU);
}

[[gnu::always_inline]] inline float half_to_float(uint16_t half) {
  const uint32_t magnitude = half & 0x7fffU;
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t normal = (magnitude << 13) + 0x38000000U;
  const uint32_t special = (magnitude << 13) + 0x70000000U;
  const float small = static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24F;
  uint32_t bits = magnitude < 0x400U ? bits_of(small) : normal;
  bits = magnitude >= 0x7c00U ? special : bits;
  bits = magnitude > 0x7c00U ? bits | 0x400000U : bits;  // A NaN becomes quiet, as F16C has it.
  return float_of(bits | sign);
}

[[gnu::always_inline]] inline uint16_t float_to_half(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t sign = (bits >> 16) & 0x8000U;
  const uint32_t magnitude = bits & 0x7fffffffU;
  const uint32_t normal = (magnitude - 0x38000000U + 0xfffU + ((magnitude >> 13) & 1U)) >> 13;
  // 0.5 has the step 2^-24 of the subnormal halves: the sum rounds to even there.
  const uint32_t small = bits_of(float_of(magnitude) + 0.5F) - 0x3f000000U;
  uint32_t half = magnitude < 0x38800000U ? small : normal;
  half = magnitude >= 0x477ff000U ? 0x7c00U : half;
  half = magnitude > 0x7f800000U ? 0x7e00U | ((magnitude >> 13) & 0x3ffU) : half;
  return static_cast<uint16_t>(half | sign);
}

[[gnu::always_inline]] inline uint16_t float_to_bfloat(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const bool nan = (bits & 0x7fffffffU) > 0x7f800000U;
  return static_cast<uint16_t>(nan ? (bits >> 16) | 0x40U : rounded);
}

[[gnu::always_inline]] inline float e4m3_to_float(uint8_t code) {
  const uint32_t magnitude = code & 0x7fU;
  const uint32_t sign = static_cast<uint32_t>(code & 0x80U) << 24;
  const float small = static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-9F;
  uint32_t bits = magnitude < 8U ? bits_of(small) : (magnitude << 20) + 0x3c000000U;
  bits = magnitude == 0x7fU ? 0x7fc00000U : bits;
  return float_of(bits | sign);
}

[[gnu::always_inline]] inline uint8_t float_to_e4m3(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t sign = (bits >> 24) & 0x80U;
  const uint32_t magnitude = bits & 0x7fffffffU;
  const uint32_t normal = (magnitude - 0x3c000000U + 0x7ffffU + ((magnitude >> 20) & 1U)) >> 20;
  const uint32_t small = bits_of(float_of(magnitude) + 0x1p14F) - 0x46800000U;
  uint32_t code = magnitude < 0x3c800000U ? small : normal;
  code = magnitude >= 0x43e00000U ? 0x7eU : code;  // 448, the largest
  code = magnitude > 0x7f800000U ? 0x7fU : code;
  return static_cast<uint8_t>(code | sign);
}

[[gnu::always_inline]] inline uint8_t float_to_e5m2(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t sign = (bits >> 24) & 0x80U;
  const uint32_t magnitude = bits & 0x7fffffffU;
  const uint32_t normal = (magnitude - 0x38000000U + 0xfffffU + ((magnitude >> 21) & 1U)) >> 21;
  const uint32_t small = bits_of(float_of(magnitude) + 0x1p7F) - 0x43000000U;
  uint32_t code = magnitude < 0x38800000U ? small : normal;
  code = magnitude >= 0x47600000U ? 0x7bU : code;  // 57344, the largest
  code = magnitude > 0x7f800000U ? 0x7fU : code;
  return static_cast<uint8_t>(code | sign);
}

void decode_values(Dtype dtype, const void* from, float* to, size_t n) {
  switch (dtype) {
    case Dtype::kF32:
      __builtin_memcpy(to, from, n * 4);
      return;
    case Dtype::kF16: {
      const auto* half = static_cast<const uint16_t*>(from);
      for (size_t i = decode_halves(half, to, n); i < n; i++) to[i] = half_to_float(half[i]);
      return;
    }
    case Dtype::kBf16: {
      const auto* top = static_cast<const uint16_t*>(from);
      for (size_t i = 0; i < n; i++) to[i] = float_of(static_cast<uint32_t>(top[i]) << 16);
      return;
    }
    case Dtype::kF8E4m3: {
      const auto* code = static_cast<const uint8_t*>(from);
      for (size_t i = 0; i < n; i++) to[i] = e4m3_to_float(code[i]);
      return;
    }
    case Dtype::kF8E5m2: {
      const auto* code = static_cast<const uint8_t*>(from);
      for (size_t i = 0; i < n; i++) {
        to[i] = half_to_float(static_cast<uint16_t>(static_cast<uint16_t>(code[i]) << 8));
      }
      return;
    }
    default:
      __builtin_trap();
  }
}

void encode_values(Dtype dtype, const float* from, void* to, size_t n) {
  switch (dtype) {
    case Dtype::kF32:
      __builtin_memcpy(to, from, n * 4);
      return;
    case Dtype::kF16: {
      auto* half = static_cast<uint16_t*>(to);
      for (size_t i = encode_halves(from, half, n); i < n; i++) half[i] = float_to_half(from[i]);
      return;
    }
    case Dtype::kBf16: {
      auto* top = static_cast<uint16_t*>(to);
      for (size_t i = 0; i < n; i++) top[i] = float_to_bfloat(from[i]);
      return;
    }
    case Dtype::kF8E4m3: {
      auto* code = static_cast<uint8_t*>(to);
      for (size_t i = 0; i < n; i++) code[i] = float_to_e4m3(from[i]);
      return;
    }
    case Dtype::kF8E5m2: {
      auto* code = static_cast<uint8_t*>(to);
      for (size_t i = 0; i < n; i++) code[i] = float_to_e5m2(from[i]);
      return;
    }
    default:
      __builtin_trap();
  }
}

// Integers order magnitudes as floats do, and their maximum vectorises without care for NaN.
float absolute_max_of(const float* x, size_t n) {
  uint32_t max = 0;
  for (size_t i = 0; i < n; i++) {
    const uint32_t magnitude = bits_of(x[i]) & 0x7fffffffU;
    max = magnitude > max ? magnitude : max;
  }
  return float_of(max);
}

void column_absolute_max(const float* x, size_t rows, size_t columns, float* max) {
  constexpr size_t kStrip = 64;  // Few enough columns for their maxima to stay in registers.
  size_t start = 0;
  for (; start + kStrip <= columns; start += kStrip) {
    Lanes strip[kStrip / kLanes];
    __builtin_memcpy(strip, max + start, sizeof strip);
    for (size_t r = 0; r < rows; r++) {
      for (size_t i = 0; i < kStrip / kLanes; i++) {
        const Lanes magnitude = absolute(load_lanes(x + r * columns + start + i * kLanes));
        strip[i] = magnitude > strip[i] ? magnitude : strip[i];
      }
    }
    __builtin_memcpy(max + start, strip, sizeof strip);
  }
  for (size_t r = 0; r < rows; r++) {
    for (size_t c = start; c < columns; c++) {
      const float magnitude = absolute(x[r * columns + c]);
      max[c] = magnitude > max[c] ? magnitude : max[c];
    }
  }
}

void row_absolute_max(const float* x, size_t rows, size_t columns, float* max) {
  for (size_t r = 0; r < rows; r++) max[r] = absolute_max_of(x + r * columns, columns);
}

void column_range(const float* x, size_t rows, size_t columns, float* min, float* max) {
  for (size_t r = 0; r < rows; r++) {
    const float* const row = x + r * columns;
    for (size_t c = 0; c < columns; c++) {
      min[c] = row[c] < min[c] ? row[c] : min[c];
      max[c] = row[c] > max[c] ? row[c] : max[c];
    }
  }
}

void row_range(const float* x, size_t rows, size_t columns, float* min, float* max) {
  for (size_t r = 0; r < rows; r++) {
    const float* const row = x + r * columns;
    float low = row[0], high = row[0];
    for (size_t c = 1; c < columns; c++) {
      low = row[c] < low ? row[c] : low;
      high = row[c] > high ? row[c] : high;
    }
    min[r] = low;
    max[r] = high;
  }
}

[[gnu::always_inline]] inline int8_t to_code(float scaled) {
  scaled = scaled > 127.0F ? 127.0F : scaled;
  scaled = scaled < -127.0F ? -127.0F : scaled;
  return static_cast<int8_t>(round_to_int(scaled));
}

void quantize_columns(const float* x, size_t rows, size_t columns, const float* inverse,
                      int8_t* codes) {
  for (size_t r = 0; r < rows; r++) {
    const float* const row = x + r * columns;
    int8_t* const __restrict__ out = codes + r * columns;
    for (size_t c = 0; c < columns; c++) out[c] = to_code(row[c] * inverse[c]);
  }
}

void quantize_rows(const float* x, size_t rows, size_t columns, const float* inverse,
                   int8_t* codes) {
  for (size_t r = 0; r < rows; r++) {
    const float* const row = x + r * columns;
    int8_t* const __restrict__ out = codes + r * columns;
    const float factor = inverse[r];
    for (size_t c = 0; c < columns; c++) out[c] = to_code(row[c] * factor);
  }
}

void dequantize_columns(const int8_t* codes, size_t rows, size_t columns, const float* scale,
                        float* y) {
  for (size_t r = 0; r < rows; r++) {
    const int8_t* const row = codes + r * columns;
    float* const __restrict__ out = y + r * columns;
    for (size_t c = 0; c < columns; c++) out[c] = static_cast<float>(row[c]) * scale[c];
  }
}

void dequantize_rows(const int8_t* codes, size_t rows, size_t columns, const float* scale,
                     float* y) {
  for (size_t r = 0; r < rows; r++) {
    const int8_t* const row = codes + r * columns;
    float* const __restrict__ out = y + r * columns;
    const float factor = scale[r];
    for (size_t c = 0; c < columns; c++) out[c] = static_cast<float>(row[c]) * factor;
  }
}

void quantize_kvcdn(const float* x, size_t n, float scale, uint8_t* __restrict__ codes) {
  for (size_t i = 0; i < n; i++) {
    const float scaled = x[i] / scale * 127.0F;
    const float magnitude = absolute(scaled);
    int32_t whole = static_cast<int32_t>(magnitude > 127.0F ? 127.0F : magnitude);
    whole += magnitude - static_cast<float>(whole) >= 0.5F ? 1 : 0;
    whole = whole > 127 ? 127 : whole;
    codes[i] = static_cast<uint8_t>(128 + (scaled < 0.0F ? -whole : whole));
  }
}

void dequantize_kvcdn(const uint8_t* codes, size_t n, float scale, float* y) {
  const float reciprocal = float_of(0x3c010204U);  // 1/127 as kvcdn rounds it
  for (size_t i = 0; i < n; i++) {
    y[i] = static_cast<float>(static_cast<int32_t>(codes[i]) - 128) * scale * reciprocal + 0.0F;
  }
}

[[gnu::always_inline]] inline uint8_t to_code4(float scaled) {
  scaled = scaled > 15.0F ? 15.0F : scaled;
  scaled = scaled < 0.0F ? 0.0F : scaled;
  return static_cast<uint8_t>(round_to_int(scaled));
}

void quantize4_columns(const float* x, size_t rows, size_t columns, const float* min,
                       const float* inverse, uint8_t* codes) {
  for (size_t r = 0; r < rows; r++) {
    const float* const row = x + r * columns;
    uint8_t* const __restrict__ out = codes + r * columns;
    for (size_t c = 0; c < columns; c++) out[c] = to_code4((row[c] - min[c]) * inverse[c]);
  }
}

void quantize4_rows(const float* x, size_t rows, size_t columns, const float* min,
                    const float* inverse, uint8_t* codes) {
  for (size_t r = 0; r < rows; r++) {
    const float* const row = x + r * columns;
    uint8_t* const __restrict__ out = codes + r * columns;
    const float low = min[r], factor = inverse[r];
    for (size_t c = 0; c < columns; c++) out[c] = to_code4((row[c] - low) * factor);
  }
}

void dequantize4_columns(const uint8_t* codes, size_t rows, size_t columns, const float* min,
                         const float* scale, float* y) {
  for (size_t r = 0; r < rows; r++) {
    const uint8_t* const row = codes + r * columns;
    float* const __restrict__ out = y + r * columns;
    for (size_t c = 0; c < columns; c++) out[c] = static_cast<float>(row[c]) * scale[c] + min[c];
  }
}

void dequantize4_rows(const uint8_t* codes, size_t rows, size_t columns, const float* min,
                      const float* scale, float* y) {
  for (size_t r = 0; r < rows; r++) {
    const uint8_t* const row = codes + r * columns;
    float* const __restrict__ out = y + r * columns;
    const float low = min[r], factor = scale[r];
    for (size_t c = 0; c < columns; c++) out[c] = static_cast<float>(row[c]) * factor + low;
  }
}

void pack4(const uint8_t* codes, size_t n, uint8_t* packed) {
  for (size_t i = 0; i < n; i++) {
    packed[i] = static_cast<uint8_t>(codes[2 * i] | (codes[2 * i + 1] << 4));
  }
}
void unpack4(const uint8_t* packed, size_t n, uint8_t* codes) {
  for (size_t i = 0; i < n; i++) {
    codes[2 * i] = packed[i] & 15U;
    codes[2 * i + 1] = static_cast<uint8_t>(packed[i] >> 4);
  }
}

// One stage of the transform inside eight lanes: `swapped` has the lanes `stride` apart
// exchanged, `sign` is -1 in the upper lane of each pair.
template <int stride>
[[gnu::always_inline]] inline Lanes butterfly(Lanes v) {
  constexpr int s = stride;
  const Lanes swapped =
      __builtin_shufflevector(v, v, 0 ^ s, 1 ^ s, 2 ^ s, 3 ^ s, 4 ^ s, 5 ^ s, 6 ^ s, 7 ^ s);
  Lanes sign = {};
  for (int i = 0; i < static_cast<int>(kLanes); i++) sign[i] = (i & s) != 0 ? -1.0F : 1.0F;
  return swapped + v * sign;
}

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

// The lanes added pairwise, always in this order.
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

// Two sums side by side, so that one addition need not wait for the one before.
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
