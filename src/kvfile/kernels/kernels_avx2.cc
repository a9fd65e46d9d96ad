// The kernels for AVX2 and F16C: four loops by hand, where the compiler's own vectors are slow, and
// the shared bodies compiled for this instruction set.
//
// The order of what follows counts. Headers of the library come first, before the target is set:
// an inline function of theirs that was compiled for AVX2 could be the copy that the linker keeps
// for the whole program, and would kill it on a processor without AVX2. Then the target, the loops
// by hand, which kernels_body.h calls, and kernels_body.h itself; the target ends with the file.
#include <immintrin.h>

#include "kvfile/kernels/kernels.h"

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

// Converts whole cache lines of 32 halves to floats; returns how many values that were. The caller
// converts the rest.
size_t decode_halves(const uint16_t* from, float* to, size_t n) {
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const auto* const line = reinterpret_cast<const __m128i*>(from + i);
    __builtin_prefetch(reinterpret_cast<const char*>(line) + kReadAheadBytes, 0, 2);
    for (int k = 0; k < 4; k++) {
      _mm256_storeu_ps(to + i + 8 * k, _mm256_cvtph_ps(_mm_loadu_si128(line + k)));
    }
  }
  return i;
}
// Converts whole groups of 8 floats to halves; returns how many values that were. The instruction
// is told to round to nearest even, whatever mode the processor is in.
size_t encode_halves(const float* from, uint16_t* to, size_t n) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), half);
  }
  return i;
}

// Stores 32 codes. Limits come before the conversion, for an integer that is out of range becomes
// the lowest one; the conversion rounds to nearest even, the processor's default mode.
[[gnu::always_inline]] inline void store_codes(const __m256* products, int8_t* codes) {
  __m256i words[4];
  for (int i = 0; i < 4; i++) {
    const __m256 above = _mm256_max_ps(products[i], _mm256_set1_ps(-127.0F));
    words[i] = _mm256_cvtps_epi32(_mm256_min_ps(above, _mm256_set1_ps(127.0F)));
  }
  // The pack instructions work on each half of 16 bytes by itself, so the runs of four codes come
  // out as 0 2 4 6 1 3 5 7; the last step puts them in order.
  const __m256i low = _mm256_packs_epi32(words[0], words[1]);
  const __m256i high = _mm256_packs_epi32(words[2], words[3]);
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), bytes);
}
// Quantises whole groups of 32 values, each with a factor of its own or, below, all with one;
// returns how many values that were.
size_t quantize_run(const float* x, const float* factors, size_t n, int8_t* codes) {
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    __m256 products[4];
    for (int k = 0; k < 4; k++) {
      products[k] =
          _mm256_mul_ps(_mm256_loadu_ps(x + i + 8 * k), _mm256_loadu_ps(factors + i + 8 * k));
    }
    store_codes(products, codes + i);
  }
  return i;
}
size_t quantize_run(const float* x, float factor, size_t n, int8_t* codes) {
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    __m256 products[4];
    for (int k = 0; k < 4; k++) {
      products[k] = _mm256_mul_ps(_mm256_loadu_ps(x + i + 8 * k), _mm256_set1_ps(factor));
    }
    store_codes(products, codes + i);
  }
  return i;
}

}  // namespace
}  // namespace kvcs::kvfile

#include "kvfile/kernels/kernels_body.h"

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
