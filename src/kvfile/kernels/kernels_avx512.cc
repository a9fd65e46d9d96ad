// The kernels for AVX-512 F, BW, VL and DQ. Laid out as kernels_avx2.cc, which explains why the
// order of includes and pragmas counts. The masks of all ones keep GCC 12 from warning of undefined
// lanes in its own headers; they cost nothing.
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

// Converts whole cache lines of 32 halves to floats; returns how many values that were.
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
// Converts whole groups of 16 floats to halves; returns how many values that were. The instruction
// is told to round to nearest even, whatever mode the processor is in.
size_t encode_halves(const float* from, uint16_t* to, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i half =
        _mm512_maskz_cvtps_ph(0xffff, _mm512_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), half);
  }
  return i;
}

// Stores 16 codes. Limits come before the conversion, for an integer that is out of range becomes
// the lowest one; the conversion rounds to nearest even, the processor's default mode.
[[gnu::always_inline]] inline void store_codes(__m512 products, int8_t* codes) {
  const __m512 above = _mm512_maskz_max_ps(0xffff, products, _mm512_set1_ps(-127.0F));
  const __m512 inside = _mm512_maskz_min_ps(0xffff, above, _mm512_set1_ps(127.0F));
  const __m128i bytes =
      _mm512_maskz_cvtepi32_epi8(0xffff, _mm512_maskz_cvtps_epi32(0xffff, inside));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), bytes);
}
// Quantises whole groups of 16 values, each with a factor of its own or, below, all with one;
// returns how many values that were.
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
