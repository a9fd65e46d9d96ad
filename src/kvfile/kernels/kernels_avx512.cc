#include <immintrin.h>

#include "kvfile/kernels/kernels.h"

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

// Whole cache lines of 32 values.
size_t decode_halves(const uint16_t* from, float* to, size_t n) {
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const auto* const line = reinterpret_cast<const __m256i*>(from + i);
    __builtin_prefetch(reinterpret_cast<const char*>(line) + kReadAheadBytes, 0, 2);
    for (int k = 0; k < 2; k++) {
      _mm512_storeu_ps(to + i + 16 * k,
                       _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(line + k)));
    }
  }
  return i;
}
// Whole groups of 16 values; rounding is to nearest even by the instruction itself.
size_t encode_halves(const float* from, uint16_t* to, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i half =
        _mm512_maskz_cvtps_ph(0xffff, _mm512_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), half);
  }
  return i;
}

// 16 codes of products; the conversion rounds to nearest even.
[[gnu::always_inline]] inline void store_codes(__m512 products, int8_t* codes) {
  const __m512 above = _mm512_maskz_max_ps(0xffff, products, _mm512_set1_ps(-127.0F));
  const __m512 inside = _mm512_maskz_min_ps(0xffff, above, _mm512_set1_ps(127.0F));
  const __m128i bytes =
      _mm512_maskz_cvtepi32_epi8(0xffff, _mm512_maskz_cvtps_epi32(0xffff, inside));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), bytes);
}
// Whole groups of 16 values, each with its factor or all with one.
size_t quantize_run(const float* x, const float* factors, size_t n, int8_t* codes) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    store_codes(_mm512_mul_ps(_mm512_loadu_ps(x + i), _mm512_loadu_ps(factors + i)), codes + i);
  }
  return i;
}
size_t quantize_run(const float* x, float factor, size_t n, int8_t* codes) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    store_codes(_mm512_mul_ps(_mm512_loadu_ps(x + i), _mm512_set1_ps(factor)), codes + i);
  }
  return i;
}

}  // namespace
}  // namespace kvcs::kvfile

#include "kvfile/kernels/kernels_body.h"

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
