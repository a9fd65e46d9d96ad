#include <immintrin.h>

#include "kvfile/kernels.h"

// Everything below, and nothing above, is compiled for this instruction set.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC optimize("O3", "no-trapping-math", "no-math-errno")
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,prefer-vector-width=512")
#endif

namespace kvcs::kvfile {
namespace {

// Whole groups of 16 values; rounding is to nearest even by the instruction itself.
size_t decode_halves(const uint16_t* from, float* to, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    _mm512_storeu_ps(to + i, _mm512_maskz_cvtph_ps(0xffff, half));
  }
  return i;
}
size_t encode_halves(const float* from, uint16_t* to, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i half =
        _mm512_maskz_cvtps_ph(0xffff, _mm512_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), half);
  }
  return i;
}

}  // namespace
}  // namespace kvcs::kvfile

#include "kvfile/kernels_body.h"

namespace kvcs::kvfile {

const Kernels& avx512_kernels() {
  static constexpr Kernels kTable = make_kernels("avx512");
  return kTable;
}

}  // namespace kvcs::kvfile

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
