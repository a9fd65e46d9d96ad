#include <immintrin.h>

#include "kvfile/kernels.h"

// Everything below, and nothing above, is compiled for this instruction set.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC optimize("O3", "no-trapping-math", "no-math-errno")
#pragma GCC target("avx2,f16c")
#endif

namespace kvcs::kvfile {
namespace {

// Whole groups of 8 values; rounding is to nearest even by the instruction itself.
size_t decode_halves(const uint16_t* from, float* to, size_t n) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(half));
  }
  return i;
}
size_t encode_halves(const float* from, uint16_t* to, size_t n) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), half);
  }
  return i;
}

}  // namespace
}  // namespace kvcs::kvfile

#include "kvfile/kernels_body.h"

namespace kvcs::kvfile {

const Kernels& avx2_kernels() {
  static constexpr Kernels kTable = make_kernels("avx2");
  return kTable;
}

}  // namespace kvcs::kvfile

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
