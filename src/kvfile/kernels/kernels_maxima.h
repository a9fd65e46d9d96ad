// The largest magnitudes and the ranges of a matrix, whole, by columns and by rows. Part of
// kernels_body.h.
#pragma once
#include "kvfile/kernels/kernels_lanes.h"

namespace kvcs::kvfile {
namespace {

// The bits of floats without their sign, read as integers, have the order of the magnitudes; the
// maximum of integers vectorises without care for NaN, which comes out as the largest.
float magnitude_max(const float* x, size_t n) {
  uint32_t max = 0;
  for (size_t i = 0; i < n; i++) {
    const uint32_t magnitude = bits_of(x[i]) & 0x7fffffffU;
    max = magnitude > max ? magnitude : max;
  }
  return float_of(max);
}

// NaN and infinity are kept: the caller must see that they are there.
float absolute_max_of(Dtype dtype, const void* x, size_t n) {
  float max = 0;
  for (Strips strip(dtype, x, 1, n); strip.next();) {
    const float here = magnitude_max(strip.values, strip.breadth);
    max = bits_of(here) > bits_of(max) ? here : max;
  }
  return max;
}

// Column by column within strips of 64, and what is left over singly. A comparison with NaN is
// false, so a column passes over it.
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

// Sixteen halves. Their bits have the order of magnitudes as well, so that the maximum is found at
// half the work of converting them to floats first.
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

// The maxima of whole strips of columns; returns how many columns that were. NaN is masked out, for
// strip_column_max() passes over it, too.
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

// The maxima of rows whose length is a multiple of sixteen. NaN counts as the largest, as its bits
// say. The last steps compare the lanes of one register with each other.
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

// The caller has put the first row, or what it begins with, into `min` and `max`.
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

}  // namespace
}  // namespace kvcs::kvfile
