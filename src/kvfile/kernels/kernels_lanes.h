// The building blocks of the kernels: eight floats at a time (Lanes), and matrices of any dtype as
// floats a strip at a time (Strips to read, OutStrip to write). Part of kernels_body.h. Eight lanes
// on every instruction set, so that sums are added in the same order everywhere.
#pragma once
#include "kvfile/kernels/kernels_convert.h"

// Lanes are passed between inlined functions only, so no calling convention is at stake.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace kvcs::kvfile {
namespace {

constexpr size_t kLanes = 8;
// Floats between 2^23 and 2^24 have the step 1, so adding this number to |x| < 2^22 rounds x to the
// nearest whole number, ties to even, and leaves it in the low bits of the sum.
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

// Asks for the lines that the next strip will be written to, for every 64 bytes one.
[[gnu::always_inline]] inline void prefetch_write(const void* at, size_t size_bytes) {
  const char* const ahead = static_cast<const char*>(at) + kWriteAheadBytes;
  for (size_t line = 0; line < size_bytes; line += 64) __builtin_prefetch(ahead + line);
}

// Reads a matrix of any dtype as floats, a few rows at a time or, where rows are long, a piece of
// one: the loop that uses them finds them in the first cache, and a tile is never written out as
// floats. F32 is used where it is, as one strip. 512 floats are 2 KiB.
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
    // decode_halves() prefetches by itself.
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

// Takes floats run by run and writes them as values of any dtype, a strip at a time; F32 goes
// directly to its place. The last strip is written by flush().
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

}  // namespace
}  // namespace kvcs::kvfile
