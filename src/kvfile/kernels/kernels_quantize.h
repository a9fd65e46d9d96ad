// Floats to codes of eight and of four bits, and back. Part of kernels_body.h. The loops by hand
// (quantize_run) take what they can of a row, and the plain loop behind them takes the rest.
#pragma once
#include "kvfile/kernels/kernels_lanes.h"

namespace kvcs::kvfile {
namespace {

// -128 is never used, so that codes are symmetric about zero.
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

// kvcdn computes x / scale · 127 in this order and rounds half away from zero, as Rust's f32::round
// does. The magnitude is cut before it becomes an integer, so that no value overflows.
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

// The order of the products is kvcdn's; adding zero turns -0 into 0, which it has as well.
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

// Codes count from the group's minimum, so that zero is the lowest.
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

// `n` counts bytes: 2 · n codes.
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

}  // namespace
}  // namespace kvcs::kvfile
