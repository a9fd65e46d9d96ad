// The inner loops over values, for each instruction set that the processor may have. All sets
// give the same bits: every step is one rounded IEEE operation in a fixed order (the Makefile
// forbids contraction to fused multiply-adds), and sums are kept in fixed lanes. So a file that was
// quantised on one machine equals the one that another machine makes, and tests compare the sets
// bit by bit.
//
// A matrix is row-major: `rows` rows of `columns` values. For keys and values of a cache a row is
// one token of one head, and a column is one channel. "inverse" is the reciprocal of a scale, which
// the caller computes once, for a product is cheaper than a quotient.
//
// Pure functions; buffers do not overlap; no alignment is needed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

// Sums over one row of two versions a and b of the same values.
struct RowError {
  float dot = 0, aa = 0, bb = 0;   // a·b, a·a, b·b
  float error = 0, error_max = 0;  // Σ(a-b)², max |a-b|
};

struct Kernels {
  const char* name;
  // F16, BF16, F32, F8_E4M3, F8_E5M2 to floats and, rounded to nearest even, back. The narrow
  // types saturate at their largest value; NaN stays NaN.
  void (*decode)(Dtype dtype, const void* from, float* to, size_t n);
  void (*encode)(Dtype dtype, const float* from, void* to, size_t n);

  // These take values of any of the types above and convert them a strip at a time, so that the
  // floats in between never leave the first cache.
  float (*absolute_max)(Dtype dtype, const void* x, size_t n);
  // max[c] = max(max[c], |x[r][c]|); the caller sets the start.
  void (*column_absolute_max)(Dtype dtype, const void* x, size_t rows, size_t columns, float* max);
  void (*row_absolute_max)(Dtype dtype, const void* x, size_t rows, size_t columns, float* max);
  void (*column_range)(const float* x, size_t rows, size_t columns, float* min, float* max);
  void (*row_range)(const float* x, size_t rows, size_t columns, float* min, float* max);

  // round_to_even(x · inverse), within ±127; the factor belongs to the column or to the row.
  void (*quantize_columns)(Dtype dtype, const void* x, size_t rows, size_t columns,
                           const float* inverse, int8_t* codes);
  void (*quantize_rows)(Dtype dtype, const void* x, size_t rows, size_t columns,
                        const float* inverse, int8_t* codes);
  void (*dequantize_columns)(const int8_t* codes, size_t rows, size_t columns, const float* scale,
                             Dtype dtype, void* y);
  void (*dequantize_rows)(const int8_t* codes, size_t rows, size_t columns, const float* scale,
                          Dtype dtype, void* y);

  // kvcdn's recipe: x / scale · 127, rounded half away from zero, +128.
  void (*quantize_kvcdn)(Dtype dtype, const void* x, size_t n, float scale, uint8_t* codes);
  void (*dequantize_kvcdn)(const uint8_t* codes, size_t n, float scale, Dtype dtype, void* y);

  // round_to_even((x - min) · inverse), within 0…15, one code per byte.
  void (*quantize4_columns)(const float* x, size_t rows, size_t columns, const float* min,
                            const float* inverse, uint8_t* codes);
  void (*quantize4_rows)(const float* x, size_t rows, size_t columns, const float* min,
                         const float* inverse, uint8_t* codes);
  void (*dequantize4_columns)(const uint8_t* codes, size_t rows, size_t columns, const float* min,
                              const float* scale, float* y);
  void (*dequantize4_rows)(const uint8_t* codes, size_t rows, size_t columns, const float* min,
                           const float* scale, float* y);
  // Two codes per byte, the even one in the low half; `n` bytes.
  void (*pack4)(const uint8_t* codes, size_t n, uint8_t* packed);
  void (*unpack4)(const uint8_t* packed, size_t n, uint8_t* codes);

  // The orthonormal Walsh-Hadamard transform of each run of `size` values (a power of two); its
  // own inverse.
  void (*hadamard)(float* x, size_t runs, size_t size);

  void (*row_error)(const float* a, const float* b, size_t n, RowError* out);
  float (*dot)(const float* a, const float* b, size_t n);
  void (*add_scaled)(float* y, float factor, const float* x, size_t n);  // y += factor · x
  void (*scale)(float* y, float factor, size_t n);
};

// How far ahead of the values at work the kernels prefetch. The processor's own prefetchers bring a
// single stream of reads at two thirds of the memory's bandwidth, and one of writes at half of it;
// with these distances both reach it. A prefetch may point behind the end of a buffer: it never
// faults.
inline constexpr size_t kReadAheadBytes = 8192, kWriteAheadBytes = 4096;

const Kernels& scalar_kernels();
const Kernels& avx2_kernels();    // Precondition: the processor has AVX2 and F16C.
const Kernels& avx512_kernels();  // Precondition: AVX-512 F, BW, VL, DQ.
// The fastest set that this processor can run. Decided once, on first use.
const Kernels& kernels();
// Every set that this processor runs, scalar first.
std::vector<const Kernels*> available_kernels();

}  // namespace kvcs::kvfile
