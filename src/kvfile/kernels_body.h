// The bodies of kernels.h, compiled once per instruction set: each kernels_*.cc selects its target
// and includes this. Plain loops that the compiler vectorises; everything has internal linkage and
// nothing of the standard library is instantiated here, so no wide instruction can leak into code
// that other processors run.
#pragma once
#include "kvfile/kernels_convert.h"

// Lanes are passed between inlined functions only, so no calling convention is at stake.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace kvcs::kvfile {
namespace {

constexpr size_t kLanes = 8;
// Adding it to |x| < 2^22 leaves round_to_even(x) in the low bits of the sum.
constexpr float kRoundMagic = 12582912.0F;  // 1.5 · 2^23
constexpr int32_t kRoundBits = 0x4b400000;

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

[[gnu::always_inline]] inline void prefetch_write(const void* at, size_t size_bytes) {
  const char* const ahead = static_cast<const char*>(at) + kWriteAheadBytes;
  for (size_t line = 0; line < size_bytes; line += 64) __builtin_prefetch(ahead + line);
}

// A matrix of any dtype as floats, a few rows at a time or, of long rows, a piece: what is done
// with them finds them in the first cache, and a tile is never written out as floats.
constexpr size_t kStripValues = 512;
struct Strips {
  Strips(Dtype of, const void* x, size_t in_rows, size_t in_columns)
      : dtype(of), from(static_cast<const char*>(x)), rows(in_rows), columns(in_columns) {
    width_bytes = dtype == Dtype::kF32 ? 4 : dtype == Dtype::kF16 || dtype == Dtype::kBf16 ? 2 : 1;
  }

  // Moves to the next strip: `height` rows from `row`, `breadth` columns from `column`, one row of
  // it after the other at `values`.
  bool next() {
    column += breadth;
    if (column >= columns) {
      column = 0;
      row += height;
    }
    if (row >= rows) return false;
    breadth = columns;
    height = rows - row;
    if (dtype == Dtype::kF32) {
      values = reinterpret_cast<const float*>(from);
      return true;
    }
    const size_t whole_rows = kStripValues / columns;
    if (whole_rows == 0) {
      height = 1;
      breadth = columns - column < kStripValues ? columns - column : kStripValues;
    } else if (height > whole_rows) {
      height = whole_rows;
    }
    const size_t at = (row * columns + column) * width_bytes, size = height * breadth * width_bytes;
    // Halves are fetched by their conversion.
    for (size_t line = 0; dtype != Dtype::kF16 && line < size; line += 64) {
      __builtin_prefetch(from + at + kReadAheadBytes + line, 0, 2);
    }
    decode_values(dtype, from + at, buffer, height * breadth);
    values = buffer;
    return true;
  }

  const Dtype dtype;
  const char* const from;
  const size_t rows, columns;
  size_t width_bytes = 0, row = 0, column = 0, height = 0, breadth = 0;
  const float* values = nullptr;
  float buffer[kStripValues];
};

// Integers order magnitudes as floats do, and their maximum vectorises without care for NaN.
float magnitude_max(const float* x, size_t n) {
  uint32_t max = 0;
  for (size_t i = 0; i < n; i++) {
    const uint32_t magnitude = bits_of(x[i]) & 0x7fffffffU;
    max = magnitude > max ? magnitude : max;
  }
  return float_of(max);
}

float absolute_max_of(Dtype dtype, const void* x, size_t n) {
  float max = 0;
  for (Strips strip(dtype, x, 1, n); strip.next();) {
    const float here = magnitude_max(strip.values, strip.breadth);
    max = bits_of(here) > bits_of(max) ? here : max;
  }
  return max;
}

void strip_column_max(const float* x, size_t rows, size_t columns, float* max) {
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

// Sixteen halves. Their bits order magnitudes as well, at half the work of converting them first.
using HalfLanes = int16_t __attribute__((vector_size(32)));
constexpr size_t kHalfLanes = 16;
constexpr int16_t kHalfInfinity = 0x7c00;
[[gnu::always_inline]] inline HalfLanes load_magnitudes(const uint16_t* from) {
  HalfLanes lanes;
  __builtin_memcpy(&lanes, from, sizeof lanes);
  return lanes & int16_t{0x7fff};
}
[[gnu::always_inline]] inline HalfLanes larger(HalfLanes a, HalfLanes b) {
  return a > b ? a : b;
}

// Of whole strips of columns; how many columns that were. NaN is passed over, as a comparison of
// floats does.
size_t half_column_max(const uint16_t* x, size_t rows, size_t columns, float* max) {
  constexpr size_t kStrip = 8 * kHalfLanes;
  size_t start = 0;
  for (; start + kStrip <= columns; start += kStrip) {
    HalfLanes strip[kStrip / kHalfLanes] = {};
    for (size_t r = 0; r < rows; r++) {
      const uint16_t* const row = x + r * columns + start;
      for (size_t i = 0; i < kStrip / kHalfLanes; i++) {
        if (i % 2 == 0) {
          __builtin_prefetch(reinterpret_cast<const char*>(row + i * kHalfLanes) + kReadAheadBytes,
                             0, 2);
        }
        const HalfLanes magnitudes = load_magnitudes(row + i * kHalfLanes);
        strip[i] = larger(strip[i], magnitudes & (magnitudes <= kHalfInfinity));
      }
    }
    for (size_t c = 0; c < kStrip; c++) {
      const float value =
          half_to_float(static_cast<uint16_t>(strip[c / kHalfLanes][c % kHalfLanes]));
      max[start + c] = value > max[start + c] ? value : max[start + c];
    }
  }
  return start;
}

void column_absolute_max(Dtype dtype, const void* x, size_t rows, size_t columns, float* max) {
  if (dtype == Dtype::kF16 &&
      half_column_max(static_cast<const uint16_t*>(x), rows, columns, max) == columns) {
    return;
  }
  for (Strips strip(dtype, x, rows, columns); strip.next();) {
    strip_column_max(strip.values, strip.height, strip.breadth, max + strip.column);
  }
}

// Of rows of whole lanes. NaN counts as the largest, as its bits do.
void half_row_max(const uint16_t* x, size_t rows, size_t columns, float* max) {
  using Eight = int16_t __attribute__((vector_size(16)));
  for (size_t r = 0; r < rows; r++) {
    const uint16_t* const row = x + r * columns;
    HalfLanes most = {};
    for (size_t c = 0; c < columns; c += kHalfLanes) {
      if (c % (2 * kHalfLanes) == 0) {
        __builtin_prefetch(reinterpret_cast<const char*>(row + c) + kReadAheadBytes, 0, 2);
      }
      most = larger(most, load_magnitudes(row + c));
    }
    Eight parts[2];
    __builtin_memcpy(parts, &most, sizeof parts);
    Eight e = parts[0] > parts[1] ? parts[0] : parts[1];
    const Eight by4 = __builtin_shufflevector(e, e, 4, 5, 6, 7, 0, 1, 2, 3);
    e = e > by4 ? e : by4;
    const Eight by2 = __builtin_shufflevector(e, e, 2, 3, 0, 1, 6, 7, 4, 5);
    e = e > by2 ? e : by2;
    max[r] = half_to_float(static_cast<uint16_t>(e[0] > e[1] ? e[0] : e[1]));
  }
}

void row_absolute_max(Dtype dtype, const void* x, size_t rows, size_t columns, float* max) {
  if (dtype == Dtype::kF16 && columns % kHalfLanes == 0) {
    return half_row_max(static_cast<const uint16_t*>(x), rows, columns, max);
  }
  for (Strips strip(dtype, x, rows, columns); strip.next();) {
    for (size_t r = 0; r < strip.height; r++) {
      const float here = magnitude_max(strip.values + r * strip.breadth, strip.breadth);
      float& row = max[strip.row + r];
      row = strip.column == 0 || bits_of(here) > bits_of(row) ? here : row;
    }
  }
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

void quantize_columns(Dtype dtype, const void* x, size_t rows, size_t columns, const float* inverse,
                      int8_t* codes) {
  for (Strips strip(dtype, x, rows, columns); strip.next();) {
    const float* const factors = inverse + strip.column;
    prefetch_write(codes + strip.row * columns + strip.column, strip.height * strip.breadth);
    for (size_t r = 0; r < strip.height; r++) {
      const float* const row = strip.values + r * strip.breadth;
      int8_t* const __restrict__ out = codes + (strip.row + r) * columns + strip.column;
      for (size_t c = quantize_run(row, factors, strip.breadth, out); c < strip.breadth; c++) {
        out[c] = to_code(row[c] * factors[c]);
      }
    }
  }
}

void quantize_rows(Dtype dtype, const void* x, size_t rows, size_t columns, const float* inverse,
                   int8_t* codes) {
  for (Strips strip(dtype, x, rows, columns); strip.next();) {
    prefetch_write(codes + strip.row * columns + strip.column, strip.height * strip.breadth);
    for (size_t r = 0; r < strip.height; r++) {
      const float* const row = strip.values + r * strip.breadth;
      int8_t* const __restrict__ out = codes + (strip.row + r) * columns + strip.column;
      const float factor = inverse[strip.row + r];
      for (size_t c = quantize_run(row, factor, strip.breadth, out); c < strip.breadth; c++) {
        out[c] = to_code(row[c] * factor);
      }
    }
  }
}

// Floats that are made run by run, and leave as values of any dtype a strip at a time; F32
// directly.
struct OutStrip {
  OutStrip(Dtype to, void* y) : dtype(to), at(static_cast<char*>(y)) {
    width_bytes = dtype == Dtype::kF32 ? 4 : dtype == Dtype::kF16 || dtype == Dtype::kBf16 ? 2 : 1;
  }
  // Room for the next n <= kStripValues floats.
  float* next(size_t n) {
    if (dtype == Dtype::kF32) {
      float* const direct = reinterpret_cast<float*>(at);
      at += n * 4;
      return direct;
    }
    if (filled + n > kStripValues) flush();
    filled += n;
    return buffer + (filled - n);
  }
  void flush() {
    if (filled == 0) return;
    prefetch_write(at, filled * width_bytes);
    encode_values(dtype, buffer, at, filled);
    at += filled * width_bytes;
    filled = 0;
  }

  const Dtype dtype;
  char* at;
  size_t width_bytes = 0, filled = 0;
  float buffer[kStripValues];
};

void dequantize_columns(const int8_t* codes, size_t rows, size_t columns, const float* scale,
                        Dtype dtype, void* y) {
  OutStrip strip(dtype, y);
  for (size_t r = 0; r < rows; r++) {
    for (size_t start = 0; start < columns; start += kStripValues) {
      const size_t n = columns - start < kStripValues ? columns - start : kStripValues;
      const int8_t* const row = codes + r * columns + start;
      float* const __restrict__ out = strip.next(n);
      for (size_t c = 0; c < n; c++) out[c] = static_cast<float>(row[c]) * scale[start + c];
    }
  }
  strip.flush();
}

void dequantize_rows(const int8_t* codes, size_t rows, size_t columns, const float* scale,
                     Dtype dtype, void* y) {
  OutStrip strip(dtype, y);
  for (size_t r = 0; r < rows; r++) {
    const float factor = scale[r];
    for (size_t start = 0; start < columns; start += kStripValues) {
      const size_t n = columns - start < kStripValues ? columns - start : kStripValues;
      const int8_t* const row = codes + r * columns + start;
      float* const __restrict__ out = strip.next(n);
      for (size_t c = 0; c < n; c++) out[c] = static_cast<float>(row[c]) * factor;
    }
  }
  strip.flush();
}

[[gnu::always_inline]] inline uint8_t to_code_kvcdn(float x, float scale) {
  const float scaled = x / scale * 127.0F;
  const float magnitude = absolute(scaled);
  int32_t whole = static_cast<int32_t>(magnitude > 127.0F ? 127.0F : magnitude);
  whole += magnitude - static_cast<float>(whole) >= 0.5F ? 1 : 0;
  whole = whole > 127 ? 127 : whole;
  return static_cast<uint8_t>(128 + (scaled < 0.0F ? -whole : whole));
}

void quantize_kvcdn(Dtype dtype, const void* x, size_t n, float scale, uint8_t* codes) {
  for (Strips strip(dtype, x, 1, n); strip.next();) {
    uint8_t* const __restrict__ out = codes + strip.column;
    for (size_t i = 0; i < strip.breadth; i++) out[i] = to_code_kvcdn(strip.values[i], scale);
  }
}

void dequantize_kvcdn(const uint8_t* codes, size_t n, float scale, Dtype dtype, void* y) {
  const float reciprocal = float_of(0x3c010204U);  // 1/127 as kvcdn rounds it
  OutStrip strip(dtype, y);
  for (size_t start = 0; start < n; start += kStripValues) {
    const size_t here = n - start < kStripValues ? n - start : kStripValues;
    float* const __restrict__ out = strip.next(here);
    for (size_t i = 0; i < here; i++) {
      const int32_t code = static_cast<int32_t>(codes[start + i]) - 128;
      out[i] = static_cast<float>(code) * scale * reciprocal + 0.0F;
    }
  }
  strip.flush();
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
